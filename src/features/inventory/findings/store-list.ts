import { type RawBuilder, sql } from 'kysely'
import type { Db } from '../../../lib/db/database.ts'
import { all, int, text } from '../store-tables.ts'
import { nameKeyOf } from '../text.ts'
import type { FindingRow, FindingState, Happening } from './finding.ts'
import { columns } from './store.ts'

/** Which findings. Empty lists do not narrow. */
export type FindingFilter = {
  readonly rules: readonly string[]
  readonly states: readonly FindingState[]
  /** Indexes of `severities`. */
  readonly severities: readonly number[]
  readonly sites: readonly string[]
  readonly machine: string | undefined
  /** Id of a connection whose word it rests on. */
  readonly connection: string | undefined
  /** A part of the name, or a whole id. */
  readonly q: string | undefined
}

export type Position = { readonly severity: number; readonly seq: number }

/** The worst first, the newest of them first. `now` ends acknowledgements that no evaluation has ended yet. */
export function listFindings(
  db: Db,
  filter: FindingFilter,
  page: { readonly now: string; readonly limit: number; readonly after: Position | undefined },
): Promise<FindingRow[]> {
  const { after, now, limit } = page
  const rest = after && [sql`(severity, seq) < (${int(after.severity)}, ${int(after.seq)})`]
  return all(
    db,
    sql<FindingRow>`select ${columns} from finding where ${and([...conditions(filter, now), ...(rest ?? [])])}
      order by severity desc, seq desc limit ${int(limit)}`,
  )
}

export async function countFindings(db: Db, filter: FindingFilter, now: string, most: number): Promise<number> {
  const [row] = await all(
    db,
    sql<{ n: number }>`select cast(count(*) as integer) as n from (
      select seq from finding where ${and(conditions(filter, now))} limit ${int(most)}) as matches`,
  )
  return row?.n ?? 0
}

/** The state as people see it: an acknowledgement ends at its hour, not at the next evaluation. */
function stateAt(now: string): RawBuilder<unknown> {
  return sql`case when state = 'acknowledged' and ack_until <= ${text(now)} then 'open' else state end`
}

function conditions(filter: FindingFilter, now: string): RawBuilder<unknown>[] {
  const { rules, states, severities, sites, machine, connection, q } = filter
  const stored = states.includes('open') ? [...new Set([...states, 'acknowledged'])] : states
  return [
    ...(states.length > 0 ? [isIn('state', stored), sql`${stateAt(now)} in (${sql.join(states)})`] : []),
    ...(rules.length > 0 ? [isIn('rule', rules)] : []),
    ...(severities.length > 0 ? [sql`severity in (${sql.join(severities.map(int))})`] : []),
    ...(sites.length > 0 ? [isIn('site', sites)] : []),
    ...(machine === undefined ? [] : [sql`machine_id = ${machine}`]),
    ...(connection === undefined
      ? []
      : [sql`seq in (select seq from finding_witness where connection_id = ${connection})`]),
    ...(q === undefined ? [] : [matches(q)]),
  ]
}

function matches(q: string): RawBuilder<unknown> {
  const pattern = `%${nameKeyOf(q).replaceAll(/[\\%_]/g, '\\$&')}%`
  return sql`(name_key like ${pattern} escape '\\' or id = ${q} or key = ${q})`
}

function isIn(column: string, values: readonly string[]): RawBuilder<unknown> {
  return sql`${sql.ref(column)} in (${sql.join(values)})`
}

function and(all: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return all.length === 0 ? sql`true` : sql.join(all, sql` and `)
}

type HappeningRow = Omit<Happening, 'by' | 'evidence'> & { readonly by_id: string | null; readonly evidence: string }

/** The newest first. */
export async function readHappenings(db: Db, seq: number, limit: number): Promise<Happening[]> {
  const rows = await all(
    db,
    sql<HappeningRow>`select what, at, by_id, reason, until, evidence from finding_happening
      where seq = ${int(seq)} order by no desc limit ${int(limit)}`,
  )
  return rows.map(({ by_id, evidence, ...rest }) => ({ ...rest, by: by_id, evidence: JSON.parse(evidence) }))
}

type Counted<K extends string> = { readonly [key in K]: string } & {
  readonly open: number
  readonly acknowledged: number
}

export type Counts = {
  readonly rules: Counted<'rule'>[]
  readonly severities: { severity: number; open: number }[]
  readonly connections: Counted<'connection'>[]
  readonly sites: Counted<'site'>[]
  readonly trend: { day: string; open: number; acknowledged: number; opened: number; resolved: number }[]
}

/** Everything the overview counts. `mostSites`: only the sites with the most. */
export async function countAll(db: Db, now: string, since: string, mostSites: number): Promise<Counts> {
  const state = stateAt(now)
  const number = (what: RawBuilder<unknown>) => sql`cast(coalesce(sum(${what}), 0) as integer)`
  const both = sql`${number(sql`case when ${state} = 'open' then 1 else 0 end`)} as open,
    ${number(sql`case when ${state} = 'acknowledged' then 1 else 0 end`)} as acknowledged`
  const active = sql`state in ('open', 'acknowledged')`
  return {
    rules: await all(
      db,
      sql<Counted<'rule'>>`select rule, ${both} from finding where ${active} group by rule order by rule`,
    ),
    severities: await all(
      db,
      sql<{ severity: number; open: number }>`select severity, cast(count(*) as integer) as open from finding
        where ${active} and ${state} = 'open' group by severity order by severity desc`,
    ),
    connections: await all(
      db,
      sql<Counted<'connection'>>`select w.connection_id as connection, ${both} from finding f
        join finding_witness w on w.seq = f.seq where ${active} group by w.connection_id order by w.connection_id`,
    ),
    sites: await all(
      db,
      sql<Counted<'site'>>`select site, ${both} from finding where ${active} and site is not null
        group by site order by count(*) desc, site limit ${int(mostSites)}`,
    ),
    trend: await all(
      db,
      sql<Counts['trend'][number]>`select day, ${number(sql`open_count`)} as open,
        ${number(sql`acknowledged_count`)} as acknowledged, ${number(sql`opened`)} as opened,
        ${number(sql`resolved`)} as resolved
        from finding_day where day >= ${since} group by day order by day`,
    ),
  }
}
