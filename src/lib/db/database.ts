import { createSecretKey } from 'node:crypto'
import { chmodSync, existsSync } from 'node:fs'
import SqliteDatabase from 'better-sqlite3-multiple-ciphers'
import { Kysely, PostgresDialect, SqliteDialect, sql, type Transaction } from 'kysely'
import pg from 'pg'
import { keptFileKey, ownFileKey } from './file-key.ts'

/** A Kysely without table types; each store narrows it with `db.withTables<Tables>()`. */
// biome-ignore lint/complexity/noBannedTypes: no tables are known here
export type Db = Kysely<{}>

export type Dialect = 'sqlite' | 'postgres'

export type Database = {
  readonly db: Db
  readonly dialect: Dialect
  /** One transaction that no other process or caller using the same name runs at the same time. */
  // biome-ignore lint/complexity/noBannedTypes: no tables are known here
  exclusive<T>(name: string, run: (tx: Transaction<{}>) => Promise<T>): Promise<T>
  /** Rejects when the database does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** The database was made with another root key. Nothing was read or written. */
export class UnknownKey extends Error {
  constructor() {
    super('unknown key: this database was made with another root key')
    this.name = 'UnknownKey'
  }
}

/**
 * Opens (or makes) the SQLite file, encrypted as a whole with AES-256 (SQLCipher format, HMAC per page). Its key comes from the
 * 32-byte root key, see file-key.ts. Without `rootKey` (tests of single stores, benchmarks of the bare engine) the file is plain.
 */
export function openSqlite(path: string, rootKey?: Uint8Array): Database {
  return databaseOn(openNative(path, rootKey && fileKeysOf(path, rootKey)))
}

/** The same for a file whose own key is known. */
export function openSqliteWith(path: string, fileKey: Buffer): Database {
  return databaseOn(openNative(path, [fileKey]))
}

function databaseOn(native: SqliteDatabase.Database): Database {
  // FULL: a commit is on the disk before it is acknowledged. The audit log rests on this.
  for (const pragma of [
    'journal_mode = WAL',
    'synchronous = FULL',
    // What is deleted is overwritten, and so are the copies that SQLite makes when it moves rows between pages: the audit log's
    // erasure and retention rest on this, and it has to be on while the rows are written.
    'secure_delete = ON',
    'foreign_keys = ON',
    'busy_timeout = 5000',
    'temp_store = MEMORY',
    'cache_size = -65536',
    // 16 MB. Moving a page from the log into the file decrypts and encrypts it once more, and a sync writes the same pages
    // in many commits: with SQLite's default of 4 MB every one of them moved its pages.
    'wal_autocheckpoint = 4000',
  ])
    native.pragma(pragma)
  // biome-ignore lint/complexity/noBannedTypes: see Db
  const db = new Kysely<{}>({ dialect: new SqliteDialect({ database: cached(native) }) })
  return {
    db,
    dialect: 'sqlite',
    // One process and one connection: Kysely hands the connection to one transaction at a time.
    exclusive: (_name, run) => db.transaction().execute(run),
    ping: () => ping(db),
    close: () => db.destroy(),
  }
}

/** A connection that only reads; the file must be there, and others may write to it meanwhile. */
export function openSqliteReader(path: string, rootKey: Uint8Array): SqliteDatabase.Database {
  return openNative(path, fileKeysOf(path, rootKey), { readonly: true, fileMustExist: true })
}

/** With the first of these keys that opens the file; without any, a plain one. Throws `UnknownKey`. */
function openNative(
  path: string,
  fileKeys: readonly Buffer[] = [],
  options: SqliteDatabase.Options = {},
): SqliteDatabase.Database {
  const [first, ...others] = fileKeys
  try {
    return openWith(path, first, options)
  } catch (error) {
    if (!(error instanceof UnknownKey) || others.length === 0) throw error
    return openNative(path, others, options)
  }
}

function openWith(
  path: string,
  fileKey: Buffer | undefined,
  options: SqliteDatabase.Options = {},
): SqliteDatabase.Database {
  const isNew = path !== ':memory:' && !existsSync(path)
  const native = new SqliteDatabase(path, options)
  try {
    if (fileKey) {
      native.pragma(`cipher='sqlcipher'`)
      native.pragma(`key=${literal(fileKey)}`)
    }
    if (isNew) chmodSync(path, 0o600)
    native.pragma('schema_version')
    native.prepare('select count(*) from sqlite_master').get()
    return native
  } catch (error) {
    native.close()
    if ((error as { code?: string }).code === 'SQLITE_NOTADB') throw new UnknownKey()
    throw error
  }
}

/**
 * The one that is kept beside the file, else the root key's own. Both are tried: a crash of a change of the root key can leave either, and
 * what the rows hang on is checked after it.
 */
function fileKeysOf(path: string, rootKey: Uint8Array): readonly Buffer[] {
  const own = ownFileKey(rootKey)
  const kept = path === ':memory:' ? undefined : keptFileKey(path, createSecretKey(rootKey))
  return kept ? [kept, own] : [own]
}

/** The key that opens a SQLite file which is there. Throws `UnknownKey`. */
export function findFileKey(path: string, rootKey: Uint8Array): Buffer {
  for (const key of fileKeysOf(path, rootKey))
    try {
      openWith(path, key).close()
      return key
    } catch (error) {
      if (!(error instanceof UnknownKey)) throw error
    }
  throw new UnknownKey()
}

function literal(key: Buffer): string {
  return `"x'${key.toString('hex')}'"`
}

/** Brings all of a SQLite file into the one file, without a write-ahead log, so that it can be copied. Nobody else may use it. */
export function settleSqlite(path: string, fileKey: Buffer, { check = false } = {}): void {
  const native = openWith(path, fileKey)
  try {
    const mode: unknown = native.pragma('journal_mode = delete', { simple: true })
    if (mode !== 'delete') throw new Error('The database file is in use')
    if (check && native.pragma('quick_check', { simple: true }) !== 'ok')
      throw new Error('The database file is damaged')
  } finally {
    native.close()
  }
}

/** Encrypts a settled SQLite file anew. Not atomic: only for a copy. */
export function setSqliteKey(path: string, { from, to }: { from: Buffer; to: Buffer }): void {
  const native = openWith(path, from)
  try {
    native.pragma(`rekey=${literal(to)}`)
  } finally {
    native.close()
  }
}

/**
 * On PostgreSQL: nobody else writes into these tables until the transaction ends, and the commit is on the disk when it is
 * answered, whatever the server is set to. Who reads goes on.
 */
export async function lockTables(tx: Db, tables: readonly string[]): Promise<void> {
  await sql`set local synchronous_commit = on`.execute(tx)
  const names = sql.join(tables.map((name) => sql.table(name)))
  await sql`lock table ${names} in share row exclusive mode`.execute(tx)
}

export type PostgresTarget = {
  readonly url: string
  /** A PEM bundle to trust instead of the system's. */
  readonly ca?: string
}

type PostgresOptions = PostgresTarget & { readonly maxConnections?: number }

/** Opens a PostgreSQL pool. TLS with full verification, except on loopback. Statements end after 30 s. */
export function openPostgres({ maxConnections = 10, ...where }: PostgresOptions): Database {
  const pool = new pg.Pool({
    ...postgresOptions(where),
    max: maxConnections,
    idleTimeoutMillis: 30_000,
    statement_timeout: 30_000,
    // A process that stands still inside a transaction must not keep the log's lock from the others for ever.
    idle_in_transaction_session_timeout: 30_000,
  })
  // An idle connection that the server drops must not end the process; the next query reports the fault.
  pool.on('error', () => {})
  // One that drops while it is lent out also tells the query that waits, if there is one.
  pool.on('connect', (client) => client.on('error', () => {}))
  // biome-ignore lint/complexity/noBannedTypes: see Db
  const db = new Kysely<{}>({ dialect: new PostgresDialect({ pool }) })
  return {
    db,
    dialect: 'postgres',
    exclusive: (name, run) =>
      db.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(hashtextextended(${`atlas/${name}`}, 0))`.execute(tx)
        return run(tx)
      }),
    ping: () => ping(db),
    close: () => db.destroy(),
  }
}

/** Where to connect, and with which TLS. Throws `TypeError` for a URL that could lead elsewhere than it says. */
export function postgresOptions({ url, ca }: PostgresTarget): pg.ClientConfig {
  const target = new URL(url)
  const { hostname } = target
  // Parameters and the environment can name another host than the one that is judged here.
  const foreign = [...target.searchParams.keys()].filter((name) => !/^(ssl|application_name$)/.test(name))
  if (hostname === '' || foreign.length > 0)
    throw new TypeError(
      `The database URL must name the host before the path${foreign.length > 0 ? `, and have no parameter ${foreign[0]}` : ''}`,
    )
  const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  // The address decides about TLS, not the URL's parameters: `sslmode=disable` must not switch verification off.
  for (const name of [...target.searchParams.keys()]) if (name.startsWith('ssl')) target.searchParams.delete(name)
  return {
    connectionString: target.href,
    connectionTimeoutMillis: 5_000,
    application_name: 'infrastructure-atlas',
    ...(loopback ? {} : { ssl: { rejectUnauthorized: true, minVersion: 'TLSv1.2' as const, ...(ca && { ca }) } }),
  }
}

/** Keeps prepared statements: preparing costs ten times as much as running a small query. */
function cached(native: SqliteDatabase.Database) {
  const statements = new Map<string, SqliteDatabase.Statement>()
  return {
    prepare(text: string): SqliteDatabase.Statement {
      const known = statements.get(text)
      // One that is being streamed cannot be run a second time meanwhile.
      if (known && !known.busy) return known
      const statement = native.prepare(text)
      // Statements with long parameter lists are rarely the same twice.
      if (text.length > 4096) return statement
      const [oldest] = statements.size < 500 ? [] : statements.keys()
      if (oldest !== undefined) statements.delete(oldest)
      statements.set(text, statement)
      return statement
    },
    close: () => native.close(),
  }
}

async function ping(db: Db): Promise<void> {
  await sql`select 1`.execute(db)
}
