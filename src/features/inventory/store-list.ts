import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { Filter } from './filter.ts'
import type { Found, GroupCounts, ListOptions } from './search-index.ts'
import { inGroups } from './store-groups.ts'
import { all, int } from './store-tables.ts'

type Extra = {
  /** Only names that begin with this folded text. */
  readonly prefix?: string | undefined
  readonly also?: RawBuilder<unknown>
}

/** Assets in the order of names or of changes, each read from an index that holds everything the query needs. */
export function listAssets(database: Database, { prefix, also, ...options }: ListOptions & Extra): Promise<Found[]> {
  const { filter, sort, few } = options
  const index = few ? 'asset_by_group' : sort.by === 'name' ? 'asset_by_name' : 'asset_by_change'
  const source = sql`asset ${database.dialect === 'sqlite' ? sql.raw(`indexed by ${index}`) : sql``}`
  const conditions = [
    inGroups('asset.group_no', filter, few ? 'lookup' : 'probe'),
    ...(prefix === undefined ? [] : [beginsWith(prefix)]),
    ...(also ? [also] : []),
  ]
  return page(database, options, source, conditions)
}

/** Assets of any source, sorted by the database; for few matches. */
export function sortedBy(
  database: Database,
  options: ListOptions,
  source: RawBuilder<unknown>,
  condition: RawBuilder<unknown>,
): Promise<Found[]> {
  return page(database, options, source, [condition, inGroups('asset.group_no', options.filter, 'probe')])
}

function page(
  { db }: Database,
  { sort, after, limit }: ListOptions,
  source: RawBuilder<unknown>,
  conditions: readonly RawBuilder<unknown>[],
): Promise<Found[]> {
  const key = sql.ref(sort.by === 'name' ? 'asset.name_key' : 'asset.changed_at')
  const [order, beyond] = sort.descending ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`]
  const rest = after && [sql`(${key}, asset.seq) ${beyond} (${after.key}, ${int(after.seq)})`]
  return all(
    db,
    sql<Found>`select asset.seq, ${key} as key from ${source}
      where ${sql.join([...conditions, ...(rest ?? [])], sql` and `)}
      order by ${key} ${order}, asset.seq ${order} limit ${int(limit)}`,
  )
}

/** The assets whose name begins with the text, per group, until `limit` are found. */
export async function groupsByPrefix(
  { db }: Database,
  prefix: string,
  filter: Filter,
  limit: number,
): Promise<GroupCounts> {
  const rows = await all(
    db,
    sql<{ group_no: number; n: number }>`select group_no, cast(count(*) as integer) as n from (
      select group_no from asset where ${inGroups('asset.group_no', filter, 'probe')} and ${beginsWith(prefix)}
      order by name_key, seq limit ${int(limit)}) as matches group by group_no`,
  )
  return rows.map(({ group_no, n }) => [group_no, n])
}

/** A range, because an index can answer it whatever the text holds; U+10FFFF sorts last and is in no folded name. */
export function beginsWith(prefix: string, column = 'asset.name_key'): RawBuilder<unknown> {
  return sql`(${sql.ref(column)} >= ${prefix} and ${sql.ref(column)} < ${`${prefix}\u{10ffff}`})`
}
