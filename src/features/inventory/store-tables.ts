import { type RawBuilder, sql } from 'kysely'
import type { Database, Db } from '../../lib/db/database.ts'

/** The tables of this room as rows. `stale` is 0 or 1; times are ISO 8601; `addresses` and `attributes` are JSON. */
export type SourceRow = { no: number; connection_id: string; connector: string }

export type GroupRow = {
  no: number
  source_no: number
  kind: string
  /** Empty: none. */
  status: string
  site: string
  stale: number
  count: number
}

type Value = string | number | null

/**
 * Rows as a table of a statement, sent as one JSON parameter: a batch of 1,000 assets is one statement with one
 * parameter instead of 17,000 (`jsonb_each`, because `json_each` would have each row parsed again for each column). `int` columns become integers, the others text.
 */
export function rowsFrom(
  dialect: Database['dialect'],
  columns: Readonly<Record<string, 'int' | 'text'>>,
  rows: readonly (readonly Value[])[],
): RawBuilder<unknown> {
  const json = JSON.stringify(rows)
  const fields = Object.entries(columns).map(([name, type], at) =>
    dialect === 'postgres' && type === 'int'
      ? sql`(value->>${sql.lit(at)})::integer as ${sql.ref(name)}`
      : sql`value->>${sql.lit(at)} as ${sql.ref(name)}`,
  )
  return dialect === 'sqlite'
    ? sql`(select ${sql.join(fields)} from jsonb_each(${json})) as r`
    : sql`(select ${sql.join(fields)} from jsonb_array_elements(${json}::jsonb)) as r`
}

/**
 * An integer parameter. The cast tells PostgreSQL its type where nothing else does, and makes SQLite see an integer where
 * the driver binds a float, which FTS5 would not take as a bound of row ids.
 */
export function int(value: number): RawBuilder<unknown> {
  return sql`cast(${value} as integer)`
}

/** A text parameter where PostgreSQL could not tell its type. */
export function text(value: string): RawBuilder<unknown> {
  return sql`cast(${value} as text)`
}

/** The first row of a statement, or undefined. */
export async function first<Row>(db: Db, statement: RawBuilder<Row>): Promise<Row | undefined> {
  const { rows } = await statement.execute(db)
  return rows[0]
}

export async function all<Row>(db: Db, statement: RawBuilder<Row>): Promise<Row[]> {
  const { rows } = await statement.execute(db)
  return rows
}
