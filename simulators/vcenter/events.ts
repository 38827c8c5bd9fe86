import type { XmlElement } from '../../src/core/connector.ts'
import { invalid } from './fault.ts'
import type { Inventory } from './inventory.ts'
import type { PowerEvent } from './state.ts'
import { escaped, tag } from './values.ts'
import { child, children, textIn } from './xml.ts'

const mostEvents = 1000

/** EventManager.QueryEvents over power events. `keepDays` is vCenter's setting of how long events are kept. */
export function makeEvents(inventory: Inventory, now: () => Date, keepDays: number) {
  const { state, machine, machines } = inventory
  let first: readonly PowerEvent[] | undefined

  /** The truth's last change of power of each machine, read once. */
  function fromTruth(): readonly PowerEvent[] {
    first ??= [...machines()].flatMap(({ id }) => {
      const vm = machine(id)
      if (!vm || vm.isTemplate || vm.hostName === '' || state.vms.get(id)?.power !== undefined) return []
      return [{ vm: id, type: vm.power === 'poweredOn' ? 'VmPoweredOnEvent' : 'VmPoweredOffEvent', at: vm.powerSince }]
    })
    return first
  }

  return (request: XmlElement): { body: string; items: number } => {
    const filter = child(request, 'filter')
    const most = Number(textIn(filter, 'maxCount') ?? mostEvents)
    if (most > mostEvents) throw invalid('filter.maxCount')
    const types = children(filter, 'eventTypeId').map(({ text }) => text)
    const from = Date.parse(textIn(child(filter, 'time'), 'beginTime') ?? '1970-01-01')
    const to = Date.parse(textIn(child(filter, 'time'), 'endTime') ?? '9999-01-01')
    const kept = now().getTime() - keepDays * 86_400_000
    const found: PowerEvent[] = []
    for (const event of [...fromTruth(), ...state.events]) {
      const at = event.at.getTime()
      const isWanted = types.length === 0 || types.includes(event.type)
      if (isWanted && !state.removed.has(event.vm) && at >= from && at <= to && at >= kept) found.push(event)
    }
    // Which of too many are answered is not documented; here it is the oldest, the worst for whoever wants the newest.
    const part = found.sort((a, b) => a.at.getTime() - b.at.getTime()).slice(0, most)
    return { body: part.map((event, key) => written(inventory, event, key)).join(''), items: part.length }
  }
}

function written(inventory: Inventory, { vm, type, at }: PowerEvent, key: number): string {
  const name = inventory.machine(vm)?.name ?? ''
  return `<returnval xsi:type="${type}">${tag('key', key)}${tag('chainId', key)}${tag('createdTime', at.toISOString())}${tag('userName', '')}<vm><name>${escaped(name)}</name><vm type="VirtualMachine">${vm}</vm></vm></returnval>`
}
