import { CompiledQuery, type Kysely, type Selectable, type Transaction } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { scrub } from '../../lib/db/scrub.ts'
import type { SubjectRow } from './subject.ts'

export type EntryRow = {
  readonly idx: number
  readonly at: string
  readonly code: string
  readonly subject: string | null
  readonly behalf: string | null
  readonly action: string | null
  readonly resource_type: string | null
  readonly resource_id: string | null
  readonly outcome: string | null
  readonly leaf: Buffer
  readonly hash: Buffer
}
export type PayloadRow = { readonly idx: number; readonly salt: Buffer; readonly box: Buffer }
/** The hash of a full tile: `level` is the tile level (1 and up), `idx` its place among that level's hashes. */
export type NodeRow = { readonly level: number; readonly idx: number; readonly hash: Buffer }
/** `compact` is the compact range's hashes in a row, `checkpoint` the last signed note, `mac` covers all three. */
export type HeadRow = {
  readonly size: number
  readonly compact: Buffer
  readonly checkpoint: string | null
  readonly mac: Buffer
}
export type KeyRow = {
  readonly origin: string
  readonly vkey: string
  readonly box: Buffer
  readonly created_at: string
}

export type Tables = {
  audit_key: KeyRow & { id: 1 }
  audit_head: HeadRow & { id: 1 }
  audit_entry: EntryRow
  audit_payload: PayloadRow
  audit_node: NodeRow
  audit_subject: SubjectRow
}
export type Reader = Kysely<Tables>
export type Writer = ReturnType<typeof writerOn>

/** The log's tables as its one writer uses them. store-read.ts has the reading side. */
export function makeStore(database: Database) {
  const insert = makeInsert(database.dialect)
  return {
    /** One transaction of the log's writer: no other process or caller writes the log meanwhile. */
    write: <T>(run: (writer: Writer) => Promise<T>): Promise<T> =>
      database.exclusive('audit', (tx) => run(writerOn(tx.withTables<Tables>(), insert))),
    /** Deleted keys must not stay in the file's free pages or its write-ahead log. */
    scrub: (): Promise<void> => scrub(database),
  }
}

function writerOn(tx: Transaction<Tables>, insert: ReturnType<typeof makeInsert>) {
  return {
    reader: tx as Reader,
    /** Takes the head's row lock (on SQLite the write lock) before it is read, so that what is read stays true. */
    async lockHead(): Promise<HeadRow | undefined> {
      const row = await tx
        .updateTable('audit_head')
        .set((eb) => ({ size: eb.ref('size') }))
        .where('id', '=', 1)
        .returning(['size', 'compact', 'checkpoint', 'mac'])
        .executeTakeFirst()
      return row && headOf(row)
    },
    /** Compare and swap: false when the head is no longer at `expected`. */
    async moveHead(expected: number, head: HeadRow): Promise<boolean> {
      const { numUpdatedRows } = await tx
        .updateTable('audit_head')
        .set(head)
        .where('id', '=', 1)
        .where('size', '=', expected)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async found(key: KeyRow, head: HeadRow): Promise<void> {
      await tx
        .insertInto('audit_key')
        .values({ id: 1, ...key })
        .execute()
      await tx
        .insertInto('audit_head')
        .values({ id: 1, ...head })
        .execute()
    },
    findKey: () => tx.selectFrom('audit_key').selectAll().executeTakeFirst(),
    insertEntries: (rows: readonly EntryRow[]) => insert(tx, 'audit_entry', entryColumns, rows),
    insertPayloads: (rows: readonly PayloadRow[]) => insert(tx, 'audit_payload', ['idx', 'salt', 'box'], rows),
    insertNodes: (rows: readonly NodeRow[]) => insert(tx, 'audit_node', ['level', 'idx', 'hash'], rows),
    subjects: {
      find: (principalIds: readonly string[]) =>
        tx.selectFrom('audit_subject').selectAll().where('principal_id', 'in', principalIds).execute(),
      insert: (rows: readonly SubjectRow[]) => insert(tx, 'audit_subject', ['id', 'principal_id', 'box'], rows),
    },
    async deletePayloads(indexes: readonly number[]): Promise<void> {
      if (indexes.length > 0) await tx.deleteFrom('audit_payload').where('idx', 'in', indexes).execute()
    },
    /** Destroys a subject's key and mapping, and the boxes and salts of what was sealed under it. */
    async deleteSubject(id: string): Promise<void> {
      await tx.deleteFrom('audit_subject').where('id', '=', id).execute()
      await tx
        .deleteFrom('audit_payload')
        .where('idx', 'in', (eb) => eb.selectFrom('audit_entry').select('idx').where('subject', '=', id))
        .execute()
    },
  }
}

export function headOf(row: Selectable<HeadRow>): HeadRow {
  return { ...row, size: Number(row.size) }
}

const entryColumns = [
  'idx',
  'at',
  'code',
  'subject',
  'behalf',
  'action',
  'resource_type',
  'resource_id',
  'outcome',
  'leaf',
  'hash',
] as const satisfies readonly (keyof EntryRow)[]

// 128 rows of 11 columns stay far below both databases' parameter limits (32,766 and 65,535).
const chunkRows = 128

/** Many rows in few statements. Their text is built once per row count: a query builder's tree per row costs more than the hashing. */
function makeInsert(dialect: Database['dialect']) {
  const texts = new Map<string, string>()
  const textOf = (table: string, columns: readonly string[], rows: number): string => {
    const name = `${table} ${rows}`
    let text = texts.get(name)
    if (text === undefined) {
      const parameter = (n: number) => (dialect === 'postgres' ? `$${n + 1}` : '?')
      const tuple = (row: number) => `(${columns.map((_, i) => parameter(row * columns.length + i)).join(', ')})`
      text = `insert into ${table} (${columns.join(', ')}) values ${Array.from({ length: rows }, (_, i) => tuple(i)).join(', ')}`
      texts.set(name, text)
    }
    return text
  }
  return async function insert<Row>(
    tx: Transaction<Tables>,
    table: keyof Tables,
    columns: readonly (keyof Row & string)[],
    rows: readonly Row[],
  ): Promise<void> {
    for (let at = 0; at < rows.length; at += chunkRows) {
      const chunk = rows.slice(at, at + chunkRows)
      const values = chunk.flatMap((row) => columns.map((column) => row[column]))
      await tx.executeQuery(CompiledQuery.raw(textOf(table, columns, chunk.length), values))
    }
  }
}
