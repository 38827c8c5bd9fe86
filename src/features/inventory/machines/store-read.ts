import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../../lib/db/database.ts'
import { all, first, int, rowsFrom } from '../store-tables.ts'

export type MachineRow = {
  readonly no: number
  readonly id: string
  readonly name: string
  readonly name_key: string
  /** Empty: unknown. */
  readonly form: '' | 'physical' | 'virtual'
  readonly site: string
  /** Assets that their systems still report. */
  readonly live: number
  /** JSON list of kinds. */
  readonly conflicts: string
  readonly changed_at: string
}

const machineColumns = sql`m.no, m.id, m.name, m.name_key, m.form, m.site, m.live, m.conflicts, m.changed_at`

/** The machine with this id, or the one that it became part of. */
export function findMachine({ db }: Database, id: string): Promise<MachineRow | undefined> {
  return first(
    db,
    sql<MachineRow>`select ${machineColumns} from machine m where m.id = ${id}
      or m.no = (select machine_no from machine_alias where id = ${id})`,
  )
}

export function readMachines({ db, dialect }: Database, nos: readonly number[]): Promise<MachineRow[]> {
  return all(
    db,
    sql<MachineRow>`select ${machineColumns} from ${numbers(dialect, nos)} cross join machine m where m.no = r.no`,
  )
}

export type MachineFilter = {
  readonly site: string | undefined
  readonly form: 'physical' | 'virtual' | undefined
  /** Id of a connection. */
  readonly connection: string | undefined
  readonly hasConflict: boolean | undefined
  /** Machines that no system reports any more, instead of the others. */
  readonly gone: boolean
}

/** In the order of their names. */
export function listMachines(
  { db }: Database,
  filter: MachineFilter,
  after: { readonly key: string; readonly no: number } | undefined,
  limit: number,
): Promise<MachineRow[]> {
  const rest = after ? [sql`(m.name_key, m.no) > (${after.key}, ${int(after.no)})`] : []
  return all(
    db,
    sql<MachineRow>`select ${machineColumns} from machine m
      where ${sql.join([...conditions(filter), ...rest], sql` and `)} order by m.name_key, m.no limit ${int(limit)}`,
  )
}

function conditions({ site, form, connection, hasConflict, gone }: MachineFilter): RawBuilder<unknown>[] {
  return [
    gone ? sql`m.live = 0` : sql`m.live > 0`,
    ...(site === undefined ? [] : [sql`m.site = ${site}`]),
    ...(form === undefined ? [] : [sql`m.form = ${form}`]),
    ...(hasConflict === undefined ? [] : [hasConflict ? sql`m.conflicts <> '[]'` : sql`m.conflicts = '[]'`]),
    ...(connection === undefined
      ? []
      : [
          sql`m.no in (select ma.machine_no from machine_asset ma
            where ma.source_no = (select no from asset_source where connection_id = ${connection}))`,
        ]),
  ]
}

/** Of the given machines those that pass. */
export async function filterMachines(
  { db, dialect }: Database,
  filter: MachineFilter,
  nos: readonly number[],
): Promise<MachineRow[]> {
  return all(
    db,
    sql<MachineRow>`select ${machineColumns} from ${numbers(dialect, nos)} cross join machine m
      where m.no = r.no and ${sql.join(conditions(filter), sql` and `)}`,
  )
}

/** A page of machines in the order of their numbers; only those touched since, when a time is given. */
export function pageOfMachines(
  { db }: Database,
  { after, since, limit }: { readonly after: number; readonly since: string | undefined; readonly limit: number },
): Promise<MachineRow[]> {
  const touched = since === undefined ? sql`` : sql`and m.changed_at >= ${since}`
  return all(
    db,
    sql<MachineRow>`select ${machineColumns} from machine m where m.no > ${int(after)} ${touched}
      order by m.no limit ${int(limit)}`,
  )
}

/** An asset with everything that is shown of it as part of a machine. */
export type MemberRow = {
  readonly seq: number
  readonly machine_no: number | null
  readonly id: string
  readonly connection_id: string
  readonly connector: string
  readonly kind: string
  readonly external_id: string
  readonly name: string
  readonly status: string | null
  readonly site: string | null
  readonly serial: string | null
  readonly addresses: string
  readonly url: string | null
  readonly attributes: string
  readonly facts: string
  readonly marks: string | null
  readonly first_seen_at: string
  readonly last_seen_at: string
  readonly stale_at: string | null
}

const memberColumns = sql`a.seq, a.id, s.connection_id, s.connector, a.kind, a.external_id, a.name, a.status, a.site,
  a.serial, a.addresses, a.url, a.attributes, a.facts, a.first_seen_at, n.last_seen_at, a.stale_at`

/** The assets of machines, first those that their systems still report. */
export function readMembersOf({ db, dialect }: Database, nos: readonly number[]): Promise<MemberRow[]> {
  if (nos.length === 0) return Promise.resolve([])
  return all(
    db,
    sql<MemberRow>`select m.machine_no, m.marks, ${memberColumns}
      from ${numbers(dialect, nos)} cross join machine_asset m cross join asset a cross join asset_seen n
        cross join asset_source s
      where m.machine_no = r.no and a.seq = m.seq and n.seq = a.seq and s.no = a.source_no
      order by m.machine_no, case when a.stale_at is null then 0 else 1 end, a.seq`,
  )
}

/** A page of live assets that carry facts and are no machines, with the machine that they point to in their own system. */
/** An asset that is no machine; `machine` is the id of the one that it points to. */
export type ThingRow = MemberRow & { readonly machine: string | null; readonly machine_name: string | null }

export function pageOfThings({ db }: Database, after: number, limit: number): Promise<ThingRow[]> {
  return all(
    db,
    sql<ThingRow>`select x.*, g.name as machine_name from (select null as machine_no, null as marks, ${memberColumns},
        (select min(h.id) from asset_relation l join asset b
            on b.source_no = l.source_no and b.kind = l.to_kind and b.external_id = l.to_external_id
          join machine_asset o on o.seq = b.seq join machine h on h.no = o.machine_no where l.seq = a.seq) as machine
      from asset a join asset_seen n on n.seq = a.seq join asset_source s on s.no = a.source_no
      where a.seq > ${int(after)} and a.facts <> '{}' and a.stale_at is null
        and not exists (select 1 from machine_asset m where m.seq = a.seq)
      order by a.seq limit ${int(limit)}) x left join machine g on g.id = x.machine order by x.seq`,
  )
}

/** Which machine each asset belongs to; assets that are no machines are left out. */
export async function machinesOfAssets(
  { db, dialect }: Database,
  seqs: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  if (seqs.length === 0) return new Map()
  const rows = await all(
    db,
    sql<{ seq: number; no: number }>`select m.seq, m.machine_no as no from ${rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )} cross join machine_asset m where m.seq = r.seq`,
  )
  return new Map(rows.map(({ seq, no }) => [seq, no]))
}

/** Assets that point to the given ones, or that they point to: in the same connection, live, at most `limit`. */
export function readNeighbours(
  { db, dialect }: Database,
  seqs: readonly number[],
  limit: number,
): Promise<readonly NeighbourRow[]> {
  const rows = () =>
    rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )
  const columns = sql`b.seq, b.id, b.kind, b.name, b.status, b.url, b.facts, s.connector, h.id as machine`
  const rest = sql`left join machine_asset o on o.seq = b.seq left join machine h on h.no = o.machine_no
    where b.stale_at is null`
  return all(
    db,
    sql<NeighbourRow>`
      select * from (
        select l.type, 'out' as direction, ${columns} from ${rows()} join asset a on a.seq = r.seq
          join asset_source s on s.no = a.source_no join asset_relation l on l.seq = a.seq
          join asset b on b.source_no = l.source_no and b.kind = l.to_kind and b.external_id = l.to_external_id ${rest}
        order by l.type, b.seq limit ${int(limit)}) as outgoing
      union all select * from (
        select l.type, 'in' as direction, ${columns} from ${rows()} join asset a on a.seq = r.seq
          join asset_source s on s.no = a.source_no
          join asset_relation l on l.source_no = a.source_no and l.to_kind = a.kind and l.to_external_id = a.external_id
          join asset b on b.seq = l.seq ${rest}
        order by l.type, b.seq desc limit ${int(limit)}) as incoming`,
  )
}

export type NeighbourRow = {
  readonly type: string
  readonly direction: 'out' | 'in'
  readonly seq: number
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly status: string | null
  readonly url: string | null
  readonly facts: string
  readonly connector: string
  /** Id of the machine that it is part of. */
  readonly machine: string | null
}

function numbers(dialect: Database['dialect'], nos: readonly number[]): RawBuilder<unknown> {
  return rowsFrom(
    dialect,
    { no: 'int' },
    nos.map((no) => [no]),
  )
}
