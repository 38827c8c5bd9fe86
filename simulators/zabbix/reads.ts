import type { Accounts, User } from './accounts.ts'
import type { Event, Events, Trigger } from './events.ts'
import type { HostRow, Hosts, Row } from './hosts.ts'
import { arranged, fits, idsOf, type Params, picked } from './options.ts'

export type Mode = '6.0' | '7.0' | '7.2'

type Parts = { readonly hosts: Hosts; readonly events: Events; readonly accounts: Accounts; readonly mode: () => Mode }

/** The `*.get` methods. Options that a version does not know are ignored without a word, as Zabbix does. */
export function makeReads({ hosts, events, accounts, mode }: Parts) {
  const groupNames = new Map(hosts.groups().map(({ groupid, name }) => [groupid, name]))

  function* visible(user: User, hostids?: Set<string>): Generator<number> {
    if (!user.seesHosts) return
    if (!hostids) return yield* hosts.ids()
    for (const id of [...hostids].map(Number).sort((a, b) => a - b)) if (hosts.row(id)) yield id
  }

  function hostGet(params: Params, user: User): unknown {
    const ids = visible(user, idsOf(params, 'hostids'))
    // The list of all ids is cheap: rows are not made for it.
    const onlyIds = Array.isArray(params['output']) && params['output'].every((name) => name === 'hostid')
    const rows: Row[] = []
    for (const id of ids) {
      const row = onlyIds && !params['filter'] ? { hostid: String(id) } : (hosts.row(id) as HostRow)
      if (fits(row, params['filter'])) rows.push(row)
    }
    if (params['countOutput']) return String(rows.length)
    return arranged(rows, params, ['hostid', 'host', 'name', 'status']).map((row) => hostShown(row as HostRow, params))
  }

  function hostShown(row: HostRow, params: Params): Row {
    const { groupids = [], interfaces, inventory, tags, ...own } = row
    const groups = groupids.map((groupid) => ({ groupid, name: groupNames.get(groupid) }))
    const isOld = mode() === '6.0'
    return {
      ...picked(own, params['output'], 'hostid'),
      ...(mode() !== '7.2' && Boolean(params['selectGroups']) && { groups }),
      ...(!isOld && Boolean(params['selectHostGroups']) && { hostgroups: groups }),
      ...(Boolean(params['selectInterfaces']) && { interfaces: part(interfaces, params['selectInterfaces']) }),
      ...(Boolean(params['selectInventory']) && {
        inventory: Array.isArray(inventory) ? [] : picked(inventory as Row, params['selectInventory'], ''),
      }),
      ...(Boolean(params['selectTags']) && { tags }),
    }
  }

  function hostgroupGet(params: Params, user: User): unknown {
    const rows = user.seesHosts ? hosts.groups() : []
    if (params['countOutput']) return String(rows.length)
    const sizes = new Map<string, number>()
    if (params['selectHosts'] === 'count') {
      for (const id of hosts.ids())
        for (const groupid of hosts.row(id)?.groupids ?? []) sizes.set(groupid, (sizes.get(groupid) ?? 0) + 1)
    }
    return arranged(rows, params, ['groupid', 'name']).map((row) => ({
      ...picked(row, params['output'], 'groupid'),
      ...(params['selectHosts'] === 'count' && { hosts: String(sizes.get(row.groupid) ?? 0) }),
    }))
  }

  const isMonitored = ({ enabled, hostids }: Trigger) => enabled && hostids.every((id) => hosts.row(id)?.status === '0')

  function triggerGet(params: Params, user: User): unknown {
    const wanted = idsOf(params, 'triggerids')
    const rows = [...events.triggers.values()]
      .filter((one) => user.seesHosts && (!wanted || wanted.has(one.triggerid)))
      .filter((one) => !params['monitored'] || isMonitored(one))
      .map((one) => ({ one, row: triggerRow(one) }))
      .filter(({ row }) => fits(row, params['filter']))
    if (params['countOutput']) return String(rows.length)
    const sorted = arranged(
      rows.map(({ row }) => row),
      params,
      ['triggerid', 'description', 'priority', 'lastchange'],
    )
    return sorted.map((row) => ({
      ...picked(row, params['output'], 'triggerid'),
      ...(Boolean(params['selectHosts']) && {
        hosts: hostsOf(events.triggers.get(String(row['triggerid'])), params['selectHosts']),
      }),
    }))
  }

  function hostsOf(trigger: Trigger | undefined, output: unknown): Row[] {
    return (trigger?.hostids ?? []).flatMap((id) => {
      const row = hosts.row(id)
      return row ? [picked({ hostid: row.hostid, host: row['host'], name: row.name }, output, 'hostid')] : []
    })
  }

  function problemGet(params: Params, user: User): unknown {
    const [wanted, onHosts, severities] = [
      idsOf(params, 'eventids'),
      idsOf(params, 'hostids'),
      idsOf(params, 'severities'),
    ]
    const [from, till] = [
      Number(params['eventid_from'] ?? 0),
      Number(params['eventid_till'] ?? Number.POSITIVE_INFINITY),
    ]
    const rows = [...events.events.values()].filter((event) => {
      const trigger = events.triggers.get(event.triggerid)
      return (
        user.seesHosts &&
        event.isOpen &&
        (!wanted || wanted.has(event.eventid)) &&
        (!onHosts || trigger?.hostids.some((id) => onHosts.has(String(id)))) &&
        (!severities || severities.has(String(event.severity))) &&
        (params['acknowledged'] === undefined || params['acknowledged'] === event.acknowledged) &&
        Number(event.eventid) >= from &&
        Number(event.eventid) <= till
      )
    })
    if (params['countOutput']) return String(rows.length)
    return arranged(rows.map(problemRow), params, ['eventid']).map((row) => ({
      ...picked(row, params['output'], 'eventid'),
      ...(Boolean(params['selectTags']) && { tags: [{ tag: 'scope', value: 'performance' }] }),
    }))
  }

  function roleGet(params: Params): unknown {
    const wanted = idsOf(params, 'roleids')
    return accounts.roles
      .filter(({ roleid }) => !wanted || wanted.has(roleid))
      .map(({ roleid, name, type, isAllowList, methods }) => ({
        ...picked({ roleid, name, type: String(type), readonly: '0' }, params['output'], 'roleid'),
        ...(Boolean(params['selectRules']) && {
          rules: { 'api.access': '1', 'api.mode': isAllowList ? '1' : '0', api: methods },
        }),
      }))
  }

  return {
    'host.get': hostGet,
    'hostgroup.get': hostgroupGet,
    'trigger.get': triggerGet,
    'problem.get': problemGet,
    'role.get': roleGet,
  }
}

function part(rows: unknown, output: unknown): Row[] {
  return (rows as Row[]).map((row) => picked(row, output, ''))
}

/** All values are strings. */
function triggerRow({ triggerid, description, priority, value, lastchange, enabled }: Trigger): Row {
  return {
    triggerid,
    description,
    priority: String(priority),
    value: String(value),
    lastchange: String(lastchange),
    status: enabled ? '0' : '1',
  }
}

function problemRow({ eventid, triggerid, clock, name, acknowledged, severity }: Event): Row {
  return {
    eventid,
    source: '0',
    object: '0',
    objectid: triggerid,
    clock: String(clock),
    ns: '120034551',
    r_eventid: '0',
    r_clock: '0',
    name,
    acknowledged: acknowledged ? '1' : '0',
    severity: String(severity),
    suppressed: '0',
    opdata: '',
  }
}
