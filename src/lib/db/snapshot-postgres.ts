import pg from 'pg'
import { type PostgresTarget, postgresOptions } from './database.ts'
import { inOrder, type Snapshot, type SnapshotOptions, type TableShape, type Value } from './image.ts'

// What a column may be: each has one exact form in both databases. Another one has to be thought about first.
const known = ['integer', 'bigint', 'text', 'bytea']
const int8 = 20
const batchRows = 500

/** One state of a PostgreSQL database, read in one transaction (REPEATABLE READ) that neither waits for a writer nor holds one up. */
export async function openPostgresSnapshot(target: PostgresTarget, options: SnapshotOptions): Promise<Snapshot> {
  const client = new pg.Client(postgresOptions(target))
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('set statement_timeout = 0; set idle_in_transaction_session_timeout = 0')
    await client.query('begin transaction isolation level repeatable read read only')
    const shapes = await shapesOf(client, options.leaveOut)
    const tables: (TableShape & { rows: number })[] = []
    for (const shape of shapes) tables.push({ ...shape, rows: await countOf(client, shape.name) })
    const first: Record<string, Record<string, Value> | undefined> = {}
    for (const table of options.first)
      first[table] = (await client.query({ text: `select * from ${quote(table)} limit 1`, types })).rows[0]
    const { rows: migrations } = await client.query<{ id: number; name: string }>(
      'select id, name from migration order by id',
    )
    return {
      dialect: 'postgres',
      tables,
      migrations,
      first,
      read: (table) => rowsOf(client, table),
      close: () => client.end(),
    }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** Big integers stay exact. */
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? (text: string) => BigInt(text) : pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig

async function* rowsOf(client: pg.Client, { name, columns }: TableShape): AsyncGenerator<readonly Value[]> {
  await client.query(`declare image no scroll cursor for select ${columns.map(quote).join(', ')} from ${quote(name)}`)
  for (;;) {
    const { rows } = await client.query<Value[]>({
      text: `fetch forward ${batchRows} from image`,
      rowMode: 'array',
      types,
    })
    yield* rows
    if (rows.length < batchRows) break
  }
  await client.query('close image')
}

async function shapesOf(client: pg.Client, leaveOut: readonly string[]): Promise<TableShape[]> {
  const { rows } = await client.query<{ name: string; column: string; type: string }>(
    `select c.table_name as name, c.column_name as column, c.data_type as type
      from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
      where c.table_schema = current_schema and t.table_type = 'BASE TABLE' and c.is_generated = 'NEVER'
        and not c.table_name = any($1) order by c.table_name collate "C", c.ordinal_position`,
    [leaveOut],
  )
  const strange = rows.find(({ type }) => !known.includes(type))
  if (strange) throw new Error(`A backup cannot hold ${strange.name}.${strange.column}: ${strange.type}`)
  const shapes = [...Map.groupBy(rows, ({ name }) => name)].map(([name, columns]) => ({
    name,
    columns: columns.map(({ column }) => column),
  }))
  const { rows: references } = await client.query<{ from: string; to: string }>(
    `select f.relname as from, t.relname as to from pg_constraint c
      join pg_class f on f.oid = c.conrelid join pg_class t on t.oid = c.confrelid
      where c.contype = 'f' and f.relnamespace = current_schema::regnamespace`,
  )
  return inOrder(shapes, references)
}

async function countOf(client: pg.Client, table: string): Promise<number> {
  const { rows } = await client.query<{ n: string }>(`select count(*) as n from ${quote(table)}`)
  return Number(rows[0]?.n)
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
