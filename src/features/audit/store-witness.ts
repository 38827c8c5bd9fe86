import type { Database } from '../../lib/db/database.ts'

/** `is_met` is 1 when the cosignatures in `checkpoint` are those that the policy requires. */
type WitnessTables = {
  audit_cosigned: { size: number; checkpoint: string; is_met: number }
  audit_witness: WitnessRow
}
/** What a witness last cosigned, and why it did not since. */
export type WitnessRow = {
  readonly name: string
  readonly size: number
  readonly at: string
  readonly fault: string | null
}

/** The checkpoints that witnesses cosigned, and how each witness fares. */
export function makeWitnessRecord(database: Database) {
  const db = database.db.withTables<WitnessTables>()
  return {
    /** The newest checkpoint that meets the policy, with its cosignatures. */
    async cosigned(): Promise<string | undefined> {
      const row = await db
        .selectFrom('audit_cosigned')
        .select('checkpoint')
        .where('is_met', '=', 1)
        .orderBy('size', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row?.checkpoint
    },
    /** Keeps this one; those that it makes useless go. */
    async keep(size: number, checkpoint: string, isMet: boolean): Promise<void> {
      const row = { checkpoint, is_met: isMet ? 1 : 0 }
      await db
        .insertInto('audit_cosigned')
        .values({ size, ...row })
        .onConflict((conflict) => conflict.column('size').doUpdateSet(row))
        .execute()
      await db
        .deleteFrom('audit_cosigned')
        .where('size', '<', size)
        .$if(!isMet, (query) => query.where('is_met', '=', 0))
        .execute()
    },
    async witnesses(): Promise<WitnessRow[]> {
      const rows = await db.selectFrom('audit_witness').selectAll().orderBy('name').execute()
      return rows.map((row) => ({ ...row, size: Number(row.size) }))
    },
    async heard(row: WitnessRow): Promise<void> {
      const { name: _name, ...news } = row
      await db
        .insertInto('audit_witness')
        .values(row)
        .onConflict((conflict) => conflict.column('name').doUpdateSet(news))
        .execute()
    },
  }
}
