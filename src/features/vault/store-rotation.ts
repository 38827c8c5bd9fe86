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
