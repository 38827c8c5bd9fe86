import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { migrations } from '../../src/app.ts'
import { Secret } from '../../src/core/secret.ts'
import { openLog } from '../../src/features/audit/log.ts'
import { checkRootKey } from '../../src/features/vault/keyring.ts'
import { makeVault } from '../../src/features/vault/vault.ts'
import { type Database, openPostgres, openSqlite, UnknownKey } from '../../src/lib/db/database.ts'
import { migrate } from '../../src/lib/db/migrate.ts'
import { createKeyFile, readKeyFile } from '../../src/lib/root-key.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { compiled, newFolder } from '../../src/testing/server.ts'

// kill -9 at random points of rewrap and rekey. Five of each on each database; ATLAS_TEST_KILLS=50 for as many as SECURITY.md asks.

const kills = Number(process.env['ATLAS_TEST_KILLS'] ?? 5)
const count = 150
const now = () => new Date()

type World = Awaited<ReturnType<typeof makeWorld>>

async function makeWorld(t: TestContext, dialect: 'SQLite' | 'PostgreSQL') {
  const folder = newFolder(t)
  const dataDir = join(folder, 'data')
  mkdirSync(dataDir, { mode: 0o700 })
  const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const keys = [join(folder, 'a.key'), join(folder, 'b.key')] as const
  for (const key of keys) createKeyFile(key)
  const where = url ?? join(dataDir, 'atlas.db')
  const openWith = (key: string): Database =>
    url ? openPostgres({ url }) : openSqlite(where, readKeyFile(key).export())
  const database = openWith(keys[0])
  await migrate(database, migrations, now)
  const vault = vaultOn(database, keys[0])
  await vault.init()
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push((await vault.put({ name: `n${i}`, value: new Secret(`value ${i}`) })).id)
  const log = await openLog({ database, rootKey: readKeyFile(keys[0]), now })
  await log.append({ code: 'server.started' })
  await log.close()
  await database.close()
  const env = { ATLAS_DATA_DIR: dataDir, ...(url && { ATLAS_DATABASE_URL: url }) }
  return { keys, where, ids, openWith, env }
}

function vaultOn(database: Database, key: string) {
  return makeVault({ database, rootKey: readKeyFile(key), now, onIntegrityFailure: (id) => assert.fail(id) })
}

/** Starts the worker and kills it a random while after it began. */
async function workAndKill({ env }: World, args: readonly string[]): Promise<void> {
  const worker = join(import.meta.dirname, '../../src/testing/vault-worker.ts')
  const child = spawn(process.execPath, [worker, ...args], {
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: compiled, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (text) => {
    errors += text
  })
  const ended = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), ended])
  await sleep(20 + Math.random() * 500)
  child.kill('SIGKILL')
  const [code, signal] = await ended
  assert.deepEqual([code, signal], [null, 'SIGKILL'], errors)
}

/** Whether everything opens with this key: every secret, and the log. False when it is unknown. */
async function opens({ openWith, ids }: World, key: string): Promise<boolean> {
  let database: Database | undefined
  try {
    database = openWith(key)
    await checkRootKey(database, readKeyFile(key))
    const vault = vaultOn(database, key)
    await vault.init()
    for (const [i, id] of ids.entries()) assert.equal((await vault.use(id)).reveal(), `value ${i}`)
    const log = await openLog({ database, rootKey: readKeyFile(key), now })
    assert.equal((await log.verify()).ok, true)
    await log.close()
    return true
  } catch (error) {
    if (error instanceof UnknownKey) return false
    throw error
  } finally {
    await database?.close()
  }
}

for (const dialect of ['SQLite', 'PostgreSQL'] as const) {
  test(`${dialect}: kill -9 during rewrap loses nothing, and the next run goes on (SEC-ENC-5)`, async (t) => {
    const world = await makeWorld(t, dialect)
    for (let kill = 0; kill < kills; kill++) {
      await workAndKill(world, ['rewrap', world.where, world.keys[0]])
      assert.ok(await opens(world, world.keys[0]))
    }
    const database = world.openWith(world.keys[0])
    const vault = vaultOn(database, world.keys[0])
    await vault.init()
    assert.equal((await vault.rewrap({ limit: 100_000 })).remaining, 0)
    assert.ok((await vault.keys()).length > kills, 'each run made a key before it was killed')
    await database.close()
  })

  test(`${dialect}: kill -9 during rekey: all opens with the old key or all with the new one (SEC-ENC-5, claims: A41)`, async (t) => {
    const world = await makeWorld(t, dialect)
    const [a, b] = world.keys
    for (let kill = 0; kill < kills; kill++) {
      await workAndKill(world, ['rekey', ...((await opens(world, a)) ? [a, b] : [b, a])])
      assert.notEqual(await opens(world, a), await opens(world, b), 'exactly one of them opens it')
    }
  })
}
