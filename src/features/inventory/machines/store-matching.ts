import { sql } from 'kysely'
import type { Database, Db } from '../../../lib/db/database.ts'
import { all, int, rowsFrom } from '../store-tables.ts'

/** What matching reads of an asset. `marks` is JSON. */
export type CandidateRow = {
  readonly seq: number
  readonly source_no: number
  readonly connector: string
  readonly kind: string
  readonly name: string
  /** 1, or 0 when it is stale. */
  readonly live: number
  readonly machine_no: number
  readonly marks: string
}

export type MachineSummary = {
  readonly name: string
  readonly nameKey: string
  readonly form: string
  readonly site: string
  readonly live: number
  readonly conflicts: string
}

/** One writer of machines at a time, whatever connections they work for. Taken after the connection's own lock, never before. */
export async function lockMachines({ dialect }: Database, tx: Db): Promise<void> {
  if (dialect === 'postgres')
    await sql`select pg_advisory_xact_lock(hashtextextended('atlas/inventory-machines', 0))`.execute(tx)
}

export async function addMarks({ dialect }: Database, tx: Db, pairs: readonly (readonly [number, number])[]) {
  if (pairs.length === 0) return
  await sql`insert into asset_mark (mark, seq) select r.mark, r.seq
    from ${rowsFrom(dialect, { mark: 'int', seq: 'int' }, pairs)} where true on conflict do nothing`.execute(tx)
}

export async function removeMarks({ dialect }: Database, tx: Db, pairs: readonly (readonly [number, number])[]) {
  if (pairs.length === 0) return
  await sql`delete from asset_mark where (mark, seq) in
    (select r.mark, r.seq from ${rowsFrom(dialect, { mark: 'int', seq: 'int' }, pairs)})`.execute(tx)
}

/** The newest assets that have each mark, at most `limit`. */
export async function readHolders(
  { dialect }: Database,
  tx: Db,
  marks: readonly number[],
  limit: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  return lists(dialect, tx, marks, sql`select m.seq from asset_mark m where m.mark = r.no order by m.seq desc`, limit)
}

/** The newest assets of each machine, at most `limit`. */
export async function readMembers(
  { dialect }: Database,
  tx: Db,
  machines: readonly number[],
  limit: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  const members = sql`select m.seq from machine_asset m where m.machine_no = r.no order by m.seq desc`
  return lists(dialect, tx, machines, members, limit)
}

/** For each number the list that a query about `r.no` gives; a subquery, so that each list has its own limit. */
async function lists(
  dialect: Database['dialect'],
  tx: Db,
  numbers: readonly number[],
  query: ReturnType<typeof sql>,
  limit: number,
): Promise<ReadonlyMap<number, readonly number[]>> {
  if (numbers.length === 0) return new Map()
  const list = dialect === 'sqlite' ? sql`json_group_array(x.seq)` : sql`cast(json_agg(x.seq) as text)`
  const rows = await all(
    tx,
    sql<{
      no: number
      seqs: string | null
    }>`select r.no, (select ${list} from (${query} limit ${int(limit)}) as x) as seqs
      from ${rowsFrom(
        dialect,
        { no: 'int' },
        numbers.map((no) => [no]),
      )}`,
  )
  return new Map(rows.map(({ no, seqs }) => [no, seqs === null ? [] : (JSON.parse(seqs) as number[])]))
}

export function readCandidates({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<CandidateRow[]> {
  if (seqs.length === 0) return Promise.resolve([])
  return all(
    tx,
    sql<CandidateRow>`select m.seq, m.source_no, s.connector, m.kind, m.name, m.live, m.machine_no, m.marks
      from ${rowsFrom(
        dialect,
        { seq: 'int' },
        seqs.map((seq) => [seq]),
      )} cross join machine_asset m cross join asset_source s where m.seq = r.seq and s.no = m.source_no`,
  )
}

export type VerdictRow = { readonly a: number; readonly b: number; readonly verb: 'join' | 'split' }

/** What people said about these assets, in the order in which they said it. */
export function readVerdicts({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<VerdictRow[]> {
  if (seqs.length === 0) return Promise.resolve([])
  const rows = () =>
    rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )
  const of = (column: 'seq_a' | 'seq_b') =>
    sql`select v.seq_a as a, v.seq_b as b, d.verb, d.no from ${rows()} cross join machine_verdict v
      cross join machine_decision d where ${sql.ref(`v.${column}`)} = r.seq and d.no = v.decision_no and d.withdrawn_at is null`
  return all(tx, sql<VerdictRow>`${of('seq_a')} union ${of('seq_b')} order by 4`)
}

export type Membership = Omit<CandidateRow, 'connector'>

export async function putMembers({ dialect }: Database, tx: Db, members: readonly Membership[]): Promise<void> {
  if (members.length === 0) return
  const columns = {
    seq: 'int',
    source_no: 'int',
    machine_no: 'int',
    live: 'int',
    kind: 'text',
    name: 'text',
    marks: 'text',
  } as const
  const rows = members.map(({ seq, source_no, machine_no, live, kind, name, marks }) => {
    return [seq, source_no, machine_no, live, kind, name, marks]
  })
  await sql`insert into machine_asset (seq, source_no, machine_no, live, kind, name, marks)
    select r.seq, r.source_no, r.machine_no, r.live, r.kind, r.name, r.marks
    from ${rowsFrom(dialect, columns, rows)} where true
    on conflict (seq) do update set machine_no = excluded.machine_no, live = excluded.live, name = excluded.name,
      marks = excluded.marks`.execute(tx)
}

export async function removeMembers({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<void> {
  if (seqs.length === 0) return
  await sql`delete from machine_asset where seq in (select r.seq from ${rowsFrom(
    dialect,
    { seq: 'int' },
    seqs.map((seq) => [seq]),
  )})`.execute(tx)
}

const summaryColumns = {
  name: 'text',
  name_key: 'text',
  form: 'text',
  site: 'text',
  live: 'int',
  conflicts: 'text',
} as const

function summaryValues({ name, nameKey, form, site, live, conflicts }: MachineSummary) {
  return [name, nameKey, form, site, live, conflicts]
}

/** Answers the numbers of the new machines, in the order of their ids. */
export async function insertMachines(
  { dialect }: Database,
  tx: Db,
  at: string,
  machines: readonly { readonly id: string; readonly summary: MachineSummary }[],
): Promise<readonly number[]> {
  if (machines.length === 0) return []
  const rows = machines.map(({ id, summary }) => [id, ...summaryValues(summary)])
  const inserted = await all(
    tx,
    sql<{ no: number; id: string }>`insert into machine (id, name, name_key, form, site, live, conflicts, changed_at)
      select r.id, r.name, r.name_key, r.form, r.site, r.live, r.conflicts, ${at}
      from ${rowsFrom(dialect, { id: 'text', ...summaryColumns }, rows)} returning no, id`,
  )
  const noOf = new Map(inserted.map(({ no, id }) => [id, no]))
  return machines.map(({ id }) => noOf.get(id) ?? 0)
}

/**
 * Writes those that changed or whose summary did. In two steps, because SQLite writes every index of a column that a statement
 * sets, and most changes are of `live` only.
 */
export async function updateMachines(
  { dialect }: Database,
  tx: Db,
  at: string,
  machines: readonly { readonly no: number; readonly isChanged: boolean; readonly summary: MachineSummary }[],
): Promise<void> {
  if (machines.length === 0) return
  const all = machines.map(({ no, summary }) => [no, ...summaryValues(summary)])
  await sql`update machine set name = r.name, name_key = r.name_key, form = r.form, site = r.site,
      conflicts = r.conflicts, changed_at = ${at}
    from ${rowsFrom(dialect, { no: 'int', ...summaryColumns }, all)} where machine.no = r.no
      and (machine.name, machine.form, machine.site, machine.conflicts) <> (r.name, r.form, r.site, r.conflicts)`.execute(
    tx,
  )
  const counts = machines.map(({ no, isChanged, summary }) => [no, isChanged ? 1 : 0, summary.live])
  await sql`update machine set live = r.live, changed_at = ${at}
    from ${rowsFrom(dialect, { no: 'int', is_changed: 'int', live: 'int' }, counts)} where machine.no = r.no
      and (r.is_changed = 1 or machine.live <> r.live)`.execute(tx)
}

/** Notes that something about the machines of these assets changed. */
export async function touchMachines({ dialect }: Database, tx: Db, at: string, seqs: readonly number[]): Promise<void> {
  if (seqs.length === 0) return
  const rows = rowsFrom(
    dialect,
    { seq: 'int' },
    seqs.map((seq) => [seq]),
  )
  await sql`update machine set changed_at = ${at} where no in
    (select m.machine_no from ${rows} cross join machine_asset m where m.seq = r.seq)`.execute(tx)
}

/** Machines that became part of others: what is left of their assets moves along, and their ids lead to the other. */
export async function retireMachines(
  { dialect }: Database,
  tx: Db,
  moves: readonly { readonly from: number; readonly to: number }[],
): Promise<void> {
  if (moves.length === 0) return
  const rows = () =>
    rowsFrom(
      dialect,
      { no: 'int', heir: 'int' },
      moves.map(({ from, to }) => [from, to]),
    )
  await sql`update machine_asset set machine_no = r.heir from ${rows()} where machine_asset.machine_no = r.no`.execute(
    tx,
  )
  await sql`update machine_alias set machine_no = r.heir from ${rows()} where machine_alias.machine_no = r.no`.execute(
    tx,
  )
  await sql`insert into machine_alias (id, machine_no) select m.id, r.heir from ${rows()} cross join machine m
    where m.no = r.no`.execute(tx)
  await sql`delete from machine where no in (select r.no from ${rows()})`.execute(tx)
}

/** Deletes those of the machines that have no asset left. */
export async function dropEmptyMachines({ dialect }: Database, tx: Db, machines: readonly number[]): Promise<void> {
  if (machines.length === 0) return
  const rows = () =>
    rowsFrom(
      dialect,
      { no: 'int' },
      machines.map((no) => [no]),
    )
  const empty = sql`(select r.no from ${rows()}
    where not exists (select 1 from machine_asset a where a.machine_no = r.no))`
  await sql`delete from machine_alias where machine_no in ${empty}`.execute(tx)
  await sql`delete from machine where no in ${empty}`.execute(tx)
}
