import { PostgresAdapter, sql } from 'kysely'
import type { Db } from './database.ts'

export type BoxesRow<C extends string> = { readonly id: string } & { readonly [column in C]: Uint8Array | null }

const chunk = 500

/**
 * Writes sealed columns of many rows, by their `id`. On PostgreSQL in few statements: everybody who writes waits for the transaction that
 * this is in, and a round trip for each row would be most of that time.
 */
export async function setBoxes<C extends string>(
  tx: Db,
  table: string,
  columns: readonly C[],
  rows: readonly BoxesRow<C>[],
): Promise<void> {
  const isPostgres = tx.getExecutor().adapter instanceof PostgresAdapter
  for (let at = 0; at < rows.length; at += isPostgres ? chunk : 1)
    await (isPostgres
      ? together(table, columns, rows.slice(at, at + chunk))
      : one(table, columns, rows[at] as BoxesRow<C>)
    ).execute(tx)
}

function one<C extends string>(table: string, columns: readonly C[], row: BoxesRow<C>) {
  const set = sql.join(columns.map((column) => sql`${sql.ref(column)} = ${row[column]}`))
  return sql`update ${sql.table(table)} set ${set} where id = ${row.id}`
}

function together<C extends string>(table: string, columns: readonly C[], rows: readonly BoxesRow<C>[]) {
  const set = sql.join(columns.map((column) => sql`${sql.ref(column)} = v.${sql.ref(column)}`))
  const boxes = sql.join(columns.map((column) => sql`${rows.map((row) => row[column])}::bytea[]`))
  const names = sql.join(columns.map((column) => sql.ref(column)))
  const ids = rows.map(({ id }) => id)
  return sql`update ${sql.table(table)} as t set ${set} from unnest(${ids}::text[], ${boxes}) as v(id, ${names}) where t.id = v.id`
}
