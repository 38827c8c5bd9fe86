import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Known } from './known.ts'
import { type RotationState, rotationOf, stateAt } from './rotation.ts'
import type { Sealing } from './sealing.ts'
import { whyNotLiving } from './state.ts'
import type { SecretRow, VaultStore } from './store.ts'
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
  /** When the current version was stored. */
  readonly changedAt: string
  readonly destroyedAt: string | null
  /** A version that waits to become the current one. */
  readonly stagedVersion: number | null
  /** When the value is to be changed. */
  readonly dueAt: string | null
  readonly rotation: RotationState
}

export type SecretDetails = SecretSummary & {
  readonly rotateAfterDays: number | null
  readonly remindAfterDays: number | null
  readonly versions: {
    readonly version: number
    readonly createdAt: string
    readonly destroyedAt: string | null
  }[]
}

type Parts = {
  readonly store: VaultStore
  readonly sealing: Pick<Sealing, 'open'>
  readonly known: Known
  readonly now: () => Date
  readonly usage: Pick<Usage, 'count'>
}

/** What reads the vault. Every read of a value opens its row anew. */
export function makeReading({ store, sealing, known, now, usage }: Parts) {
  return { list, get, use, useStaged, reveal }

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
    const items = rows.slice(0, limit).map((row) => summary(row, row.changed_at, at))
    return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null }
  }

  /** Metadata of a secret, also of a destroyed one, with its versions. */
  async function get(id: string): Promise<SecretDetails> {
    const row = await store.secret(id)
    if (!row) throw new Problem('not-found', 'There is no such secret')
    const versions = await store.versions(id)
    const { days, remindAfterDays } = rotationOf(row)
    const current = versions.find(({ version }) => version === row.current_version)
    return {
      ...summary(row, current?.created_at ?? null, now().toISOString()),
      rotateAfterDays: days,
      remindAfterDays,
      versions: versions.map(({ version, created_at, destroyed_at }) => ({
        version,
        createdAt: created_at,
        destroyedAt: destroyed_at,
      })),
    }
  }

  /** The current value, for code that signs in with it. `owner`, when given, must be the owner that it was stored for. */
  async function use(id: string, owner?: string): Promise<Secret> {
    return (await read(id, { owner, by: owner ?? 'atlas' })).value
  }

  /** The staged value, or the current one where nothing is staged: to try what comes next. */
  async function useStaged(id: string, owner: string): Promise<Secret> {
    const row = await store.secret(id)
    return (await read(id, { version: row?.staged_version ?? undefined, owner, by: owner })).value
  }

  /** The value of one version, the current one unless another is named, for a person: `by`. */
  async function reveal(id: string, version?: number, by = 'atlas'): Promise<{ version: number; value: Secret }> {
    return read(id, { version, by })
  }

  async function read(
    id: string,
    { version, owner, by }: { version?: number | undefined; owner?: string | undefined; by: string },
  ): Promise<{ version: number; value: Secret }> {
    const row = await store.secretWithVersion(id, version)
    if (!row || row.destroyed_at !== null) throw await whyNotLiving(store, id)
    if (owner !== undefined && row.owner !== owner) throw new Problem('not-found', 'There is no such secret')
    if (version !== undefined && row.version === null)
      throw new Problem('not-found', 'The secret has no version with this number')
    const taken = version ?? row.current_version
    const value = await sealing.open(row, taken)
    known.learn(row, taken, value)
    usage.count(id, taken, by)
    return { version: taken, value }
  }
}

function summary(row: SecretRow, changedAt: string | null, now: string): SecretSummary {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    owner: row.owner,
    version: row.current_version,
    createdAt: row.created_at,
    changedAt: changedAt ?? row.created_at,
    destroyedAt: row.destroyed_at,
    stagedVersion: row.staged_version,
    dueAt: row.due_at,
    rotation: stateAt(row, now),
  }
}
