import type { Kysely } from 'kysely'
import type { Database } from '../../lib/db/database.ts'

/** Times are ISO text in UTC, all of one length. PostgreSQL answers big integers as text. */
export type BackupRow = {
  id: string
  state: 'running' | 'ready' | 'failed'
  by_id: string
  by_name: string
  door: string
  started_at: string
  ended_at: string | null
  row_count: number | string
  row_total: number | string
  byte_count: number | string | null
  sha256: string | null
  log_size: number | string | null
  problem: string | null
  /** Tells the runs of this process from those of a dead one. */
  runner: string
  /** When its runner last gave a sign of life. */
  beat_at: string
}
type Tables = { backup: BackupRow }

export type Store = ReturnType<typeof makeStore>

/** Which backups were made, and which one is being made. The files are the directory's. */
export function makeStore({ db: base, exclusive }: Database) {
  const db = base.withTables<Tables>()
  const newest = (in_: Kysely<Tables>, state?: BackupRow['state']) => {
    const query = in_.selectFrom('backup').selectAll().orderBy('started_at', 'desc').orderBy('id', 'desc').limit(1)
    return (state === undefined ? query : query.where('state', '=', state)).executeTakeFirst()
  }
  return {
    find: (id: string): Promise<BackupRow | undefined> =>
      db.selectFrom('backup').selectAll().where('id', '=', id).executeTakeFirst(),
    /** Newest first. */
    list: (): Promise<BackupRow[]> =>
      db.selectFrom('backup').selectAll().orderBy('started_at', 'desc').orderBy('id', 'desc').limit(1000).execute(),
    newest: (state?: BackupRow['state']): Promise<BackupRow | undefined> => newest(db, state),
    running: (): Promise<BackupRow[]> => db.selectFrom('backup').selectAll().where('state', '=', 'running').execute(),

    /** Adds a run when `may` says so of the newest one; of several servers that ask at once, one gets it. */
    claim: (row: BackupRow, may: (newest: BackupRow | undefined) => boolean): Promise<boolean> =>
      exclusive('backups', async (transaction) => {
        const tx = transaction.withTables<Tables>()
        if ((await newest(tx, 'running')) || !may(await newest(tx))) return false
        await tx.insertInto('backup').values(row).execute()
        return true
      }),

    /** Changes a run only while it runs. */
    async change(id: string, values: Partial<BackupRow>): Promise<boolean> {
      const query = db.updateTable('backup').set(values).where('id', '=', id).where('state', '=', 'running')
      return (await query.executeTakeFirst()).numUpdatedRows === 1n
    },

    async remove(id: string): Promise<void> {
      await db.deleteFrom('backup').where('id', '=', id).execute()
    },
  }
}
