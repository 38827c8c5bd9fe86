import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeAccounts } from './accounts.ts'
import { makeApi } from './api.ts'
import { makeBook } from './book.ts'
import type { Rules } from './write.ts'

export type KimaiOptions = {
  /** A small company without flaws unless told. */
  readonly truth?: Truth
  /** 300 unless told. */
  readonly timesheets?: number
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  readonly version?: string
}

export type Kimai = Awaited<ReturnType<typeof startKimai>>

/** Starts a simulated Kimai on https://127.0.0.1:<port>. */
export async function startKimai(options: KimaiOptions = {}) {
  const { truth = makeCompany(), clock = movableClock(), version = '2.66.0' } = options
  const book = makeBook({ truth, count: options.timesheets ?? 300, now: clock.now })
  const accounts = makeAccounts(clock)
  const rules: Rules = { roundMinutes: 1, allowOverlap: true }
  const server = await startServer({
    clock,
    ownFaults: ['same-page', 'unsorted', 'no-headers'],
    handle: makeApi({ book, accounts, version, rules }),
    admin({ method, path, query }) {
      const id = Number(query.get('id') ?? 0)
      if (method !== 'POST') return undefined
      if (path === '/__sim/touch') book.touch(id, query.get('description') ?? 'Edited')
      else if (path === '/__sim/remove') book.remove(id)
      else return undefined
      return json(200, { ok: true })
    },
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** May see everybody's times and change nothing. */
    credential: { token: accounts.tokens.reader },
    tokens: accounts.tokens,
    book,
    /** Rounding and overlap; change them at will. */
    rules,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    stop: server.stop,
  }
}
