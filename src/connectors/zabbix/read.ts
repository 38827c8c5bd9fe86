import { z } from 'zod'
import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { call, isAtLeast } from './rpc.ts'
import { Host, HostGroup, Ids, Interface, Inventory, ProblemRow, Trigger } from './schema.ts'

// The questions that the sync and the actions ask. `output` names each field: Zabbix would send all, and some hold secrets.

export function hostGroups(http: Http): Promise<HostGroup[]> {
  return call(
    http,
    'hostgroup.get',
    { output: ['groupid', 'name'], selectHosts: 'count', sortfield: 'groupid' },
    z.array(HostGroup),
  )
}

export function hostIds(http: Http): Promise<string[]> {
  return call(http, 'host.get', { output: ['hostid'], sortfield: 'hostid' }, Ids('hostid'))
}

/** 6.0 ignores the new name of an option without a word, and 7.2 the old one: the version decides. */
export function hosts(http: Http, version: string, hostids: readonly string[]): Promise<Host[]> {
  const groups = isAtLeast(version, 6, 2) ? 'selectHostGroups' : 'selectGroups'
  const params = {
    hostids,
    output: ['hostid', 'host', 'name', 'status', 'flags', 'maintenance_status'],
    [groups]: ['groupid', 'name'],
    selectInterfaces: Object.keys(Interface.shape),
    selectInventory: Object.keys(Inventory.shape),
    selectTags: ['tag', 'value'],
  }
  return call(http, 'host.get', params, z.array(Host))
}

/** Triggers that are in problem state; those of hosts and items that are switched off keep an old state and are left out. */
export function triggerIdsInProblem(http: Http): Promise<string[]> {
  const params = { output: ['triggerid'], filter: { value: 1 }, monitored: true, sortfield: 'triggerid' }
  return call(http, 'trigger.get', params, Ids('triggerid'))
}

export function triggers(http: Http, triggerids: readonly string[]): Promise<Trigger[]> {
  const params = {
    triggerids,
    output: ['triggerid', 'description', 'priority', 'value', 'lastchange'],
    expandDescription: true,
    monitored: true,
    selectHosts: ['hostid', 'name'],
  }
  return call(http, 'trigger.get', params, z.array(Trigger))
}

/** An open problem and its trigger, which knows the hosts. */
export type Open = { readonly problem: ProblemRow; readonly trigger: Trigger }

/**
 * Open problems of triggers, in the order of their ids. Zabbix also keeps open what belongs to triggers and hosts that were
 * switched off since; as its own pages do, those are left out. `last` is the last id that was read, shown or not.
 */
export async function openProblems(
  http: Http,
  filter: object,
): Promise<{ open: Open[]; count: number; last?: string }> {
  const params = {
    output: ['eventid', 'objectid', 'clock', 'name', 'acknowledged', 'suppressed', 'severity'],
    selectTags: ['tag', 'value'],
    source: 0,
    object: 0,
    sortfield: ['eventid'],
    ...filter,
  }
  const rows = await call(http, 'problem.get', params, z.array(ProblemRow))
  if (rows.length === 0) return { open: [], count: 0 }
  const known = await triggers(http, [...new Set(rows.map((row) => row.objectid))])
  const byId = new Map(known.map((trigger) => [trigger.triggerid, trigger]))
  const open = rows.flatMap((problem) => {
    const trigger = byId.get(problem.objectid)
    return trigger ? [{ problem, trigger }] : []
  })
  return { open, count: rows.length, last: rows.at(-1)?.eventid ?? '0' }
}

/** All open problems, a page at a time. */
export async function* problemPages(http: Http, limit: number): AsyncGenerator<readonly Open[]> {
  let from = 1n
  for (;;) {
    const { open, count, last } = await openProblems(http, { eventid_from: String(from), sortorder: 'ASC', limit })
    if (open.length > 0) yield open
    if (last === undefined || count < limit) return
    const next = BigInt(last) + 1n
    if (next <= from) throw new Problem('upstream-invalid', 'Zabbix sent the same page of problems again.')
    from = next
  }
}
