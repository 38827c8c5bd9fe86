import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Known } from './known.ts'
import { type Given, parseReference, type Scheme } from './references/reference.ts'
import { patienceMs, type References } from './references/resolver.ts'
import { ageOf, datesOf } from './rotation.ts'
import type { Sealing } from './sealing.ts'
import type { SecretRow, SecretWithVersion, VaultStore } from './store.ts'

/** Of one secret a failure is told once in this time. */
const tellMs = 3_600_000
/** Secrets whose failures are remembered. */
const most = 10_000

type Parts = {
  readonly store: VaultStore
  readonly sealing: Pick<Sealing, 'open'>
  readonly references: Pick<References, 'read' | 'hasChanged'>
  readonly known: Known
  readonly now: () => Date
  /** Told, once an hour for each secret, that the value behind its reference cannot be read. The read fails after it. */
  readonly onReferenceFailure: (secretId: string, detail: string) => void | Promise<void>
}

/** What is given to be stored, looked at: its value, and what the row says of it. */
export type Checked = {
  readonly given: Given
  readonly value: Secret
  readonly scheme: Scheme | null
  readonly changedAt: string | null
}

export type Opening = ReturnType<typeof makeOpening>

/** From what is sealed to the value: the same, or what stands where a reference leads. */
export function makeOpening({ store, sealing, references, known, now, onReferenceFailure }: Parts) {
  const told = new Map<string, number>()

  /** Reads a reference once before it is stored, so that a wrong one is refused at once. Outside of any transaction. */
  async function check(given: Given): Promise<Checked> {
    if (given instanceof Secret) return { given, value: given, scheme: null, changedAt: null }
    // Somebody may just have put it right.
    const { value, changedAt = null } = await references.read(given.reference, patienceMs)
    return { given, value, scheme: parseReference(given.reference)?.scheme ?? null, changedAt }
  }

  /** The value of a stored version, known to the redactor from now on. */
  async function open(row: SecretWithVersion, version: number): Promise<Secret> {
    const stored = await sealing.open(row, version)
    const { value, changedAt } =
      row.scheme === null
        ? { value: stored, changedAt: undefined }
        : await references.read(stored.reveal()).catch((error: unknown) => tell(row, error))
    known.learn(row, version, value, row.scheme)
    if (changedAt !== undefined && changedAt !== row.changed_at) await noteChange(row, version, changedAt)
    return value
  }

  /** Whether another value than `than` stands in a version, or where it leads, by now. */
  async function isOther(row: SecretWithVersion, version: number, than: Secret): Promise<boolean> {
    const stored = await sealing.open(row, version)
    if (row.scheme === null) return stored.reveal() !== than.reveal()
    return references.hasChanged(stored.reveal(), than).catch((error: unknown) => tell(row, error))
  }

  /** Where the value of a version is kept; null when here. */
  async function referenceOf(row: SecretWithVersion, version: number): Promise<string | null> {
    return row.scheme === null || row.box === null ? null : (await sealing.open(row, version)).reveal()
  }

  /** A value that was changed at its place is as new as one that is stored anew. */
  async function noteChange({ id }: SecretRow, version: number, at: string): Promise<void> {
    await store.transaction(async (tx) => {
      await tx.setChanged(id, version, at)
      const row = await tx.secret(id)
      if (row?.current_version === version) await tx.setDates(id, datesOf(row, await ageOf(tx, row)))
    })
  }

  async function tell({ id }: SecretRow, error: unknown): Promise<never> {
    const at = now().getTime()
    const last = told.get(id)
    if (error instanceof Problem && (last === undefined || Math.abs(at - last) >= tellMs)) {
      told.delete(id)
      told.set(id, at)
      const [oldest] = told.size > most ? told.keys() : []
      if (oldest !== undefined) told.delete(oldest)
      await onReferenceFailure(id, error.message)
    }
    throw error
  }

  return { check, open, isOther, referenceOf }
}

/** The same refusal for whoever wants to store the reference: it is their input that does not work. */
export async function checkInput(opening: Opening, given: Given): Promise<Checked> {
  try {
    return await opening.check(given)
  } catch (error) {
    if (!(error instanceof Problem && error.type === 'secret-unavailable')) throw error
    const rule = error.message
    throw new Problem('invalid-input', rule, { faults: [{ field: '/reference', rule }], cause: error })
  }
}
