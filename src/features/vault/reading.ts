import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Opening } from './opening.ts'
import type { Given, Scheme } from './references/reference.ts'
import { type RotationState, rotationOf, stateAt } from './rotation.ts'
import { whyNotLiving } from './state.ts'
import type { Age, SecretRow, SecretWithVersion, VaultStore } from './store.ts'
import type { Usage } from './usage.ts'

export type SecretSummary = {
  readonly id: string
  readonly name: string
  readonly kind: string
  /** The connection it belongs to; null for a secret of its own. */
  readonly owner: string | null
  /** The current version. */
  readonly version: number
  readonly createdAt: string
  /** When the current value was stored; for one that is kept elsewhere, when it was made, if its place tells that. */
  readonly changedAt: string
  readonly destroyedAt: string | null
  /** A version that waits to become the current one. */
  readonly stagedVersion: number | null
  /** When the value is to be changed. */
  readonly dueAt: string | null
  readonly rotation: RotationState
  /** Where the current value is kept: stored here, or read at each use by a reference of this scheme. */
  readonly source: 'stored' | Scheme
}

export type SecretDetails = SecretSummary & {
  readonly rotateAfterDays: number | null
  readonly remindAfterDays: number | null
  /** The reference of the current version; null when the value is stored here, or destroyed. */
  readonly reference: string | null
  readonly versions: {
    readonly version: number
    readonly createdAt: string
    readonly destroyedAt: string | null
  }[]
}

type Parts = {
  readonly store: VaultStore
  readonly opening: Opening
  readonly now: () => Date
  readonly usage: Pick<Usage, 'count'>
}

/** What reads the vault. Every read of a value opens its row anew. */
export function makeReading(parts: Parts) {
  const { store, opening, usage } = parts
  return { ...makeListing(parts), use, useStaged, isOther, reveal, resolve }

  /** The current value, for code that signs in with it. `owner`, when given, must be the owner that it was stored for. */
  async function use(id: string, owner?: string): Promise<Secret> {
    return (await read(id, { owner, by: owner ?? 'atlas' })).value
  }

  /** The staged value, or the current one where nothing is staged: to try what comes next. */
  async function useStaged(id: string, owner: string): Promise<Secret> {
    const row = await store.secret(id)
    return (await read(id, { version: row?.staged_version ?? undefined, owner, by: owner })).value
  }

  /**
   * Whether another value than `than` is to be used by now: for code that was refused with that one. A value that is kept
   * elsewhere is read there anew.
   */
  async function isOther(id: string, owner: string, than: Secret, { staged = false } = {}): Promise<boolean> {
    const version = staged ? (await store.secret(id))?.staged_version : undefined
    const { row, taken } = await find(id, version ?? undefined, owner)
    return opening.isOther(row, taken, than)
  }

  /** The value of what is given, before it is stored. @throws Problem secret-unavailable */
  async function resolve(given: Given): Promise<Secret> {
    return (await opening.check(given)).value
  }

  /** The value of one version, the current one unless another is named, for a person: `by`. */
  async function reveal(id: string, version?: number, by = 'atlas'): Promise<{ version: number; value: Secret }> {
    return read(id, { version, by })
  }

  async function read(
    id: string,
    { version, owner, by }: { version?: number | undefined; owner?: string | undefined; by: string },
  ): Promise<{ version: number; value: Secret }> {
    const { row, taken } = await find(id, version, owner)
    const value = await opening.open(row, taken)
    usage.count(id, taken, by)
    return { version: taken, value }
  }

  async function find(
    id: string,
    version?: number,
    owner?: string,
  ): Promise<{ row: SecretWithVersion; taken: number }> {
    const row = await store.secretWithVersion(id, version)
    if (!row || row.destroyed_at !== null) throw await whyNotLiving(store, id)
    if (owner !== undefined && row.owner !== owner) throw new Problem('not-found', 'There is no such secret')
    if (version !== undefined && row.version === null)
      throw new Problem('not-found', 'The secret has no version with this number')
    return { row, taken: version ?? row.current_version }
  }
}

function makeListing({ store, opening, now }: Parts) {
  return { list, get }

  /** Living secrets in order of id, metadata only. `next` continues the list. */
  async function list(find: {
    limit: number
    cursor?: string | undefined
    name?: string | undefined
    owner?: string | undefined
    rotation?: 'soon' | 'overdue' | undefined
  }): Promise<{ items: SecretSummary[]; next: string | null }> {
    const { limit, cursor, name, owner, rotation } = find
    const at = now().toISOString()
    const rows = await store.secrets({
      limit: limit + 1,
      ...(cursor !== undefined && { after: cursor }),
      ...(name !== undefined && { name }),
      ...(owner !== undefined && { owner }),
      ...(rotation === 'overdue' && { dueBy: at }),
      ...(rotation === 'soon' && { remindBy: at }),
    })
    const items = rows
      .slice(0, limit)
      .map((row) => summary(row, row.stored_at === null ? undefined : { ...row, created_at: row.stored_at }, at))
    return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null }
  }

  /** Metadata of a secret, also of a destroyed one, with its versions. */
  async function get(id: string): Promise<SecretDetails> {
    const row = await store.secretWithVersion(id)
    if (!row) throw new Problem('not-found', 'There is no such secret')
    const versions = await store.versions(id)
    const { days, remindAfterDays } = rotationOf(row)
    const current = versions.find(({ version }) => version === row.current_version)
    return {
      ...summary(row, current, now().toISOString()),
      reference: await opening.referenceOf(row, row.current_version),
      rotateAfterDays: days,
      remindAfterDays,
      versions: versions.map(({ version, created_at, destroyed_at }) => ({
        version,
        createdAt: created_at,
        destroyedAt: destroyed_at,
      })),
    }
  }
}

function summary(row: SecretRow, age: Age | undefined, now: string): SecretSummary {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    owner: row.owner,
    version: row.current_version,
    createdAt: row.created_at,
    changedAt: age?.changed_at ?? age?.created_at ?? row.created_at,
    destroyedAt: row.destroyed_at,
    stagedVersion: row.staged_version,
    dueAt: row.due_at,
    rotation: stateAt(row, now),
    source: age?.scheme ?? 'stored',
  }
}
