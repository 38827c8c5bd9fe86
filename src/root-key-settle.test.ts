import assert from 'node:assert/strict'
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { migrations } from './app.ts'
import { readConfig } from './config.ts'
import { Secret } from './core/secret.ts'
import { openLog } from './features/audit/log.ts'
import { makeVault } from './features/vault/vault.ts'
import { type Database, findFileKey, openPostgres, openSqlite, UnknownKey } from './lib/db/database.ts'
import { keepFileKey, keptFileKey } from './lib/db/file-key.ts'
import { migrate } from './lib/db/migrate.ts'
import { createKeyFile, readKeyFile, rootKeyFingerprint } from './lib/root-key.ts'
import { makeKit } from './recovery.ts'
import { rekey, rekeyRows, rekeyTables } from './rekey.ts'
import { settleRootKey } from './root-key-settle.ts'
import { fileSource, type Staging } from './root-key-source.ts'
import { init } from './start.ts'
import { freshPostgresUrl } from './testing/databases.ts'

// Each state that a change of the root key can leave on the disk when it is killed, and what the next start makes of it.

const now = () => new Date()
const newKey = () => createSecretKey(randomBytes(32))
type World = Awaited<ReturnType<typeof makeWorld>>
type Dialect = 'SQLite' | 'PostgreSQL'

async function makeWorld(t: TestContext, dialect: Dialect) {
  const data = mkdtempSync(join(tmpdir(), 'atlas-settle-'))
  t.after(() => rmSync(data, { recursive: true, force: true }))
  const keyFile = join(data, 'root.key')
  const before = createKeyFile(keyFile)
  const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const config = readConfig({ ATLAS_DATA_DIR: data, ...(url && { ATLAS_DATABASE_URL: url }) })
  const path = join(data, 'atlas.db')
  const open = (key: KeyObject): Database => (url ? openPostgres({ url }) : openSqlite(path, key.export()))
  const database = open(before)
  await migrate(database, migrations, now)
  const vault = makeVault({ database, rootKey: before, now, onIntegrityFailure: (id) => assert.fail(id) })
  await vault.init()
  const { id: secret } = await vault.put({ name: 'token', value: new Secret('the value') })
  const log = await openLog({ database, rootKey: before, now })
  await log.append({ code: 'vault.rekey-started' })
  await log.close()
  await database.close()
  const staging = fileSource(keyFile).staging as Staging
  return { data, keyFile, before, next: newKey(), url, config, path, open, secret, staging }
}

/** The steps of rekey-online.ts, in their order. */
const steps = {
  stage: ({ staging, next }: World) => staging.stage(next),
  async keepForBoth({ url, path, before, next }: World) {
    if (!url) keepFileKey(path, findFileKey(path, before.export()), [before, next])
  },
  async commit({ open, before, next }: World) {
    const database = open(before)
    await rekeyRows(database, { from: before, to: next })
    await database.close()
  },
  promote: ({ staging }: World) => staging.promote(),
}
const halves = async ({ keyFile, data }: World) => {
  writeFileSync(`${keyFile}.next.new`, 'AbC', { mode: 0o600 })
  writeFileSync(join(data, 'atlas.key.new'), 'AbC', { mode: 0o600 })
}

type Case = { state: string; made: ((world: World) => Promise<void>)[]; key: 'before' | 'next'; undone?: true }
const { stage, keepForBoth, commit, promote } = steps
const cases: Case[] = [
  { state: 'nothing but halves of files', made: [halves], key: 'before' },
  { state: 'a staged key', made: [stage], key: 'before', undone: true },
  { state: 'a staged key, and the file key for both', made: [stage, keepForBoth], key: 'before', undone: true },
  { state: 'the rows under the staged key', made: [stage, keepForBoth, commit], key: 'next' },
  { state: 'the key promoted, and the file key for both', made: [stage, keepForBoth, commit, promote], key: 'next' },
]

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  for (const { state, made, key, undone } of cases)
    test(`${dialect}: killed with ${state}: the next start is under the key ${key} (SEC-ENC-5)`, async (t) => {
      const world = await makeWorld(t, dialect)
      for (const step of made) await step(world)

      await init(world.config, '0')

      const [right, wrong] = key === 'next' ? [world.next, world.before] : [world.before, world.next]
      assert.ok(readKeyFile(world.keyFile).equals(right))
      assert.ok(!existsSync(`${world.keyFile}.next`))
      assert.equal(keptFileKey(world.path, wrong), undefined)
      assert.equal(existsSync(join(world.data, 'atlas.key')), dialect === 'SQLite' && key === 'next')
      assert.deepEqual(await codes(world, right), undone ? ['vault.rekey-undone'] : [])
      // A second start finds nothing to do.
      await init(world.config, '0')
      assert.deepEqual(await codes(world, right), undone ? ['vault.rekey-undone'] : [])
    })

/** What the log has beyond the start of the change; the secret opens and the log verifies. */
async function codes({ open, secret }: World, rootKey: KeyObject): Promise<string[]> {
  const database = open(rootKey)
  try {
    const vault = makeVault({ database, rootKey, now, onIntegrityFailure: (id) => assert.fail(id) })
    await vault.init()
    assert.equal((await vault.use(secret)).reveal(), 'the value')
    const log = await openLog({ database, rootKey, now })
    assert.equal((await log.verify()).ok, true)
    const { items } = await log.search({})
    await log.close()
    return items.map(({ code }) => code).filter((code) => code.startsWith('vault.') && code !== 'vault.rekey-started')
  } finally {
    await database.close()
  }
}

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: data that hangs on neither key stops the start, and both keys stay`, async (t) => {
    const world = await makeWorld(t, dialect)
    await stage(world)
    rmSync(world.keyFile)
    createKeyFile(world.keyFile)
    const files = () => readdirSync(world.data).filter((name) => name.startsWith('root.key'))
    const content = () => files().map((name) => readFileSync(join(world.data, name), 'utf8'))
    const before = content()

    await assert.rejects(init(world.config, '0'), /unknown key: this data hangs on neither/)

    assert.deepEqual([files(), content()], [['root.key', 'root.key.next'], before])
  })

for (const owner of ['another root key', 'this root key'] as const)
  test(`SQLite: a kept key of another file, for ${owner}, is removed by the next start`, async (t) => {
    const world = await makeWorld(t, 'SQLite')
    // A change with the server stopped that was killed at its end leaves the first, a file that was put in its place the second.
    keepFileKey(world.path, randomBytes(32), [owner === 'this root key' ? world.before : newKey()])
    await init(world.config, '0')
    assert.ok(!existsSync(join(world.data, 'atlas.key')))
    assert.deepEqual(await codes(world, world.before), [])
  })

test('SQLite: the key from before does not touch the file key that is kept for the new one', async (t) => {
  const world = await makeWorld(t, 'SQLite')
  for (const step of [stage, keepForBoth, commit, promote]) await step(world)
  await init(world.config, '0')
  const kept = readFileSync(join(world.data, 'atlas.key'))
  rmSync(world.keyFile)
  const old = readConfig({ ATLAS_DATA_DIR: world.data, ATLAS_SECRET_KEY: world.before.export().toString('base64') })

  await assert.rejects(init(old, '0'), /unknown key/)

  assert.deepEqual(readFileSync(join(world.data, 'atlas.key')), kept)
  assert.throws(() => findFileKey(world.path, newKey().export()), UnknownKey)
})

test('PostgreSQL: a commit that outlives the server is waited for before anything is undone', async (t) => {
  const world = await makeWorld(t, 'PostgreSQL')
  const { open, before, next, config, staging, keyFile } = world
  await stage(world)
  const killed = open(before)
  t.after(() => killed.close())
  const committed = killed.exclusive('rekey', async (tx) => {
    await rekeyTables(tx, { from: before, to: next }, { dialect: 'postgres', now })
    settled = settleRootKey(config, fileSource(keyFile), before)
    await sleep(500)
  })
  let settled: ReturnType<typeof settleRootKey> | undefined
  await committed

  const found = await settled

  assert.deepEqual([found?.after, found?.rootKey.equals(next)], ['finished', true])
  assert.equal(await staging.staged(), undefined)
})

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: a change that was killed ends first, when the server is stopped and the key changed once more`, async (t) => {
    const world = await makeWorld(t, dialect)
    for (const step of [stage, keepForBoth, commit]) await step(world)
    const folder = join(world.data, 'kit')
    await assert.rejects(makeKit(world.config, { shares: 3, threshold: 2, folder }), /The root key is being changed/)
    const newKeyFile = join(world.data, 'new.key')

    const { from, state } = await rekey(world.config, { newKeyFile })

    assert.deepEqual([from, state], [rootKeyFingerprint(world.next), 'done'])
    assert.deepEqual(
      readdirSync(world.data).filter((name) => name === 'root.key.next' || name === 'atlas.key'),
      [],
    )
    assert.deepEqual(await codes(world, readKeyFile(newKeyFile)), ['vault.rekeyed'])
    assert.ok(existsSync(world.keyFile) && (await makeKit(world.config, { shares: 3, threshold: 2, folder })))
  })
