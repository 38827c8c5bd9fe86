import type { Connector } from '../../core/connector.ts'
import { type FieldFault, Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import type { Given } from '../vault/references/reference.ts'
import type { ConnectionView } from './connection.ts'
import { type Credential, credentialFaults } from './credential.ts'
import type { Opener } from './opener.ts'
import type { ConnectionsParts } from './parts.ts'
import { certificateFaults, configFaults, defaultSchedule, refuse, scheduleFaults } from './rules.ts'
import type { ConnectionRow, ConnectionStore, SecretIds, Stored } from './store.ts'
import type { Syncs } from './syncs.ts'
import { noTls } from './tls.ts'
import { viewConnection } from './view.ts'

export type NewConnection = {
  readonly connector: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly credential: Credential
  readonly schedule?: string | null | undefined
  readonly caCertificate?: string | undefined
  readonly certificatePin?: string | undefined
  /** Whether actions may change the system; default no. */
  readonly allowWrites?: boolean | undefined
}

export type ConnectionEdit = {
  readonly name?: string | undefined
  /** Replaces the settings that it names. */
  readonly config?: Readonly<Record<string, unknown>> | undefined
  /** New values of the fields that it names. */
  readonly credential?: Credential | undefined
  readonly schedule?: string | null | undefined
  readonly caCertificate?: string | null | undefined
  readonly certificatePin?: string | null | undefined
  readonly allowWrites?: boolean | undefined
}

type Room = {
  readonly store: ConnectionStore
  readonly opener: Opener
  readonly syncs: Syncs
  readonly find: (idOrName: string) => Promise<Stored>
}

/** Adding, editing and removing connections. Every fault of the input is named at once; values never appear in a fault. */
export function makeEditing(parts: ConnectionsParts, room: Room) {
  return {
    async add(input: NewConnection): Promise<ConnectionView> {
      refuse(await addFaults(parts, input))
      if (await room.store.find(input.name)) throw nameTaken()
      const row = newRow(input, parts.now().toISOString())
      const secrets = await putSecrets(parts, { id: row.id, revision: 0 }, input.credential)
      const complete = { ...row, secrets: JSON.stringify(secrets) }
      if (!(await keepOrDestroy(parts, secrets, () => room.store.add(complete)))) throw nameTaken()
      return viewConnection(await room.find(row.id))
    },

    edit: (idOrName: string, change: ConnectionEdit): Promise<ConnectionView> => edit(parts, room, idOrName, change),

    /** Ends its runs, forgets its assets, destroys its secrets. Repeatable: the row goes last. */
    async remove(idOrName: string): Promise<void> {
      const row = await room.find(idOrName)
      await room.syncs.cancelActive(row.id)
      await parts.inventory.removeConnection(row.id)
      await parts.vault.destroyOwner(row.id)
      await room.store.remove(row.id)
      await room.opener.forget(row.id)
    },
  }
}

async function edit(parts: ConnectionsParts, room: Room, idOrName: string, change: ConnectionEdit) {
  const row = await room.find(idOrName)
  const before = JSON.parse(row.config) as Record<string, unknown>
  const config = { ...before, ...change.config }
  const credential = change.credential ?? {}
  const { caCertificate, certificatePin } = change
  const isMoved =
    addressOf(before['url']) !== addressOf(config['url']) ||
    // Who vouches for the address decides who can pose as it. A pin where there was none only narrows that.
    (caCertificate !== undefined && caCertificate !== row.ca_certificate) ||
    (certificatePin !== undefined && row.certificate_pin !== null && certificatePin !== row.certificate_pin)
  refuse(await editFaults(parts, room, row, change, config, isMoved))

  // A moved connection gets new secrets in the same write as its address: at no moment does one meet the other's.
  const isNew = (field: string) => isMoved || !(field in row.secretIds)
  const [fresh, rotated] = split(credential, isNew)
  const secrets = await putSecrets(parts, row, fresh)
  const columns = {
    ...editColumns(change, config),
    secrets: JSON.stringify({ ...row.secretIds, ...secrets }),
    updated_at: parts.now().toISOString(),
    ...(before['url'] !== config['url'] && forgetReading),
  }
  const isKept = await keepOrDestroy(parts, secrets, async () => {
    const done = await room.store.edit(row.id, row.revision, columns)
    if (done === 'stale') throw new Problem('conflict', 'The connection was changed by somebody else meanwhile')
    return done
  })
  if (!isKept) throw nameTaken()
  for (const [field, value] of rotated) await parts.vault.addVersion(row.secretIds[field] ?? '', value)
  if (isMoved) {
    await room.syncs.cancelActive(row.id)
    await destroySecrets(parts, Object.values(row.secretIds))
  }
  return viewConnection(await room.find(row.id))
}

const forgetReading = {
  sync_cursor: null,
  last_full_at: null,
  last_check: null,
  sync_problem: null,
  certificate_ends_at: null,
  tls: JSON.stringify(noTls),
}

async function addFaults(
  { connectors, allowLoopback, vault }: ConnectionsParts,
  input: NewConnection,
): Promise<FieldFault[]> {
  const connector = connectors.find(({ id }) => id === input.connector)
  if (!connector) return [{ field: '/connector', rule: `must be one of ${connectors.map(({ id }) => id).join(', ')}` }]
  return [
    ...configFaults(connector, input.config, allowLoopback),
    ...(await credentialFaults(vault, connector, input.credential, { partial: false })),
    ...scheduleFaults(input.schedule),
    ...certificateFaults(input.caCertificate),
  ]
}

async function editFaults(
  { allowLoopback, vault }: ConnectionsParts,
  { opener }: Room,
  row: Stored,
  change: ConnectionEdit,
  config: Readonly<Record<string, unknown>>,
  isMoved: boolean,
): Promise<FieldFault[]> {
  const connector: Connector = opener.connectorOf(row)
  const credential = change.credential ?? {}
  // A stored credential is only ever sent where it was given for. Otherwise the right to edit a connection would be
  // the right to have its credential sent anywhere.
  const missing = isMoved ? Object.keys(row.secretIds).filter((field) => !(field in credential)) : []
  return [
    ...configFaults(connector, config, allowLoopback),
    ...(await credentialFaults(vault, connector, credential, { partial: true })),
    ...missing.map((field) => ({
      field: `/credential/${field}`,
      rule: 'must be given again when the url, the CA certificate or the pin changes',
    })),
    ...scheduleFaults(change.schedule),
    ...certificateFaults(change.caCertificate),
  ]
}

/** Origin and base path: on a shared host another path can be another owner. */
function addressOf(url: unknown): string {
  if (!URL.canParse(String(url))) return ''
  const { origin, pathname } = new URL(String(url))
  return origin + pathname.replace(/\/+$/, '')
}

function split(credential: Credential, isNew: (field: string) => boolean): [Credential, [string, Given][]] {
  const fields = Object.entries(credential)
  return [Object.fromEntries(fields.filter(([field]) => isNew(field))), fields.filter(([field]) => !isNew(field))]
}

function newRow(
  { connector, name, config, schedule, caCertificate, certificatePin, allowWrites }: NewConnection,
  at: string,
): ConnectionRow {
  return {
    id: newId('con'),
    connector,
    name,
    name_key: name.toLowerCase(),
    config: JSON.stringify(config),
    secrets: '{}',
    ca_certificate: caCertificate ?? null,
    schedule: schedule === undefined ? defaultSchedule : schedule,
    allow_writes: allowWrites ? 1 : 0,
    revision: 1,
    last_check: null,
    certificate_ends_at: null,
    certificate_pin: certificatePin ?? null,
    tls: JSON.stringify(noTls),
    sync_problem: null,
    sync_cursor: null,
    last_full_at: null,
    last_synced_at: null,
    last_queued_at: null,
    webhook_secrets: '[]',
    wanted_at: null,
    created_at: at,
    updated_at: at,
  }
}

function editColumns(
  { name, config, schedule, caCertificate, certificatePin, allowWrites }: ConnectionEdit,
  merged: object,
): Partial<ConnectionRow> {
  return {
    ...(name !== undefined && { name, name_key: name.toLowerCase() }),
    ...(config !== undefined && { config: JSON.stringify(merged) }),
    ...(schedule !== undefined && { schedule }),
    ...(caCertificate !== undefined && { ca_certificate: caCertificate }),
    ...(certificatePin !== undefined && { certificate_pin: certificatePin }),
    ...(allowWrites !== undefined && { allow_writes: allowWrites ? 1 : 0 }),
  }
}

/** Stores each field as a secret of the connection; when one cannot be stored, none is. */
async function putSecrets(
  parts: ConnectionsParts,
  row: { id: string; revision: number },
  credential: Credential,
): Promise<SecretIds> {
  const ids: Record<string, string> = {}
  try {
    for (const [field, value] of Object.entries(credential)) {
      // A later secret of the same field lives beside the earlier one until the row has changed.
      const name = row.revision === 0 ? field : `${field} (${row.revision + 1})`
      ids[field] = (await parts.vault.put({ name, value, owner: row.id, kind: field })).id
    }
    return ids
  } catch (error) {
    await destroySecrets(parts, Object.values(ids))
    throw error
  }
}

/** Destroys just-stored secrets when what they belong to could not be written. */
async function keepOrDestroy(parts: ConnectionsParts, secrets: SecretIds, write: () => Promise<boolean>) {
  let isKept = false
  try {
    isKept = await write()
    return isKept
  } finally {
    if (!isKept) await destroySecrets(parts, Object.values(secrets))
  }
}

async function destroySecrets({ vault }: ConnectionsParts, ids: readonly string[]): Promise<void> {
  for (const id of ids)
    try {
      await vault.destroy(id)
    } catch (error) {
      // Destroyed already, by an earlier try or by hand: that is what was wanted.
      if (!(error instanceof Problem && ['not-found', 'conflict'].includes(error.type))) throw error
    }
}

function nameTaken(): Problem {
  return new Problem('conflict', 'Another connection has this name')
}
