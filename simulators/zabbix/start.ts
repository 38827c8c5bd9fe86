import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { makeAccounts } from './accounts.ts'
import { makeEvents } from './events.ts'
import { makeHosts } from './hosts.ts'
import { type Mode, makeReads } from './reads.ts'
import { type LoggedCall, makeRpc } from './rpc.ts'
import { makeWrites } from './writes.ts'

export type ZabbixOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** 6.0 takes the credential only in the body, 7.0 there or in the header, 7.2 only in the header. */
  readonly version?: Mode
}

export type Zabbix = Awaited<ReturnType<typeof startZabbix>>

const apiPath = '/api_jsonrpc.php'
const longestLog = 10_000

/** Starts a simulated Zabbix web API on https://127.0.0.1:<port>, with its own CA and fresh users and tokens. */
export async function startZabbix(options: ZabbixOptions = {}) {
  const { truth = makeCompany(), clock = movableClock() } = options
  let version: Mode = options.version ?? '7.0'
  const mode = () => version
  const calls: LoggedCall[] = []
  const accounts = makeAccounts(clock.now)
  const hosts = makeHosts(truth)
  const events = makeEvents(truth, hosts, clock.now)
  const writes = makeWrites({ hosts, events, mode })
  const methods = { ...makeReads({ hosts, events, accounts, mode }), ...writes.methods }
  const rpc = makeRpc({ mode, accounts, methods, calls })

  const switches = {
    /** As if someone had upgraded Zabbix under open sessions. */
    upgrade: (to: Mode): void => {
      version = to
    },
    change: (hostid: number, values: Record<string, unknown>): void => hosts.change(hostid, values),
    addHost: (name: string, ip?: string): number => hosts.add(name, ip),
    removeHost(hostid: number): void {
      hosts.remove(hostid)
      events.forget(hostid)
    },
    openProblem: (hostids: readonly number[], name: string, severity = 4): string =>
      events.open(hostids, name, severity).eventid,
    resolve: (eventid: string): void => events.resolve(eventid),
    /** Switches the trigger of a problem off. */
    disableTriggerOf(eventid: string): void {
      const trigger = events.triggers.get(events.events.get(eventid)?.triggerid ?? '')
      if (!trigger) throw new RangeError(`no trigger of event ${eventid}`)
      trigger.enabled = false
    },
    endSessions: (): void => accounts.endSessions(),
  }
  const server = await startServer({
    clock,
    ownFaults: ['rpc-error', 'no-database', 'same-page'],
    handle(request) {
      if (request.path !== apiPath)
        return { status: 404, headers: { 'content-type': 'text/html' }, body: '<h1>Not Found</h1>' }
      if (calls.length > longestLog) calls.splice(0, longestLog / 2)
      return rpc(request.fault === 'same-page' ? withoutCursor(request) : request)
    },
    admin: (request) => administer(request, switches, calls),
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })

  const { users, tokens } = accounts
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** A reader whose role allows only what the connector reads. */
    credential: { token: tokens.reader },
    /** May acknowledge, comment and plan maintenances. */
    writer: { token: tokens.operator },
    tokens,
    login: (name: keyof typeof users) => ({ username: users[name].username, password: users[name].password }),
    adminToken: server.adminToken,
    requests: server.requests,
    /** What was called, in order, without credentials; `splice(0)` forgets. */
    calls,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    hosts,
    events,
    maintenances: writes.maintenances,
    sessionCount: accounts.sessionCount,
    ...switches,
    stop: server.stop,
  }
}

/** A page of problems asked for again and again: the answer does not go on. */
function withoutCursor(request: SimRequest): SimRequest {
  const body = JSON.parse(request.body) as { params?: Record<string, unknown> }
  const { eventid_from: _, ...params } = body.params ?? {}
  return { ...request, body: JSON.stringify({ ...body, params }) }
}

type Switches = {
  readonly upgrade: (to: Mode) => void
  readonly removeHost: (hostid: number) => void
  readonly addHost: (name: string, ip?: string) => number
  readonly openProblem: (hostids: readonly number[], name: string, severity?: number) => string
  readonly resolve: (eventid: string) => void
  readonly endSessions: () => void
}

/** `POST /__sim/problem?host=&name=&severity=` · `resolve?event=` · `host?name=` · `remove?host=` · `sessions/end` · `upgrade?to=`; `GET /__sim/calls` */
function administer({ method, path, query }: SimRequest, switches: Switches, calls: readonly LoggedCall[]) {
  const text = (name: string) => query.get(name) ?? ''
  if (path === '/__sim/calls') return json(200, calls)
  if (method !== 'POST') return undefined
  if (path === '/__sim/problem') {
    const id = switches.openProblem(
      [Number(text('host'))],
      text('name') || 'Simulated problem',
      Number(text('severity') || 4),
    )
    return json(200, { id })
  }
  if (path === '/__sim/host') return json(200, { id: String(switches.addHost(text('name'))) })
  if (path === '/__sim/remove') switches.removeHost(Number(text('host')))
  else if (path === '/__sim/resolve') switches.resolve(text('event'))
  else if (path === '/__sim/sessions/end') switches.endSessions()
  else if (path === '/__sim/upgrade') switches.upgrade(text('to') as Mode)
  else return undefined
  return json(200, { ok: true })
}
