import type { OpenConnection } from '../../core/action.ts'
import type { Connector } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { HttpCall } from '../../lib/http-client.ts'
import type { ConnectionView } from './connection.ts'
import { CredentialValue } from './credential.ts'
import { type ConnectionEdit, makeEditing, type NewConnection } from './editing.ts'
import { makeNextCredential } from './next-credential.ts'
import { makeOpener } from './opener.ts'
import type { ConnectionsParts } from './parts.ts'
import { makeConnectionStore, type Stored } from './store.ts'
import { makeSyncs } from './syncs.ts'
import { viewConnection } from './view.ts'
import { makeWebhooks } from './webhooks.ts'
import { makeWriteSwitch } from './write-switch.ts'

/** Configured instances of systems: their settings, their credentials in the vault, their checks and their syncs. */
export function makeConnections(parts: ConnectionsParts) {
  const store = makeConnectionStore(parts.database)
  const find = async (idOrName: string): Promise<Stored> => {
    const row = await store.find(idOrName)
    if (!row) throw new Problem('not-found', 'There is no such connection')
    return row
  }
  const opener = makeOpener(parts, store, find)
  const syncs = makeSyncs(parts, find, opener.open)

  const writing = makeWriteSwitch(parts, store)
  const editing = makeEditing(parts, { store, opener, syncs, find })
  /** What is listed right after a change must fit it. */
  const relisted = async <T>(done: Promise<T>): Promise<T> => {
    const result = await done
    await writing.refreshWritable()
    return result
  }

  const webhooks = makeWebhooks({ ...parts, find, connectorOf: opener.connectorOf, wanted: syncs.wake })

  return {
    webhooks,
    add: (input: NewConnection) => relisted(editing.add(input)),
    edit: (idOrName: string, change: ConnectionEdit) => relisted(editing.edit(idOrName, change)),
    remove: (idOrName: string) => relisted(editing.remove(idOrName)),
    syncs,
    /** The zod type of one credential value in an action's input. */
    credentialValue: CredentialValue,
    connectors: (): readonly Connector[] => parts.connectors,
    /** The id of a connection named by id or name; `not-found` otherwise. */
    resolve: async (idOrName: string): Promise<string> => (await find(idOrName)).id,
    /** As `resolve`, with the number that every edit moves. */
    async resolveNow(idOrName: string): Promise<{ id: string; revision: number }> {
      const { id, revision } = await find(idOrName)
      return { id, revision }
    },
    list: async (): Promise<ConnectionView[]> => (await store.list()).map(viewConnection),
    get: async (idOrName: string): Promise<ConnectionView> => viewConnection(await find(idOrName)),
    check: opener.check,
    nextCredential: makeNextCredential(parts, { find, opener }),
    /** What findings ask of connections: what they are witnesses of, how far they have been read, what of them runs out. */
    witnesses: async () => Promise.all((await store.list()).map((row) => witnessOf(parts, row))),
    ...writing,
    /** For the gate: the settings, and HTTP that is signed in and ends with the call. */
    async open(idOrName: string, call?: HttpCall, revision?: number): Promise<OpenConnection> {
      const row = await find(idOrName)
      // What was decided on and approved is how the connection was then: where it leads, and whether it takes changes.
      if (revision !== undefined && row.revision !== revision)
        throw new Problem('conflict', 'The connection was edited meanwhile')
      const { id, config, http } = await opener.open(row, call)
      return { id, config, http }
    },
    /** Closes the sockets. */
    close: opener.close,
  }
}

async function witnessOf({ connectors, vault }: ConnectionsParts, row: Stored) {
  return {
    id: row.id,
    connector: row.connector,
    name: row.name,
    subjects: connectors.find(({ id }) => id === row.connector)?.subjects ?? [],
    lastFullAt: row.last_full_at,
    lastSyncedAt: row.last_synced_at,
    credentialDueAt: await vault.dueAt(Object.values(row.secretIds)),
    certificateExpiresAt: row.certificate_ends_at,
  }
}

export type Connections = ReturnType<typeof makeConnections>
