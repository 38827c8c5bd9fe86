import type { Database } from '../../lib/db/database.ts'
import type { Position } from './sinks/sink.ts'

type SinkTables = { audit_sink: SinkRow; audit_entry: { idx: number; at: string } }

/**
 * How a sink fares. `target` is a hash of where it leads. `next` and `confirmed` are its position, `at` when it last moved. While it fails,
 * `fault` says why, `failures` how often since `failing_since`. `told_at` is when the last `log.sink-failed` was recorded, and `is_told` is
 * 1 until its end is recorded too. `is_stopped` is 1 when it refused for good.
 */
export type SinkRow = {
  readonly name: string
  readonly target: string
  readonly next: number
  readonly confirmed: number
  readonly at: string | null
  readonly fault: string | null
  readonly failures: number
  readonly failing_since: string | null
  readonly told_at: string | null
  readonly is_told: number
  readonly is_stopped: number
}

const healthy = { fault: null, failures: 0, failing_since: null, is_stopped: 0 }

/** The positions of the sinks, shared by all processes. */
export function makeSinkRecord(database: Database) {
  const db = database.db.withTables<SinkTables>()
  return {
    async find(name: string): Promise<SinkRow | undefined> {
      const row = await db.selectFrom('audit_sink').selectAll().where('name', '=', name).executeTakeFirst()
      return row && numbered(row)
    },
    /** Begins the sink, or begins it anew with another target. */
    async begin(name: string, target: string, next: number): Promise<void> {
      const row = { target, next, confirmed: next, at: null, told_at: null, is_told: 0, ...healthy }
      await db
        .insertInto('audit_sink')
        .values({ name, ...row })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
        .execute()
    },
    /** Compare and swap: false when another process has moved it meanwhile. */
    async move(row: SinkRow, { next, confirmed }: Position, at: string): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('audit_sink')
        .set({ next, confirmed, at, ...healthy })
        .where('name', '=', row.name)
        .where('target', '=', row.target)
        .where('next', '=', row.next)
        .where('confirmed', '=', row.confirmed)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    /** What was not confirmed counts as not sent. */
    async failed(name: string, fault: string, at: string, isFinal: boolean): Promise<void> {
      await db
        .updateTable('audit_sink')
        .set((eb) => ({
          next: eb.ref('confirmed'),
          fault,
          failures: eb('failures', '+', 1),
          failing_since: eb.fn.coalesce('failing_since', eb.val(at)),
          ...(isFinal && { is_stopped: 1 }),
        }))
        .where('name', '=', name)
        .execute()
    },
    /** False when another process has said the same already. */
    async tell(row: Pick<SinkRow, 'name' | 'is_told' | 'told_at'>, at: string | null): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('audit_sink')
        .set(at === null ? { is_told: 0 } : { is_told: 1, told_at: at })
        .where('name', '=', row.name)
        .where('is_told', '=', row.is_told)
        .where('told_at', row.told_at === null ? 'is' : '=', row.told_at)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    /** The first entry that is still kept. */
    async first(): Promise<number> {
      const row = await db.selectFrom('audit_entry').select('idx').orderBy('idx').limit(1).executeTakeFirst()
      return Number(row?.idx ?? 0)
    },
    /** When an entry was written. */
    async timeOf(index: number): Promise<string | undefined> {
      const row = await db.selectFrom('audit_entry').select('at').where('idx', '=', index).executeTakeFirst()
      return row?.at
    },
  }
}

function numbered(row: SinkRow): SinkRow {
  return { ...row, next: Number(row.next), confirmed: Number(row.confirmed), failures: Number(row.failures) }
}
