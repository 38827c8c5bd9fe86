import type { Database } from '../../lib/db/database.ts'
import type { FormatName } from './formats.ts'
import type { Profile } from './store.ts'

/** `readers`, `publish`, `problem` and `publication` are JSON. */
export type PlanRow = {
  id: string
  name: string
  owner_id: string
  owner_name: string
  dataset: string
  params: string
  format: FormatName
  profile: Profile
  keep_days: number
  readers: string
  schedule: string
  publish: string | null
  created_at: string
  last_run_at: string | null
  last_export: string | null
  problem: string | null
  publication: string | null
}
type Tables = { export_plan: PlanRow }

export type PlanStore = ReturnType<typeof makePlanStore>

/** Exports that are made again and again. */
export function makePlanStore(database: Database) {
  const db = database.db.withTables<Tables>()
  return {
    find: (id: string): Promise<PlanRow | undefined> =>
      db.selectFrom('export_plan').selectAll().where('id', '=', id).executeTakeFirst(),

    /** In the order of their making; with `of` only that principal's. */
    list: (of?: string): Promise<PlanRow[]> =>
      db
        .selectFrom('export_plan')
        .selectAll()
        .$if(of !== undefined, (query) => query.where('owner_id', '=', of ?? ''))
        .orderBy('id')
        .execute(),

    /** False when its owner has as many as may be. */
    add: (row: PlanRow, most: number): Promise<boolean> =>
      database.exclusive('exports', async (transaction) => {
        const tx = transaction.withTables<Tables>()
        const own = tx.selectFrom('export_plan').where('owner_id', '=', row.owner_id)
        const { n } = await own.select((eb) => eb.fn.countAll().as('n')).executeTakeFirstOrThrow()
        if (Number(n) >= most) return false
        await tx.insertInto('export_plan').values(row).execute()
        return true
      }),

    async remove(id: string): Promise<void> {
      await db.deleteFrom('export_plan').where('id', '=', id).execute()
    },

    /** Takes a turn; false when another process was faster. */
    async take({ id, last_run_at }: PlanRow, at: string): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('export_plan')
        .set({ last_run_at: at })
        .where('id', '=', id)
        .where('last_run_at', last_run_at === null ? 'is' : '=', last_run_at)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },

    async change(id: string, values: Partial<PlanRow>): Promise<void> {
      await db.updateTable('export_plan').set(values).where('id', '=', id).execute()
    },
  }
}
