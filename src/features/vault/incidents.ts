import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import type { Keyring } from './keyring.ts'
import type { KeySummary } from './keys.ts'
import { unrotatedKinds } from './known.ts'
import type { VaultStore } from './store.ts'
import type { IncidentItem, IncidentRow } from './store-incidents.ts'

// Somebody may know the root key, and so everything that was stored under it. What has to be done is known exactly: a new root key,
// everything sealed anew, and each credential changed in the system that it opens. An incident is the list of it, until all is done.

type Parts = {
  readonly store: VaultStore
  readonly keyring: Pick<Keyring, 'rotate'>
  readonly keys: () => Promise<KeySummary[]>
  readonly rootKeyFingerprint: () => string
  readonly now: () => Date
}

export type Incident = {
  readonly id: string
  readonly reason: string
  readonly state: 'open' | 'closed'
  readonly openedAt: string
  readonly closedAt: string | null
  readonly excuse: string | null
  /** Whether the root key is another one than when it was opened. */
  readonly rootKeyChanged: boolean
  /** Secret versions that are still sealed under a key from before. */
  readonly underOldKeys: number
  readonly secrets: { readonly total: number; readonly changed: number; readonly waiting: number }
  readonly done: boolean
}

export type IncidentSecret = {
  readonly secret: string
  readonly name: string
  readonly kind: string
  readonly owner: string | null
  readonly state: 'waiting' | 'changed' | 'destroyed'
  readonly versionThen: number
  readonly version: number
  readonly changedAt: string | null
}

export function makeIncidents(parts: Parts) {
  const { store, keyring, rootKeyFingerprint, now } = parts
  const view = makeView(parts)
  return { openIncident, incident, incidents, currentIncident, incidentSecrets, closeIncident }

  /**
   * Notes every living secret with its version, and makes a new key-encryption key, so that nothing is sealed under the old one any more.
   * Throws `conflict` while another incident is open.
   */
  async function openIncident(reason: string): Promise<Incident> {
    if (await store.openIncident()) throw isOpen()
    const at = now()
    const id = newId('inc', at.getTime())
    // First the new key: what is stored between the two is on the list and sealed anew all the same.
    const key = await keyring.rotate()
    const isNew = await store.transaction(async (tx) => {
      const row = { id, reason, root_key: rootKeyFingerprint(), key_version: key.version - 1 }
      if (!(await tx.addIncident({ ...row, opened_at: at.toISOString(), closed_at: null, excuse: null }))) return false
      await tx.addIncidentItems(id, unrotatedKinds)
      return true
    })
    if (!isNew) throw isOpen()
    return incident(id)
  }

  async function incident(id: string): Promise<Incident> {
    const row = await store.incident(id)
    if (!row) throw new Problem('not-found', 'There is no such incident')
    return view(row)
  }

  async function incidents(limit: number): Promise<Incident[]> {
    const rows = await store.incidents(limit)
    return Promise.all(rows.map(view))
  }

  /** The open incident, when there is one. */
  async function currentIncident(): Promise<Incident | undefined> {
    const row = await store.openIncident()
    return row && view(row)
  }

  /** The secrets of an incident in order of id; `next` continues. */
  async function incidentSecrets(find: {
    incident: string
    waiting: boolean
    limit: number
    cursor?: string | undefined
  }) {
    if (!(await store.incident(find.incident))) throw new Problem('not-found', 'There is no such incident')
    const { cursor, limit, ...which } = find
    const rows = await store.incidentItems({
      ...which,
      limit: limit + 1,
      ...(cursor !== undefined && { after: cursor }),
    })
    const items = rows.slice(0, limit).map(viewItem)
    return { items, next: rows.length > limit ? (items.at(-1)?.secret ?? null) : null }
  }

  /** Throws `conflict` while something is left to do, unless `excuse` says why that is right. */
  async function closeIncident(id: string, excuse?: string): Promise<Incident> {
    const before = await incident(id)
    if (before.state === 'closed') throw new Problem('conflict', 'The incident is closed already')
    if (!before.done && excuse === undefined)
      throw new Problem(
        'conflict',
        `Not all is done: ${whatIsLeft(before)}. To close it all the same give an excuse (--excuse), which is kept`,
      )
    if (!(await store.closeIncident(id, now().toISOString(), before.done ? null : (excuse ?? null))))
      throw new Problem('conflict', 'The incident is closed already')
    return incident(id)
  }
}

function isOpen(): Problem {
  return new Problem('conflict', 'An incident is open already; go on with that one, or close it')
}

function makeView({ store, keys, rootKeyFingerprint }: Parts) {
  return async function view(row: IncidentRow): Promise<Incident> {
    const { total, waiting } = await store.countIncident(row.id)
    const old = (await keys()).filter(({ version }) => version <= row.key_version)
    const underOldKeys = old.reduce((sum, { versions }) => sum + versions, 0)
    const rootKeyChanged = row.root_key !== rootKeyFingerprint()
    return {
      id: row.id,
      reason: row.reason,
      state: row.closed_at === null ? 'open' : 'closed',
      openedAt: row.opened_at,
      closedAt: row.closed_at,
      excuse: row.excuse,
      rootKeyChanged,
      underOldKeys,
      secrets: { total, changed: total - waiting, waiting },
      done: rootKeyChanged && underOldKeys === 0 && waiting === 0,
    }
  }
}

function whatIsLeft({ rootKeyChanged, underOldKeys, secrets }: Incident): string {
  return [
    ...(rootKeyChanged ? [] : ['the root key is still the same']),
    ...(underOldKeys > 0 ? [`${underOldKeys} secret versions are still sealed under old keys`] : []),
    ...(secrets.waiting > 0 ? [`${secrets.waiting} of ${secrets.total} secrets still have their old value`] : []),
  ].join(', ')
}

function viewItem(row: IncidentItem): IncidentSecret {
  const isChanged = row.waiting === 0
  return {
    secret: row.id,
    name: row.name,
    kind: row.kind,
    owner: row.owner,
    state: row.destroyed_at !== null ? 'destroyed' : isChanged ? 'changed' : 'waiting',
    versionThen: row.last_version,
    version: row.current_version,
    changedAt: row.destroyed_at ?? (isChanged ? row.changed_at : null),
  }
}
