import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { assertLogVerifies, events } from './steps.ts'

// The root key of a whole installation changes while its server runs, as an operator does it.

const password = 'Zw4-marmot-Quince-71-lattice'

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: the root key changes while the server runs, and the old one is unknown afterwards (SEC-ENC-5, claims: A41 A42)`, async (t) => {
    const folder = newFolder(t)
    const [keyFile, oldCopy] = [join(folder, 'data', 'root.key'), join(folder, 'old.key')]
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const env: Env = { ...(url && { ATLAS_DATABASE_URL: url }), ATLAS_DEFAULT_ADMIN_PASSWORD: password }
    const offline = { ATLAS_PORT: '0', ATLAS_DATA_DIR: join(folder, 'data'), ...env }

    const before = await startAtlas(t, { folder, env })
    writeFileSync(oldCopy, readFileSync(keyFile), { mode: 0o600 })
    await before.api('POST', '/secrets', { name: 'token', value: 'first value' })
    const { rootKey } = await before.api<{ rootKey: string }>('GET', '/vault/keys')
    const answers = []
    for (const _ of [1, 2]) {
      const done = await before.cli(['vault', 'rekey', '--json'])
      assert.equal(done.code, 0, done.stderr)
      answers.push(JSON.parse(done.stdout) as { from: string; to: string; state: string })
    }

    assert.deepEqual([answers[0]?.from, answers[0]?.state, answers[1]?.from], [rootKey, 'done', answers[0]?.to])
    const to = answers[1]?.to
    assert.equal((await before.api<{ rootKey: string }>('GET', '/vault/keys')).rootKey, to)
    assert.deepEqual([existsSync(`${keyFile}.next`), existsSync(join(folder, 'data', 'atlas.key'))], [false, !url])
    // What the process says does not repeat the new key, as it did not repeat the old one.
    const keyText = readFileSync(keyFile, 'utf8').trim()
    await before.api('POST', '/secrets', { name: `copy of ${keyText}`, value: 'another value' })
    const { text: shown } = await before.ask('GET', '/api/v1/secrets')
    assert.deepEqual([shown.includes('copy of [secret]'), shown.includes(keyText)], [true, false])
    const moved = await before.cli(['vault', 'rewrap', '--json'])
    assert.equal(moved.code, 0, moved.stderr)
    const signedIn = await before.ask('POST', '/api/v1/login', { body: { username: 'admin', password } })
    assert.equal(signedIn.status, 200, signedIn.text)
    await assertLogVerifies(t, before)
    await before.stop()

    const unknown = await runAtlas(['serve'], { folder, env: { ...offline, ATLAS_SECRET_KEY_FILE: oldCopy } })
    assert.deepEqual([unknown.code, /unknown key/.test(unknown.stderr)], [2, true], unknown.stderr)
    const after = await startAtlas(t, { folder, env })
    assert.equal((await after.api<{ rootKey: string }>('GET', '/vault/keys')).rootKey, to)
    const again = await after.ask('POST', '/api/v1/login', { body: { username: 'admin', password } })
    assert.equal(again.status, 200, again.text)
    const codes = (await events(after)).map(({ code }) => code)
    assert.equal(codes.filter((code) => code === 'vault.rekeyed').length, 2)
    await assertLogVerifies(t, after)
    await after.stop()

    // The offline way encrypts the file anew, and needs no kept key any more.
    const newFile = join(folder, 'new.key')
    const done = await runAtlas(['vault', 'rekey', '--new-key-file', newFile, '--json'], { folder, env: offline })
    assert.equal(done.code, 0, done.stderr)
    assert.ok(!existsSync(join(folder, 'data', 'atlas.key')))
    const last = await startAtlas(t, { folder, env: { ...env, ATLAS_SECRET_KEY_FILE: newFile } })
    await assertLogVerifies(t, last)
  })

test('PostgreSQL: with two servers on one database the change is refused, and works when one has ended', async (t) => {
  const [folder, url] = [newFolder(t), await freshPostgresUrl(t)]
  const first = await startAtlas(t, { folder, env: { ATLAS_DATABASE_URL: url } })
  const keyFile = join(folder, 'data', 'root.key')
  const other = newFolder(t)
  writeFileSync(join(other, 'root.key'), readFileSync(keyFile), { mode: 0o600 })
  const env = { ATLAS_DATABASE_URL: url, ATLAS_SECRET_KEY_FILE: join(other, 'root.key') }
  const second = await startAtlas(t, { folder: other, env })

  const refused = await first.cli(['vault', 'rekey'])
  assert.deepEqual(
    [refused.code, /Another server works with this database/.test(refused.stderr)],
    [1, true],
    refused.stderr,
  )
  for (const atlas of [first, second]) await atlas.api('POST', '/vault/keys', {})
  await second.stop()

  const done = await first.cli(['vault', 'rekey'])
  assert.deepEqual([done.code, /recovery-kit/.test(done.stdout)], [0, true], done.stderr)
  const late = await runAtlas(['serve'], { folder: other, env: { ...env, ATLAS_PORT: '0' } })
  assert.deepEqual([late.code, /unknown key/.test(late.stderr)], [2, true], late.stderr)
})

test('a key in the environment cannot be changed by the running server, which names the other way', async (t) => {
  const key = randomBytes(32).toString('base64')
  const atlas = await startAtlas(t, { env: { ATLAS_SECRET_KEY: key } })
  const { code, stderr } = await atlas.cli(['vault', 'rekey'])
  assert.equal(code, 1)
  assert.match(stderr, /given in the environment.* Stop every server and run: atlas vault rekey --new-key-file/)
})
