import type { Database } from '../../lib/db/database.ts'
import { clockAcceptedCode, prunedCode } from './event.ts'
import type { Reader, Tables } from './store.ts'

/** How far the details of a class have been deleted: a note that saves reading twice, and nothing is believed because of it. */
type RetentionTables = { audit_pruned: { class: string; done: number } }
/** Newest `log.pruned` entry, as it is stored. */
export type PrunedRow = { readonly index: number; readonly leaf: Buffer; readonly hash: Buffer }
/** An entry with the columns by which retention judges it, and the leaf that they are copies of. */
export type JudgedRow = { readonly index: number; readonly at: string; readonly code: string; readonly leaf: Buffer }
export type RetentionStore = ReturnType<typeof makeRetentionStore>

/** The rows that retention reads and deletes. */
export function makeRetentionStore(database: Database) {
  const db: Reader = database.db.withTables<Tables>()
  const notes = database.db.withTables<RetentionTables>()
  return {
    ...datesOn(db),
    /** What the notes say, by class. */
    async done(): Promise<ReadonlyMap<string, number>> {
      const rows = await notes.selectFrom('audit_pruned').selectAll().execute()
      return new Map(rows.map((row) => [row.class, Number(row.done)]))
    },
    async note(name: string, done: number): Promise<void> {
      await notes
        .insertInto('audit_pruned')
        .values({ class: name, done })
        .onConflict((conflict) => conflict.column('class').doUpdateSet({ done }))
        .execute()
    },
    /** The leaves in a stretch that still have their sealed detail. */
    async detailed(start: number, end: number): Promise<{ index: number; leaf: Buffer; box: Buffer }[]> {
      const rows = await db
        .selectFrom('audit_payload')
        .innerJoin('audit_entry', 'audit_entry.idx', 'audit_payload.idx')
        .select(['audit_entry.idx as idx', 'leaf', 'box'])
        .where('audit_payload.idx', '>=', start)
        .where('audit_payload.idx', '<', end)
        .execute()
      return rows.map(({ idx, ...row }) => ({ index: Number(idx), ...row }))
    },
    async deleteDetails(indexes: readonly number[]): Promise<void> {
      await db.deleteFrom('audit_payload').where('idx', 'in', indexes).execute()
    },
    /** Everything below an index, entries and details together: what verification sees is before or after. */
    async deleteBelow(end: number): Promise<void> {
      await db.transaction().execute(async (tx) => {
        await tx.deleteFrom('audit_payload').where('idx', '<', end).execute()
        await tx.deleteFrom('audit_entry').where('idx', '<', end).execute()
      })
    },
  }
}

function datesOn(db: Reader) {
  return {
    /** The newest `log.pruned` entry, of those below `size` when it is given. */
    async newestPruned(size = Number.MAX_SAFE_INTEGER): Promise<PrunedRow | undefined> {
      const row = await db
        .selectFrom('audit_entry')
        .select(['idx', 'leaf', 'hash'])
        .where('code', '=', prunedCode)
        .where('idx', '<', size)
        .orderBy('idx', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row && { index: Number(row.idx), leaf: row.leaf, hash: row.hash }
    },
    /** The lowest index that is stored, of those that an entry can have. */
    async first(): Promise<number | undefined> {
      const row = await db
        .selectFrom('audit_entry')
        .select('idx')
        .where('idx', '>=', 0)
        .orderBy('idx')
        .limit(1)
        .executeTakeFirst()
      return row && Number(row.idx)
    },
    /** The times of a stretch, in order. */
    async times(start: number, end: number): Promise<{ index: number; at: string }[]> {
      const rows = await db
        .selectFrom('audit_entry')
        .select(['idx', 'at'])
        .where('idx', '>=', start)
        .where('idx', '<', end)
        .orderBy('idx')
        .execute()
      return rows.map(({ idx, at }) => ({ index: Number(idx), at }))
    },
    /** A stretch with what retention judges it by, in order. */
    async judged(start: number, end: number): Promise<JudgedRow[]> {
      const rows = await judged(db).where('idx', '>=', start).where('idx', '<', end).orderBy('idx').execute()
      return rows.map(({ idx, ...row }) => ({ index: Number(idx), ...row }))
    },
    /** Every entry before a time that says that the clock was right. */
    async clockAccepted(time: string): Promise<JudgedRow[]> {
      const rows = await judged(db).where('code', '=', clockAcceptedCode).where('at', '<', time).execute()
      return rows.map(({ idx, ...row }) => ({ index: Number(idx), ...row }))
    },
    /** The newest entry before a time that says that the clock was right: what stands before it is older, whatever its time. */
    async clockAcceptedBefore(time: string): Promise<number> {
      const row = await db
        .selectFrom('audit_entry')
        .select('idx')
        .where('code', '=', clockAcceptedCode)
        .where('at', '<', time)
        .orderBy('idx', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row ? Number(row.idx) : -1
    },
  }
}

const judged = (db: Reader) => db.selectFrom('audit_entry').select(['idx', 'at', 'code', 'leaf'])

/** Ties between pseudonyms and principals that no entry uses any more, with their keys. Inside a transaction of the log's writer. */
export async function deleteUnusedSubjects(tx: Reader): Promise<void> {
  await tx
    .deleteFrom('audit_subject')
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('audit_entry').select('idx').whereRef('subject', '=', 'audit_subject.id'))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('audit_entry').select('idx').whereRef('behalf', '=', 'audit_subject.id'))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('audit_entry').select('idx').whereRef('resource_id', '=', 'audit_subject.id'))),
    )
    .execute()
}
