import type { Truth } from '../lib/truth.ts'

export type Row = Record<string, unknown>

// Rows are computed from the truth when asked for; only what was changed from outside is kept.
// Host ids: 100,001 and up are devices, 5,000,001 and up virtual machines, 9,000,001 and up hosts that were added later.

const firstDevice = 100_001
const firstVm = 5_000_001
const firstAdded = 9_000_001

type DeviceTruth = ReturnType<Truth['device']>
type VmTruth = ReturnType<Truth['vm']>

/** A host without the groups' names, which depend on the version's words. */
export type HostRow = Row & {
  readonly hostid: string
  readonly name: string
  readonly status: string
  readonly groupids: readonly string[]
}

const functionGroups: Readonly<Record<string, string>> = {
  'Linux servers': '2',
  'Zabbix servers': '4',
  'Discovered hosts': '5',
  'Virtual machines': '6',
  Hypervisors: '7',
  'Windows servers': '8',
  'Network devices': '9',
  Storage: '10',
  Power: '11',
}

export function makeHosts(truth: Truth) {
  const { estate } = truth
  const changed = new Map<number, Row>()
  const removed = new Set<number>()
  const added = new Map<number, HostRow>()

  function* ids(): Generator<number> {
    for (const { index } of truth.devices('monitoring'))
      if (!removed.has(firstDevice + index)) yield firstDevice + index
    for (const { index } of truth.vms('monitoring')) if (!removed.has(firstVm + index)) yield firstVm + index
    yield* added.keys()
  }

  function row(id: number): HostRow | undefined {
    if (removed.has(id)) return undefined
    const made = added.get(id) ?? make(id)
    return made && { ...made, ...changed.get(id) }
  }

  function make(id: number): HostRow | undefined {
    const [index, isVm] = id >= firstVm ? [id - firstVm, true] : [id - firstDevice, false]
    if (!Number.isSafeInteger(index) || index < 0 || index >= (isVm ? estate.counts.vms : estate.counts.devices))
      return undefined
    const machine = isVm ? truth.vm(index) : truth.device(index)
    if (!machine.isIn('monitoring')) return undefined
    return isVm ? vmRow(id, machine as VmTruth) : deviceRow(id, machine as DeviceTruth)
  }

  const siteGroup = (site: number) => String(100 + site)

  function deviceRow(id: number, machine: DeviceTruth): HostRow {
    const { hostName, fqdn, role, model, serial, macs, platform, oobAddress } = machine
    const isServer = role === 'hypervisor' || role === 'server'
    const visible = isServer ? hostName : `${words[role] ?? 'Device'} ${hostName}`
    const ip = bare(machine.addressIn('monitoring'))
    return {
      ...common(id, machine, role === 'hypervisor' ? fqdn : hostName, visible),
      groupids: [functionGroups[groupOf(role)] as string, siteGroup(machine.site)],
      interfaces: [
        face(id, 1, isServer ? 1 : 2, ip, fqdn, machine),
        ...(role === 'hypervisor' && oobAddress ? [face(id, 2, 3, bare(oobAddress), '', machine)] : []),
      ],
      inventory: {
        inventory_mode: '0',
        type: words[role] ?? 'Server',
        os: platform,
        serialno_a: serial,
        macaddress_a: macs[0] ?? '',
        macaddress_b: '',
        model: model.name,
        vendor: model.manufacturer,
        asset_tag: '',
        location: estate.rack(machine.rack).name,
      },
      tags: [{ tag: 'site', value: estate.site(machine.site).code }],
    }
  }

  function vmRow(id: number, machine: VmTruth): HostRow {
    const { hostName, fqdn, mac, platform, address6 } = machine
    const isWindows = platform.startsWith('Windows')
    return {
      ...common(id, machine, isWindows ? hostName.toUpperCase() : fqdn, hostName),
      groupids: [
        functionGroups[isWindows ? 'Windows servers' : 'Linux servers'] as string,
        '6',
        siteGroup(machine.site),
      ],
      interfaces: [
        face(id, 1, 1, bare(machine.addressIn('monitoring')), id % 5 === 0 ? fqdn : '', machine),
        ...(address6 ? [face(id, 2, 1, bare(address6), '', machine)] : []),
      ],
      // Every third host was made without an inventory, which PHP encodes as an empty list.
      inventory:
        id % 3 === 0
          ? []
          : { inventory_mode: '1', type: 'Virtual machine', os: platform, macaddress_a: mac, serialno_a: '' },
      tags: [
        { tag: 'site', value: estate.site(machine.site).code },
        { tag: 'purpose', value: machine.purpose },
      ],
    }
  }

  return {
    ids,
    row,
    /** The host of a machine of the truth. */
    idOf: { device: (index: number) => firstDevice + index, vm: (index: number) => firstVm + index },
    groups(): { groupid: string; name: string }[] {
      const sites = Array.from({ length: estate.counts.sites }, (_, at) => ({
        groupid: siteGroup(at),
        name: `Site/${estate.site(at).code.toUpperCase()}`,
      }))
      return [...Object.entries(functionGroups).map(([name, groupid]) => ({ groupid, name })), ...sites].sort(
        (a, b) => Number(a.groupid) - Number(b.groupid),
      )
    },
    change: (id: number, values: Row): void => void changed.set(id, { ...changed.get(id), ...values }),
    remove: (id: number): void => void removed.add(id),
    add(name: string, ip = '10.99.0.1'): number {
      const id = firstAdded + added.size
      const machine = { isMonitored: true, power: 'on' as const }
      added.set(id, {
        ...common(id, machine, name, name),
        groupids: ['2'],
        interfaces: [face(id, 1, 1, ip, '', machine)],
        inventory: [],
        tags: [],
      })
      return id
    },
  }
}

export type Hosts = ReturnType<typeof makeHosts>

type State = { readonly isMonitored: boolean; readonly power: 'on' | 'off' }

const words: Readonly<Record<string, string>> = {
  'access-switch': 'Switch',
  router: 'Router',
  firewall: 'Firewall',
  storage: 'Storage',
  pdu: 'PDU',
}

function groupOf(role: string): string {
  if (role === 'hypervisor') return 'Hypervisors'
  if (role === 'server') return 'Linux servers'
  if (role === 'storage') return 'Storage'
  return role === 'pdu' ? 'Power' : 'Network devices'
}

function common(id: number, { isMonitored }: State, host: string, name: string) {
  return {
    hostid: String(id),
    host,
    name,
    status: isMonitored ? '0' : '1',
    flags: '0',
    description: '',
    maintenanceid: '0',
    maintenance_status: '0',
    maintenance_type: '0',
    maintenance_from: '0',
    // Zabbix sends these to whoever asks for every field; the connector must not.
    ipmi_username: 'ADMIN',
    ipmi_password: 'hidden-ipmi-password',
    tls_psk_identity: '',
  }
}

function face(id: number, nth: number, type: number, ip: string, dns: string, { isMonitored, power }: State): Row {
  const available = !isMonitored ? '0' : power === 'on' ? '1' : '2'
  return {
    interfaceid: String(id * 10 + nth),
    hostid: String(id),
    main: '1',
    type: String(type),
    useip: '1',
    ip,
    dns,
    port: type === 1 ? '10050' : type === 2 ? '161' : '623',
    available,
    error: '',
    details: [],
  }
}

/** Without prefix length. */
function bare(address: string): string {
  return address.split('/')[0] as string
}
