import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { sql } from 'kysely'
import { migrations } from '../src/app.ts'
import { type Database, openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { testOnEach } from '../src/testing/databases.ts'

const page = readFileSync('docs/data-classification.md', 'utf8')
const rows = [...page.matchAll(/^\| `(\w+)` \| (sealed|hashed|personal|business|technical) \| ([\w ]+) \|$/gm)].map(
  ([, table = '', kind = '', columns = '']) => ({ table, kind, columns: columns.split(' ') }),
)
const classified = rows.flatMap(({ table, columns }) => columns.map((column) => `${table}.${column}`))

async function columnsOf({ db, dialect }: Database): Promise<string[]> {
  const query =
    dialect === 'sqlite'
      ? sql<{
          name: string
        }>`select m.name || '.' || p.name as name from sqlite_master m join pragma_table_info(m.name) p where m.type = 'table'`
      : sql<{
          name: string
        }>`select table_name || '.' || column_name as name from information_schema.columns where table_schema = current_schema()`
  return (await query.execute(db)).rows.map(({ name }) => name)
}

test('no column stands in two classes', () => {
  assert.deepEqual(
    classified.filter((name, i) => classified.indexOf(name) !== i),
    [],
  )
})

testOnEach(
  'every stored column has its class in docs/data-classification.md (claims: B9 E47 E52)',
  migrations,
  async (database) => {
    const stored = await columnsOf(database)

    assert.deepEqual(
      stored.filter((name) => !classified.includes(name)),
      [],
      'columns without a class',
    )
    if (database.dialect === 'sqlite')
      assert.deepEqual(
        classified.filter((name) => !stored.includes(name) && !/^asset_(search|word)\./.test(name)),
        [],
        'columns that are gone; the search index differs between the two databases',
      )
  },
)

test('a sealed column holds bytes and never text (claims: B9)', async () => {
  const database = openSqlite(':memory:')
  await migrate(database, migrations, () => new Date(0))
  for (const { table, columns } of rows.filter(({ kind }) => kind === 'sealed')) {
    const { rows: found } = await sql<{
      name: string
      type: string
    }>`select name, type from pragma_table_info(${table})`.execute(database.db)
    assert.deepEqual(
      found.filter(({ name }) => columns.includes(name)).map(({ type }) => type.toLowerCase()),
      columns.map(() => 'blob'),
      table,
    )
  }
  await database.close()
})
