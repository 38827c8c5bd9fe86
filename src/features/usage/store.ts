import type { Db } from '../../lib/db/database.ts'
import type { Baseline, Departure } from './baseline.ts'

export type AnomalyRow = {
  id: string
  /** A token's id, or the user's whose sign-ins these are. */
  credential: string
  kind: Departure['kind']
  /** `2026-01-08T10` */
  hour: string
  principal_id: string
  principal_kind: 'user' | 'agent'
  token_id: string
  detected_at: string
  seen: string
  usual: string
  /** When it was taken up to be written into the audit log. */
  recorded_at: string | null
}
type Tables = {
  usage_baseline: { credential: string; last_at: string; baseline: string }
  usage_anomaly: AnomalyRow
}

export type Filter = {
  readonly kind?: Departure['kind'] | undefined
  readonly credential?: string | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

const tables = (db: Db) => db.withTables<Tables>()

export async function readBaselines(db: Db, credentials: readonly string[]): Promise<Map<string, Baseline>> {
  const rows = await tables(db)
    .selectFrom('usage_baseline')
    .select(['credential', 'baseline'])
    .where('credential', 'in', credentials)
    .execute()
  return new Map(rows.map(({ credential, baseline }) => [credential, JSON.parse(baseline) as Baseline]))
}

export async function writeBaseline(db: Db, credential: string, baseline: Baseline, lastAt: string): Promise<void> {
  const change = { last_at: lastAt, baseline: JSON.stringify(baseline) }
  await tables(db)
    .insertInto('usage_baseline')
    .values({ credential, ...change })
    .onConflict((conflict) => conflict.column('credential').doUpdateSet(change))
    .execute()
}

/** Does nothing when the credential has one of this kind in this hour. */
export async function addAnomaly(db: Db, row: AnomalyRow): Promise<void> {
  await tables(db)
    .insertInto('usage_anomaly')
    .values(row)
    .onConflict((conflict) => conflict.columns(['credential', 'kind', 'hour']).doNothing())
    .execute()
}

export async function unrecorded(db: Db, limit: number): Promise<AnomalyRow[]> {
  return tables(db)
    .selectFrom('usage_anomaly')
    .selectAll()
    .where('recorded_at', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Of several processes, one gets true. */
export async function claimAnomaly(db: Db, id: string, at: string): Promise<boolean> {
  const { numUpdatedRows } = await tables(db)
    .updateTable('usage_anomaly')
    .set({ recorded_at: at })
    .where('id', '=', id)
    .where('recorded_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function releaseAnomaly(db: Db, id: string): Promise<void> {
  await tables(db).updateTable('usage_anomaly').set({ recorded_at: null }).where('id', '=', id).execute()
}

/** Newest first. */
export async function listAnomalies(db: Db, { kind, credential, limit, cursor }: Filter): Promise<AnomalyRow[]> {
  let rows = tables(db).selectFrom('usage_anomaly').selectAll().orderBy('id', 'desc').limit(limit)
  if (kind !== undefined) rows = rows.where('kind', '=', kind)
  if (credential !== undefined) rows = rows.where('credential', '=', credential)
  if (cursor !== undefined) rows = rows.where('id', '<', cursor)
  return rows.execute()
}

/** What is known of a principal's sign-ins, and what departed. */
export async function forgetPrincipal(db: Db, principal: string): Promise<void> {
  await tables(db).deleteFrom('usage_baseline').where('credential', '=', principal).execute()
  await tables(db).deleteFrom('usage_anomaly').where('principal_id', '=', principal).execute()
}

export async function forgetBefore(db: Db, at: string): Promise<void> {
  await tables(db).deleteFrom('usage_baseline').where('last_at', '<', at).execute()
  await tables(db).deleteFrom('usage_anomaly').where('detected_at', '<', at).execute()
}
