import type { Attribute, MachineMarks, Observation } from '../../core/connector.ts'
import { addressesOf, fqdnsIn, hostNamesIn, macsIn } from './marks.ts'
import type { Open } from './read.ts'
import type { Host, HostGroup, Trigger } from './schema.ts'

// One function per kind. `base` is where a person finds Zabbix.
// Relation types: member-of (group) · affects (host) · raised-by (trigger) · watches (host).

export const severityNames = ['not classified', 'information', 'warning', 'average', 'high', 'disaster'] as const

export function observeGroup({ groupid, name, hosts }: HostGroup, base: string): Observation {
  return {
    kind: 'group',
    externalId: groupid,
    name,
    url: page(base, 'host.view', 'groupids', groupid),
    attributes: said({ hosts }),
  }
}

export function observeHost(row: Host, base: string): Observation {
  const { hostid, host, name, inventory } = row
  const groups = row.hostgroups ?? row.groups ?? []
  const addresses = addressesOf(row)
  return {
    kind: 'host',
    externalId: hostid,
    name: name || host,
    status: row.status === 0 ? 'enabled' : 'disabled',
    url: page(base, 'latest.view', 'hostids', hostid),
    ...(inventory?.serialno_a && { serial: inventory.serialno_a }),
    ...(addresses.length > 0 && { addresses }),
    attributes: said({
      technicalName: host,
      groups: groups.map((group) => group.name),
      availability: availabilityOf(row),
      inMaintenance: row.maintenance_status === true ? true : undefined,
      discovered: row.flags === 4 ? true : undefined,
      interfaces: [...new Set(row.interfaces.map(({ type }) => interfaceNames[type] ?? 'other'))],
      dnsNames: [...new Set(row.interfaces.map(({ dns }) => dns).filter((dns) => dns !== ''))],
      type: inventory?.type,
      os: inventory?.os,
      vendor: inventory?.vendor,
      model: inventory?.model,
      assetTag: inventory?.asset_tag,
      location: inventory?.location,
      tags: labels(row.tags),
    }),
    relations: groups.map(({ groupid }) => ({ type: 'member-of', kind: 'group', externalId: groupid })),
    machine: marksOf(row),
    facts: { isMonitored: row.status === 0 },
  }
}

export function observeTrigger(row: Trigger, base: string): Observation {
  return {
    kind: 'trigger',
    externalId: row.triggerid,
    name: row.description,
    status: 'problem',
    url: page(base, 'problem.view', 'triggerids', row.triggerid),
    attributes: said({
      severity: severityNames[row.priority],
      hosts: row.hosts.map(({ name }) => name),
      changedAt: row.lastchange,
    }),
    relations: row.hosts.map(({ hostid }) => ({ type: 'watches', kind: 'host', externalId: hostid })),
  }
}

export function observeProblem({ problem, trigger }: Open, base: string): Observation {
  return {
    kind: 'problem',
    externalId: problem.eventid,
    name: problem.name,
    status: 'problem',
    url: problemPage(base, problem.objectid, problem.eventid),
    attributes: said({
      severity: severityNames[problem.severity],
      acknowledged: problem.acknowledged,
      suppressed: problem.suppressed === true ? true : undefined,
      hosts: trigger.hosts.map(({ name }) => name),
      openedAt: problem.clock,
      tags: labels(problem.tags),
    }),
    relations: [
      ...trigger.hosts.map(({ hostid }) => ({ type: 'affects', kind: 'host', externalId: hostid })),
      { type: 'raised-by', kind: 'trigger', externalId: problem.objectid },
    ],
    facts: { severity: problem.severity, openedAt: problem.clock },
  }
}

export function problemPage(base: string, triggerid: string, eventid: string): string {
  return `${base}/tr_events.php?triggerid=${triggerid}&eventid=${eventid}`
}

/** The configured URL without a closing slash. */
export function baseOf(config: unknown): string {
  return (config as { url: string }).url.replace(/\/+$/, '')
}

const interfaceNames: Readonly<Record<number, string>> = { 1: 'agent', 2: 'snmp', 3: 'ipmi', 4: 'jmx' }

/** What the interfaces say together; a host that is only watched by active agents or web checks says nothing. */
function availabilityOf({ interfaces }: Host): string | undefined {
  const states = interfaces.map(({ available }) => available)
  if (states.includes(2)) return 'not available'
  return states.includes(1) ? 'available' : undefined
}

function marksOf({ host, name, inventory }: Host): MachineMarks {
  const names = { hostNames: hostNamesIn(host, name), fqdns: fqdnsIn(host, name) }
  const macs = macsIn(inventory?.macaddress_a, inventory?.macaddress_b)
  return {
    ...(names.hostNames.length > 0 && { hostNames: names.hostNames }),
    ...(names.fqdns.length > 0 && { fqdns: names.fqdns }),
    ...(macs.length > 0 && { macs }),
  }
}

function page(base: string, action: string, filter: string, id: string): string {
  return `${base}/zabbix.php?action=${action}&filter_name=&${filter}%5B%5D=${id}`
}

function labels(tags: readonly { readonly tag: string; readonly value: string }[]): string[] {
  return tags.map(({ tag, value }) => (value === '' ? tag : `${tag}: ${value}`))
}

type Said = Attribute | undefined

/** An empty field says nothing. */
function said(all: Readonly<Record<string, Said>>): Record<string, Attribute> {
  const kept: Record<string, Attribute> = {}
  for (const [name, value] of Object.entries(all)) {
    if (value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)) continue
    kept[name] = value
  }
  return kept
}
