import { sql } from 'kysely'
import type { Database } from './database.ts'

/**
 * One forward-only step. `id`s are unique over all rooms and run in order; a step that has run is never edited.
 * Each statement is plain SQL; where the two databases differ, each has its own list.
 */
export type Migration = {
  readonly id: number
  readonly name: string
  readonly sqlite: readonly string[]
  readonly postgres: readonly string[]
}

/** Runs what has not run yet, each step in its own transaction. A step changed after it ran, or a newer database, is refused. */
export async function migrate(database: Database, migrations: readonly Migration[], now: () => Date): Promise<void> {
  const ordered = [...migrations].sort((a, b) => a.id - b.id)
  const twice = ordered.find((step, i) => step.id === ordered[i + 1]?.id)
  if (twice) throw new Error(`Two migrations have the number ${twice.id}`)
  const { db } = database
  await sql`create table if not exists migration (id integer primary key, name text not null, run_at text not null)`.execute(
    db,
  )
  const known = new Map(ordered.map((step) => [step.id, step]))
  await database.exclusive('migrate', async (tx) => {
    const { rows } = await sql<{ id: number; name: string }>`select id, name from migration`.execute(tx)
    for (const row of rows)
      if (known.get(row.id)?.name !== row.name)
        throw new Error(
          `The database has migration ${row.id} (${row.name}), which this version does not know. Use a newer version.`,
        )
    const done = new Set(rows.map((row) => row.id))
    for (const step of ordered.filter(({ id }) => !done.has(id))) {
      for (const statement of step[database.dialect]) await sql.raw(statement).execute(tx)
      await sql`insert into migration (id, name, run_at) values (${step.id}, ${step.name}, ${now().toISOString()})`.execute(
        tx,
      )
    }
  })
}

/** Steps that have not run in this database. Changes nothing. */
export async function missingSteps({ db }: Database, migrations: readonly Migration[]): Promise<Migration[]> {
  const { rows } = await sql<{ id: number }>`select id from migration`.execute(db)
  const done = new Set(rows.map(({ id }) => id))
  return migrations.filter(({ id }) => !done.has(id))
}
