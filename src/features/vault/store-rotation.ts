import { sql } from 'kysely'
import type { SecretRow, VaultDb } from './store.ts'

/** What changes of a secret besides its versions: when it is due, and what waits to be current. Destroyed ones are left alone. */
export function rotationRows(db: VaultDb) {
  const living = (id: string) => db.updateTable('secret').where('id', '=', id).where('destroyed_at', 'is', null)
  return {
    setRotation: (id: string, days: Pick<SecretRow, 'rotation_days' | 'remind_days'>): Promise<SecretRow | undefined> =>
      living(id).set(days).returningAll().executeTakeFirst(),
    setDates: async (id: string, dates: Pick<SecretRow, 'remind_at' | 'due_at'>): Promise<void> => {
      await living(id).set(dates).execute()
    },
    /** Takes the next version number for what is staged; the row stays locked to the end of the transaction. */
    nextStaged: (id: string): Promise<SecretRow | undefined> =>
      living(id)
        .set({ staged_version: sql<number>`last_version + 1`, last_version: sql<number>`last_version + 1` })
        .returningAll()
        .executeTakeFirst(),
    promote: (id: string): Promise<SecretRow | undefined> =>
      living(id)
        .set({ current_version: sql<number>`staged_version`, staged_version: null })
        .where('staged_version', 'is not', null)
        .returningAll()
        .executeTakeFirst(),
    /** Living secrets, and those of them that are due at `now`. */
    countDue: async (now: string): Promise<{ living: number; soon: number; overdue: number }> => {
      const count = (when: ReturnType<typeof sql>) => sql<number>`cast(coalesce(sum(${when}), 0) as integer)`
      const row = await db
        .selectFrom('secret')
        .select([
          sql<number>`cast(count(*) as integer)`.as('living'),
          count(sql`case when remind_at <= ${now} and due_at > ${now} then 1 else 0 end`).as('soon'),
          count(sql`case when due_at <= ${now} then 1 else 0 end`).as('overdue'),
        ])
        .where('destroyed_at', 'is', null)
        .executeTakeFirstOrThrow()
      return { living: row.living, soon: row.soon, overdue: row.overdue }
    },
    /** False when something else is staged by now. */
    unstage: async (id: string, version: number): Promise<boolean> => {
      const done = await living(id)
        .set({ staged_version: null })
        .where('staged_version', '=', version)
        .executeTakeFirst()
      return done.numUpdatedRows === 1n
    },
  }
}
