import type { Database } from '../../lib/db/database.ts'
import type { PayloadRow, Reader, Tables } from './store.ts'
import type { SubjectRow } from './subject.ts'

export type VerifyReader = ReturnType<typeof makeVerifyReader>

/** The reads that only verification makes: whole rows, and how far the tables reach. */
export function makeVerifyReader(database: Database) {
  const db: Reader = database.db.withTables<Tables>()
  return {
    /** For verification: every column of a stretch of the log, in order. */
    async stretch(start: number, end: number) {
      const entries = await db
        .selectFrom('audit_entry')
        .selectAll()
        .where('idx', '>=', start)
        .where('idx', '<', end)
        .orderBy('idx')
        .execute()
      const payloads = await payloadsOf(db, start, end)
      return { entries: entries.map((row) => ({ ...row, idx: Number(row.idx) })), payloads }
    },
    /** The head's size and how far the tables reach, in one statement and so of one moment. */
    async extent() {
      const row = await db
        .selectFrom('audit_head')
        .select((eb) => [
          'size',
          eb
            .selectFrom('audit_entry')
            .select((e) => e.fn.max('idx').as('last'))
            .as('lastEntry'),
          eb
            .selectFrom('audit_payload')
            .select((e) => e.fn.max('idx').as('last'))
            .as('lastPayload'),
          eb
            .selectFrom('audit_entry')
            .select((e) => e.fn.min('idx').as('first'))
            .as('firstEntry'),
          eb
            .selectFrom('audit_payload')
            .select((e) => e.fn.min('idx').as('first'))
            .as('firstPayload'),
        ])
        .executeTakeFirst()
      const numberOf = (value: unknown) => (value === null || value === undefined ? undefined : Number(value))
      return {
        size: numberOf(row?.size) ?? 0,
        first: numberOf(row?.firstEntry) ?? 0,
        firstPayload: numberOf(row?.firstPayload) ?? numberOf(row?.firstEntry) ?? 0,
        lastEntry: numberOf(row?.lastEntry) ?? -1,
        lastPayload: numberOf(row?.lastPayload) ?? -1,
      }
    },
    async nodeCount(level: number): Promise<number> {
      const { count } = await db
        .selectFrom('audit_node')
        .select((eb) => eb.fn.countAll().as('count'))
        .where('level', '=', level)
        .executeTakeFirstOrThrow()
      return Number(count)
    },
    async nodeLevels(): Promise<number[]> {
      const rows = await db.selectFrom('audit_node').select('level').distinct().orderBy('level').execute()
      return rows.map(({ level }) => level)
    },
    async allSubjects(): Promise<SubjectRow[]> {
      return db.selectFrom('audit_subject').selectAll().orderBy('id').execute()
    },
  }
}

async function payloadsOf(db: Reader, start: number, end: number): Promise<ReadonlyMap<number, PayloadRow>> {
  const rows = await db
    .selectFrom('audit_payload')
    .selectAll()
    .where('idx', '>=', start)
    .where('idx', '<', end)
    .execute()
  return new Map(rows.map((row) => [Number(row.idx), row]))
}
