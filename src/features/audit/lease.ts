import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import type { Reader } from './store.ts'
import type { LeaseStore } from './store-lease.ts'

/** A holder that has not been seen for this long has lost the lease; with one beat more somebody else signs, within 10 s. */
export const leaseTtlMs = 5_000
export const beatMs = 1_000

export type Lease = ReturnType<typeof makeLease>

/**
 * The right to sign, one process at a time. Appending needs none: every append takes the log's lock. The fence goes up with each
 * change of hands, and `take` compares it in the transaction that signs, so a process that slept through its lease signs nothing.
 * SQLite has one process (lib/db/presence.ts), which always signs.
 */
export function makeLease(store: LeaseStore, database: Database) {
  const id = newId('run')
  let fence = 0
  const shared = database.dialect === 'postgres'
  return {
    id,
    shared,
    /** `tx` is the transaction that signs. Answers the fence to give to `took` once it is committed; undefined: not ours. */
    take: (tx?: Reader): Promise<number | undefined> =>
      shared ? store.take(id, fence, leaseTtlMs, tx) : Promise.resolve(1),
    /** True when the lease came into our hands from another just now. */
    took(number: number | undefined): boolean {
      const changed = shared && number !== undefined && number !== fence
      fence = number ?? 0
      return changed
    },
    isHeld: () => !shared || fence > 0,
    /** What others wait for: a checkpoint of at least this size. */
    async beat(): Promise<number> {
      if (!shared || fence === 0) return 0
      const wanted = await store.beat(id, fence)
      if (wanted === undefined) fence = 0
      return wanted ?? 0
    },
    async release(): Promise<void> {
      if (shared && fence > 0) await store.release(id)
      fence = 0
    },
  }
}
