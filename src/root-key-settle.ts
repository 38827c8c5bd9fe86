import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Config } from './config.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { untilRekeyed } from './features/vault/store-rekey.ts'
import { type Database, findFileKey, openSqlite, UnknownKey } from './lib/db/database.ts'
import { dropKeptFileKey, isFileKeyKept, keepFileKey, ownFileKey } from './lib/db/file-key.ts'
import type { KeySource } from './root-key-source.ts'
import { StartError } from './start-error.ts'
import { filePath, openDatabase, unreachable } from './storage.ts'

// What a change of the root key leaves behind when it is killed (rekey-online.ts), and how it is brought to an end.

/** The file's key is kept for this root key alone, or not at all when it is that key's own. Only for a key that the rows hang on. */
export function tidyFileKey(config: Config, rootKey: KeyObject): void {
  const path = filePath(config)
  if (config.ATLAS_DATABASE_URL || !isFileKeyKept(path)) return
  const bytes = rootKey.export()
  const fileKey = findFileKey(path, bytes)
  if (fileKey.equals(ownFileKey(bytes))) dropKeptFileKey(path)
  else keepFileKey(path, fileKey, [rootKey])
}

export type Settled = { readonly rootKey: KeyObject; readonly after?: 'finished' | 'undone' }

/**
 * At the start: the key that the data hangs on. Finishes or undoes what a change that was killed left. The data must be held
 * (storage.ts), and is only read.
 */
export async function settleRootKey(config: Config, source: KeySource, current: KeyObject): Promise<Settled> {
  const { staging } = source
  const staged = await staging?.staged()
  if (!staging || !staged) return { rootKey: current }
  if (await opens(config, current)) {
    await staging.drop()
    return { rootKey: current, after: 'undone' }
  }
  if (!(await opens(config, staged)))
    throw new StartError(
      'unknown key: this data hangs on neither the root key nor the staged one. Nothing was changed.',
    )
  await staging.promote().catch((cause: Error) => {
    throw new StartError(`The new root key cannot take the place of the old one: ${cause.message}`, { cause })
  })
  return { rootKey: staged, after: 'finished' }
}

/** Whether the data hangs on this key. Data that is not there yet hangs on any. */
export async function opens(config: Config, key: KeyObject): Promise<boolean> {
  if (!config.ATLAS_DATABASE_URL && !existsSync(filePath(config))) return true
  let database: Database | undefined
  try {
    database = config.ATLAS_DATABASE_URL ? openDatabase(config, key) : openSqlite(filePath(config), key.export())
    await database.ping().catch((error: unknown) => {
      throw unreachable(error)
    })
    return await hangsOn(database, key)
  } catch (error) {
    if (error instanceof UnknownKey) return false
    throw error
  } finally {
    await database?.close()
  }
}

/** Whether the rows are under this key; false when it opens none of them. */
export async function hangsOn(database: Database, key: KeyObject): Promise<boolean> {
  await untilRekeyed(database)
  try {
    await checkRootKey(database, key)
    return true
  } catch (error) {
    if (error instanceof UnknownKey) return false
    throw error
  }
}
