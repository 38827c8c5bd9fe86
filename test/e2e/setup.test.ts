import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Atlas, newFolder, startAtlas } from '../../src/testing/server.ts'
import { events } from './steps.ts'

// From a fresh install to the first signed-in administrator, with no default password anywhere.

const password = 'Vltava otter 83 gravel sings'
const noToken = { ATLAS_API_TOKEN: '' }

test('the printed link makes exactly one administrator, also when two are faster than each other', async (t) => {
  const atlas = await startAtlas(t, { env: noToken })
  const setupToken = linkOf(atlas)
  const post = (username: string, token = setupToken) => setUp(atlas, { setupToken: token ?? '', username, password })

  const wrong = await post('eve', `${setupToken?.slice(0, -1)}${setupToken?.endsWith('0') ? '1' : '0'}`)
  const racing = await Promise.all([post('ada'), post('bob')])
  const late = await post('eve')

  assert.equal(wrong.status, 401)
  assert.deepEqual(racing.map(({ status }) => status).sort(), [200, 401])
  assert.equal(late.status, 401)
  const winner = racing.find(({ status }) => status === 200)?.body.token ?? ''
  const { items } = await atlas.api<{ items: { username: string }[] }>('GET', '/users', undefined, winner)
  assert.equal(items.length, 1)
  const me = await atlas.api<{ name: string; bindings?: unknown }>('GET', '/me', undefined, winner)
  assert.equal(me.name, items[0]?.username)
  const codes = (await atlas.api<{ items: { code: string }[] }>('GET', '/audit/events', undefined, winner)).items.map(
    ({ code }) => code,
  )
  assert.equal(codes.filter((code) => code === 'setup.completed').length, 1)
  assert.equal(codes.filter((code) => code === 'setup.failed').length, 3)
})

test('a weak password is refused by name and rule, and does not use the link up', async (t) => {
  const atlas = await startAtlas(t, { env: noToken })
  const setupToken = linkOf(atlas) ?? ''

  const short = await setUp(atlas, { setupToken, username: 'ada', password: 'short' })
  const common = await setUp(atlas, { setupToken, username: 'ada', password: 'password-password' })
  const missing = await setUp(atlas, { setupToken, username: 'ada' })
  const good = await setUp(atlas, { setupToken, username: 'ada', password })

  assert.deepEqual(
    [short, common, missing, good].map(({ status }) => status),
    [400, 400, 400, 200],
  )
  assert.match(short.text, /"field":"\/password"/)
  for (const { text } of [short, common]) assert.doesNotMatch(text, /short"|password-password/)
})

test('each start prints a new link until it is used, and none after', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder, env: noToken })
  await first.stop()
  const second = await startAtlas(t, { folder, env: noToken })

  const stale = await setUp(second, { setupToken: linkOf(first) ?? '', username: 'ada', password })
  const used = await setUp(second, { setupToken: linkOf(second) ?? '', username: 'ada', password })
  await second.stop()
  const third = await startAtlas(t, { folder, env: noToken })

  assert.notEqual(linkOf(first), linkOf(second))
  assert.deepEqual([stale.status, used.status], [401, 200])
  assert.equal(linkOf(third), undefined)
})

test('by the command line: set up, sign in, whoami; the token is kept for its owner only', async (t) => {
  const atlas = await startAtlas(t, { env: noToken })
  const file = join(atlas.folder, 'setup-token')
  writeFileSync(file, `${linkOf(atlas)}\n`, { mode: 0o600 })
  const kept = { env: { ATLAS_TOKEN: '' } }

  const before = await atlas.cli(['whoami'], kept)
  const setup = await atlas.cli(['setup', '-u', 'ada', '--setup-token-file', file], { ...kept, input: password })
  const wrong = await atlas.cli(['login', '-u', 'ada'], { ...kept, input: 'not this one either' })
  const login = await atlas.cli(['login', '-u', 'ada'], { ...kept, input: `${password}\n` })
  const who = await atlas.cli(['whoami', '--json'], kept)

  assert.deepEqual([before.code, setup.code, wrong.code, login.code, who.code], [2, 0, 1, 0, 0], setup.stderr)
  assert.match(before.stderr, /Run `atlas login`/)
  assert.equal(JSON.parse(who.stdout).name, 'ada')
  assert.equal(statSync(join(atlas.folder, '.config/atlas/tokens', encodeURIComponent(atlas.url))).mode & 0o777, 0o600)
  for (const { stdout, stderr } of [setup, wrong, login]) assert.doesNotMatch(stdout + stderr, /atl_|Vltava|either/)
})

test('the configured password makes the admin once; no link is printed, and a later value changes nothing', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder, env: { ATLAS_DEFAULT_ADMIN_PASSWORD: password } })
  const login = (atlas: Atlas, given: string) =>
    atlas.ask('POST', '/api/v1/login', { token: undefined, body: { username: 'admin', password: given } })

  const [right, wrong] = [await login(first, password), await login(first, 'Elbe heron 61 pebble hums')]
  await first.stop()
  const env = { ATLAS_DEFAULT_ADMIN_PASSWORD: 'Elbe heron 61 pebble hums' }
  const second = await startAtlas(t, { folder, env })
  const [old, changed] = [await login(second, password), await login(second, env.ATLAS_DEFAULT_ADMIN_PASSWORD)]

  assert.deepEqual(
    [right, wrong, old, changed].map(({ status }) => status),
    [200, 401, 200, 401],
  )
  assert.equal(linkOf(first), undefined)
  const codes = (await events(second)).map(({ code }) => code)
  assert.equal(codes.filter((code) => code === 'login.succeeded').length, 2)
  assert.equal(codes.filter((code) => code === 'login.failed').length, 2)
})

test('a token that is revoked, and a user who is disabled, are out within a second, also over MCP', async (t) => {
  const atlas = await startAtlas(t)
  await atlas.api('POST', '/users', { username: 'ada', password, role: 'viewer' })
  const { token: session } = await atlas.api<{ token: string }>('POST', '/login', { username: 'ada', password }, 'none')
  const agent = await atlas.api<{ id: string; token: string }>('POST', '/tokens', {
    name: 'a',
    agent: 'a',
    role: 'viewer',
  })
  const statuses = async () => [
    (await atlas.ask('GET', '/api/v1/me', { token: session })).status,
    (await atlas.ask('GET', '/api/v1/me', { token: agent.token })).status,
    (await atlas.ask('POST', '/mcp', { token: agent.token, body: { jsonrpc: '2.0', id: 1, method: 'tools/list' } }))
      .status,
  ]
  const before = await statuses()
  const ada = (await atlas.api<{ items: { id: string; username: string }[] }>('GET', '/users')).items.find(
    ({ username }) => username === 'ada',
  )

  await atlas.api('PATCH', `/users/${ada?.id}`, { disabled: true })
  await atlas.api('DELETE', `/tokens/${agent.id}`)

  assert.deepEqual(before.slice(0, 2), [200, 200])
  assert.notEqual(before[2], 401)
  assert.deepEqual(await statuses(), [401, 401, 401])
})

/** The token of the link that the server printed, if it printed one. */
function linkOf({ output }: Atlas): string | undefined {
  return /\/setup#(\S+)/.exec(output.stdout)?.[1]
}

function setUp(atlas: Atlas, body: { setupToken: string; username: string; password?: string }) {
  return atlas.ask<{ token: string }>('POST', '/api/v1/setup', { token: undefined, body })
}
