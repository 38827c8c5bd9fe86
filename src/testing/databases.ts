import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import pg from 'pg'
import { type Database, openPostgres, openSqlite } from '../lib/db/database.ts'
import { type Migration, migrate } from '../lib/db/migrate.ts'
import { startPostgres } from './postgres.ts'

/** The root key that tests use. */
export const testRootKey = createSecretKey(Buffer.alloc(32, 7))

/** A clock that stands still until it is told to move. Starts at 2026-01-01T00:00:00Z. */
export function fixedClock(start = '2026-01-01T00:00:00.000Z') {
  let at = Date.parse(start)
  return {
    now: () => new Date(at),
    forward: (ms: number) => {
      at += ms
    },
  }
}

type Run = (database: Database, t: TestContext) => Promise<void>

/**
 * Registers the same test twice: on an encrypted SQLite file and on a real PostgreSQL, each a fresh, migrated database.
 * PostgreSQL comes from `ATLAS_TEST_POSTGRES` (scripts/test.ts starts one for the whole run) or is started for this process.
 */
export function testOnEach(title: string, migrations: readonly Migration[], run: Run): void {
  test(`${title} (SQLite)`, async (t) => run(await freshSqlite(t, migrations), t))
  // The fast loop (npm run check) proves the logic on SQLite; npm test and CI run both.
  if (process.env['ATLAS_TEST_FAST'] === undefined)
    test(`${title} (PostgreSQL)`, async (t) => run(await freshPostgres(t, migrations), t))
}

export async function freshSqlite(t: TestContext, migrations: readonly Migration[]): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-test-'))
  const database = openSqlite(join(folder, 'atlas.db'), testRootKey.export())
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await migrate(database, migrations, () => new Date())
  return database
}

export async function freshPostgres(t: TestContext, migrations: readonly Migration[]): Promise<Database> {
  const { url, drop } = await createDatabase()
  const database = openPostgres({ url, maxConnections: 4 })
  t.after(async () => {
    await database.close()
    await drop()
  })
  await migrate(database, migrations, () => new Date())
  return database
}

/** The URL of a new, empty database that is dropped after the test. */
export async function freshPostgresUrl(t: TestContext): Promise<string> {
  const { url, drop } = await createDatabase()
  t.after(drop)
  return url
}

async function createDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const server = await postgresUrl()
  const name = `t_${randomBytes(8).toString('hex')}`
  await administer(server, `create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => administer(server, `drop database if exists ${name} with (force)`) }
}

let started: Promise<string> | undefined

function postgresUrl(): Promise<string> {
  const given = process.env['ATLAS_TEST_POSTGRES']
  if (given) return Promise.resolve(given)
  started ??= startPostgres().then(({ url, stop }) => {
    stopLast = stop
    return url
  })
  return started
}

let stopLast: (() => Promise<void>) | undefined
after(() => stopLast?.())

async function administer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
