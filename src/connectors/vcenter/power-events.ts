import type { Http, XmlElement } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Service } from './service.ts'
import { el, read, refEl, timeAt } from './soap.ts'

const days = 86_400_000

/** The longest that is looked back. vCenter keeps events for 30 days unless it is set otherwise. */
const furthest = 400 * days
/** What one QueryEvents answers at most, and the most that may be asked for. */
const perCall = 1000
const mostCalls = 40

const offEvent = 'VmPoweredOffEvent'
const onEvents = ['VmPoweredOnEvent', 'DrsVmPoweredOnEvent']

/**
 * When each virtual machine was switched off last, from vCenter's events; nothing keeps that time but they. A machine whose
 * last known event is a switching on is left out: it went off without one, for example with its host.
 */
export async function readOffSince(http: Http, service: Service, now: Date): Promise<ReadonlyMap<string, string>> {
  const last = new Map<string, PowerEvent>()
  let calls = 0
  const readBetween = async (from: number, to: number): Promise<void> => {
    if (calls++ >= mostCalls) return
    const events = await query(http, service, new Date(from), new Date(to))
    for (const event of events) {
      const known = last.get(event.vm)
      if (!known || known.at < event.at) last.set(event.vm, event)
    }
    // A full answer may lack any part of the time, so both halves are asked, the newer one first.
    if (events.length < perCall) return
    const middle = Math.floor((from + to) / 2)
    await readBetween(middle, to)
    await readBetween(from, middle)
  }
  try {
    await readBetween(now.getTime() - furthest, now.getTime() + days)
  } catch (error) {
    // Without the right to read events, or on a host that keeps none, everything but these times is still worth having.
    const isMissing = error instanceof Problem && (error.type === 'upstream-denied' || error.type === 'conflict')
    if (!isMissing) throw error
    return new Map()
  }
  return new Map([...last].flatMap(([vm, { at, isOff }]) => (isOff ? [[vm, at] as const] : [])))
}

type PowerEvent = { readonly vm: string; readonly at: string; readonly isOff: boolean }

async function query(http: Http, { eventManager, rootFolder }: Service, from: Date, to: Date): Promise<PowerEvent[]> {
  if (!eventManager) return []
  const filter = el('filter', [
    el('entity', [refEl('entity', rootFolder), el('recursion', 'all')]),
    el('time', [el('beginTime', from.toISOString()), el('endTime', to.toISOString())]),
    el('disableFullMessage', true),
    ...[offEvent, ...onEvents].map((type) => el('eventTypeId', type)),
    el('maxCount', perCall),
  ])
  const events = await read(http, { method: 'QueryEvents', self: eventManager, args: [filter] })
  return events.flatMap(powerEvent)
}

function powerEvent(event: XmlElement): PowerEvent[] {
  // Beside it are the host and the places that the machine was in, each with a reference of its own type.
  const parts = event.children.flatMap(({ children }) => children)
  const vm = parts.find(({ attributes }) => attributes['type'] === 'VirtualMachine')?.text
  const when = timeAt(event, 'createdTime')
  const isOff = event.attributes['type']?.endsWith(offEvent) === true
  return vm === undefined || when === undefined ? [] : [{ vm, at: when, isOff }]
}
