import { type Kysely, sql } from 'kysely'
import type { Database, Db } from '../../lib/db/database.ts'
import { scrub } from '../../lib/db/scrub.ts'
import type { Scheme } from './references/reference.ts'
import { type IncidentItemRow, type IncidentRow, incidentRows } from './store-incidents.ts'
import { keyRows, type VaultKeyRow } from './store-keys.ts'
import { rotationRows } from './store-rotation.ts'
import { type UseRow, usageRows } from './store-usage.ts'

export type { VaultKeyRow } from './store-keys.ts'

export type SecretRow = {
  id: string
  name: string
  kind: string
  owner: string | null
  created_at: string
  current_version: number
  /** The highest number that was given. */
  last_version: number
  /** A version that waits to become the current one. */
  staged_version: number | null
  /** Days after which the value is to be changed; 0 never, null the usual. */
  rotation_days: number | null
  remind_days: number | null
  remind_at: string | null
  due_at: string | null
  destroyed_at: string | null
}

/** Destroying sets `wrapped` and `box` to null. */
export type VersionRow = {
  secret_id: string
  version: number
  key_id: string
  wrapped: Buffer | null
  box: Buffer | null
  /** The box holds a reference of this scheme; null: the value itself. */
  scheme: Scheme | null
  /** When the value that the reference leads to was made, if that is told. */
  changed_at: string | null
  created_at: string
  destroyed_at: string | null
}

/** Of a version: where its value is kept, and how old that is. */
export type Age = Pick<VersionRow, 'scheme' | 'changed_at' | 'created_at'>

export type SecretWithVersion = SecretRow & {
  readonly [F in 'version' | 'key_id' | 'wrapped' | 'box' | 'scheme' | 'changed_at']: VersionRow[F] | null
}

export type Tables = {
  vault_key: VaultKeyRow
  secret: SecretRow
  secret_version: VersionRow
  secret_use: UseRow
  incident: IncidentRow
  incident_item: IncidentItemRow
}
export type VaultDb = Kysely<Tables>

export type VaultStore = ReturnType<typeof makeVaultStore>

/** The vault's tables. `transaction` hands out the same store inside one transaction. */
export function makeVaultStore(database: Pick<Database, 'db' | 'dialect' | 'exclusive'>) {
  const { db, dialect, exclusive } = database
  const tables = db.withTables<Tables>()
  // Compiled once: this runs at every use of a credential, and building the query took longer than running it.
  const current = withVersion(tables).where('secret.id', '=', '').compile()
  return {
    ...rows(tables),
    transaction: <T>(run: (tx: VaultRows) => Promise<T>): Promise<T> =>
      db.transaction().execute((tx) => run(rows(tx.withTables<Tables>()))),
    /** What was overwritten is gone from the file too. Outside of transactions. */
    scrub: (): Promise<void> => scrub(database),
    /** A transaction that no other process runs at the same time. */
    exclusive: <T>(run: (tx: VaultRows) => Promise<T>): Promise<T> =>
      exclusive('vault/keys', (tx) => run(rows(tx.withTables<Tables>()))),
    hasTables: () => hasTables(db, dialect),
    /** A secret with its current version or another one; the version's columns are null when there is no such row. */
    secretWithVersion: async (id: string, version?: number): Promise<SecretWithVersion | undefined> => {
      if (version === undefined)
        return (await db.executeQuery<SecretWithVersion>({ ...current, parameters: [id] })).rows[0]
      return withVersion(tables, version).where('secret.id', '=', id).executeTakeFirst()
    },
  }
}

export type VaultRows = ReturnType<typeof rows>

/** The tables inside somebody else's transaction. */
export function rowsIn(tx: Db): VaultRows {
  return rows(tx.withTables<Tables>())
}

function rows(db: VaultDb) {
  return {
    ...keyRows(db),
    ...secretRows(db),
    ...rotationRows(db),
    ...versionRows(db),
    ...usageRows(db),
    ...incidentRows(db),
  }
}

function secretRows(db: VaultDb) {
  return {
    /** False when a living secret of that owner has the name. */
    addSecret: async (row: SecretRow): Promise<boolean> => {
      const done = await db
        .insertInto('secret')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      return done.numInsertedOrUpdatedRows === 1n
    },
    secret: (id: string): Promise<SecretRow | undefined> =>
      db.selectFrom('secret').selectAll().where('id', '=', id).executeTakeFirst(),
    /** Takes the next version number of a living secret; the row stays locked to the end of the transaction. */
    nextVersion: (id: string): Promise<SecretRow | undefined> =>
      db
        .updateTable('secret')
        .set({ current_version: sql<number>`last_version + 1`, last_version: sql<number>`last_version + 1` })
        .where('id', '=', id)
        .where('destroyed_at', 'is', null)
        .returningAll()
        .executeTakeFirst(),
    /** Living secrets by id, from the one after `after`. */
    secrets: (find: Find) => {
      let query = db
        .selectFrom('secret')
        .leftJoin('secret_version as v', (join) =>
          join.onRef('v.secret_id', '=', 'secret.id').onRef('v.version', '=', 'secret.current_version'),
        )
        .selectAll('secret')
        .select(['v.created_at as stored_at', 'v.scheme', 'v.changed_at'])
        .where('secret.destroyed_at', 'is', null)
        .orderBy('secret.id')
        .limit(find.limit)
      if (find.after !== undefined) query = query.where('secret.id', '>', find.after)
      if (find.name !== undefined) query = query.where('secret.name', '=', find.name)
      if (find.owner !== undefined) query = query.where('secret.owner', '=', find.owner)
      if (find.dueBy !== undefined) query = query.where('secret.due_at', '<=', find.dueBy)
      if (find.remindBy !== undefined)
        query = query.where('secret.remind_at', '<=', find.remindBy).where('secret.due_at', '>', find.remindBy)
      return query.execute()
    },
    /** Makes a tombstone of a living secret. False when there is none. */
    destroySecret: async (id: string, at: string): Promise<boolean> => {
      const done = await db
        .updateTable('secret')
        .set({ destroyed_at: at, staged_version: null, remind_at: null, due_at: null })
        .where('id', '=', id)
        .where('destroyed_at', 'is', null)
        .executeTakeFirst()
      return done.numUpdatedRows === 1n
    },
  }
}

type Find = {
  after?: string
  limit: number
  name?: string
  owner?: string
  /** Overdue at this time. */
  dueBy?: string
  /** To be reminded of at this time, and not overdue. */
  remindBy?: string
}

function versionRows(db: VaultDb) {
  return {
    addVersion: async (row: VersionRow): Promise<void> => {
      await db.insertInto('secret_version').values(row).execute()
    },
    versions: (id: string): Promise<(Age & Pick<VersionRow, 'version' | 'destroyed_at'>)[]> =>
      db
        .selectFrom('secret_version')
        .select(['version', 'scheme', 'changed_at', 'created_at', 'destroyed_at'])
        .where('secret_id', '=', id)
        .orderBy('version')
        .execute(),
    /** When the value that a reference leads to was made, as its place now tells. */
    setChanged: async (id: string, version: number, at: string): Promise<void> => {
      await db
        .updateTable('secret_version')
        .set({ changed_at: at })
        .where('secret_id', '=', id)
        .where('version', '=', version)
        .execute()
    },
    destroyVersion: async (id: string, version: number, at: string): Promise<void> => {
      await db
        .updateTable('secret_version')
        .set({ wrapped: null, box: null, destroyed_at: at })
        .where('secret_id', '=', id)
        .where('version', '=', version)
        .execute()
    },
    destroyVersions: async (id: string, at: string): Promise<void> => {
      await db
        .updateTable('secret_version')
        .set({ wrapped: null, box: null, destroyed_at: at })
        .where('secret_id', '=', id)
        .execute()
    },
  }
}

function withVersion(db: VaultDb, version?: number) {
  return db
    .selectFrom('secret')
    .leftJoin('secret_version as v', (join) => {
      const of = join.onRef('v.secret_id', '=', 'secret.id')
      return version === undefined
        ? of.onRef('v.version', '=', 'secret.current_version')
        : of.on('v.version', '=', version)
    })
    .selectAll('secret')
    .select(['v.version', 'v.key_id', 'v.wrapped', 'v.box', 'v.scheme', 'v.changed_at'])
}

async function hasTables(db: Db, dialect: Database['dialect']): Promise<boolean> {
  const { rows } =
    dialect === 'sqlite'
      ? await sql`select 1 from sqlite_master where type = 'table' and name = 'vault_key'`.execute(db)
      : await sql`select 1 where to_regclass('vault_key') is not null`.execute(db)
  return rows.length > 0
}
