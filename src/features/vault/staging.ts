import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Keyring } from './keyring.ts'
import type { Known } from './known.ts'
import { datesOf, storedAt } from './rotation.ts'
import type { Sealing } from './sealing.ts'
import { whyNotLiving } from './state.ts'
import type { SecretRow, VaultStore } from './store.ts'

type Parts = {
  readonly store: VaultStore
  readonly keyring: Pick<Keyring, 'claim'>
  readonly sealing: Pick<Sealing, 'seal'>
  readonly known: Known
  readonly now: () => Date
}

/**
 * The next value beside the current one: it is stored and can be tried, and everything goes on with the current one until it
 * is promoted. So a credential changes without a gap.
 */
export function makeStaging({ store, keyring, sealing, known, now }: Parts) {
  return { stage, promote, discard, staged }

  /** Stores the next values, all or none. What was staged before is destroyed. */
  async function stage(values: readonly { readonly id: string; readonly value: Secret }[]): Promise<void> {
    const at = now().toISOString()
    const done = await store.transaction(async (tx) => {
      const rows: { row: SecretRow; version: number; value: Secret }[] = []
      for (const { id, value } of values) {
        const before = await tx.secret(id)
        const row = await tx.nextStaged(id)
        if (!row || row.staged_version === null) throw await whyNotLiving(tx, id)
        const version = row.staged_version
        if (before && before.staged_version !== null) await tx.destroyVersion(id, before.staged_version, at)
        const sealed = sealing.seal(await keyring.claim(tx), row, version, value)
        await tx.addVersion({ secret_id: id, version, ...sealed, created_at: at, destroyed_at: null })
        rows.push({ row, version, value })
      }
      return rows
    })
    for (const { row, version, value } of done) known.learn(row, version, value)
  }

  /** Makes what is staged current, all or none; the problem `conflict` when one of them has nothing staged. */
  async function promote(ids: readonly string[]): Promise<void> {
    await store.transaction(async (tx) => {
      for (const id of ids) {
        const row = await tx.promote(id)
        if (!row) throw new Problem('conflict', 'Nothing is staged')
        await tx.setDates(id, datesOf(row, await storedAt(tx, row)))
      }
    })
  }

  /** Destroys what is staged. Answers how many secrets had something staged. */
  async function discard(ids: readonly string[]): Promise<number> {
    const at = now().toISOString()
    return store.transaction(async (tx) => {
      let count = 0
      for (const id of ids) {
        const row = await tx.secret(id)
        if (!row || row.staged_version === null || !(await tx.unstage(id, row.staged_version))) continue
        await tx.destroyVersion(id, row.staged_version, at)
        count++
      }
      return count
    })
  }

  /** Which of these have something staged. */
  async function staged(ids: readonly string[]): Promise<string[]> {
    const rows = await Promise.all(ids.map((id) => store.secret(id)))
    return rows.flatMap((row) => (row && row.staged_version !== null && row.destroyed_at === null ? [row.id] : []))
  }
}
