import { sql } from 'kysely'
import type { Database, Db } from '../../../lib/db/database.ts'
import { all, first, int, rowsFrom, text } from '../store-tables.ts'
import { dayOf } from './store.ts'

/** The lock under which findings change. Held for one short transaction at a time; the lease spans the whole evaluation. */
export const findingLock = 'inventory/findings'

type Lease = { readonly owner: string | null; readonly beat_at: string | null }

/** Takes the lease; false while another evaluation is alive. */
export function claim(database: Database, owner: string, now: Date, deadBefore: Date): Promise<boolean> {
  return database.exclusive(findingLock, async (tx) => {
    const held = await readLease(tx)
    if (held?.owner && (held.beat_at ?? '') > deadBefore.toISOString()) return false
    const at = now.toISOString()
    await sql`insert into finding_evaluation (one, owner, beat_at, started_at) values (1, ${owner}, ${at}, ${at})
      on conflict (one) do update set owner = excluded.owner, beat_at = excluded.beat_at,
        started_at = excluded.started_at`.execute(tx)
    return true
  })
}

/** Says that the owner is alive; false when the lease is no longer its own. */
export async function beat(db: Db, owner: string, now: Date): Promise<boolean> {
  const { numAffectedRows } =
    await sql`update finding_evaluation set beat_at = ${now.toISOString()} where owner = ${owner}`.execute(db)
  return numAffectedRows === 1n
}

/** Gives the lease back. `result` is kept only of an evaluation that came to its end. */
export async function release(db: Db, owner: string, ended?: { readonly at: Date; readonly result: unknown }) {
  const kept = ended ? sql`, ended_at = ${ended.at.toISOString()}, result = ${JSON.stringify(ended.result)}` : sql``
  await sql`update finding_evaluation set owner = null${kept} where owner = ${owner}`.execute(db)
}

function readLease(db: Db): Promise<Lease | undefined> {
  return first(db, sql<Lease>`select owner, beat_at from finding_evaluation where one = 1`)
}

/** The last evaluation that came to its end. */
export async function lastEvaluation(db: Db): Promise<{ at: string; result: unknown } | undefined> {
  type Row = { ended_at: string | null; result: string | null }
  const row = await first(db, sql<Row>`select ended_at, result from finding_evaluation where one = 1`)
  return row?.ended_at ? { at: row.ended_at, result: JSON.parse(row.result ?? 'null') } : undefined
}

/** Notes which rules judged, and the day's standing counts. */
export async function finishEvaluation({ dialect }: Database, tx: Db, rules: readonly string[], now: Date) {
  const judged = rowsFrom(
    dialect,
    { rule: 'text' },
    rules.map((rule) => [rule]),
  )
  await sql`insert into finding_rule (rule, is_on, settings, judged_at)
    select r.rule, 1, '{}', ${text(now.toISOString())} from ${judged} where true
    on conflict (rule) do update set judged_at = excluded.judged_at`.execute(tx)
  const day = text(dayOf(now))
  await sql`insert into finding_day (day, rule, opened, resolved, open_count, acknowledged_count)
    select ${day}, rule, 0, 0, cast(sum(case when state = 'open' then 1 else 0 end) as integer),
      cast(sum(case when state = 'acknowledged' then 1 else 0 end) as integer)
    from finding group by rule
    on conflict (day, rule) do update set open_count = excluded.open_count,
      acknowledged_count = excluded.acknowledged_count`.execute(tx)
}

/** After many changes: until the planner knows how large the tables are, it reads them whole for each page of machines. */
export async function settle({ dialect, db }: Database): Promise<void> {
  if (dialect === 'sqlite') return
  await sql`analyze finding`.execute(db)
  await sql`analyze finding_witness`.execute(db)
}

/** Drops what was resolved or happened before `before`. */
export async function forget(tx: Db, before: Date): Promise<void> {
  const at = before.toISOString()
  const old = sql`select seq from finding where state = 'resolved' and resolved_at < ${at}`
  await sql`delete from finding_happening where at < ${at} or seq in (${old})`.execute(tx)
  await sql`delete from finding_witness where seq in (${old})`.execute(tx)
  await sql`delete from finding where state = 'resolved' and resolved_at < ${at}`.execute(tx)
}

export type RuleRow = {
  readonly rule: string
  readonly is_on: number
  readonly settings: string
  readonly reason: string | null
  readonly edited_by: string | null
  readonly edited_at: string | null
  readonly judged_at: string | null
}

export function readRules(db: Db): Promise<RuleRow[]> {
  return all(
    db,
    sql<RuleRow>`select rule, is_on, settings, reason, edited_by, edited_at, judged_at from finding_rule order by rule`,
  )
}

export async function writeRule(db: Db, row: Omit<RuleRow, 'judged_at'>): Promise<void> {
  const { rule, is_on, settings, reason, edited_by, edited_at } = row
  await sql`insert into finding_rule (rule, is_on, settings, reason, edited_by, edited_at)
    values (${rule}, ${int(is_on)}, ${settings}, ${reason}, ${edited_by}, ${edited_at})
    on conflict (rule) do update set is_on = excluded.is_on, settings = excluded.settings, reason = excluded.reason,
      edited_by = excluded.edited_by, edited_at = excluded.edited_at`.execute(db)
}
