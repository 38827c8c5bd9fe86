import { sql } from 'kysely'
import type { Database, Db } from '../../../lib/db/database.ts'
import { all, first, int, rowsFrom, text } from '../store-tables.ts'

export type DecisionRow = {
  readonly no: number
  readonly id: string
  readonly verb: 'join' | 'split'
  readonly note: string
  /** JSON: the groups of asset ids that were joined, or split from each other. */
  readonly parts: string
  readonly by_id: string
  readonly by_name: string
  readonly at: string
  readonly withdrawn_at: string | null
  readonly withdrawn_by: string | null
}

export type NewDecision = Pick<DecisionRow, 'id' | 'verb' | 'note' | 'parts' | 'by_id' | 'by_name' | 'at'>

/** `pairs` hold the smaller number first. */
export async function insertDecision(
  { dialect }: Database,
  tx: Db,
  decision: NewDecision,
  pairs: readonly (readonly [number, number])[],
): Promise<void> {
  const { id, verb, note, parts, by_id, by_name, at } = decision
  await sql`insert into machine_decision (id, verb, note, parts, by_id, by_name, at)
    values (${id}, ${verb}, ${note}, ${parts}, ${by_id}, ${by_name}, ${at})`.execute(tx)
  await sql`insert into machine_verdict (seq_a, seq_b, decision_no)
    select r.a, r.b, (select no from machine_decision where id = ${text(id)})
    from ${rowsFrom(dialect, { a: 'int', b: 'int' }, pairs)}`.execute(tx)
}

export function findDecision(db: Db, id: string): Promise<DecisionRow | undefined> {
  return first(db, sql<DecisionRow>`select * from machine_decision where id = ${id}`)
}

/** The newest first. */
export function listDecisions(db: Db, before: number | undefined, limit: number): Promise<DecisionRow[]> {
  const rest = before === undefined ? sql`` : sql`where no < ${int(before)}`
  return all(db, sql<DecisionRow>`select * from machine_decision ${rest} order by no desc limit ${int(limit)}`)
}

/** Those that concern any of these assets, the newest first. */
export function decisionsAbout({ dialect }: Database, db: Db, seqs: readonly number[]): Promise<DecisionRow[]> {
  if (seqs.length === 0) return Promise.resolve([])
  const rows = () =>
    rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )
  return all(
    db,
    sql<DecisionRow>`select * from machine_decision where no in (
      select v.decision_no from ${rows()} cross join machine_verdict v where v.seq_a = r.seq union
      select v.decision_no from ${rows()} cross join machine_verdict v where v.seq_b = r.seq)
      order by no desc limit 50`,
  )
}

/** False when it was withdrawn already. */
export async function withdrawDecision(tx: Db, no: number, at: string, by: string): Promise<boolean> {
  const rows = await all(
    tx,
    sql<{ no: number }>`update machine_decision set withdrawn_at = ${at}, withdrawn_by = ${by}
      where no = ${int(no)} and withdrawn_at is null returning no`,
  )
  return rows.length > 0
}

export async function assetsOfDecision(db: Db, no: number): Promise<number[]> {
  const rows = await all(
    db,
    sql<{ seq: number }>`select seq_a as seq from machine_verdict where decision_no = ${int(no)}
      union select seq_b from machine_verdict where decision_no = ${int(no)}`,
  )
  return rows.map(({ seq }) => seq)
}

/** The names of assets, for the lists that hold only their ids. */
export function namesOfAssets(
  { dialect }: Database,
  db: Db,
  ids: readonly string[],
): Promise<{ id: string; name: string; connection: string; machine: string | null }[]> {
  return all(
    db,
    sql<{ id: string; name: string; connection: string; machine: string | null }>`
      select a.id, a.name, s.connection_id as connection, h.id as machine from ${rowsFrom(
        dialect,
        { id: 'text' },
        ids.map((id) => [id]),
      )} cross join asset a cross join asset_source s left join machine_asset m on m.seq = a.seq
        left join machine h on h.no = m.machine_no
      where a.id = r.id and s.no = a.source_no`,
  )
}

export async function removeVerdicts({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<void> {
  if (seqs.length === 0) return
  const rows = () =>
    rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )
  await sql`delete from machine_verdict where seq_a in (select r.seq from ${rows()})
    or seq_b in (select r.seq from ${rows()})`.execute(tx)
}
