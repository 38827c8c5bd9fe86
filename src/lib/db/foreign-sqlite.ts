import SqliteDatabase from 'better-sqlite3-multiple-ciphers'

/** All rows of some columns of a table in somebody else's plain SQLite file, which is not changed. */
export function readForeignTable(path: string, table: string, columns: readonly string[]): unknown[] {
  const native = new SqliteDatabase(path, { readonly: true, fileMustExist: true })
  try {
    const quoted = [...columns, table].map((name) => `"${name.replaceAll('"', '""')}"`)
    return native.prepare(`select ${quoted.slice(0, -1).join(', ')} from ${quoted.at(-1)}`).all()
  } finally {
    native.close()
  }
}
