import { type RawBuilder, sql } from 'kysely'
import type { Database, Db } from '../../lib/db/database.ts'
import { type Filter, narrows } from './filter.ts'
import { all, first, type GroupRow, int, rowsFrom } from './store-tables.ts'

export type GroupKey = Pick<GroupRow, 'kind' | 'status' | 'site' | 'stale'>
export type FacetRow = { readonly facet: string; readonly value: string; readonly count: number }

/** The number of a connection, made when it is first seen. */
export async function sourceNo(db: Db, connectionId: string, connector: string): Promise<number> {
  await sql`insert into asset_source (connection_id, connector) values (${connectionId}, ${connector})
    on conflict (connection_id) do update set connector = excluded.connector
    where asset_source.connector <> excluded.connector`.execute(db)
  const no = await findSource(db, connectionId)
  if (no === undefined) throw new Error('the connection was not recorded')
  return no
}

export async function findSource(db: Db, connectionId: string): Promise<number | undefined> {
  return (await findSourceRow(db, connectionId))?.no
}

export function findSourceRow(db: Db, connectionId: string): Promise<{ no: number; connector: string } | undefined> {
  return first(
    db,
    sql<{
      no: number
      connector: string
    }>`select no, connector from asset_source where connection_id = ${connectionId}`,
  )
}

export function groupName({ kind, status, site, stale }: GroupKey): string {
  return JSON.stringify([kind, status, site, stale])
}

/** The numbers of groups of one connection by `groupName`; missing ones are made. */
export async function groupNos(
  { dialect }: Database,
  db: Db,
  source: number,
  keys: readonly GroupKey[],
): Promise<ReadonlyMap<string, number>> {
  if (keys.length === 0) return new Map()
  const columns = { kind: 'text', status: 'text', site: 'text', stale: 'int' } as const
  const rows = () =>
    rowsFrom(
      dialect,
      columns,
      keys.map(({ kind, status, site, stale }) => [kind, status, site, stale]),
    )
  const read = () =>
    all(
      db,
      sql<GroupRow>`select g.no, g.kind, g.status, g.site, g.stale from ${rows()} cross join asset_group g
        where g.source_no = ${source} and g.kind = r.kind and g.status = r.status and g.site = r.site and g.stale = r.stale`,
    )
  let found = await read()
  if (found.length < keys.length) {
    await sql`insert into asset_group (source_no, kind, status, site, stale, count)
      select ${int(source)}, r.kind, r.status, r.site, r.stale, 0 from ${rows()} where true
      on conflict (source_no, kind, status, site, stale) do nothing`.execute(db)
    found = await read()
  }
  return new Map(found.map((row) => [groupName(row), row.no]))
}

/** Adds to the counts, in the transaction that changed the assets. */
export async function addToGroups({ dialect }: Database, db: Db, deltas: ReadonlyMap<number, number>): Promise<void> {
  const changes = [...deltas].filter(([, delta]) => delta !== 0).sort(([a], [b]) => a - b)
  if (changes.length === 0) return
  await sql`update asset_group set count = count + r.delta
    from ${rowsFrom(dialect, { no: 'int', delta: 'int' }, changes)} where asset_group.no = r.no`.execute(db)
}

/**
 * The condition that an asset's group passes the filter. `lookup` lets the database go from the groups to their assets;
 * `probe` only tests assets that were found in another way.
 */
export function inGroups(column: string, filter: Filter, how: 'lookup' | 'probe'): RawBuilder<unknown> {
  const ref = sql.ref(column)
  // Few groups are stale and most searches ask for nothing else, so name those that are not meant.
  if (!narrows(filter) && how === 'probe')
    return sql`${ref} not in (select no from asset_group where stale = ${sql.lit(filter.stale ? 0 : 1)} and count > 0)`
  const chosen = sql`${ref} in (select g.no from asset_group g where g.count > 0 and ${groupCondition(filter)})`
  // As a value, not as a join: PostgreSQL then keeps the order of the index that it walks.
  return how === 'lookup' ? chosen : sql`(${chosen}) is true`
}

export async function countIn(db: Db, filter: Filter): Promise<number> {
  const row = await first(
    db,
    sql<{
      n: number
    }>`select cast(coalesce(sum(g.count), 0) as integer) as n from asset_group g where ${groupCondition(filter)}`,
  )
  return row?.n ?? 0
}

/** The assets of all groups that pass, by facet and value, from the kept counts. */
export function facetRows(db: Db, filter: Filter): Promise<FacetRow[]> {
  return all(db, facetsOver(sql`(select g.*, g.count as n from asset_group g where ${groupCondition(filter)})`))
}

/** The same for given numbers of assets per group. */
export function facetRowsOf(
  { dialect }: Database,
  db: Db,
  counts: readonly (readonly [number, number])[],
): Promise<FacetRow[]> {
  const rows = rowsFrom(dialect, { no: 'int', n: 'int' }, counts)
  return all(db, facetsOver(sql`(select g.*, r.n from ${rows} cross join asset_group g where g.no = r.no)`))
}

/** Live and stale assets per connection and kind. */
export function countsByKind(db: Db) {
  return all(
    db,
    sql<{ connection: string; connector: string; kind: string; live: number; stale: number }>`
      select s.connection_id as connection, s.connector, g.kind,
        cast(sum(case when g.stale = 0 then g.count else 0 end) as integer) as live,
        cast(sum(case when g.stale = 1 then g.count else 0 end) as integer) as stale
      from asset_group g join asset_source s on s.no = g.source_no
      group by s.connection_id, s.connector, g.kind having sum(g.count) > 0 order by s.connection_id, g.kind`,
  )
}

const facetSize = 20

function facetsOver(groups: RawBuilder<unknown>): RawBuilder<FacetRow> {
  const one = (facet: string, value: RawBuilder<unknown>) => sql`
    select * from (select ${sql.lit(facet)} as facet, ${value} as value, cast(sum(x.n) as integer) as count
      from x left join asset_source s on s.no = x.source_no where ${value} <> '' group by ${value} having sum(x.n) > 0
      order by 3 desc, 2 limit ${sql.lit(facetSize)}) as f_${sql.raw(facet)}`
  const facets = [
    one('kind', sql`x.kind`),
    one('source', sql`s.connection_id`),
    one('status', sql`x.status`),
    one('site', sql`x.site`),
  ]
  return sql<FacetRow>`with x as ${groups} ${sql.join(facets, sql` union all `)}`
}

function groupCondition({ kinds, source, statuses, sites, stale }: Filter): RawBuilder<unknown> {
  const among = (column: string, values: readonly string[]) =>
    values.length === 0 ? [] : [sql`${sql.ref(column)} in (${sql.join(values)})`]
  return sql.join(
    [
      sql`g.stale = ${sql.lit(stale ? 1 : 0)}`,
      ...among('g.kind', kinds),
      ...among('g.status', statuses),
      ...among('g.site', sites),
      ...(source === undefined
        ? []
        : [sql`g.source_no = (select no from asset_source where connection_id = ${source})`]),
    ],
    sql` and `,
  )
}
