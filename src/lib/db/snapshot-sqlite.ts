import { openSqliteReader } from './database.ts'
import { inOrder, type Snapshot, type SnapshotOptions, type Step, type TableShape, type Value } from './image.ts'

type Native = ReturnType<typeof openSqliteReader>

/**
 * One state of a SQLite file, read on a connection of its own. In WAL mode a reader neither waits for the writer nor keeps it
 * waiting; the write-ahead log grows until the reading ends. The calls block, so this belongs into a thread of its own.
 */
export function openSqliteSnapshot(path: string, rootKey: Uint8Array, options: SnapshotOptions): Snapshot {
  const native = openSqliteReader(path, rootKey)
  try {
    native.defaultSafeIntegers(true)
    native.prepare('begin').run()
    // The state is fixed by the first read.
    const shapes = shapesOf(native, options.leaveOut)
    return {
      dialect: 'sqlite',
      tables: shapes.map((shape) => ({ ...shape, rows: countOf(native, shape.name) })),
      migrations: native
        .prepare<[], { id: bigint; name: string }>('select id, name from migration order by id')
        .all()
        .map(({ id, name }): Step => ({ id: Number(id), name })),
      first: Object.fromEntries(options.first.map((table) => [table, firstRow(native, table)])),
      read: ({ name, columns }) =>
        native
          .prepare(`select ${columns.map(quote).join(', ')} from ${quote(name)}`)
          .raw()
          .iterate() as IterableIterator<readonly Value[]>,
      close: async () => void native.close(),
    }
  } catch (error) {
    native.close()
    throw error
  }
}

function shapesOf(native: Native, leaveOut: readonly string[]): TableShape[] {
  const all = native.prepare<[], { name: string; type: string }>('pragma main.table_list').all()
  // Virtual tables and the tables behind them are made of others.
  const names = all
    .filter(({ name, type }) => type === 'table' && !name.startsWith('sqlite_') && !leaveOut.includes(name))
    .map(({ name }) => name)
    .sort()
  const shapes = names.map((name) => ({ name, columns: columnsOf(native, name) }))
  const references = names.flatMap((from) =>
    native
      .prepare<[], { table: string }>(`pragma foreign_key_list(${quote(from)})`)
      .all()
      .map(({ table }) => ({ from, to: table })),
  )
  return inOrder(shapes, references)
}

/** Without what SQLite computes itself. */
function columnsOf(native: Native, table: string): string[] {
  return native
    .prepare<[], { name: string; hidden: bigint }>(`pragma table_xinfo(${quote(table)})`)
    .all()
    .filter(({ hidden }) => hidden === 0n)
    .map(({ name }) => name)
}

function countOf(native: Native, table: string): number {
  return Number(native.prepare<[], { n: bigint }>(`select count(*) as n from ${quote(table)}`).get()?.n)
}

function firstRow(native: Native, table: string): Record<string, Value> | undefined {
  return native.prepare<[], Record<string, Value>>(`select * from ${quote(table)} limit 1`).get()
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
