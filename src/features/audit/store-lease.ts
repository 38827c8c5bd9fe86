import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { Reader } from './store.ts'

/** `seen` and all durations are milliseconds of the database's clock. */
type LeaseTables = {
  audit_lease: { id: 1; holder: string; fence: number; seen: number; wanted: number }
  audit_run: { id: string; started_at: string; seen: number }
}
export type Run = { readonly id: string; readonly startedAt: string; readonly seenAt: string }
export type LeaseStore = ReturnType<typeof makeLeaseStore>

/** Who may sign, and which processes run. */
export function makeLeaseStore(database: Database) {
  const db = database.db.withTables<LeaseTables>()
  const clock: RawBuilder<number> =
    database.dialect === 'sqlite'
      ? sql`cast(unixepoch('subsec') * 1000 as integer)`
      : sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`
  return { ...leaseOn(db as unknown as Reader, clock), ...runsOn(db as unknown as Reader, clock) }
}

function leaseOn(base: Reader, clock: RawBuilder<number>) {
  const db = base.withTables<LeaseTables>()
  return {
    /**
     * Takes or keeps the lease, inside the transaction that signs when there is one: it is ours under the fence we know, or free, or its holder has not been
     * seen for `ttlMs`. Each change of hands raises the fence. Undefined: somebody else signs.
     */
    async take(holder: string, fence: number, ttlMs: number, tx = base): Promise<number | undefined> {
      const row = await tx
        .withTables<LeaseTables>()
        .updateTable('audit_lease')
        .set((eb) => ({
          fence: sql<number>`case when holder = ${holder} and fence = ${fence} then fence else fence + 1 end`,
          holder,
          seen: sql<number>`${clock}`,
          wanted: eb.lit(0),
        }))
        .where('id', '=', 1)
        .where((eb) =>
          eb.or([
            eb.and([eb('holder', '=', holder), eb('fence', '=', fence)]),
            eb('holder', '=', ''),
            sql<boolean>`seen < ${clock} - ${sql.lit(ttlMs)}`,
          ]),
        )
        .returning('fence')
        .executeTakeFirst()
      return row && Number(row.fence)
    },
    /** Asks whoever holds the lease for a checkpoint of at least `size`. */
    async ask(tx: Reader, size: number): Promise<void> {
      await tx
        .withTables<LeaseTables>()
        .updateTable('audit_lease')
        .set({ wanted: size })
        .where('wanted', '<', size)
        .execute()
    },
    /** Says that the holder lives. Answers what it was asked for; undefined when the lease is no longer its own. */
    async beat(holder: string, fence: number): Promise<number | undefined> {
      const row = await db
        .updateTable('audit_lease')
        .set({ seen: sql<number>`${clock}` })
        .where('holder', '=', holder)
        .where('fence', '=', fence)
        .returning('wanted')
        .executeTakeFirst()
      return row && Number(row.wanted)
    },
    async release(holder: string): Promise<void> {
      await db.updateTable('audit_lease').set({ holder: '' }).where('holder', '=', holder).execute()
    },
    async lease(): Promise<{ holder: string; fence: number }> {
      const row = await db.selectFrom('audit_lease').select(['holder', 'fence']).executeTakeFirstOrThrow()
      return { holder: row.holder, fence: Number(row.fence) }
    },
  }
}

function runsOn(base: Reader, clock: RawBuilder<number>) {
  const db = base.withTables<LeaseTables>()
  return {
    async join(tx: Reader, id: string, startedAt: string): Promise<void> {
      await tx
        .withTables<LeaseTables>()
        .insertInto('audit_run')
        .values({ id, started_at: startedAt, seen: sql<number>`${clock}` })
        .execute()
    },
    /** False when it was not there: somebody else has recorded its end. */
    async leave(tx: Reader, id: string): Promise<boolean> {
      const { numDeletedRows } = await tx
        .withTables<LeaseTables>()
        .deleteFrom('audit_run')
        .where('id', '=', id)
        .executeTakeFirst()
      return numDeletedRows === 1n
    },
    async runBeat(id: string): Promise<void> {
      await db
        .updateTable('audit_run')
        .set({ seen: sql<number>`${clock}` })
        .where('id', '=', id)
        .execute()
    },
    /** Runs that did not say that they ended and have not been seen for `ttlMs`. */
    async lost(ttlMs: number): Promise<Run[]> {
      const rows = await db
        .selectFrom('audit_run')
        .selectAll()
        .where(sql<boolean>`seen <= ${clock} - ${sql.lit(ttlMs)}`)
        .execute()
      return rows.map(({ id, started_at, seen }) => ({
        id,
        startedAt: started_at,
        seenAt: new Date(Number(seen)).toISOString(),
      }))
    },
  }
}
