import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import type { Keyring } from './keyring.ts'
import type { Known } from './known.ts'
import { type Checked, checkInput, type Opening } from './opening.ts'
import type { Given } from './references/reference.ts'
import { datesOf } from './rotation.ts'
import type { Sealing } from './sealing.ts'
import { whyNotLiving } from './state.ts'
import type { SecretRow, VaultRows, VaultStore } from './store.ts'

type Parts = {
  readonly store: VaultStore
  readonly keyring: Pick<Keyring, 'claim'>
  readonly sealing: Pick<Sealing, 'seal'>
  readonly known: Known
  readonly opening: Opening
  readonly now: () => Date
}

/** What changes the vault. Each change is one transaction. */
export function makeWriting(parts: Parts) {
  const { store, keyring, sealing, known, opening, now } = parts
  return { put, addVersion, addVersions, ...makeDestroying(parts) }

  /**
   * Stores a new secret: a value, or where the value is kept. Its name must be free among its owner's; otherwise the problem
   * `conflict`. A reference that cannot be read is `invalid-input`.
   */
  async function put(secret: {
    name: string
    value: Given
    /** Id of the connection that it belongs to. */
    owner?: string
    kind?: string
  }): Promise<{ id: string; version: number }> {
    const checked = await checkInput(opening, secret.value)
    const at = now()
    const row: SecretRow = {
      id: newId('sec', at.getTime()),
      name: secret.name,
      kind: secret.kind ?? 'generic',
      owner: secret.owner ?? null,
      created_at: at.toISOString(),
      current_version: 1,
      last_version: 1,
      staged_version: null,
      rotation_days: null,
      remind_days: null,
      remind_at: null,
      due_at: null,
      destroyed_at: null,
    }
    await store.transaction(async (tx) => {
      if (!(await tx.addSecret(row))) throw new Problem('conflict', 'A secret with this name exists already')
      await addSealed(tx, row, checked)
    })
    known.learn(row, 1, checked.value, checked.scheme)
    return { id: row.id, version: 1 }
  }

  /** Stores the next version, which is the current one from then on; the earlier ones stay readable. */
  async function addVersion(id: string, given: Given): Promise<{ id: string; version: number }> {
    const checked = await checkInput(opening, given)
    const row = await store.transaction(async (tx) => {
      // The row lock of this update orders versions that are added at the same time.
      const secret = await tx.nextVersion(id)
      if (secret) await addSealed(tx, secret, checked)
      return secret
    })
    if (!row) throw await whyNotLiving(store, id)
    known.learn(row, row.current_version, checked.value, checked.scheme)
    return { id, version: row.current_version }
  }

  /** The next version of each, all in one transaction or none: for values that are only good together. */
  async function addVersions(versions: readonly { readonly id: string; readonly value: Given }[]): Promise<void> {
    const all = await Promise.all(
      versions.map(async ({ id, value }) => ({ id, checked: await checkInput(opening, value) })),
    )
    const rows = await store.transaction(async (tx) => {
      const done: { row: SecretRow; checked: Checked }[] = []
      for (const { id, checked } of all) {
        const row = await tx.nextVersion(id)
        if (!row) throw await whyNotLiving(tx, id)
        await addSealed(tx, row, checked)
        done.push({ row, checked })
      }
      return done
    })
    for (const { row, checked } of rows) known.learn(row, row.current_version, checked.value, checked.scheme)
  }

  async function addSealed(tx: VaultRows, secret: SecretRow, { given, scheme, changedAt }: Checked): Promise<void> {
    const version = {
      secret_id: secret.id,
      version: secret.current_version,
      ...sealing.seal(await keyring.claim(tx), secret, secret.current_version, given, scheme),
      changed_at: changedAt,
      created_at: now().toISOString(),
      destroyed_at: null,
    }
    await tx.addVersion(version)
    await tx.setDates(secret.id, datesOf(secret, version))
  }
}

function makeDestroying({ store, known, now }: Pick<Parts, 'store' | 'known' | 'now'>) {
  return { destroy, destroyOwner }

  /** Destroys all versions: their ciphertext and data keys are overwritten in the rows. The metadata stays as a tombstone. */
  async function destroy(id: string): Promise<void> {
    const at = now().toISOString()
    const isDone = await store.transaction(async (tx) => {
      const isLiving = await tx.destroySecret(id, at)
      if (isLiving) await tx.destroyVersions(id, at)
      return isLiving
    })
    if (!isDone) throw await whyNotLiving(store, id)
    known.forget(id)
    await store.scrub()
  }

  /** Destroys everything that a connection owns. */
  async function destroyOwner(owner: string): Promise<void> {
    const at = now().toISOString()
    const rows = await store.transaction(async (tx) => {
      const owned = await tx.secrets({ owner, limit: 10_000 })
      for (const { id } of owned) {
        await tx.destroySecret(id, at)
        await tx.destroyVersions(id, at)
      }
      return owned
    })
    for (const { id } of rows) known.forget(id)
    if (rows.length > 0) await store.scrub()
  }
}
