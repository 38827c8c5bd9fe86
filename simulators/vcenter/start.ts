import type { Ca } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { json, movableClock, type SimRequest, startServer } from '../lib/server.ts'
import type { Truth } from '../lib/truth.ts'
import { type LoggedCall, makeApi, managerOf } from './api.ts'
import { makeCollector } from './collector.ts'
import { makeEvents } from './events.ts'
import { type Inventory, makeInventory } from './inventory.ts'
import { makeMethods } from './methods.ts'
import { type Account, makeAccounts, makeSessions } from './sessions.ts'
import { makeTasks } from './tasks.ts'

export type VcenterOptions = {
  readonly truth?: Truth
  readonly port?: number
  readonly ca?: Ca
  readonly clock?: ReturnType<typeof movableClock>
  /** Of vCenter itself; 8.0.3 unless told. */
  readonly version?: string
  /** Objects that one answer has at most, whatever is asked for; 1000 unless told. */
  readonly pageSize?: number
  /** How long a task takes; 0 unless told. */
  readonly taskMs?: number
  /** How long events are kept: here a year unless told, in a new vCenter 30 days. */
  readonly eventDays?: number
  /** A session that nobody used for so long has ended; 30 unless told. */
  readonly idleMinutes?: number
}

export type VcenterSimulator = Awaited<ReturnType<typeof startVcenter>>

/** Starts a simulated vCenter on https://127.0.0.1:<port>, with its own CA and fresh passwords. */
export async function startVcenter(options: VcenterOptions = {}) {
  const {
    truth = makeCompany(),
    clock = movableClock(),
    version = '8.0.3',
    eventDays = 365,
    idleMinutes = 30,
  } = options
  const settings = { pageSize: options.pageSize ?? 1000, taskMs: options.taskMs ?? 0 }
  const inventory = makeInventory(truth, clock.now)
  const accounts = makeAccounts()
  const sessions = makeSessions(Object.values(accounts), clock.now, idleMinutes * 60_000)
  const tasks = makeTasks(inventory, clock.now, () => settings.taskMs)
  const collector = makeCollector({
    inventory,
    other: (session, ref) => (ref.type === 'Task' ? tasks.find(ref.id) : managerOf(session, ref)),
    pageSize: () => settings.pageSize,
  })
  const queryEvents = makeEvents(inventory, clock.now, eventDays)
  const methods = makeMethods({ inventory, collector, tasks, queryEvents, now: clock.now })
  const denied = new Set<string>()
  const calls: LoggedCall[] = []
  let listener: (method: string) => void = () => {}
  const switches = {
    ...inventory.changes,
    setPageSize: (size: number) => void Object.assign(settings, { pageSize: size }),
    setTaskMs: (ms: number) => void Object.assign(settings, { taskMs: ms }),
    /** Refuses a method to everybody, or no more. */
    deny: (method: string, isDenied = true) => void (isDenied ? denied.add(method) : denied.delete(method)),
    /** vCenter is restarted: all sessions end. */
    restart: () => sessions.open.clear(),
  }
  const server = await startServer({
    clock,
    ownFaults: ['session-ends', 'vanish'],
    handle: makeApi({
      inventory,
      sessions,
      methods,
      settle: tasks.settle,
      denied,
      version,
      calls,
      heard: (method) => listener(method),
    }),
    admin: (request) => administer(inventory, switches, request),
    ...(options.port !== undefined && { port: options.port }),
    ...(options.ca && { ca: options.ca }),
  })
  const credentialOf = ({ name, password }: Account) => ({ username: name, password })
  return {
    url: server.origin,
    caPem: server.caPem,
    config: { url: server.origin },
    /** Of an account with the role Read-only. */
    credential: credentialOf(accounts.reader),
    /** May switch virtual machines and make and remove snapshots. */
    operator: credentialOf(accounts.operator),
    administrator: credentialOf(accounts.administrator),
    adminToken: server.adminToken,
    requests: server.requests,
    /** Every call of a method so far; `splice(0)` forgets them. */
    calls,
    /** Hears of each call before it is answered, to change something just then. */
    listen: (hear: (method: string) => void) => {
      listener = hear
    },
    sessions: () => [...sessions.open.values()],
    machine: inventory.machine,
    fault: server.faults.plan,
    faults: server.faults,
    forward: clock.forward,
    ...switches,
    stop: server.stop,
  }
}

type Switches = Inventory['changes'] & {
  readonly setPageSize: (size: number) => void
  readonly setTaskMs: (ms: number) => void
  readonly deny: (method: string, isDenied?: boolean) => void
  readonly restart: () => void
}

/** `POST /__sim/power?id=&to=` · snapshot?id=&name= · rename?id=&name= · remove?id= · add · page-size?n= · task-ms?n= · deny?method=(&off) · restart */
function administer(inventory: Inventory, switches: Switches, { method, path, query }: SimRequest) {
  if (method !== 'POST') return undefined
  const id = query.get('id') ?? ''
  const number = Number(query.get('n') ?? Number.NaN)
  const isMachine = inventory.machine(id) !== undefined
  const to = (['poweredOn', 'poweredOff', 'suspended'] as const).find((power) => power === query.get('to'))
  const wrong = json(400, { error: 'id, to or n is wrong' })
  const ok = json(200, { ok: true })
  switch (path) {
    case '/__sim/power':
      if (!isMachine || !to) return wrong
      switches.power(id, to)
      return ok
    case '/__sim/snapshot':
      return isMachine ? json(200, { id: switches.snapshot(id, query.get('name') ?? 'snapshot') }) : wrong
    case '/__sim/rename':
      if (!inventory.find(id)) return wrong
      switches.rename(id, query.get('name') ?? 'renamed')
      return ok
    case '/__sim/remove':
      if (!isMachine) return wrong
      switches.remove(id)
      return ok
    case '/__sim/add':
      return json(200, { id: switches.add() })
    case '/__sim/page-size':
    case '/__sim/task-ms':
      if (!Number.isSafeInteger(number) || number < 0) return wrong
      if (path === '/__sim/page-size') switches.setPageSize(Math.max(number, 1))
      else switches.setTaskMs(number)
      return ok
    case '/__sim/deny':
      switches.deny(query.get('method') ?? '', !query.has('off'))
      return ok
    case '/__sim/restart':
      switches.restart()
      return ok
    default:
      return undefined
  }
}
