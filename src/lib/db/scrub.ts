import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database } from './database.ts'

const firstTries = 20
const waitMs = 50
const laterMs = 5_000
type Scrubbed = Pick<Database, 'db' | 'dialect'>
const waiting = new WeakSet<Scrubbed['db']>()

/**
 * What was deleted or overwritten must not stay in the file or its write-ahead log: until the log is brought into the file, the file
 * still has what was there before. Never waits inside SQLite, which would hold up everybody; while a backup reads the state from before,
 * it is tried again until that has ended. PostgreSQL's vacuum is the operator's.
 */
export async function scrub(database: Scrubbed): Promise<void> {
  if (database.dialect !== 'sqlite') return
  for (let i = 0; i < firstTries; i++) {
    if (await truncateLog(database)) return
    await sleep(waitMs)
  }
  again(database)
}

function again(database: Scrubbed): void {
  if (waiting.has(database.db)) return
  waiting.add(database.db)
  setTimeout(async () => {
    waiting.delete(database.db)
    // A database that was closed meanwhile has done it itself.
    const isDone = await truncateLog(database).catch(() => true)
    if (!isDone) again(database)
  }, laterMs).unref()
}

async function truncateLog({ db }: Scrubbed): Promise<boolean> {
  return db.connection().execute(async (connection) => {
    await sql`pragma busy_timeout = 0`.execute(connection)
    try {
      const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(connection)
      return rows[0]?.busy === 0
    } finally {
      await sql`pragma busy_timeout = 5000`.execute(connection)
    }
  })
}
