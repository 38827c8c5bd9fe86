import type { Connector, Http } from '../../core/connector.ts'
import { Problem, toProblem } from '../../core/problem.ts'
import type { HttpCall, HttpClient } from '../../lib/http-client.ts'
import type { CheckOutcome } from './connection.ts'
import type { ConnectionsParts } from './parts.ts'
import { makeSessions } from './sessions.ts'
import { makeClient, readConfig, signOut, stagedId } from './signing.ts'
import type { ConnectionStore, Stored } from './store.ts'
import { makeTlsWatch } from './tls.ts'
import { showProblem } from './view.ts'

export type Opened = {
  readonly id: string
  readonly revision: number
  readonly connector: Connector
  readonly config: Record<string, unknown>
  readonly http: Http
}

export type Opener = ReturnType<typeof makeOpener>
export type Open = (row: Stored, call?: HttpCall) => Promise<Opened>

/**
 * Opens connections for calls. Sockets, slots and the circuit breaker are kept per connection and revision; the credential
 * is taken from the vault for each request, so nothing here holds it and a new version counts at once.
 */
export function makeOpener(
  parts: ConnectionsParts,
  store: ConnectionStore,
  find: (idOrName: string) => Promise<Stored>,
) {
  const { connectors, now, log } = parts
  const clients = new Map<string, { row: Stored; client: HttpClient }>()
  const sessions = makeSessions(parts)

  function connectorOf(row: Stored): Connector {
    const connector = connectors.find(({ id }) => id === row.connector)
    if (!connector) throw new Problem('conflict', 'This version has no connector for this connection')
    return connector
  }

  const tls = makeTlsWatch({ ...parts, store })

  async function clientFor(row: Stored): Promise<HttpClient> {
    const known = clients.get(row.id)
    if (known?.row.revision === row.revision) return known.client
    const client = makeClient(parts, sessions, row, connectorOf(row), tls.listeners(row))
    clients.set(row.id, { row, client })
    // Calls that still use the older sockets finish; close waits for them, nobody waits for close.
    known?.client.close().catch((error: unknown) => log.warn({ err: error }, 'Old sockets did not close'))
    return client
  }

  const open: Open = async (row, call = {}) => {
    const connector = connectorOf(row)
    const client = await clientFor(row)
    return {
      id: row.id,
      revision: row.revision,
      connector,
      config: readConfig(connector, row),
      http: client.forCall(call),
    }
  }

  /** One cheap signed-in try with fresh sockets and no retries, whatever the circuit breaker says. The outcome is kept. */
  async function check(idOrName: string, call: HttpCall = {}): Promise<CheckOutcome> {
    const row = await find(idOrName)
    const connector = connectorOf(row)
    const client = makeClient(parts, sessions, row, connector, tls.listeners(row), { tries: 1 })
    try {
      const outcome = await tryOut({ row, connector, client, now }, call)
      await store.setCheck(row.id, JSON.stringify(outcome))
      return outcome
    } finally {
      await client.close()
      await tls.settle()
    }
  }

  /** The same with the credential that comes next, in a session of its own. Nothing is kept: it says nothing of the connection as it is. */
  async function checkStaged(row: Stored, call: HttpCall = {}): Promise<CheckOutcome> {
    const connector = connectorOf(row)
    const own = makeSessions(parts)
    const client = makeClient(parts, own, row, connector, tls.listeners(row), { tries: 1, isStaged: true })
    try {
      const outcome = await tryOut({ row, connector, client, now }, call)
      await signOut(own, row, connector, client, stagedId(row))
      return outcome
    } finally {
      await client.close()
    }
  }

  return {
    open,
    check,
    checkStaged,
    connectorOf,
    async forget(id: string): Promise<void> {
      const known = clients.get(id)
      clients.delete(id)
      await sessions.take(id)
      await known?.client.close()
    },
    /** Signs out where a session stands, closes the sockets, and waits until what they told is kept. */
    async close(): Promise<void> {
      const all = [...clients.values()]
      await Promise.all(all.map(({ row, client }) => signOut(sessions, row, connectorOf(row), client)))
      clients.clear()
      await Promise.all(all.map(({ client }) => client.close()))
      await tls.settle()
    },
  }
}

type Try = Pick<ConnectionsParts, 'now'> & {
  readonly row: Stored
  readonly connector: Connector
  readonly client: HttpClient
}

/** One sign-in, and what came of it: also a failure is an outcome. */
async function tryOut({ row, connector, client, now }: Try, { signal, requestId }: HttpCall): Promise<CheckOutcome> {
  const ends = signal ?? new AbortController().signal
  const at = () => now().toISOString()
  try {
    const http = client.forCall({ signal: ends, ...(requestId !== undefined && { requestId }) })
    const config = readConfig(connector, row)
    const { version, account, warnings = [] } = await connector.check({ config, http, signal: ends })
    return { at: at(), ok: true, version, ...(account !== undefined && { account }), warnings }
  } catch (error) {
    const { type, detail } = toProblem(error)
    if (type === 'internal' || type === 'cancelled') throw error
    return { at: at(), ok: false, warnings: [], problem: showProblem({ type, detail }) }
  }
}
