import type { Device, VirtualMachine } from '../lib/estate.ts'
import type { MachineTruth, Truth } from '../lib/truth.ts'

export type Row = Record<string, unknown> & { id: number; name: string }
type Machine = (Device | VirtualMachine) & MachineTruth

/** What people changed, kept beside the truth; a row is computed when it is asked for. */
export type Change = { comment?: string; reportAt?: Date; updatedAt?: Date; hostgroup?: string; name?: string }

const day = 86_400_000

/**
 * The hosts of the company that Puppet configures, under their full names. Ids begin at 1 for devices and follow on for
 * virtual machines. Every fortieth is being rebuilt and so has a provisioning token.
 */
export function makeHosts(truth: Truth, times: 'plain' | 'iso') {
  const { estate } = truth
  const firstVm = estate.counts.devices + 1
  const ids = [
    ...[...truth.devices('configuration')].map(({ index }) => index + 1),
    ...[...truth.vms('configuration')].map(({ index }) => firstVm + index),
  ]
  const changes = new Map<number, Change>()
  const added = new Set<number>()
  const invalid = new Set<number>()
  let nextId = firstVm + estate.counts.vms

  /** A host added later is like the first virtual machine under another name. */
  function machine(id: number): Machine {
    if (added.has(id)) return truth.vm(0)
    return id < firstVm ? truth.device(id - 1) : truth.vm(id - firstVm)
  }
  const reportAt = (id: number) => changes.get(id)?.reportAt ?? machine(id).reportAt
  const time = (at: Date) =>
    times === 'iso' ? at.toISOString() : `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
  const isBuilding = (id: number) => id % 40 === 0

  function row(id: number): Row {
    const one = machine(id)
    const change = changes.get(id) ?? {}
    const name = change.name ?? one.fqdn
    const isVm = 'mac' in one
    const site = estate.site(one.site)
    const status = isBuilding(id) ? 'Error' : truth.now.getTime() - reportAt(id).getTime() > day ? 'Warning' : 'OK'
    const created = new Date(truth.now.getTime() - (200 + (id % 500)) * day)
    return {
      id,
      name,
      display_name: name,
      certname: name,
      ip: one.addressIn('configuration').split('/')[0],
      ip6: (isVm && one.address6?.split('/')[0]) || null,
      mac: isVm ? one.mac : one.macs[0],
      sp_ip: isVm ? null : (one.oobAddress?.split('/')[0] ?? null),
      sp_mac: null,
      last_report: time(reportAt(id)),
      domain_id: isVm ? 1 : 2,
      domain_name: name.split('.').slice(1).join('.'),
      architecture_name: 'x86_64',
      operatingsystem_name: one.platform,
      hostgroup_title: change.hostgroup ?? (isVm ? `base/${one.hostName.replace(/^\w+-|\d+$/g, '')}` : 'base/metal'),
      model_name: isVm ? 'VMware Virtual Platform' : `${one.model.manufacturer} ${one.model.name}`,
      owner_name: 'admin',
      owner_type: 'User',
      enabled: true,
      managed: false,
      build: isBuilding(id),
      uuid: null,
      compute_resource_id: null,
      compute_resource_name: null,
      comment: change.comment ?? '',
      created_at: time(created),
      updated_at: time(change.updatedAt ?? created),
      installed_at: time(created),
      global_status: ['OK', 'Warning', 'Error'].indexOf(status),
      global_status_label: status,
      configuration_status: 0,
      configuration_status_label: status === 'Warning' ? 'Out of sync' : 'No changes',
      organization_name: 'Example',
      location_name: site.name,
      reported_data: isVm
        ? { boot_time: time(one.powerSince), cores: one.vcpus, sockets: 1, ram: one.memoryMb, virtual: true }
        : { boot_time: time(one.powerSince), cores: 32, sockets: 2, ram: 262_144, virtual: false },
      // As the real list does for as long as the token is valid.
      ...(isBuilding(id) && { token: `canary-provisioning-token-${id}` }),
    }
  }

  return {
    ids,
    changes,
    invalid,
    row,
    reportAt,
    time,
    /** Without computing the row, for searches over all hosts. */
    nameOf: (id: number) => changes.get(id)?.name ?? machine(id).fqdn,
    /** What only a host's own page has. */
    detail(id: number): Row {
      const one = row(id)
      const nic = { ip: one['ip'], ip6: one['ip6'], mac: one['mac'], fqdn: one.name }
      return {
        ...one,
        parameters: [{ name: 'root_password', value: `canary-parameter-${id}`, parameter_type: 'string' }],
        all_parameters: [{ name: 'api_key', value: `canary-inherited-${id}`, 'hidden_value?': false }],
        interfaces: [{ id: id * 10, identifier: 'eth0', type: 'interface', primary: true, managed: false, ...nic }],
      }
    },
    add(name: string): number {
      const id = nextId++
      added.add(id)
      ids.push(id)
      changes.set(id, { name, reportAt: new Date(truth.now.getTime() - day) })
      return id
    },
    remove(id: number): boolean {
      const at = ids.indexOf(id)
      if (at >= 0) ids.splice(at, 1)
      return at >= 0
    },
  }
}

export type Hosts = ReturnType<typeof makeHosts>
