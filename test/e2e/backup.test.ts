import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Atlas, type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { assertLogVerifies, connect, counts, events, search, sync } from './steps.ts'

// A whole installation is backed up while it runs, and put back on another host.

type Dialect = 'SQLite' | 'PostgreSQL'
const password = 'Zw4-marmot-Quince-71-lattice'

/** A folder and a database of its own: one host. All hosts have the same root key, brought by hand. */
async function newHost(t: TestContext, dialect: Dialect, key: string) {
  const folder = newFolder(t)
  const keyFile = join(folder, 'root.key')
  writeFileSync(keyFile, key, { mode: 0o600 })
  const env: Env = {
    ATLAS_SECRET_KEY_FILE: keyFile,
    ATLAS_DEFAULT_ADMIN_PASSWORD: password,
    ...(dialect === 'PostgreSQL' && { ATLAS_DATABASE_URL: await freshPostgresUrl(t) }),
  }
  const local = { ...env, ATLAS_DATA_DIR: join(folder, 'data') }
  return {
    folder,
    env,
    run: (args: readonly string[], more: Env = {}) => runAtlas(args, { folder, env: { ...local, ...more } }),
  }
}

const ways: readonly (readonly [Dialect, Dialect])[] = [
  ['SQLite', 'SQLite'],
  ['PostgreSQL', 'PostgreSQL'],
  ['SQLite', 'PostgreSQL'],
  ['PostgreSQL', 'SQLite'],
]

for (const [from, to] of ways)
  test(`a backup of ${from}, made while it runs, becomes a working ${to} on a fresh host: the log verifies, secrets open, people sign in, syncs go on (claims: A27 E36)`, async (t) => {
    const netbox = await startNetbox({ seed: 9, devices: 60, vms: 20 })
    t.after(netbox.stop)
    const key = randomBytes(32).toString('base64')
    const old = await newHost(t, from, key)
    const before = await startAtlas(t, old)
    const connection = await connect(before, netbox, 'lab')
    assert.equal((await sync(before, connection)).state, 'succeeded')
    const { id: secret } = await before.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'the value' })
    await before.api('POST', `/secrets/${secret}/versions`, { value: 'the second value' })
    const seen = await picture(before)
    const file = join(old.folder, 'all.backup')

    const made = await before.cli(['backup', file, '--json'])
    assert.equal(made.code, 0, made.stderr)
    const { backup, sha256 } = JSON.parse(made.stdout) as Record<string, string>
    assert.deepEqual(
      [statSync(file).mode & 0o777, statSync(join(before.dataDir, 'backups')).mode & 0o777],
      [0o600, 0o700],
    )
    const vkey = join(old.folder, 'vkey')
    writeFileSync(vkey, /Audit log key: (\S+)/.exec(before.output.stdout)?.[1] ?? '')
    const codes = (await events(before)).filter(({ code }) => code.startsWith('backup.')).map(({ code }) => code)
    assert.deepEqual(codes, ['backup.started', 'backup.created'])
    await before.stop()
    const fresh = await newHost(t, to, key)

    const drill = await fresh.run(['restore', file, '--drill', '--vkey', vkey, '--json'])
    assert.equal(drill.code, 0, drill.stderr)
    // The two values, and the token of the connection.
    assert.equal((JSON.parse(drill.stdout) as { secretsOpened: number }).secretsOpened, 3)
    const restored = await fresh.run(['restore', file, '--vkey', vkey, '--json'])
    assert.equal(restored.code, 0, restored.stderr)
    const again = await fresh.run(['restore', file])
    assert.deepEqual([again.code, /already|not empty/.test(again.stderr)], [1, true], again.stderr)

    const after = await startAtlas(t, fresh)
    assert.deepEqual(await picture(after), seen)
    const signedIn = await after.ask('POST', '/api/v1/login', { body: { username: 'admin', password } })
    assert.equal(signedIn.status, 200, signedIn.text)
    netbox.forward(3_600_000)
    netbox.touch(3)
    const next = await sync(after, connection)
    assert.deepEqual([next.state, next.full, next.counts.updated > 0], ['succeeded', false, true], JSON.stringify(next))
    const log = await events(after)
    const end = log.findIndex(({ code }) => code === 'backup.restored')
    assert.ok(log.slice(0, end).some(({ code }) => code === 'backup.started'))
    assert.ok(!log.some(({ code }) => code === 'backup.created'), 'what came after the backup is not in it')
    const { detail } = await after.api<{ detail: Record<string, unknown> }>('GET', `/audit/events/${end}`)
    assert.equal(detail['logSize'], end)
    assert.match(backup ?? '', /^bak_/)
    assert.match(sha256 ?? '', /^[0-9a-f]{64}$/)
    await assertLogVerifies(t, after)
  })

test('after the root key was changed online a backup hangs on the new key alone, and needs no atlas.key', async (t) => {
  const old = await newHost(t, 'SQLite', randomBytes(32).toString('base64'))
  const before = await startAtlas(t, old)
  await before.api('POST', '/secrets', { name: 'token', value: 'the value' })
  const former = join(old.folder, 'former.backup')
  assert.equal((await before.cli(['backup', former])).code, 0)
  const rekeyed = await before.cli(['vault', 'rekey', '--json'])
  assert.equal(rekeyed.code, 0, rekeyed.stderr)
  assert.ok(existsSync(join(before.dataDir, 'atlas.key')))
  const file = join(old.folder, 'all.backup')
  assert.equal((await before.cli(['backup', file])).code, 0)
  await before.stop()
  assert.equal((await old.run(['backup', join(old.folder, 'local.backup')])).code, 0)
  const fresh = await newHost(t, 'SQLite', readFileSync(join(old.folder, 'root.key'), 'utf8').trim())

  const tooOld = await fresh.run(['restore', former])
  const drill = await fresh.run(['restore', join(old.folder, 'local.backup'), '--drill'])
  const restored = await fresh.run(['restore', file, '--json'])

  assert.deepEqual([tooOld.code, /unknown key/.test(tooOld.stderr)], [2, true], tooOld.stderr)
  assert.equal(drill.code, 0, drill.stderr)
  assert.equal(restored.code, 0, restored.stderr)
  assert.equal(JSON.parse(restored.stdout).rootKey, JSON.parse(rekeyed.stdout).to)
  const after = await startAtlas(t, fresh)
  assert.ok(!existsSync(join(after.dataDir, 'atlas.key')))
  await assertLogVerifies(t, after)
})

/** What a person sees: the counts, what searches find, the secrets and who there is. */
async function picture(atlas: Atlas) {
  const { items } = await atlas.api<{ items: object[] }>('GET', '/secrets')
  const { items: users } = await atlas.api<{ items: object[] }>('GET', '/users')
  const { items: machines } = await atlas.api<{ items: object[] }>('GET', '/machines?limit=200')
  const found = await search(atlas, { q: 'fra', limit: '100' })
  return { counts: await counts(atlas), found, items, users, machines }
}
