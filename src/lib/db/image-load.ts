import { CompiledQuery, sql } from 'kysely'
import type { Database, Db, Dialect } from './database.ts'
import type { Line, TableShape, Value } from './image.ts'

// Far below both databases' limits of parameters (32,766 and 65,535).
const maxParameters = 16_000
const maxRows = 500
const maxBytes = 4_194_304

/** The rows are not those that were announced. */
export class ImageFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ImageFault'
  }
}

type Parts = {
  readonly lines: Iterable<Line>
  /** The tables that must come, in their order, with their numbers of rows. */
  readonly tables: readonly { readonly name: string; readonly rows: number }[]
  readonly onRows?: (rows: number) => void
}

/**
 * Puts the rows of an image into the tables, which the image's own migrations have made; what those migrations put in goes out first.
 * One transaction: all of it is there afterwards, or nothing.
 */
export async function loadImage(database: Database, { lines, tables, onRows = () => {} }: Parts): Promise<void> {
  await database.exclusive('restore', async (tx) => {
    for (const { name } of [...tables].reverse()) await sql`delete from ${sql.table(name)}`.execute(tx)
    let table: ReturnType<typeof makeInserter> | undefined
    let at = -1
    let done = 0
    const end = async () => {
      const expected = tables[at]
      if (table && (await table.flush()) !== expected?.rows)
        throw new ImageFault(`${expected?.name} has other rows than the backup says`)
      done += expected?.rows ?? 0
      onRows(done)
    }
    for (const line of lines) {
      if ('row' in line) {
        if (!table) throw new ImageFault('A row stands before its table')
        await table.add(line.row)
        continue
      }
      await end()
      at++
      if (line.table.name !== tables[at]?.name) throw new ImageFault('The tables are not those that the backup says')
      table = makeInserter(tx, database.dialect, line.table)
    }
    await end()
    if (at !== tables.length - 1) throw new ImageFault('There are fewer tables than the backup says')
    if (database.dialect === 'postgres') await moveIdentities(tx)
  })
}

function makeInserter(tx: Db, dialect: Dialect, { name, columns }: TableShape) {
  const most = Math.max(1, Math.min(maxRows, Math.floor(maxParameters / columns.length)))
  const head = `insert into ${quote(name)} (${columns.map(quote).join(', ')}) values `
  const parameter = (n: number) => (dialect === 'postgres' ? `$${n + 1}` : '?')
  const textOf = (rows: number) =>
    head +
    Array.from(
      { length: rows },
      (_, row) => `(${columns.map((_c, i) => parameter(row * columns.length + i)).join(', ')})`,
    ).join(', ')
  const full = textOf(most)
  let values: Value[] = []
  let waiting = 0
  let bytes = 0
  let written = 0

  async function flush(): Promise<number> {
    if (waiting === 0) return written
    await tx.executeQuery(CompiledQuery.raw(waiting === most ? full : textOf(waiting), values))
    written += waiting
    values = []
    waiting = 0
    bytes = 0
    return written
  }

  return {
    flush,
    async add(row: readonly Value[]): Promise<void> {
      if (row.length !== columns.length) throw new ImageFault(`A row of ${name} has another number of columns`)
      for (const value of row) {
        values.push(bound(value, dialect))
        bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
      }
      waiting++
      if (waiting === most || bytes > maxBytes) await flush()
    },
  }
}

/** The SQLite driver binds every number as a float, which a column without a type would keep. */
function bound(value: Value, dialect: Dialect): Value {
  return dialect === 'sqlite' && typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value
}

/** The next number that PostgreSQL gives is behind those that were put in. */
async function moveIdentities(tx: Db): Promise<void> {
  const { rows } = await sql<{ name: string; column: string }>`
    select table_name as name, column_name as column from information_schema.columns
      where table_schema = current_schema and is_identity = 'YES'`.execute(tx)
  for (const { name, column } of rows)
    await sql`select setval(pg_get_serial_sequence(${quote(name)}, ${column}),
      coalesce((select max(${sql.ref(column)}) from ${sql.table(name)}), 0) + 1, false)`.execute(tx)
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
