import { createSecretKey, hash, type KeyObject } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { migrations } from '../app.ts'
import { backupHere } from '../backup-local.ts'
import { type Config, readConfig } from '../config.ts'
import { Secret } from '../core/secret.ts'
import { openLog } from '../features/audit/log.ts'
import { makeVault } from '../features/vault/vault.ts'
import type { Database } from '../lib/db/database.ts'
import { migrate } from '../lib/db/migrate.ts'
import { isEmpty } from '../lib/db/one-transaction.ts'
import { openDatabase, prepareDataDirectory } from '../storage.ts'
import { freshPostgresUrl } from './databases.ts'

// For tests of backups: hosts with a folder or a database of their own.

export type Dialect = 'SQLite' | 'PostgreSQL'
export type Host = Awaited<ReturnType<typeof newHost>>

export const dialects: readonly Dialect[] =
  process.env['ATLAS_TEST_FAST'] === undefined ? ['SQLite', 'PostgreSQL'] : ['SQLite']

/** Root keys that look drawn at random, as the configuration wants them. */
export const [hostKey, otherKey] = ['one', 'another'].map((seed) =>
  createSecretKey(hash('sha256', seed, 'buffer')),
) as [KeyObject, KeyObject]

export async function newHost(t: TestContext, dialect: Dialect, rootKey = hostKey) {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-host-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const dataDir = join(folder, 'data')
  const keyFile = join(folder, 'root.key')
  writeFileSync(keyFile, rootKey.export().toString('hex'), { mode: 0o600 })
  const config: Config = readConfig({
    ATLAS_DATA_DIR: dataDir,
    ATLAS_SECRET_KEY_FILE: keyFile,
    ...(dialect === 'PostgreSQL' && { ATLAS_DATABASE_URL: await freshPostgresUrl(t) }),
  })

  async function using<T>(run: (database: Database) => Promise<T>): Promise<T> {
    prepareDataDirectory(dataDir)
    const database = openDatabase(config, rootKey)
    try {
      return await run(database)
    } finally {
      await database.close()
    }
  }

  return {
    folder,
    config,
    rootKey,
    using,
    backUp: async (name = 'all.backup'): Promise<string> => {
      const file = join(folder, name)
      await backupHere(config, { file }, '1.2.3')
      return file
    },
    /** Whether nothing was put here: no database, no table, and no file that could become one. */
    isUntouched: async (): Promise<boolean> => {
      const files = existsSync(dataDir) ? readdirSync(dataDir).filter((name) => name !== 'atlas.lock') : []
      return files.length === 0 && (dialect === 'SQLite' || (await using(isEmpty)))
    },
  }
}

/** Two versions of a secret and a few entries of the log. */
export async function furnish({ using, rootKey }: Host): Promise<{ secret: string; vkey: string }> {
  return using(async (database) => {
    const now = () => new Date()
    await migrate(database, migrations, now)
    const vault = makeVault({ database, rootKey, now, onIntegrityFailure: () => {} })
    await vault.init()
    const { id: secret } = await vault.put({ name: 'token', value: new Secret('value') })
    await vault.addVersion(secret, new Secret('second'))
    const log = await openLog({ database, rootKey, now })
    for (let i = 0; i < 5; i++)
      await log.append({ code: 'login.succeeded', principal: { id: `usr_${i}`, kind: 'user', name: 'ada' } })
    await log.checkpoint()
    await log.close()
    await vault.close()
    return { secret, vkey: log.vkey }
  })
}
