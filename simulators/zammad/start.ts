import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeAccounts } from './accounts.ts'
import { makeApi } from './api.ts'
import { type Json, makeTickets } from './tickets.ts'
import { makeWebhook } from './webhook.ts'

export type ZammadOptions = {
  /** A small company without flaws unless told. */
  readonly truth?: Truth
  /** 300 unless told. */
  readonly tickets?: number
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  readonly version?: string
  /** Without Elasticsearch, searches know only words of titles. */
  readonly withoutIndex?: boolean
  /** The first wait between two attempts of a webhook; Zammad waits 10 seconds. */
  readonly webhookWaitMs?: number
}

export type Zammad = Awaited<ReturnType<typeof startZammad>>

/** Starts a simulated Zammad on https://127.0.0.1:<port>. */
export async function startZammad(options: ZammadOptions = {}) {
  const { truth = makeCompany(), clock = movableClock(), version = '6.5.0' } = options
  const tickets = makeTickets({ truth, count: options.tickets ?? 300, now: clock.now })
  const accounts = makeAccounts()
  const webhook = makeWebhook(options.webhookWaitMs ?? 10_000)
  const lagging = new Map<number, number>()
  const index = {
    present: !options.withoutIndex,
    seenAt: (id: number) => lagging.get(id) ?? tickets.changedAt(id),
  }
  const changed = (id: number, article?: Json) => {
    const payload = { ticket: tickets.ticket(id, true), ...(article && { article }) }
    webhook.notify(payload).catch((error: unknown) => process.stderr.write(`simulator: ${String(error)}\n`))
  }
  const server = await startServer({
    clock,
    ownFaults: ['masked-500', 'no-expand', 'unsorted'],
    handle: makeApi({ tickets, accounts, version, index, changed }),
    admin({ method, path, query, body }) {
      const id = Number(query.get('id') ?? 0)
      if (path === '/__sim/deliveries') return json(200, webhook.deliveries)
      if (method !== 'POST') return undefined
      if (path === '/__sim/add') return json(200, { id: tickets.add(query.get('title') ?? 'A new ticket') })
      if (path === '/__sim/book') return json(200, { id: tickets.book(id, Number(query.get('units') ?? 15)) })
      if (path !== '/__sim/webhook') return undefined
      webhook.setTarget(body === '' ? undefined : JSON.parse(body))
      return json(200, { ok: true })
    },
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin, timeUnit: 'minutes' },
    /** May read tickets and nothing more. */
    credential: { token: accounts.names.reader },
    tokens: accounts.names,
    password: accounts.password,
    settings: accounts.settings,
    tickets,
    /** The index goes on showing the ticket as it was. */
    holdIndex: (id: number) => lagging.set(id, tickets.changedAt(id)),
    releaseIndex: () => lagging.clear(),
    changed,
    webhookTo: webhook.setTarget,
    deliveries: webhook.deliveries,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    stop: server.stop,
  }
}
