import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeAccounts } from './accounts.ts'
import { makeApi } from './api.ts'
import { makeJobs } from './jobs.ts'
import { makeLists } from './lists.ts'
import { clientIdOf, makeMachines } from './machines.ts'

export type CommvaultOptions = {
  /** A small company without flaws unless told. */
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** Feature release; 40 unless told. */
  readonly release?: string
}

export type Commvault = Awaited<ReturnType<typeof startCommvault>>

/** Starts a simulated CommServe with its web server on https://127.0.0.1:<port>. */
export async function startCommvault(options: CommvaultOptions = {}) {
  const { truth = makeCompany(), clock = movableClock(), release = '40' } = options
  const machines = makeMachines(truth)
  const accounts = makeAccounts(clock)
  const jobs = makeJobs(machines, clock)
  const lists = makeLists(machines)
  const order = { oldestFirst: false }
  const seconds = () => Math.floor(clock.now().getTime() / 1000)

  /** Ends a backup of one machine now; answers the job's id. */
  function finish(hostName: string, status = 'Completed'): number {
    const place = machines.placeOf(hostName)
    const { site } = machines.machine(place)
    return jobs.add({ place, site, level: 'Incremental', status, end: seconds() }).id
  }

  const server = await startServer({
    clock,
    ownFaults: ['empty-body', 'empty-job', 'same-page', 'lost-rows', 'no-token', 'denied', 'failed'],
    handle: makeApi({ machines, jobs, lists, accounts, now: clock.now, release, order }),
    admin({ method, path, query }) {
      if (method !== 'POST' || path !== '/__sim/finish') return undefined
      return json(200, { jobId: finish(query.get('host') ?? '', query.get('status') ?? 'Completed') })
    },
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  const { name: username, password } = accounts.reader
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** May only view. */
    credential: { username, password },
    /** May start and kill jobs. */
    writer: { username: accounts.writer.name, password: accounts.writer.password },
    /** A fresh pair of access and refresh token. */
    createToken: (who: 'reader' | 'writer' = 'reader') => accounts.createToken(accounts[who]),
    accounts,
    machines,
    clientId: (hostName: string) => String(clientIdOf(machines.placeOf(hostName))),
    finish,
    addClient: lists.addClient,
    deleteVm: (hostName: string) => lists.deleted.add(machines.placeOf(hostName)),
    /** A job that waits to run; it goes on each time it is read. */
    startJob: (hostName: string) => {
      const place = machines.placeOf(hostName)
      return jobs.add({ place, site: machines.machine(place).site, level: 'Incremental', status: 'Queued' }).id
    },
    sortJobs: (by: 'newest first' | 'oldest first') => {
      order.oldestFirst = by === 'oldest first'
    },
    adminToken: server.adminToken,
    requests: server.requests,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    stop: server.stop,
  }
}
