import { Problem } from '../../core/problem.ts'
import type { Keyring } from './keyring.ts'
import type { Sealing } from './sealing.ts'
import type { VaultStore } from './store.ts'
import type { OlderRow, Place } from './store-keys.ts'

/** Versions that are moved in one transaction: few enough that nobody waits for it noticeably. */
const batchSize = 50

export type KeySummary = {
  readonly id: string
  readonly version: number
  readonly state: 'active' | 'retired'
  readonly createdAt: string
  /** Data keys that it has wrapped, also of versions that are gone. */
  readonly wraps: number
  /** Stored versions that it opens. */
  readonly versions: number
}

type Parts = {
  readonly store: VaultStore
  readonly keyring: Pick<Keyring, 'claim' | 'rotate'>
  readonly sealing: Pick<Sealing, 'openBytes' | 'sealBytes'>
}

/** The key-encryption keys as an operator sees them. The work of `rewrap` is what is left in the tables: it can end anywhere. */
export function makeKeys({ store, keyring, sealing }: Parts) {
  return { keys, rotate: keyring.rotate, rewrap }

  async function keys(): Promise<KeySummary[]> {
    const [rows, counts] = await Promise.all([store.keys(), store.versionsPerKey()])
    return rows.map(({ id, version, state, created_at, wraps }) => ({
      id,
      version,
      state,
      createdAt: created_at,
      wraps,
      versions: counts.get(id) ?? 0,
    }))
  }

  /**
   * Seals up to `limit` versions of retired keys anew, each under a new data key and the active key. `next` continues; it is
   * null at the end. What does not open stays as it is and is answered in `failed`.
   */
  async function rewrap({ limit, after }: { limit: number; after?: Place | undefined }) {
    const failed: Place[] = []
    let [rewrapped, seen, place] = [0, 0, after]
    while (seen < limit) {
      const rows = await store.olderVersions({ after: place, limit: Math.min(batchSize, limit - seen) })
      rewrapped += await moveAll(rows, failed)
      seen += rows.length
      const last = rows.at(-1)
      if (!last) {
        await store.scrub()
        return { rewrapped, failed, remaining: await remaining(), next: null }
      }
      place = { secret: last.id, version: last.version }
    }
    return { rewrapped, failed, remaining: await remaining(), next: place ?? null }
  }

  async function moveAll(rows: readonly OlderRow[], failed: Place[]): Promise<number> {
    const opened: { row: OlderRow; plain: Buffer }[] = []
    try {
      for (const row of rows)
        try {
          opened.push({ row, plain: await sealing.openBytes(row, row.version) })
        } catch (error) {
          if (!(error instanceof Problem && error.type === 'integrity')) throw error
          failed.push({ secret: row.id, version: row.version })
        }
      if (opened.length === 0) return 0
      return await store.transaction(async (tx) => {
        let moved = 0
        for (const { row, plain } of opened) {
          const sealed = sealing.sealBytes(await keyring.claim(tx), row, row.version, plain, row.scheme)
          if (await tx.moveVersion(row, sealed)) moved++
        }
        return moved
      })
    } finally {
      for (const { plain } of opened) plain.fill(0)
    }
  }

  async function remaining(): Promise<number> {
    return (await keys()).filter(({ state }) => state === 'retired').reduce((sum, { versions }) => sum + versions, 0)
  }
}
