import { constants, copyFileSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncPath } from '../disk.ts'
import { type Database, openSqliteWith, setSqliteKey, settleSqlite } from './database.ts'
import { dropKeptFileKey } from './file-key.ts'

/**
 * Changes the key of a SQLite file, and with it what `change` does to the rows. Everything happens in a copy, which takes the
 * place of the file in one rename: until then all is as it was, and from then on all is new. Nobody else may work with the
 * file (presence.ts). Needs free space for one more copy.
 */
export async function rekeySqlite(
  path: string,
  keys: { readonly from: Buffer; readonly to: Buffer },
  change: (database: Database) => Promise<void>,
): Promise<void> {
  const copy = `${path}.rekey`
  removeAll(copy) // what an interrupted run left
  settleSqlite(path, keys.from)
  try {
    copyFileSync(path, copy, constants.COPYFILE_EXCL)
    const database = openSqliteWith(copy, keys.from)
    try {
      await change(database)
    } finally {
      await database.close()
    }
    settleSqlite(copy, keys.from)
    setSqliteKey(copy, keys)
    // Read once more, from the file: what does not open must not take the place of what does.
    settleSqlite(copy, keys.to, { check: true })
    syncPath(copy)
  } catch (error) {
    removeAll(copy)
    throw error
  }
  renameSync(copy, path)
  syncPath(dirname(path))
  // Where it is still here after a crash, it is for another root key or another file, and is not used.
  dropKeptFileKey(path)
}

function removeAll(path: string): void {
  for (const end of ['', '-journal', '-wal', '-shm']) rmSync(path + end, { force: true })
}
