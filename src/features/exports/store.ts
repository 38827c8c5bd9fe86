import type { Kysely } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { FormatName } from './formats.ts'

export type State = 'running' | 'ready' | 'failed' | 'expired'
export type Profile = 'full' | 'sanitised'

/** Times are ISO text in UTC, all of one length, so that comparing texts compares times. */
export type ExportRow = {
  id: string
  name: string
  owner_id: string
  owner_name: string
  plan_id: string | null
  dataset: string
  params: string
  format: FormatName
  profile: Profile
  state: State
  /** PostgreSQL answers big integers as text. */
  row_count: number | string
  byte_count: number | string | null
  sha256: string | null
  problem: string | null
  /** Tells the runs of this process from those of a dead one. */
  runner: string
  /** When its runner last gave a sign of life. */
  beat_at: string
  created_at: string
  ready_at: string | null
  expires_at: string
}
type ReaderRow = { export_id: string; principal_id: string }
export type DownloadRow = {
  id: string
  export_id: string
  principal_id: string
  principal_name: string
  door: string
  remote_address: string | null
  at: string
}
type Tables = { export: ExportRow; export_reader: ReaderRow; export_download: DownloadRow }
type Db = Kysely<Tables>

export type Store = ReturnType<typeof makeStore>

/** Exports, who may read them, and who did. */
export function makeStore(database: Database) {
  const db = database.db.withTables<Tables>()
  return { ...reading(db), ...sharing(db), ...running(db), ...cleaning(db), add: adding(database) }
}

/** Adds a run unless its owner has as many as may be. Counted and added in one step, or many at once would all fit. */
function adding(database: Database) {
  return (row: ExportRow, readers: readonly string[], most: { running: number; kept: number }): Promise<boolean> =>
    database.exclusive('exports', async (transaction) => {
      const tx = transaction.withTables<Tables>()
      const own = await tx
        .selectFrom('export')
        .select(['state', (eb) => eb.fn.countAll().as('n')])
        .where('owner_id', '=', row.owner_id)
        .where('state', 'in', ['running', 'ready'])
        .groupBy('state')
        .execute()
      const count = (state: State) => Number(own.find((one) => one.state === state)?.n ?? 0)
      if (count('running') >= most.running || count('running') + count('ready') >= most.kept) return false
      await tx.insertInto('export').values(row).execute()
      await setReaders(tx, row.id, readers)
      return true
    })
}

async function setReaders(tx: Db, id: string, readers: readonly string[]): Promise<void> {
  await tx.deleteFrom('export_reader').where('export_id', '=', id).execute()
  const rows = [...new Set(readers)].map((principal_id) => ({ export_id: id, principal_id }))
  if (rows.length > 0) await tx.insertInto('export_reader').values(rows).execute()
}

type Page = { readonly of?: string; readonly before?: string | undefined; readonly limit: number }

function reading(db: Db) {
  return {
    find: (id: string): Promise<ExportRow | undefined> =>
      db.selectFrom('export').selectAll().where('id', '=', id).executeTakeFirst(),

    /** Newest first; with `of` only what is that principal's or shared with it. */
    list: ({ of, before, limit }: Page): Promise<ExportRow[]> => {
      let query = db.selectFrom('export').selectAll().orderBy('id', 'desc').limit(limit)
      if (before !== undefined) query = query.where('id', '<', before)
      if (of !== undefined)
        query = query.where((eb) =>
          eb.or([
            eb('owner_id', '=', of),
            eb('id', 'in', eb.selectFrom('export_reader').select('export_id').where('principal_id', '=', of)),
          ]),
        )
      return query.execute()
    },

    readers: async (ids: readonly string[]): Promise<ReaderRow[]> =>
      ids.length === 0
        ? []
        : db.selectFrom('export_reader').selectAll().where('export_id', 'in', ids).orderBy('principal_id').execute(),

    downloads: (id: string, limit: number): Promise<DownloadRow[]> =>
      db
        .selectFrom('export_download')
        .selectAll()
        .where('export_id', '=', id)
        .orderBy('id', 'desc')
        .limit(limit)
        .execute(),

    /** Every export that has, or may have, a file. */
    withFiles: (): Promise<Pick<ExportRow, 'id' | 'state'>[]> =>
      db.selectFrom('export').select(['id', 'state']).where('state', 'in', ['running', 'ready']).execute(),
  }
}

function sharing(db: Db) {
  return {
    share: (id: string, readers: readonly string[]): Promise<void> =>
      db.transaction().execute((tx) => setReaders(tx, id, readers)),

    async addDownload(row: DownloadRow): Promise<void> {
      await db.insertInto('export_download').values(row).execute()
    },
  }
}

function running(db: Db) {
  /** Changes a run only while it runs: what was removed, or given up on, stays as it is. */
  const change = async (id: string, values: Partial<ExportRow>): Promise<boolean> => {
    const { numUpdatedRows } = await db
      .updateTable('export')
      .set(values)
      .where('id', '=', id)
      .where('state', '=', 'running')
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
  return {
    change,
    running: (): Promise<ExportRow[]> => db.selectFrom('export').selectAll().where('state', '=', 'running').execute(),
  }
}

function cleaning(db: Db) {
  return {
    async remove(id: string): Promise<void> {
      await db.deleteFrom('export').where('id', '=', id).execute()
    },

    /** Marks what is past its time, and answers the ids. */
    expire: async (now: string): Promise<string[]> => {
      const rows = await db
        .updateTable('export')
        .set({ state: 'expired' })
        .where('state', '=', 'ready')
        .where('expires_at', '<=', now)
        .returning('id')
        .execute()
      return rows.map(({ id }) => id)
    },

    /** Drops what has had no file for long. */
    async forget(before: string): Promise<void> {
      await db
        .deleteFrom('export')
        .where('state', 'in', ['expired', 'failed'])
        .where('expires_at', '<=', before)
        .execute()
    },
  }
}
