import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'
import type { Hosts } from './hosts.ts'

export type Trigger = {
  readonly triggerid: string
  readonly description: string
  readonly priority: number
  readonly hostids: readonly number[]
  /** 1: in problem state. */
  value: 0 | 1
  lastchange: number
  /** Switched off: its problems stay open in the database, and no page shows them. */
  enabled: boolean
}

export type Event = {
  readonly eventid: string
  readonly triggerid: string
  readonly name: string
  readonly severity: number
  readonly clock: number
  acknowledged: boolean
  readonly acknowledges: { readonly userid: string; readonly message: string; readonly action: number }[]
  isOpen: boolean
}

const kinds = [
  ['High CPU utilization (over 90% for 5m)', 2],
  ['Disk space is critically low (used > 90%)', 3],
  ['Memory utilization is too high', 3],
  ['System time is out of sync', 2],
  ['Service is not running', 4],
  ['Interface error rate is high', 1],
] as const

const days = 86_400_000
/** One host in this many has a problem. */
const oneIn = 20

/** Triggers that have fired and their problems: a few of them on hosts that are on and monitored, from the start. */
export function makeEvents(truth: Truth, hosts: Hosts, now: () => Date) {
  const triggers = new Map<string, Trigger>()
  const events = new Map<string, Event>()
  let nextTrigger = 23_001
  let nextEvent = 90_001

  function open(hostids: readonly number[], description: string, severity: number, at = now()): Event {
    const clock = Math.floor(at.getTime() / 1000)
    const triggerid = String(nextTrigger++)
    triggers.set(triggerid, {
      triggerid,
      description,
      priority: severity,
      hostids,
      value: 1,
      lastchange: clock,
      enabled: true,
    })
    return fire(triggerid, clock)
  }

  function fire(triggerid: string, clock: number): Event {
    const trigger = triggers.get(triggerid) as Trigger
    const eventid = String(nextEvent++)
    const { description: name, priority: severity } = trigger
    const event: Event = {
      eventid,
      triggerid,
      name,
      severity,
      clock,
      acknowledged: false,
      acknowledges: [],
      isOpen: true,
    }
    events.set(eventid, event)
    return event
  }

  for (const { at, hostid, kind } of beginnings(truth, hosts)) open([hostid], kind[0], kind[1], at)

  return {
    triggers,
    events,
    open,
    resolve(eventid: string): void {
      const event = events.get(eventid)
      if (!event) throw new RangeError(`no event ${eventid}`)
      event.isOpen = false
      const trigger = triggers.get(event.triggerid)
      if (trigger) Object.assign(trigger, { value: 0, lastchange: Math.floor(now().getTime() / 1000) })
    },
    /** What goes with a host that is deleted. */
    forget(hostid: number): void {
      for (const { triggerid, hostids } of triggers.values()) {
        if (!hostids.includes(hostid)) continue
        triggers.delete(triggerid)
        for (const event of events.values()) if (event.triggerid === triggerid) events.delete(event.eventid)
      }
    },
  }
}

export type Events = ReturnType<typeof makeEvents>

/** In the order of time, as their ids will be. Machines with a planted flaw have none: a finding there has one cause. */
function beginnings(truth: Truth, hosts: Hosts) {
  const dice = makeDice(7)
  const found: { at: Date; hostid: number; kind: (typeof kinds)[number] }[] = []
  const consider = (hostid: number, machine: ReturnType<Truth['device']> | ReturnType<Truth['vm']>) => {
    if (machine.power !== 'on' || !machine.isMonitored || machine.flaw || dice.whole(1, hostid) % oneIn !== 0) return
    const since = Math.max(machine.powerSince.getTime(), truth.now.getTime() - dice.part(2, hostid) * 5 * days)
    found.push({ at: new Date(since), hostid, kind: dice.pick(kinds, 3, hostid) })
  }
  for (const device of truth.devices('monitoring')) consider(hosts.idOf.device(device.index), device)
  for (const vm of truth.vms('monitoring')) consider(hosts.idOf.vm(vm.index), vm)
  return found.sort((a, b) => a.at.getTime() - b.at.getTime())
}
