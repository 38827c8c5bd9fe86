import { sql } from 'kysely'
import type { Database } from './database.ts'

class Undo extends Error {}

type Options = {
  /** A new schema that the tables go into. */
  readonly schema?: string
  /** Everything is undone at the end, also when it went well. */
  readonly undo?: boolean
}

/**
 * Runs everything that `run` does with the database in one PostgreSQL transaction, however many it believes to make: all of it is
 * there afterwards, or nothing, also when the process is killed meanwhile.
 */
export async function inOneTransaction<T>(
  database: Database,
  run: (inside: Database) => Promise<T>,
  { schema, undo = false }: Options = {},
): Promise<T> {
  if (database.dialect !== 'postgres') throw new Error('Only PostgreSQL takes changes of tables back')
  let answer: { readonly value: T } | undefined
  try {
    await database.db.transaction().execute(async (tx) => {
      await sql`set local statement_timeout = 0`.execute(tx)
      await sql`set local idle_in_transaction_session_timeout = 0`.execute(tx)
      if (schema !== undefined) {
        await sql`create schema ${sql.id(schema)}`.execute(tx)
        await sql`set local search_path = ${sql.id(schema)}`.execute(tx)
      }
      const inside: Database = { ...database, db: tx, exclusive: (_name, work) => work(tx), close: async () => {} }
      answer = { value: await run(inside) }
      if (undo) throw new Undo()
    })
  } catch (error) {
    if (!(error instanceof Undo)) throw error
  }
  if (!answer) throw new Error('The transaction ended without an answer')
  return answer.value
}

/** Whether a database holds no table of anybody's. */
export async function isEmpty({ db, dialect }: Database): Promise<boolean> {
  const { rows } = await (dialect === 'sqlite'
    ? sql`select 1 from sqlite_master limit 1`
    : sql`select 1 from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') limit 1`
  ).execute(db)
  return rows.length === 0
}

/** Tells the planner what the tables hold, after many rows came at once. */
export async function analyze({ db }: Database): Promise<void> {
  await sql`analyze`.execute(db)
}
