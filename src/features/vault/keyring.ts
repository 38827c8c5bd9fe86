import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { type Database, UnknownKey } from '../../lib/db/database.ts'
import { deriveKey, EnvelopeError, open, reseal, seal } from '../../lib/envelope.ts'
import { newId } from '../../lib/ids.ts'
import { type RootKey, type RootKeys, ringOf, rootKeyOf } from '../../lib/root-keys.ts'
import { makeVaultStore, type VaultKeyRow, type VaultRows, type VaultStore } from './store.ts'

/** One scope so far. Later ones (a team, a tenant) get key-encryption keys of their own. */
const scope = 'default'

export type Keyring = {
  /** Opens all key-encryption keys, or makes the first one. Throws `UnknownKey`, before anything is written, for another root key. */
  init(): Promise<void>
  /** The key to wrap one data key with. Inside the transaction that stores the wrap, so that the count is never short. */
  claim(tx: VaultRows): Promise<{ readonly id: string; readonly key: KeyObject }>
  /** Makes the next key-encryption key: what is wrapped from then on, is wrapped with it. The earlier ones still open. */
  rotate(): Promise<{ readonly id: string; readonly version: number }>
  /** The root key that the database is under in this transaction. Throws `UnknownKey` when it is none of ours. */
  rootKeyIn(tx: VaultRows): Promise<KeyObject>
  /** A key by id; undefined when there is none that this root key opens. */
  find(id: string): Promise<KeyObject | undefined>
}

type Parts = {
  readonly store: VaultStore
  readonly rootKey: RootKey
  readonly now: () => Date
  /** Wraps with one key before the next one is made. AES-GCM with random nonces allows 2^32 (NIST SP 800-38D §8.3). */
  readonly maxWraps?: number
}

/** The middle of the hierarchy root key → key-encryption key → data key → value. Opened keys stay in memory as `KeyObject`s. */
export function makeKeyring({ store, rootKey, now, maxWraps = 2 ** 30 }: Parts): Keyring {
  const ring = ringOf(rootKey)
  const opened = new Map<string, KeyObject>()

  return { init, claim, rotate, rootKeyIn, find }

  async function init(): Promise<void> {
    for (const row of await store.keys()) opened.set(row.id, openAtStart(ring, row))
    if (opened.size > 0) return
    if (await store.hasVersions()) throw new Error('The key-encryption keys are missing from the database')
    await store.exclusive(async (tx) => {
      const rows = await tx.keys()
      // Another process may have made it in this moment – with its root key, which must be ours.
      for (const row of rows) opened.set(row.id, openAtStart(ring, row))
      if (rows.length === 0) await make(tx, 1, 0)
    })
  }

  async function claim(tx: VaultRows): Promise<{ id: string; key: KeyObject }> {
    const row = await untilActive(() => tx.countWrap(scope))
    if (row.wraps > maxWraps) {
      await tx.retireKey(row.id)
      return make(tx, row.version + 1, 1)
    }
    return { id: row.id, key: remember(row) }
  }

  async function rotate(): Promise<{ id: string; version: number }> {
    return store.exclusive(async (tx) => {
      const version = (await untilActive(() => tx.retireActive(scope))).version + 1
      const { id } = await make(tx, version, 0)
      return { id, version }
    })
  }

  async function find(id: string): Promise<KeyObject | undefined> {
    const known = opened.get(id)
    if (known) return known
    const row = await store.key(id) // made by another process since the start
    try {
      return row && remember(row)
    } catch (error) {
      if (error instanceof EnvelopeError) return undefined
      throw error
    }
  }

  async function rootKeyIn(tx: VaultRows): Promise<KeyObject> {
    const rows = await tx.keys()
    // Another process may have changed it: what is sealed with a key that the other rows are not under, nobody could open.
    for (const row of rows) openAtStart(ring, row)
    const [first] = rows
    return first ? rootKeyOf(ring, wrappingKey, first.wrapped) : ring.current()
  }

  async function make(tx: VaultRows, version: number, wraps: number): Promise<{ id: string; key: KeyObject }> {
    const under = await rootKeyIn(tx)
    const created = now()
    const name = { id: newId('kek', created.getTime()), scope, version }
    const bytes = randomBytes(32)
    try {
      const wrapped = seal(wrappingKey(under), bytes, aadOf(name))
      await tx.addKey({ ...name, state: 'active', wrapped, wraps, created_at: created.toISOString() })
      return { id: name.id, key: createSecretKey(bytes) }
    } finally {
      bytes.fill(0)
    }
  }

  function remember(row: VaultKeyRow): KeyObject {
    const key = opened.get(row.id) ?? unwrap(ring, row)
    opened.set(row.id, key)
    return key
  }
}

/** An update finds nothing when it waited for a process that was just retiring the key; the next one sees the new key. */
async function untilActive(update: () => Promise<VaultKeyRow | undefined>): Promise<VaultKeyRow> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const row = await update()
    if (row) return row
  }
  throw new Error('No key-encryption key is active')
}

/**
 * Throws `UnknownKey` when the vault in `database` was made with another root key. Reads only, and also before the
 * migrations have run: a wrong key must not change anything. SQLite files refuse earlier, as a whole. Answers whether
 * there is something that it opened; an empty database takes every key.
 */
export async function checkRootKey(database: Database, rootKey: RootKey): Promise<boolean> {
  const store = makeVaultStore(database)
  if (!(await store.hasTables())) return false
  const rows = await store.keys()
  for (const row of rows) openAtStart(ringOf(rootKey), row)
  return rows.length > 0
}

/** The bytes of a row's key, wrapped for another root key. Throws `EnvelopeError` when `from` does not open it. */
export function wrapAnew(row: VaultKeyRow, from: KeyObject, to: KeyObject): Buffer {
  return reseal(wrappingKey(from), wrappingKey(to), row.wrapped, aadOf(row))
}

function wrappingKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/vault')
}

function openAtStart(ring: RootKeys, row: VaultKeyRow): KeyObject {
  try {
    return unwrap(ring, row)
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error
    if (error.reason === 'unknown-key') throw new UnknownKey()
    throw new Error(`The key-encryption key ${row.id} is damaged or belongs elsewhere`, { cause: error })
  }
}

function unwrap(ring: RootKeys, row: VaultKeyRow): KeyObject {
  const bytes = open(wrappingKey(rootKeyOf(ring, wrappingKey, row.wrapped)), row.wrapped, aadOf(row))
  try {
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

function aadOf({ id, scope: of, version }: Pick<VaultKeyRow, 'id' | 'scope' | 'version'>): readonly string[] {
  return ['atlas', 'vault_key', id, of, String(version), 'key']
}
