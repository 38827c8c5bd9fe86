import { sql } from 'kysely'
import type { VaultDb } from './store.ts'

/** How often one taker took one version in one hour. */
export type UseRow = {
  readonly secret_id: string
  readonly version: number
  readonly used_by: string
  readonly hour: string
  readonly uses: number
  readonly last_at: string
}

export function usageRows(db: VaultDb) {
  return {
    addUses: async (rows: readonly UseRow[]): Promise<void> => {
      for (const row of rows)
        await db
          .insertInto('secret_use')
          .values(row)
          .onConflict((conflict) =>
            conflict.columns(['secret_id', 'version', 'used_by', 'hour']).doUpdateSet({
              uses: sql<number>`secret_use.uses + excluded.uses`,
              last_at: sql<string>`case when excluded.last_at > secret_use.last_at then excluded.last_at else secret_use.last_at end`,
            }),
          )
          .execute()
    },
    /** All of the newest `hours` in which it was used. */
    uses: (id: string, hours: number, before?: string): Promise<UseRow[]> =>
      db
        .selectFrom('secret_use')
        .selectAll()
        .where('secret_id', '=', id)
        .where('hour', 'in', (eb) => {
          const all = eb.selectFrom('secret_use').select('hour').where('secret_id', '=', id)
          const some = before === undefined ? all : all.where('hour', '<', before)
          return some.distinct().orderBy('hour', 'desc').limit(hours)
        })
        .orderBy('hour', 'desc')
        .orderBy('version')
        .orderBy('used_by')
        .execute(),
    usesPerVersion: async (id: string): Promise<{ version: number; uses: number; last_at: string }[]> => {
      const rows = await db
        .selectFrom('secret_use')
        .select(['version', (eb) => eb.fn.sum('uses').as('uses'), (eb) => eb.fn.max('last_at').as('last_at')])
        .where('secret_id', '=', id)
        .groupBy('version')
        .orderBy('version')
        .execute()
      return rows.map(({ version, uses, last_at }) => ({ version, uses: Number(uses), last_at }))
    },
    pruneUses: async (hour: string): Promise<void> => {
      await db.deleteFrom('secret_use').where('hour', '<', hour).execute()
    },
  }
}
