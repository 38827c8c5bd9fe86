import { sql } from 'kysely'
import { type Db, openPostgres, openSqlite } from '../../src/lib/db/database.ts'

/** Everything that the tables of an encrypted SQLite file hold, opened with its root key: for a look under the encryption. */
export async function dumpSqlite(path: string, rootKey: Buffer): Promise<Buffer> {
  const database = openSqlite(path, rootKey)
  try {
    const { rows } = await sql<{ name: string }>`
      select name from sqlite_master where type = 'table' order by name`.execute(database.db)
    return await dump(
      database.db,
      rows.map(({ name }) => name),
    )
  } finally {
    await database.close()
  }
}

/** Everything that the tables of a PostgreSQL database hold. */
export async function dumpPostgres(url: string): Promise<Buffer> {
  const database = openPostgres({ url, maxConnections: 1 })
  try {
    const { rows } = await sql<{ name: string }>`
      select table_name as name from information_schema.tables where table_schema = 'public' order by 1`.execute(
      database.db,
    )
    return await dump(
      database.db,
      rows.map(({ name }) => name),
    )
  } finally {
    await database.close()
  }
}

async function dump(db: Db, tables: readonly string[]): Promise<Buffer> {
  const parts: Buffer[] = []
  for (const table of tables) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.ref(table)}`.execute(db)
    const lines = rows.map((row) => Buffer.concat(Object.values(row).flatMap((value) => [bytesOf(value), tab])))
    // Rows have no order of their own; two dumps of the same data must be the same.
    parts.push(Buffer.from(`${table}\n`), ...lines.sort(Buffer.compare).flatMap((line) => [line, newline]))
  }
  return Buffer.concat(parts)
}

const tab = Buffer.from('\t')
const newline = Buffer.from('\n')

function bytesOf(value: unknown): Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value)
  return Buffer.from(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null'))
}
