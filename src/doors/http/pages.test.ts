import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { problems } from '../../core/problem.ts'
import { testDoors, tokens } from '../../testing/doors.ts'
import { problemSections } from './problems-page.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

test('docs/problems.md has one section with text per problem type, in the order of the list', () => {
  const sections = problemSections(readFileSync('docs/problems.md', 'utf8'))
  assert.deepEqual([...sections.keys()], Object.keys(problems))
  for (const [type, text] of sections) assert.ok(text.length > 40, type)
})

test('every problem type has its heading on the page that it points to', async () => {
  const { app } = testDoors()
  const answer = await app.inject({ url: '/docs/problems' })
  assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8')
  for (const type of Object.keys(problems)) assert.ok(answer.body.includes(`<section id="${type}">`), type)
})

test('a page loads nothing, and its nonce is new each time', async () => {
  const { app } = testDoors()
  for (const url of ['/setup', '/docs/problems']) {
    const [one, two] = [await app.inject({ url }), await app.inject({ url })]
    const nonces = [one, two].map(
      (a) => /'nonce-([^']+)'/.exec(String(a.headers['content-security-policy']))?.[1] ?? '',
    )
    assert.equal(new Set(nonces).size, 2, url)
    assert.ok(one.body.includes(`<style nonce="${nonces[0]}">`), url)
    assert.doesNotMatch(one.body, /https?:|src=|href=|@import|url\(|innerHTML|\son\w+=/, url)
    assert.doesNotMatch(String(one.headers['content-security-policy']), /unsafe|\*/, url)
    assert.match(String(one.headers['content-security-policy']), /require-trusted-types-for 'script'/, url)
  }
})

test('without a way to set up there is no setup page', async () => {
  const { app, routes } = testDoors({ parts: { setup: undefined, login: undefined } as never })
  assert.equal((await app.inject({ url: '/setup' })).statusCode, 404)
  assert.ok(!routes.some(({ path }) => /setup|login/.test(path)))
})

test('readiness names what is not ready', async () => {
  const cases: [() => Promise<Record<string, boolean | string>>, number, object][] = [
    [async () => ({ database: true }), 200, { ready: true, notReady: {} }],
    [
      async () => ({ database: false, vault: 'sealed', log: true }),
      503,
      { ready: false, notReady: { database: 'not ready', vault: 'sealed' } },
    ],
    [() => Promise.reject(new Error('canary-value')), 503, { ready: false, notReady: { server: 'not ready' } }],
  ]
  for (const [ready, status, body] of cases)
    for (const url of ['/readyz', '/health']) {
      const { app } = testDoors({ parts: { health: { ready } } })
      const answer = await app.inject({ url })
      assert.deepEqual([answer.statusCode, answer.json()], [status, body])
      assert.equal((await app.inject({ url: '/livez' })).statusCode, 200)
    }
})

test('the log is served as files to those who may read it, and reading writes nothing into it', async () => {
  const { app, events } = testDoors()
  const get = (url: string, token: string) => app.inject({ url, headers: bearer(token) })

  const checkpoint = await get('/audit/checkpoint', tokens.viewer)
  const tile = await get('/audit/tile/0/000.p/1', tokens.viewer)
  const vkey = await get('/audit/vkey', tokens.viewer)

  assert.deepEqual(
    [checkpoint.body, checkpoint.headers['content-type']],
    ['atlas\n1\nAAAA\n', 'text/plain; charset=utf-8'],
  )
  assert.deepEqual([tile.rawPayload, tile.headers['content-type']], [Buffer.alloc(32, 1), 'application/octet-stream'])
  assert.equal(tile.headers['cache-control'], 'private, max-age=31536000, immutable')
  assert.equal(vkey.body, 'atlas+00000000+AAAA\n')
  assert.deepEqual(events, [])
  for (const url of ['/audit/checkpoint', '/audit/tile/0/000.p/1', '/audit/vkey'])
    assert.equal((await get(url, tokens.nobody)).statusCode, 403)
})

test('only a tile path reaches the log', async () => {
  const asked: string[] = []
  const tile = async (path: string) => {
    asked.push(path)
    return undefined
  }
  const { app } = testDoors({ parts: { audit: { checkpoint: async () => '', tile, vkey: '' } } })
  const good = ['0/000', '63/x001/234', 'entries/000.p/255', '5/x001/x002/003.p/1']
  const bad = [
    '64/000',
    '0/00',
    '0/1000',
    '0/001/002',
    '0/000.p/0',
    '0/000.p/256',
    '0/000.p/01',
    'entries',
    'data/000',
    '0/000/',
  ]
  bad.push(
    '0/%30%30%30',
    '0/000?x=1',
    '0//000',
    '-1/000',
    '00/000',
    'Entries/000',
    '0/x000',
    '0/000.p',
    `0/${'x001/'.repeat(9)}001`,
  )
  for (const path of [...good, ...bad]) {
    const answer = await app.inject({ url: `/audit/tile/${path}`, headers: bearer(tokens.admin) })
    assert.equal(answer.statusCode, 404, path)
  }
  assert.deepEqual(asked, good)
})

test('the metadata of the resource names the resource that was asked about (RFC 9728)', async () => {
  const { app } = testDoors({
    config: { publicUrl: 'https://atlas.example.org', authorizationServers: ['https://id.example.org'] },
  })
  for (const path of ['', '/mcp']) {
    const answer = await app.inject({
      url: `/.well-known/oauth-protected-resource${path}`,
      headers: { host: 'atlas.example.org' },
    })
    assert.deepEqual(answer.json(), {
      resource: `https://atlas.example.org${path}`,
      authorization_servers: ['https://id.example.org'],
      bearer_methods_supported: ['header'],
      resource_name: 'Infrastructure Atlas',
    })
  }
})
