import { sql } from 'kysely'
import type { Database, Db } from '../../../lib/db/database.ts'
import { all, int, rowsFrom } from '../store-tables.ts'
import type { Before } from './history.ts'

export type BeforeRow = Before & {
  readonly seq: number
  readonly stale_at: string | null
  /** Null: it is no machine. */
  readonly marks: string | null
  readonly machine_no: number | null
}

/** Assets as they are before an update. */
export function readBefore({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<BeforeRow[]> {
  if (seqs.length === 0) return Promise.resolve([])
  return all(
    tx,
    sql<BeforeRow>`select a.seq, a.name, a.status, a.site, a.serial, a.addresses, a.attributes, a.facts, a.stale_at,
        m.marks, m.machine_no
      from ${rowsFrom(
        dialect,
        { seq: 'int' },
        seqs.map((seq) => [seq]),
      )} join asset a on a.seq = r.seq left join machine_asset m on m.seq = a.seq`,
  )
}

export type HistoryEntry = {
  readonly seq: number
  readonly what: 'changed' | 'gone' | 'returned'
  /** JSON of `Fields`. */
  readonly fields: string
}

/** Adds to the history of assets and cuts each to its newest `keep` entries. */
export async function addHistory(
  { dialect }: Database,
  tx: Db,
  at: string,
  entries: readonly HistoryEntry[],
  keep: number,
): Promise<void> {
  if (entries.length === 0) return
  const columns = { seq: 'int', what: 'text', fields: 'text' } as const
  const rows = entries.map(({ seq, what, fields }) => [seq, what, fields])
  await sql`insert into asset_change (seq, at, what, fields) select r.seq, cast(${at} as text), r.what, r.fields
    from ${rowsFrom(dialect, columns, rows)}`.execute(tx)
  const seqs = rowsFrom(
    dialect,
    { seq: 'int' },
    [...new Set(entries.map(({ seq }) => seq))].map((seq) => [seq]),
  )
  await sql`delete from asset_change where no in (select c.no from ${seqs} cross join asset_change c
    where c.seq = r.seq and c.no <= (select o.no from asset_change o where o.seq = r.seq
      order by o.no desc limit 1 offset ${int(keep)}))`.execute(tx)
}

export type HistoryRow = {
  readonly no: number
  readonly seq: number
  readonly at: string
  readonly what: 'changed' | 'gone' | 'returned'
  readonly fields: string
}

/** The newest entries of several assets together. */
export function readHistory({ db, dialect }: Database, seqs: readonly number[], limit: number): Promise<HistoryRow[]> {
  return all(
    db,
    sql<HistoryRow>`select c.no, c.seq, c.at, c.what, c.fields from ${rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )} cross join asset_change c where c.seq = r.seq order by c.at desc, c.no desc limit ${int(limit)}`,
  )
}
