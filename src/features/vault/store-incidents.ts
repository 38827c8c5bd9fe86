import { sql } from 'kysely'
import type { VaultDb } from './store.ts'

export type IncidentRow = {
  id: string
  reason: string
  /** Fingerprint of the root key that may be known. */
  root_key: string
  /** The number of the newest key-encryption key that may be known. */
  key_version: number
  opened_at: string
  closed_at: string | null
  /** Why it was closed with work left; null when all was done. */
  excuse: string | null
}

export type IncidentItemRow = { incident_id: string; secret_id: string; last_version: number }

/** One secret of an incident, as it is now. */
export type IncidentItem = {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly owner: string | null
  readonly last_version: number
  readonly current_version: number
  readonly destroyed_at: string | null
  readonly changed_at: string | null
  /** 1: it still has the value that it had. */
  readonly waiting: number
}

/**
 * A value counts as changed when the current version is one that did not exist when the incident was opened, or leads to where the
 * value was changed since.
 */
const isWaiting = sql<boolean>`secret.destroyed_at is null and secret.current_version <= incident_item.last_version
  and not exists (
    select 1 from secret_version there
    join incident on incident.id = incident_item.incident_id
    where there.secret_id = secret.id and there.version = secret.current_version
      and there.changed_at > incident.opened_at
  )`
const waiting = sql<number>`cast(case when ${isWaiting} then 1 else 0 end as integer)`

export function incidentRows(db: VaultDb) {
  return { ...rowsOf(db), ...itemsOf(db) }
}

function rowsOf(db: VaultDb) {
  return {
    /** False when one is open already. */
    addIncident: async (row: IncidentRow): Promise<boolean> => {
      const done = await db
        .insertInto('incident')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      return done.numInsertedOrUpdatedRows === 1n
    },
    incident: (id: string): Promise<IncidentRow | undefined> =>
      db.selectFrom('incident').selectAll().where('id', '=', id).executeTakeFirst(),
    /** The newest first. */
    incidents: (limit: number): Promise<IncidentRow[]> =>
      db.selectFrom('incident').selectAll().orderBy('opened_at', 'desc').orderBy('id', 'desc').limit(limit).execute(),
    openIncident: (): Promise<IncidentRow | undefined> =>
      db.selectFrom('incident').selectAll().where('closed_at', 'is', null).executeTakeFirst(),
    /** False when it was closed meanwhile. */
    closeIncident: async (id: string, at: string, excuse: string | null): Promise<boolean> => {
      const done = await db
        .updateTable('incident')
        .set({ closed_at: at, excuse })
        .where('id', '=', id)
        .where('closed_at', 'is', null)
        .executeTakeFirst()
      return done.numUpdatedRows === 1n
    },
  }
}

function itemsOf(db: VaultDb) {
  const items = (incident: string) =>
    db
      .selectFrom('incident_item')
      .innerJoin('secret', 'secret.id', 'incident_item.secret_id')
      .where('incident_item.incident_id', '=', incident)
  return {
    /** Every living secret but those of the kinds that are never changed. Answers how many. */
    addIncidentItems: async (incident: string, notKinds: readonly string[]): Promise<number> => {
      const done = await db
        .insertInto('incident_item')
        .columns(['incident_id', 'secret_id', 'last_version'])
        .expression(
          db
            .selectFrom('secret')
            .select([sql<string>`${incident}`.as('incident_id'), 'id', 'last_version'])
            .where('destroyed_at', 'is', null)
            .where('kind', 'not in', notKinds),
        )
        .executeTakeFirst()
      return Number(done.numInsertedOrUpdatedRows)
    },
    countIncident: async (incident: string): Promise<{ total: number; waiting: number }> => {
      const row = await items(incident)
        .select([
          sql<number>`cast(count(*) as integer)`.as('total'),
          sql<number>`cast(coalesce(sum(${waiting}), 0) as integer)`.as('waiting'),
        ])
        .executeTakeFirstOrThrow()
      return { total: row.total, waiting: row.waiting }
    },
    /** In order of id; `waiting`: only those that still have a value from before. */
    incidentItems: (find: {
      incident: string
      waiting: boolean
      after?: string
      limit: number
    }): Promise<IncidentItem[]> => {
      let query = items(find.incident)
        .leftJoin('secret_version as v', (join) =>
          join.onRef('v.secret_id', '=', 'secret.id').onRef('v.version', '=', 'secret.current_version'),
        )
        .select([
          'secret.id',
          'secret.name',
          'secret.kind',
          'secret.owner',
          'secret.current_version',
          'secret.destroyed_at',
          'incident_item.last_version',
          sql<string>`coalesce(v.changed_at, v.created_at)`.as('changed_at'),
          waiting.as('waiting'),
        ])
        .orderBy('secret.id')
        .limit(find.limit)
      if (find.waiting) query = query.where(isWaiting)
      if (find.after !== undefined) query = query.where('secret.id', '>', find.after)
      return query.execute()
    },
  }
}
