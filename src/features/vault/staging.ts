import { Problem } from '../../core/problem.ts'
import type { Keyring } from './keyring.ts'
import type { Known } from './known.ts'
import { type Checked, checkInput, type Opening } from './opening.ts'
import type { Given } from './references/reference.ts'
import { ageOf, datesOf } from './rotation.ts'
import type { Sealing } from './sealing.ts'
import { whyNotLiving } from './state.ts'
import type { SecretRow, VaultStore } from './store.ts'

type Parts = {
  readonly store: VaultStore
  readonly keyring: Pick<Keyring, 'claim'>
  readonly sealing: Pick<Sealing, 'seal'>
  readonly known: Known
  readonly opening: Opening
  readonly now: () => Date
}

/**
 * The next value beside the current one: it is stored and can be tried, and everything goes on with the current one until it
 * is promoted. So a credential changes without a gap.
 */
export function makeStaging({ store, keyring, sealing, known, opening, now }: Parts) {
  return { stage, promote, discard, staged }

  /** Stores the next values, all or none. What was staged before is destroyed. */
  async function stage(values: readonly { readonly id: string; readonly value: Given }[]): Promise<void> {
    const all = await Promise.all(
      values.map(async ({ id, value }) => ({ id, checked: await checkInput(opening, value) })),
    )
    const at = now().toISOString()
    const done = await store.transaction(async (tx) => {
      const rows: { row: SecretRow; version: number; checked: Checked }[] = []
      for (const { id, checked } of all) {
        const before = await tx.secret(id)
        const row = await tx.nextStaged(id)
        if (!row || row.staged_version === null) throw await whyNotLiving(tx, id)
        const version = row.staged_version
        if (before && before.staged_version !== null) await tx.destroyVersion(id, before.staged_version, at)
        const { given, scheme, changedAt } = checked
        const sealed = sealing.seal(await keyring.claim(tx), row, version, given, scheme)
        const dates = { changed_at: changedAt, created_at: at, destroyed_at: null }
        await tx.addVersion({ secret_id: id, version, ...sealed, ...dates })
        rows.push({ row, version, checked })
      }
      return rows
    })
    for (const { row, version, checked } of done) known.learn(row, version, checked.value, checked.scheme)
  }

  /** Makes what is staged current, all or none; the problem `conflict` when one of them has nothing staged. */
  async function promote(ids: readonly string[]): Promise<void> {
    await store.transaction(async (tx) => {
      for (const id of ids) {
        const row = await tx.promote(id)
        if (!row) throw new Problem('conflict', 'Nothing is staged')
        await tx.setDates(id, datesOf(row, await ageOf(tx, row)))
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
