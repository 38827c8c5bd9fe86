import type { Database } from '../../lib/db/database.ts'
import type { Tls } from './tls.ts'

export type ConnectionRow = {
  id: string
  connector: string
  name: string
  name_key: string
  config: string
  /** The vault's id of each credential field, as JSON: one column, so an address is never read with another's credential. */
  secrets: string
  ca_certificate: string | null
  schedule: string | null
  /** 1: actions may change the system. */
  allow_writes: number
  /** Moves with every edit; whatever was built from an older one is not used again. */
  revision: number
  last_check: string | null
  /** When the certificate that the system last showed ends. */
  certificate_ends_at: string | null
  /** SHA-256 in lower case hex of the only certificate, or public key, that is talked to. */
  certificate_pin: string | null
  /** `Tls` as JSON. */
  tls: string
  sync_problem: string | null
  sync_cursor: string | null
  last_full_at: string | null
  last_synced_at: string | null
  last_queued_at: string | null
  /** Ids of the vault, newest first, as JSON. */
  webhook_secrets: string
  /** When a delivery last said that something changed. */
  wanted_at: string | null
  created_at: string
  updated_at: string
}
type RunKeys = { id: string; connection_id: string; state: string }
type Tables = { connection: ConnectionRow; sync_run: RunKeys }

export type SecretIds = Readonly<Record<string, string>>
export type Stored = ConnectionRow & { readonly secretIds: SecretIds; readonly activeRun: string | null }

/** Connections and the ids of their secrets. */
export function makeConnectionStore(database: Database) {
  const db = database.db.withTables<Tables>()

  async function complete(rows: readonly ConnectionRow[]): Promise<Stored[]> {
    if (rows.length === 0) return []
    const ids = rows.map(({ id }) => id)
    const active = await db
      .selectFrom('sync_run')
      .select(['id', 'connection_id'])
      .where('connection_id', 'in', ids)
      .where('state', 'in', ['queued', 'running'])
      .execute()
    return rows.map((row) => ({
      ...row,
      secretIds: JSON.parse(row.secrets) as SecretIds,
      activeRun: active.find((run) => run.connection_id === row.id)?.id ?? null,
    }))
  }

  return {
    /** By id, or by name in any letter case. */
    async find(idOrName: string): Promise<Stored | undefined> {
      const rows = await db
        .selectFrom('connection')
        .selectAll()
        .where((where) => where.or([where('id', '=', idOrName), where('name_key', '=', idOrName.toLowerCase())]))
        .execute()
      const [stored] = await complete(rows)
      return stored
    },

    async list(): Promise<Stored[]> {
      return complete(await db.selectFrom('connection').selectAll().orderBy('name_key').execute())
    },

    /** False when another connection has the name. */
    add: (row: ConnectionRow) => ifUnique(() => db.insertInto('connection').values(row).execute()),

    /** False when another connection has the name; `stale` when the row was edited or removed since `revision` was read. */
    async edit(id: string, revision: number, change: Partial<ConnectionRow>): Promise<boolean | 'stale'> {
      let moved = true
      const isUnique = await ifUnique(async () => {
        const { numUpdatedRows } = await db
          .updateTable('connection')
          .set({ ...change, revision: revision + 1 })
          .where('id', '=', id)
          .where('revision', '=', revision)
          .executeTakeFirst()
        moved = numUpdatedRows === 1n
      })
      return isUnique && !moved ? 'stale' : isUnique
    },

    async setCheck(id: string, outcome: string): Promise<void> {
      await db.updateTable('connection').set({ last_check: outcome }).where('id', '=', id).execute()
    },

    /**
     * Changes what is kept of the TLS of a connection that was not edited since `revision`. Of several changes at once each
     * sees what the one before left. Undefined when there is nothing to change.
     */
    async changeTls(id: string, revision: number, change: (before: Tls) => Tls | undefined) {
      for (;;) {
        const row = await db
          .selectFrom('connection')
          .select('tls')
          .where('id', '=', id)
          .where('revision', '=', revision)
          .executeTakeFirst()
        const before = row && (JSON.parse(row.tls) as Tls)
        const after = before && change(before)
        if (!row || !before || !after) return undefined
        const { numUpdatedRows } = await db
          .updateTable('connection')
          .set({ tls: JSON.stringify(after), certificate_ends_at: after.certificate?.endsAt ?? null })
          .where('id', '=', id)
          .where('revision', '=', revision)
          .where('tls', '=', row.tls)
          .executeTakeFirst()
        if (numUpdatedRows === 1n) return { before, after }
      }
    },

    /** Deletes the connection with its runs. */
    async remove(id: string): Promise<void> {
      await db.deleteFrom('connection').where('id', '=', id).execute()
    },
  }
}

export type ConnectionStore = ReturnType<typeof makeConnectionStore>

/** Runs a write; false when it broke a unique index. */
export async function ifUnique(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    return true
  } catch (error) {
    const code = (error as { code?: unknown }).code
    if (code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === '23505') return false
    throw error
  }
}
