import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { assertLogVerifies, events } from './steps.ts'

// The root key of a whole installation changes, as an operator does it.

const password = 'Zw4-marmot-Quince-71-lattice'

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: after a rekey the new key opens everything and the old one is unknown (SEC-ENC-5, claims: A41 A42)`, async (t) => {
    const folder = newFolder(t)
    const [oldKey, newKey] = [join(folder, 'old.key'), join(folder, 'new.key')]
    writeFileSync(oldKey, randomBytes(32).toString('base64'), { mode: 0o600 })
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const env: Env = { ...(url && { ATLAS_DATABASE_URL: url }), ATLAS_DEFAULT_ADMIN_PASSWORD: password }
    const withKey = (path: string): Env => ({ ...env, ATLAS_SECRET_KEY_FILE: path })
    const offline = { ATLAS_DATA_DIR: join(folder, 'data'), ...env }
    const rekey = () =>
      runAtlas(['vault', 'rekey', '--old-key-file', oldKey, '--new-key-file', newKey, '--json'], {
        folder,
        env: offline,
      })
    const serve = (more: Env) => runAtlas(['serve'], { folder, env: { ATLAS_PORT: '0', ...offline, ...more } })

    const before = await startAtlas(t, { folder, env: withKey(oldKey) })
    const { id } = await before.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'first value' })
    await before.api('POST', '/vault/keys', {})
    const { rootKey } = await before.api<{ rootKey: string }>('GET', '/vault/keys')
    const refused = await rekey()
    assert.deepEqual([refused.code, /Another Atlas process/.test(refused.stderr)], [1, true], refused.stderr)
    await before.stop()

    const asked = await serve({ ATLAS_SECRET_KEY_FILE: newKey, ATLAS_SECRET_KEY_PREVIOUS_FILE: oldKey })
    assert.match(asked.stderr, /unknown key: .* Change it with: atlas vault rekey/)
    const [done, again] = [await rekey(), await rekey()]

    assert.equal(done.code, 0, done.stderr)
    const { from, to, state } = JSON.parse(done.stdout) as Record<string, string>
    assert.deepEqual([from, state, JSON.parse(again.stdout).state], [rootKey, 'done', 'already done'])
    assert.ok(!existsSync(join(folder, 'data', 'atlas.db.rekey')))
    const unknown = await serve({ ATLAS_SECRET_KEY_FILE: oldKey })
    assert.deepEqual([unknown.code, /unknown key/.test(unknown.stderr)], [2, true], unknown.stderr)

    const after = await startAtlas(t, {
      folder,
      env: { ...withKey(newKey), ATLAS_SECRET_KEY_PREVIOUS_FILE: oldKey },
    })
    assert.match(after.output.stdout, /Remove ATLAS_SECRET_KEY_PREVIOUS/)
    assert.equal((await after.api<{ rootKey: string }>('GET', '/vault/keys')).rootKey, to)
    const signedIn = await after.ask('POST', '/api/v1/login', { body: { username: 'admin', password } })
    assert.equal(signedIn.status, 200, signedIn.text)
    const moved = await after.cli(['vault', 'rewrap', '--json'])
    assert.deepEqual(JSON.parse(moved.stdout), { rewrapped: 1, failed: [], remaining: 0 })
    assert.equal((await after.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
    const codes = (await events(after)).map(({ code }) => code)
    assert.ok(codes.includes('vault.rekey-started') && codes.includes('vault.rekeyed'))
    await assertLogVerifies(t, after)
    for (const text of [done.stdout, done.stderr, after.output.stdout, after.output.stderr])
      for (const key of [oldKey, newKey])
        assert.ok(!text.includes(readFileSync(key, 'utf8').trim().replace(/=+$/, '')), 'a root key was printed')
  })

test('a second server on the same data directory is refused', async (t) => {
  const first = await startAtlas(t)
  const { code, stderr } = await runAtlas(['serve'], {
    folder: first.folder,
    env: { ATLAS_PORT: '0', ATLAS_DATA_DIR: first.dataDir },
  })
  assert.deepEqual([code, stderr.trim()], [1, 'Another Atlas process works with this data. Stop it first.'])
})
