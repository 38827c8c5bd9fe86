import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { adminToken, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { eventually } from './steps.ts'

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: sealed, only health and unsealing answer; enough shares start it (SEC-ENC-7)`, (t) =>
    unseal(t, dialect))

async function unseal(t: TestContext, dialect: 'SQLite' | 'PostgreSQL'): Promise<void> {
  const folder = newFolder(t)
  const database = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const data = { ATLAS_DATA_DIR: join(folder, 'data'), ...(database && { ATLAS_DATABASE_URL: database }) }
  const first = await startAtlas(t, { folder, env: data })
  const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
  await first.stop()
  await runAtlas(['vault', 'recovery-kit', 'kit', '--shares', '3', '--threshold', '2'], { folder, env: data })
  const share = (n: number) => readFileSync(join(folder, 'kit', `share-${n}.txt`), 'utf8').trim()
  const env = { ...data, ATLAS_PORT: '0', ATLAS_SEALED: 'true', ATLAS_API_TOKEN: adminToken }
  const beside = await runAtlas(['serve'], { folder, env })
  assert.match(beside.stderr, /holds the root key. Move it away first/)
  renameSync(join(folder, 'data', 'root.key'), join(folder, 'gone'))

  let output = ''
  let stop = () => {}
  const ended = runAtlas(['serve'], {
    folder,
    env,
    seen: (child) => {
      child.stdout?.on('data', (text) => {
        output += text
      })
      stop = () => child.kill('SIGTERM')
    },
  })
  t.after(() => stop())
  const urlIn = (words: string) =>
    eventually(async () => new RegExp(`${words} at (http://[\\d.:]+\\d)`).exec(output)?.[1])
  const sealed = await urlIn('sealed')
  const give = async (body: unknown, type = 'application/json') => {
    const init = { method: 'POST', headers: { 'content-type': type }, body: JSON.stringify(body) }
    const response = await fetch(`${sealed}/api/v1/unseal`, init)
    return [response.status, await response.text()] as const
  }
  const statuses: Record<string, number> = {}
  for (const path of [
    '/livez',
    '/readyz',
    '/health',
    '/',
    '/api/v1/secrets',
    '/api/v1/unseal',
    '/mcp',
    '/openapi.json',
  ])
    statuses[path] = (await fetch(sealed + path, { headers: { authorization: `Bearer ${adminToken}` } })).status
  assert.deepEqual(statuses, {
    '/livez': 200,
    '/readyz': 503,
    '/health': 503,
    '/': 503,
    '/api/v1/secrets': 503,
    '/api/v1/unseal': 503,
    '/mcp': 503,
    '/openapi.json': 503,
  })
  for (const [body, type, status] of [
    [{ share: 'nonsense' }, 'application/json', 400],
    [{ share: 7 }, 'application/json', 400],
    [null, 'application/json', 400],
    [{ share: 'x'.repeat(5000) }, 'application/json', 400],
    [{ share: share(1) }, 'text/plain', 415],
  ] as const)
    assert.equal((await give(body, type))[0], status, JSON.stringify(body)?.slice(0, 40))

  // Made up, of the right kit's name: it costs its keepers one more round, and opens nothing.
  const [form = '', fingerprint = ''] = share(1).split(' ')
  assert.equal((await give({ share: share(1) }))[1], '{"sealed":true,"missing":1}')
  const madeUp = `${form} ${fingerprint} 2 9 ${randomBytes(32).toString('base64url')}`
  assert.equal((await give({ share: madeUp }))[0], 409)
  const cli = (n: number) =>
    runAtlas(['vault', 'unseal', '--share-file', join('kit', `share-${n}.txt`)], { folder, env: { ATLAS_URL: sealed } })
  assert.equal((await cli(3)).stdout.trim(), '1 more shares are needed')
  assert.equal((await cli(2)).stdout.trim(), 'The server is unsealed and starts')

  const url = await urlIn('ready')
  const answer = await fetch(`${url}/api/v1/secrets/${id}`, { headers: { authorization: `Bearer ${adminToken}` } })
  assert.equal(answer.status, 200)
  stop()
  const { code, stdout, stderr } = await ended
  assert.equal(code, 0, stderr)
  for (const n of [1, 2, 3]) assert.ok(!(stdout + stderr).includes(share(n).split(' ')[4] ?? ''), 'a share was printed')
}
