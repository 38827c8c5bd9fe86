import type { Connector, Http } from '../../core/connector.ts'
import { Problem, toProblem } from '../../core/problem.ts'
import type { HttpCall, HttpClient } from '../../lib/http-client.ts'
import type { CheckOutcome } from './connection.ts'
import type { ConnectionsParts } from './parts.ts'
import type { ConnectionStore, Stored } from './store.ts'
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
  const clients = new Map<string, { revision: number; client: HttpClient }>()

  function connectorOf(row: Stored): Connector {
    const connector = connectors.find(({ id }) => id === row.connector)
    if (!connector) throw new Problem('conflict', 'This version has no connector for this connection')
    return connector
  }

  async function clientFor(row: Stored): Promise<HttpClient> {
    const known = clients.get(row.id)
    if (known?.revision === row.revision) return known.client
    const client = build(parts, row, connectorOf(row))
    clients.set(row.id, { revision: row.revision, client })
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
  async function check(idOrName: string, { signal, requestId }: HttpCall = {}): Promise<CheckOutcome> {
    const row = await find(idOrName)
    const connector = connectorOf(row)
    const client = build(parts, row, connector, { tries: 1 })
    const ends = signal ?? new AbortController().signal
    try {
      const http = client.forCall({ signal: ends, ...(requestId !== undefined && { requestId }) })
      const {
        version,
        account,
        warnings = [],
      } = await connector.check({ config: readConfig(connector, row), http, signal: ends })
      return await keep(row, { ok: true, version, ...(account !== undefined && { account }), warnings })
    } catch (error) {
      const { type, detail } = toProblem(error)
      if (type === 'internal' || type === 'cancelled') throw error
      return await keep(row, { ok: false, warnings: [], problem: showProblem({ type, detail }) })
    } finally {
      await client.close()
    }
  }

  async function keep(row: Stored, outcome: Omit<CheckOutcome, 'at'>): Promise<CheckOutcome> {
    const complete = { at: now().toISOString(), ...outcome }
    await store.setCheck(row.id, JSON.stringify(complete))
    return complete
  }

  return {
    open,
    check,
    connectorOf,
    async forget(id: string): Promise<void> {
      const known = clients.get(id)
      clients.delete(id)
      await known?.client.close()
    },
    async close(): Promise<void> {
      const all = [...clients.values()]
      clients.clear()
      await Promise.all(all.map(({ client }) => client.close()))
    },
  }
}

function build(
  { httpFor, vault }: ConnectionsParts,
  row: Stored,
  connector: Connector,
  limits: { tries?: number } = {},
) {
  const { url } = readConfig(connector, row)
  return httpFor({
    url: String(url),
    ...(row.ca_certificate !== null && { caPem: row.ca_certificate }),
    ...(connector.explain && { explain: connector.explain }),
    limits,
    async headers() {
      const fields = Object.entries(row.secretIds).map(
        async ([field, id]) => [field, await vault.use(id, row.id)] as const,
      )
      return connector.authenticate(Object.fromEntries(await Promise.all(fields)))
    },
  })
}

function readConfig(connector: Connector, row: Stored): Record<string, unknown> {
  const result = connector.config.safeParse(JSON.parse(row.config))
  if (result.success) return result.data as Record<string, unknown>
  throw new Problem('conflict', 'The settings of this connection do not fit this version; edit the connection')
}
