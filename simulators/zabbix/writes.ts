import type { User } from './accounts.ts'
import type { Event, Events } from './events.ts'
import type { Hosts, Row } from './hosts.ts'
import { ApiError, fits, idsOf, noObject, type Params, picked } from './options.ts'
import type { Mode } from './reads.ts'

type Parts = { readonly hosts: Hosts; readonly events: Events; readonly mode: () => Mode }

type Maintenance = Row & { readonly maintenanceid: string; readonly name: string; readonly hosts: readonly Row[] }

const acknowledgeBit = 2
const messageBit = 4

/** `event.acknowledge` and maintenances: what is written, and every way in which Zabbix refuses it. */
export function makeWrites({ hosts, events, mode }: Parts) {
  const maintenances: Maintenance[] = []

  function acknowledge(params: Params, user: User): unknown {
    const action = Number(params['action'])
    const refuse = (why: string) => new ApiError(-32602, `Incorrect value for field "action": ${why}.`)
    if (!Number.isInteger(action) || (action & ~(1 | 2 | 4 | 8 | 16)) !== 0)
      throw refuse(`unexpected value "${String(params['action'])}"`)
    const { actions } = user.role
    const isFree = user.role.type === 3
    if (action & messageBit && !isFree && !actions.includes('add_problem_comments'))
      throw refuse('no permissions to add problem comments')
    if (action & acknowledgeBit && !isFree && !actions.includes('acknowledge_problems'))
      throw refuse('no permissions to acknowledge problems')
    const message = String(params['message'] ?? '')
    if (action & messageBit && message === '')
      throw new ApiError(-32602, 'Incorrect value for field "message": cannot be empty.')
    const given = [...(idsOf(params, 'eventids') ?? [])]
    const found = given.map((id) => events.events.get(id)).filter((event) => event !== undefined)
    // All or nothing.
    if (found.length !== given.length || !user.seesHosts) throw noObject()
    for (const event of found) record(event, action, message, user)
    return { eventids: [params['eventids']].flat() }
  }

  /** What changes nothing is not recorded; a message always is. */
  function record(event: Event, action: number, message: string, { userid }: User): void {
    const done = (action & acknowledgeBit && !event.acknowledged ? acknowledgeBit : 0) | (action & messageBit)
    if (done === 0) return
    if (done & acknowledgeBit) event.acknowledged = true
    event.acknowledges.push({ userid, message, action: done })
  }

  function createMaintenance(params: Params, user: User): unknown {
    if (user.role.type !== 3 && !user.role.actions.includes('edit_maintenance'))
      throw new ApiError(-32602, 'No permissions to call "maintenance.create".')
    const known = new Set([
      'name',
      'description',
      'maintenance_type',
      'active_since',
      'active_till',
      'hosts',
      'groups',
      'timeperiods',
    ])
    if (mode() !== '7.2') for (const old of ['hostids', 'groupids']) known.add(old)
    const strange = Object.keys(params).find((name) => !known.has(name))
    if (strange !== undefined) throw new ApiError(-32602, `Invalid parameter "/1": unexpected parameter "${strange}".`)
    const { name, active_since, active_till } = params as { name: string; active_since: number; active_till: number }
    if (!(active_till > active_since))
      throw new ApiError(-32602, 'Invalid parameter "/1/active_till": value must be greater than "/1/active_since".')
    const hostids = ((params['hosts'] ?? []) as Row[]).map(({ hostid }) => String(hostid))
    if (hostids.length === 0) throw new ApiError(-32602, 'At least one host group or host must be selected.')
    if (hostids.some((id) => !hosts.row(Number(id)))) throw noObject()
    if (maintenances.some((one) => one.name === name))
      throw new ApiError(-32602, `Maintenance "${name}" already exists.`)
    const maintenanceid = String(maintenances.length + 1)
    const minute = (at: number) => String(at - (at % 60))
    maintenances.push({
      ...params,
      maintenanceid,
      name,
      active_since: minute(active_since),
      active_till: minute(active_till),
      hosts: hostids.map((hostid) => ({ hostid })),
    })
    return { maintenanceids: [maintenanceid] }
  }

  function maintenanceGet(params: Params): unknown {
    return maintenances
      .filter((one) => fits(one, params['filter']))
      .map(({ hosts: of, ...own }) => ({
        ...picked(own, params['output'], 'maintenanceid'),
        ...(Boolean(params['selectHosts']) && { hosts: of }),
      }))
  }

  return {
    maintenances: maintenances as readonly Maintenance[],
    methods: {
      'event.acknowledge': acknowledge,
      'maintenance.create': createMaintenance,
      'maintenance.get': maintenanceGet,
    },
  }
}
