import { sql } from 'kysely'
import type { SecretRow, VaultDb, VersionRow } from './store.ts'

export type VaultKeyRow = {
  id: string
  scope: string
  version: number
  state: 'active' | 'retired'
  wrapped: Buffer
  /** How many data keys it has wrapped: the bound on AES-GCM with random nonces (NIST SP 800-38D §8.3). */
  wraps: number
  created_at: string
}

/** A version that is sealed under a retired key. */
export type OlderRow = SecretRow & Pick<VersionRow, 'version' | 'key_id' | 'wrapped' | 'box' | 'scheme'>

/** Where a walk over versions goes on. */
export type Place = { readonly secret: string; readonly version: number }

/** The key-encryption keys, and the versions by the key that they are sealed under. */
export function keyRows(db: VaultDb) {
  return {
    keys: (): Promise<VaultKeyRow[]> => db.selectFrom('vault_key').selectAll().orderBy('version').execute(),
    key: (id: string): Promise<VaultKeyRow | undefined> =>
      db.selectFrom('vault_key').selectAll().where('id', '=', id).executeTakeFirst(),
    addKey: async (row: VaultKeyRow): Promise<void> => {
      await db.insertInto('vault_key').values(row).execute()
    },
    /** Counts one more wrap on the active key of `scope`; nothing when another process retired it in this moment. */
    countWrap: (scope: string): Promise<VaultKeyRow | undefined> =>
      db
        .updateTable('vault_key')
        .set({ wraps: sql<number>`wraps + 1` })
        .where('scope', '=', scope)
        .where('state', '=', 'active')
        .returningAll()
        .executeTakeFirst(),
    /** Retires the active key of `scope`; nothing when another process did so in this moment. */
    retireActive: (scope: string): Promise<VaultKeyRow | undefined> =>
      db
        .updateTable('vault_key')
        .set({ state: 'retired' })
        .where('scope', '=', scope)
        .where('state', '=', 'active')
        .returningAll()
        .executeTakeFirst(),
    retireKey: async (id: string): Promise<void> => {
      await db.updateTable('vault_key').set({ state: 'retired' }).where('id', '=', id).execute()
    },
    hasVersions: async (): Promise<boolean> =>
      (await db.selectFrom('secret_version').select('version').limit(1).execute()).length > 0,
    /** How many versions with a value are sealed under each key. */
    versionsPerKey: async (): Promise<Map<string, number>> => {
      const rows = await db
        .selectFrom('secret_version')
        .select(['key_id', (eb) => eb.fn.countAll().as('count')])
        .where('wrapped', 'is not', null)
        .groupBy('key_id')
        .execute()
      return new Map(rows.map(({ key_id, count }) => [key_id, Number(count)]))
    },
    ...olderRows(db),
  }
}

function olderRows(db: VaultDb) {
  return {
    /** Versions with a value that are sealed under a retired key, in order, from the one after `after`. */
    olderVersions: (find: Find): Promise<OlderRow[]> => sealed(db, find).where('k.state', '=', 'retired').execute(),
    /** The same for all keys. */
    sealedVersions: (find: Find): Promise<OlderRow[]> => sealed(db, find).execute(),
    /** Puts a version under another key. False when it was destroyed or moved meanwhile. */
    moveVersion: async (
      { id, version, key_id }: OlderRow,
      values: Pick<VersionRow, 'key_id' | 'wrapped' | 'box'>,
    ): Promise<boolean> => {
      const done = await db
        .updateTable('secret_version')
        .set(values)
        .where('secret_id', '=', id)
        .where('version', '=', version)
        .where('key_id', '=', key_id)
        .where('wrapped', 'is not', null)
        .executeTakeFirst()
      return done.numUpdatedRows === 1n
    },
  }
}

type Find = { readonly after?: Place | undefined; readonly limit: number }

function sealed(db: VaultDb, { after, limit }: Find) {
  const query = db
    .selectFrom('secret_version as v')
    .innerJoin('secret', 'secret.id', 'v.secret_id')
    .innerJoin('vault_key as k', 'k.id', 'v.key_id')
    .selectAll('secret')
    .select(['v.version', 'v.key_id', 'v.wrapped', 'v.box', 'v.scheme'])
    .where('v.wrapped', 'is not', null)
    .orderBy('v.secret_id')
    .orderBy('v.version')
    .limit(limit)
  if (!after) return query
  return query.where((eb) =>
    eb.or([
      eb('v.secret_id', '>', after.secret),
      eb.and([eb('v.secret_id', '=', after.secret), eb('v.version', '>', after.version)]),
    ]),
  )
}
