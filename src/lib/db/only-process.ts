import SqliteDatabase from 'better-sqlite3-multiple-ciphers'

/** Another process holds the file. */
export class InUse extends Error {
  constructor() {
    super('another process uses this database')
    this.name = 'InUse'
  }
}

// Kept here because a lock that nobody refers to is collected, and ends without a word.
const held = new Set<SqliteDatabase.Database>()

/**
 * Makes this the only process that uses what `path` stands for, until `release` or the end of the process, however it ends:
 * the lock is the operating system's, held through a database of no content. Waits two seconds for one that is just stopping.
 */
export function holdAlone(path: string): { release: () => void } {
  const lock = new SqliteDatabase(path, { timeout: 2000 })
  try {
    lock.pragma('locking_mode = EXCLUSIVE')
    lock.exec('begin exclusive')
  } catch (error) {
    lock.close()
    if ((error as { code?: string }).code === 'SQLITE_BUSY') throw new InUse()
    throw error
  }
  held.add(lock)
  return {
    release: () => {
      held.delete(lock)
      lock.close()
    },
  }
}
