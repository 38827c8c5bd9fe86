import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeAccounts } from './accounts.ts'
import { makeApi } from './api.ts'
import { type Audits, makeAudits } from './audits.ts'
import { type Hosts, makeHosts } from './hosts.ts'

export type ForemanOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** `3.13.0` unless told. */
  readonly version?: string
  /** How times are printed: `2026-11-20 07:00:41 UTC` unless told. */
  readonly times?: 'plain' | 'iso'
  /** Failed sign-ins of an address before it is blocked for five minutes; 30 unless told. */
  readonly failureLimit?: number
}

export type Foreman = Awaited<ReturnType<typeof startForeman>>

/** Starts a simulated Foreman on https://127.0.0.1:<port>, with its own CA and fresh tokens. */
export async function startForeman(options: ForemanOptions = {}) {
  const { version = '3.13.0', times = 'plain', clock = movableClock(), truth = makeCompany() } = options
  const hosts = makeHosts(truth, times)
  const audits = makeAudits(hosts, clock.now)
  const accounts = makeAccounts(clock.now, options.failureLimit)
  const switches = makeSwitches(hosts, audits)
  const server = await startServer({
    clock,
    ownFaults: ['search-ignored', 'short-page'],
    handle: makeApi({ version, hosts, audits, accounts }),
    admin: (request) => administer(request, switches),
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** Of a user who may view hosts and audits, and nothing else. */
    credential: accounts.credentials.reader,
    credentials: accounts.credentials,
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    count: () => hosts.ids.length,
    ...switches,
    stop: server.stop,
  }
}

/** What people and agents do meanwhile. */
function makeSwitches(hosts: Hosts, audits: Audits) {
  /** Spread over the whole list. */
  const some = (count: number) => {
    const wanted = Math.min(count, hosts.ids.length)
    return Array.from({ length: wanted }, (_, i) => hosts.ids[Math.floor((i * hosts.ids.length) / wanted)] as number)
  }
  return {
    /** The agents of `count` hosts report now; answers their ids. */
    report(count: number): number[] {
      const ids = some(count)
      for (const id of ids) audits.report(id)
      return ids
    },
    /** `count` hosts are moved to another host group by a person. */
    edit(count: number): number[] {
      const ids = some(count)
      for (const id of ids) audits.edit(id, { hostgroup: 'base/edited' })
      return ids
    },
    add: (name: string) => audits.add(name),
    remove(ids: readonly number[]): void {
      for (const id of ids) audits.remove(id)
    },
    /** From now on the host cannot be saved: another field of it is not valid. */
    spoil: (id: number) => void hosts.invalid.add(id),
    idOf: (name: string) => hosts.ids.find((id) => hosts.nameOf(id) === name),
  }
}

/** `/__sim/report?count=` · `/__sim/edit?count=` · `/__sim/add?name=` · `/__sim/delete?id=` */
function administer({ method, path, query }: SimRequest, switches: ReturnType<typeof makeSwitches>) {
  if (method !== 'POST') return undefined
  const count = Number(query.get('count') ?? 1)
  if (!Number.isSafeInteger(count) || count < 0) return json(400, { error: 'count is wrong' })
  if (path === '/__sim/report') return json(200, { ids: switches.report(count) })
  if (path === '/__sim/edit') return json(200, { ids: switches.edit(count) })
  if (path === '/__sim/add') return json(200, { id: switches.add(query.get('name') ?? 'new.vm.example.net') })
  if (path !== '/__sim/delete') return undefined
  switches.remove(query.getAll('id').map(Number))
  return json(200, { ok: true })
}
