import type { Action, Resource } from '../../core/action.ts'
import type { ConnectionsParts } from './parts.ts'
import type { ConnectionStore } from './store.ts'

/** How old the list of open connections may be when tools are listed. A call itself always asks the database. */
const listedMs = 1_000

/**
 * Connections are read-only until somebody opens them for changes. For the gate: the answer for one call, read from the row,
 * and the list for what is shown, which can be a second old.
 */
export function makeWriteSwitch({ connectors, now, log }: ConnectionsParts, store: ConnectionStore) {
  const connectorOf = new Map(connectors.flatMap(({ id, actions }) => actions.map(({ name }) => [name, id] as const)))
  let open: readonly { readonly id: string; readonly connector: string }[] = []
  let readAt = Number.NEGATIVE_INFINITY

  async function refresh(): Promise<void> {
    readAt = now().getTime()
    open = (await store.list()).filter((row) => row.allow_writes === 1)
  }

  return {
    /** Reads the list before anything is listed. */
    refreshWritable: refresh,
    gate: {
      async whyClosed(_action: Action, { id }: Resource): Promise<string | undefined> {
        const row = await store.find(id)
        if (row?.allow_writes === 1) return undefined
        return 'the connection is read-only; an administrator can let it take changes (allowWrites)'
      },
      isOffered({ name, access }: Action, resource: Resource): boolean {
        const connector = connectorOf.get(name)
        if (connector === undefined || access === 'read' || access === 'reveal') return true
        if (now().getTime() - readAt >= listedMs)
          refresh().catch((error: unknown) => log.warn({ err: error }, 'The list of writable connections was not read'))
        return open.some(
          (row) =>
            row.connector === connector && (resource.type !== 'connection' || [row.id, '*'].includes(resource.id)),
        )
      },
    },
  }
}
