import { sql } from 'kysely'
import type { Database, Db } from '../../../lib/db/database.ts'
import { newId } from '../../../lib/ids.ts'
import { all, first, int, rowsFrom, text } from '../store-tables.ts'
import { contentOf, type Difference, type Update } from './diff.ts'
import type { FindingRow, Happening } from './finding.ts'
import type { Candidate } from './judge.ts'
import type { Evidence } from './rule.ts'

/** A `FindingRow`. */
export const columns =
  sql.raw(`seq, id, rule, key, asset_id, connection_id, first_opened_at, state, severity, name, name_key,
  site, machine_id, evidence, hash, held, opened_at, times_opened, last_seen_at, resolved_at, resolution,
  ack_by, ack_reason, ack_at, ack_until`)

/** All findings, in any state, about the things with these ids. */
export function findByKeys({ dialect }: Database, db: Db, keys: readonly string[]): Promise<FindingRow[]> {
  const rows = rowsFrom(
    dialect,
    { wanted: 'text' },
    keys.map((key) => [key]),
  )
  return all(db, sql<FindingRow>`select ${columns} from ${rows} cross join finding where finding.key = r.wanted`)
}

/** Findings that are not resolved, in order, from behind `after` up to `last`. */
export function findActive(db: Db, after: number, last: number, limit: number): Promise<FindingRow[]> {
  return all(
    db,
    sql<FindingRow>`select ${columns} from finding
      where seq > ${int(after)} and seq <= ${int(last)} and state <> 'resolved' order by seq limit ${int(limit)}`,
  )
}

export function findById(db: Db, id: string): Promise<FindingRow | undefined> {
  return first(db, sql<FindingRow>`select ${columns} from finding where id = ${id}`)
}

export async function lastSeq(db: Db): Promise<number> {
  const row = await first(db, sql<{ last: number | null }>`select max(seq) as last from finding`)
  return row?.last ?? 0
}

/** Writes what an evaluation found out, with its history and the day's counts. Answers the numbers of the new findings. */
export async function applyDifference(
  database: Database,
  tx: Db,
  { opened, updated }: Difference,
  now: Date,
): Promise<number[]> {
  const fresh = await insertFindings(database, tx, opened, now)
  await updateFindings(database, tx, updated)
  const happened = updated.flatMap(({ row, happening }) => (happening ? [[row.seq, happening] as const] : []))
  await addHappenings(database, tx, happened)
  const heard = updated.filter(
    ({ row, next }) => witnessesOf(next.evidence).join() !== witnessesOf(row.evidence).join(),
  )
  await forgetWitnesses(
    database,
    tx,
    heard.map(({ row }) => row.seq),
  )
  const evidenceOf = new Map(opened.map((one) => [`${one.rule} ${one.target.key}`, JSON.stringify(one.evidence)]))
  await addWitnesses(database, tx, [
    ...fresh.map(({ seq, rule, key }) => [seq, witnessesOf(evidenceOf.get(`${rule} ${key}`) ?? '[]')] as const),
    ...heard.map(({ row, next }) => [row.seq, witnessesOf(next.evidence)] as const),
  ])
  await countDay(database, tx, now, opened, updated)
  return fresh.map(({ seq }) => seq)
}

/** One finding changed by a person. */
export async function applyUpdate(database: Database, tx: Db, update: Omit<Update, 'kind'>): Promise<void> {
  await updateFindings(database, tx, [update])
  if (update.happening) await addHappenings(database, tx, [[update.row.seq, update.happening]])
}

type Fresh = { readonly seq: number; readonly rule: string; readonly key: string }

async function insertFindings(
  { dialect }: Database,
  tx: Db,
  opened: readonly Candidate[],
  now: Date,
): Promise<readonly Fresh[]> {
  if (opened.length === 0) return []
  const rows = opened.map((one) => {
    const { name, name_key, site, machine_id, evidence, severity } = contentOf(one)
    const { key, asset, connection } = one.target
    const about = [newId('fnd', now.getTime()), one.rule, key, asset, connection]
    return [...about, severity, name, name_key, site, machine_id, evidence, one.hash]
  })
  const names = 'id, rule, key, asset_id, connection_id, severity, name, name_key, site, machine_id, evidence, hash'
  const types = Object.fromEntries(names.split(', ').map((name) => [name, name === 'severity' ? 'int' : 'text']))
  const at = text(now.toISOString())
  return all(
    tx,
    sql<Fresh>`insert into finding (${sql.raw(names)}, state, held, times_opened, first_opened_at, opened_at)
      select ${sql.raw(names)}, 'open', 0, 1, ${at}, ${at} from ${rowsFrom(dialect, types as Types, rows)}
      returning seq, rule, key`,
  )
}

type Types = Readonly<Record<string, 'int' | 'text'>>

const changing = {
  severity: 'int',
  held: 'int',
  times_opened: 'int',
  state: 'text',
  name: 'text',
  name_key: 'text',
  site: 'text',
  machine_id: 'text',
  evidence: 'text',
  hash: 'text',
  opened_at: 'text',
  last_seen_at: 'text',
  resolved_at: 'text',
  resolution: 'text',
  ack_by: 'text',
  ack_reason: 'text',
  ack_at: 'text',
  ack_until: 'text',
} as const

async function updateFindings({ dialect }: Database, tx: Db, updated: readonly Pick<Update, 'row' | 'next'>[]) {
  if (updated.length === 0) return
  const names = Object.keys(changing) as (keyof typeof changing)[]
  const rows = updated.map(({ row, next }) => [row.seq, ...names.map((name) => next[name])])
  const assignments = names.map((name) => sql`${sql.ref(name)} = ${sql.ref(`r.${name}`)}`)
  await sql`update finding set ${sql.join(assignments)}
    from ${rowsFrom(dialect, { seq: 'int', ...changing }, rows)} where finding.seq = r.seq`.execute(tx)
}

async function addHappenings({ dialect }: Database, tx: Db, happened: readonly (readonly [number, Happening])[]) {
  if (happened.length === 0) return
  const rows = happened.map(([seq, { what, at, by, reason, until, evidence }]) => {
    return [seq, what, at, by, reason, until, JSON.stringify(evidence)]
  })
  const names = sql.raw('seq, what, at, by_id, reason, until, evidence')
  const types = { seq: 'int', what: 'text', at: 'text', by_id: 'text', reason: 'text', until: 'text', evidence: 'text' }
  await sql`insert into finding_happening (${names}) select ${names} from ${rowsFrom(dialect, types as Types, rows)}`.execute(
    tx,
  )
}

async function forgetWitnesses({ dialect }: Database, tx: Db, seqs: readonly number[]) {
  if (seqs.length === 0) return
  const rows = rowsFrom(
    dialect,
    { seq: 'int' },
    seqs.map((seq) => [seq]),
  )
  await sql`delete from finding_witness where seq in (select r.seq from ${rows})`.execute(tx)
}

async function addWitnesses({ dialect }: Database, tx: Db, heard: readonly (readonly [number, readonly string[]])[]) {
  const rows = heard.flatMap(([seq, connections]) => connections.map((connection) => [connection, seq]))
  if (rows.length === 0) return
  await sql`insert into finding_witness (connection_id, seq)
    select connection_id, seq from ${rowsFrom(dialect, { connection_id: 'text', seq: 'int' }, rows)}`.execute(tx)
}

/** The connections whose word it is. */
function witnessesOf(evidence: string): string[] {
  const said = JSON.parse(evidence) as readonly Evidence[]
  return [...new Set(said.flatMap(({ connection }) => connection ?? []))].sort()
}

async function countDay(
  { dialect }: Database,
  tx: Db,
  now: Date,
  opened: readonly Candidate[],
  updated: readonly Update[],
): Promise<void> {
  const counts = new Map<string, { opened: number; resolved: number }>()
  const add = (rule: string, what: 'opened' | 'resolved') => {
    const count = counts.get(rule) ?? { opened: 0, resolved: 0 }
    count[what]++
    counts.set(rule, count)
  }
  for (const { rule } of opened) add(rule, 'opened')
  for (const { row, kind } of updated) {
    if (kind === 'reopened') add(row.rule, 'opened')
    if (kind === 'resolved') add(row.rule, 'resolved')
  }
  if (counts.size === 0) return
  const rows = [...counts].map(([rule, count]) => [rule, count.opened, count.resolved])
  await sql`insert into finding_day (day, rule, opened, resolved, open_count, acknowledged_count)
    select ${text(dayOf(now))}, r.rule, r.opened, r.resolved, 0, 0
    from ${rowsFrom(dialect, { rule: 'text', opened: 'int', resolved: 'int' }, rows)} where true
    on conflict (day, rule) do update set opened = finding_day.opened + excluded.opened,
      resolved = finding_day.resolved + excluded.resolved`.execute(tx)
}

export function dayOf(now: Date): string {
  return now.toISOString().slice(0, 10)
}
