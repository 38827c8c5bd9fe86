import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { migrations } from './app.ts'
import type { Config } from './config.ts'
import { rekeyApprovals } from './features/approvals/store-rekey.ts'
import type { EventCode } from './features/audit/catalogue.ts'
import { openLog } from './features/audit/log.ts'
import { rekeyAudit } from './features/audit/store-rekey.ts'
import { rekeyIdentity } from './features/identity/store-peppers.ts'
import { rekeyVault } from './features/vault/store-rekey.ts'
import { type Database, type Db, findFileKey, lockTables } from './lib/db/database.ts'
import { ownFileKey } from './lib/db/file-key.ts'
import { migrate } from './lib/db/migrate.ts'
import { rekeySqlite } from './lib/db/rekey-sqlite.ts'
import { createKeyFile, parseRootKey, readKeyFile, rootKeyFingerprint } from './lib/root-key.ts'
import { opens, settleRootKey } from './root-key-settle.ts'
import { StartError } from './start-error.ts'
import { filePath, hold, keyPath, keySource, openDatabase } from './storage.ts'

export type RekeyFiles = { readonly oldKeyFile?: string | undefined; readonly newKeyFile?: string | undefined }

/** `atlas vault rekey`: puts everything that hangs on the old root key under the new one. Servers are stopped meanwhile. */
export async function rekey(config: Config, files: RekeyFiles): Promise<Record<string, unknown>> {
  if (!config.ATLAS_DATABASE_URL && !existsSync(filePath(config)))
    throw new StartError(`There is no database in ${config.ATLAS_DATA_DIR}, so there is no key to change`)
  if (config.ATLAS_SEAL && !(files.oldKeyFile && files.newKeyFile))
    throw new StartError(
      'The root key is wrapped by a seal, and no server answers. Start the server, and run this again (docs/operate/seals.md).',
    )
  readKeys(config, files) // what is wrong with them is said before anything is touched
  const { release } = await hold(config, 'exclusive')
  try {
    await settleLeft(config)
    const keys = readKeys(config, files)
    const answer = { from: rootKeyFingerprint(keys.from), to: rootKeyFingerprint(keys.to) }
    if (await opens(config, keys.to)) return { ...answer, state: 'already done' }
    if (!(await opens(config, keys.from)))
      throw new StartError('unknown key: this data hangs on neither of the two keys. Nothing was changed.')
    await change(config, keys)
    return { ...answer, state: 'done' }
  } finally {
    await release()
  }
}

/** A change that a server was killed in comes to its end first: it decides which key is the old one. */
async function settleLeft(config: Config): Promise<void> {
  const source = keySource(config)
  if (await source.staging?.staged()) await settleRootKey(config, source, await source.read())
}

/** All rows that hang on the root key, in one transaction: they are readable with one key or with the other, never with none. */
export async function rekeyRows(database: Database, keys: Keys, now = () => new Date()): Promise<void> {
  await database.exclusive('rekey', (tx) => rekeyTables(tx, keys, { dialect: database.dialect, now }))
}

/**
 * The same in a transaction that is open. Nobody writes into these tables until it ends, so that no row is written under the old
 * key behind its back; readers go on. The log's own tables have its head's lock. SQLite has one connection, and needs none of it.
 */
export async function rekeyTables(
  tx: Db,
  { from, to }: Keys,
  { dialect, now }: { dialect: Database['dialect']; now: () => Date },
): Promise<void> {
  if (dialect === 'postgres') await lockTables(tx, ['vault_key', 'password_pepper', 'approval'])
  const at = now().toISOString()
  for (const room of rooms) await room(tx, from, to, at)
}

/** One for each room that derives a key from the root key; src/rekey.test.ts finds what is missing. */
const rooms: readonly ((tx: Db, from: KeyObject, to: KeyObject, at: string) => Promise<number>)[] = [
  rekeyAudit,
  rekeyVault,
  rekeyIdentity,
  rekeyApprovals,
]

type Keys = { readonly from: KeyObject; readonly to: KeyObject }

async function change(config: Config, keys: Keys): Promise<void> {
  const all = async (database: Database) => {
    await migrate(database, migrations, () => new Date())
    await note(config, database, keys.from, 'vault.rekey-started')
    await rekeyRows(database, keys)
    await note(config, database, keys.to, 'vault.rekeyed')
  }
  if (!config.ATLAS_DATABASE_URL) {
    const path = filePath(config)
    return rekeySqlite(path, { from: findFileKey(path, keys.from.export()), to: ownFileKey(keys.to.export()) }, all)
  }
  const database = openDatabase(config, keys.from)
  try {
    await all(database)
  } finally {
    await database.close()
  }
}

async function note(config: Config, database: Database, rootKey: KeyObject, code: EventCode): Promise<void> {
  const origin = config.ATLAS_AUDIT_ORIGIN
  const log = await openLog({ database, rootKey, now: () => new Date(), ...(origin !== undefined && { origin }) })
  await log.append({ code, detail: { rootKey: rootKeyFingerprint(rootKey) } })
  await log.close()
}

function readKeys(config: Config, { oldKeyFile, newKeyFile }: RekeyFiles): Keys {
  const { ATLAS_SECRET_KEY: current, ATLAS_SECRET_KEY_PREVIOUS: previous } = config
  try {
    const to = newKeyFile === undefined ? current && parseRootKey(current.reveal()) : newKeyIn(newKeyFile)
    if (!to)
      throw new StartError('Give the new root key in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE, or with --new-key-file')
    const from = oldKeyFrom(config, oldKeyFile, newKeyFile === undefined ? previous : (previous ?? current))
    if (from.equals(to)) throw new StartError('The new root key is the old one')
    return { from, to }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`Root key: ${(error as Error).message}`, { cause: error })
  }
}

/** It is on the disk before anything hangs on it. */
function newKeyIn(path: string): KeyObject {
  if (!existsSync(path)) createKeyFile(path)
  return readKeyFile(path)
}

function oldKeyFrom(config: Config, file: string | undefined, given: Config['ATLAS_SECRET_KEY']): KeyObject {
  if (file !== undefined) return readKeyFile(file)
  if (given) return parseRootKey(given.reveal())
  if (existsSync(keyPath(config))) return readKeyFile(keyPath(config))
  throw new StartError(
    'Give the old root key in ATLAS_SECRET_KEY_PREVIOUS or ATLAS_SECRET_KEY_PREVIOUS_FILE, or with --old-key-file',
  )
}
