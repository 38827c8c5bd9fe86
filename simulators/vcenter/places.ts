import type { Truth } from '../lib/truth.ts'
import type { State } from './state.ts'
import {
  boolean,
  type ManagedObject,
  type Properties,
  type Ref,
  reference,
  references,
  tag,
  text,
  time,
  typed,
} from './values.ts'

// Datacenters are the truth's sites, by code; clusters and their hosts are its clusters and hypervisors. Each id holds an index.

export const rootFolder: Ref = { type: 'Folder', id: 'group-d1' }
export const storesPerCluster = 3
const tenantFolders = 1000

export const ids = {
  datacenter: (site: number): Ref => ({ type: 'Datacenter', id: `datacenter-${site + 1}` }),
  /** v: virtual machines, h: hosts, s: stores, n: networks */
  folder: (kind: Area, site: number): Ref => ({ type: 'Folder', id: `group-${kind}${site + 1}` }),
  tenant: (site: number, tenant: number): Ref => ({
    type: 'Folder',
    id: `group-v${(site + 1) * tenantFolders + tenant}`,
  }),
  cluster: (index: number): Ref => ({ type: 'ClusterComputeResource', id: `domain-c${index + 1}` }),
  ownPool: (cluster: number): Ref => ({ type: 'ResourcePool', id: `resgroup-${cluster * 2 + 1}` }),
  pool: (cluster: number): Ref => ({ type: 'ResourcePool', id: `resgroup-${cluster * 2 + 2}` }),
  host: (device: number): Ref => ({ type: 'HostSystem', id: `host-${device}` }),
  store: (index: number): Ref => ({ type: 'Datastore', id: `datastore-${index + 1}` }),
  portgroup: (site: number): Ref => ({ type: 'DistributedVirtualPortgroup', id: `dvportgroup-${site + 1}` }),
  network: (site: number): Ref => ({ type: 'Network', id: `network-${site + 1}` }),
}
type Area = 'v' | 'h' | 's' | 'n'
const areas = { v: 'vm', h: 'host', s: 'datastore', n: 'network' } as const

export type Places = ReturnType<typeof makePlaces>

export function makePlaces(truth: Truth, state: State) {
  const { estate } = truth
  const { counts } = estate
  const named = (ref: Ref, name: string, parent: Ref | undefined, more: Properties = {}): ManagedObject => ({
    ref,
    properties: {
      name: () => text(state.names.get(ref.id) ?? name),
      parent: () => parent && reference(parent),
      overallStatus: () => typed('ManagedEntityStatus', 'green'),
      ...more,
    },
  })
  const hosts = new Map<number, number[]>()
  const hostsOf = (cluster: number): number[] => {
    const known = hosts.get(cluster) ?? devicesOf(truth, cluster)
    hosts.set(cluster, known)
    return known
  }

  function clusterAt(index: number): ManagedObject {
    const { name, site } = estate.cluster(index)
    return named(ids.cluster(index), name, ids.folder('h', site), {
      host: () => references(hostsOf(index).map(ids.host)),
      'configuration.dasConfig.enabled': () => boolean(true),
      'configuration.drsConfig.enabled': () => boolean(index % 2 === 0),
    })
  }

  function storeAt(index: number): ManagedObject {
    const cluster = Math.floor(index / storesPerCluster)
    const { name, site } = estate.cluster(cluster)
    const capacity = (4 + (index % 3) * 4) * 1024 ** 4
    // Below 70 % used: a full store is a finding, and none was planted.
    const free = Math.round(capacity * (0.35 + ((index * 7) % 30) / 100))
    const label = `${name.toLowerCase()}-ds0${(index % storesPerCluster) + 1}`
    return named(ids.store(index), label, ids.folder('s', site), {
      summary: () =>
        typed(
          'DatastoreSummary',
          tag('name', label) +
            tag('capacity', capacity) +
            tag('freeSpace', free) +
            tag('accessible', true) +
            tag('type', 'VMFS') +
            tag('maintenanceMode', 'normal'),
        ),
      host: () =>
        typed(
          'ArrayOfDatastoreHostMount',
          hostsOf(cluster)
            .map((device) => `<DatastoreHostMount><key type="HostSystem">host-${device}</key></DatastoreHostMount>`)
            .join(''),
        ),
    })
  }

  function poolAt(cluster: number, isOwn: boolean): ManagedObject {
    if (isOwn) return named(ids.ownPool(cluster), 'Resources', ids.cluster(cluster))
    return named(ids.pool(cluster), 'Databases', ids.ownPool(cluster))
  }

  function folderAt(ref: Ref, number: number, kind: string): ManagedObject | undefined {
    const isTenant = kind === 'v' && number >= tenantFolders
    const site = isTenant ? Math.floor(number / tenantFolders) - 1 : number - 1
    if (site < 0 || site >= counts.sites) return undefined
    if (isTenant) return named(ref, estate.tenant(number % tenantFolders).name, ids.folder('v', site))
    return named(ref, areas[kind as Area], ids.datacenter(site))
  }

  const makers: Readonly<Record<string, (index: number, ref: Ref) => ManagedObject | undefined>> = {
    datacenter: (n, ref) => (n < counts.sites ? named(ref, estate.site(n).code.toUpperCase(), rootFolder) : undefined),
    'domain-c': (n) => (n < counts.clusters ? clusterAt(n) : undefined),
    resgroup: (n) => (n < counts.clusters * 2 ? poolAt(Math.floor(n / 2), n % 2 === 0) : undefined),
    datastore: (n) => (n < counts.clusters * storesPerCluster ? storeAt(n) : undefined),
    dvportgroup: (n, ref) =>
      n < counts.sites ? named(ref, `${estate.site(n).code}-vm`, ids.folder('n', n)) : undefined,
    network: (n, ref) => (n < counts.sites ? named(ref, 'VM Network', ids.folder('n', n)) : undefined),
  }
  const types: Readonly<Record<string, string>> = {
    datacenter: 'Datacenter',
    'domain-c': 'ClusterComputeResource',
    resgroup: 'ResourcePool',
    datastore: 'Datastore',
    dvportgroup: 'DistributedVirtualPortgroup',
    network: 'Network',
  }

  return {
    hostsOf,
    find(id: string): ManagedObject | undefined {
      if (id === rootFolder.id) return named(rootFolder, 'Datacenters', undefined)
      const [, prefix = '', digits = ''] = /^(domain-c|[a-z]+-?[vhsn]?)-?(\d{1,9})$/.exec(id) ?? []
      const kind = prefix.replace(/-$/, '')
      const number = Number(digits)
      if (/^group-[vhsn]$/.test(kind)) return folderAt({ type: 'Folder', id }, number, kind.slice(-1))
      if (kind === 'host') return hostAt(truth, state, number)
      const type = types[kind]
      return type === undefined ? undefined : makers[kind]?.(number - 1, { type, id })
    },
    /** Every object but virtual machines. */
    *all(): Generator<Ref> {
      yield rootFolder
      for (let site = 0; site < counts.sites; site++) {
        yield ids.datacenter(site)
        for (const area of Object.keys(areas) as Area[]) yield ids.folder(area, site)
        for (let tenant = 0; tenant < counts.tenants; tenant++) yield ids.tenant(site, tenant)
        yield ids.portgroup(site)
        yield ids.network(site)
      }
      for (let cluster = 0; cluster < counts.clusters; cluster++) {
        yield ids.cluster(cluster)
        yield ids.ownPool(cluster)
        yield ids.pool(cluster)
        for (const device of hostsOf(cluster)) yield ids.host(device)
        for (let n = 0; n < storesPerCluster; n++) yield ids.store(cluster * storesPerCluster + n)
      }
    },
  }
}

/** Device indexes of a cluster's hosts that are in the virtualization. */
function devicesOf({ estate, device }: Truth, cluster: number): number[] {
  const devices: number[] = []
  // Hypervisors of a cluster follow each other: four racks of twelve.
  for (let n = cluster * 48; n < Math.min((cluster + 1) * 48, estate.counts.hypervisors); n++) {
    const index = estate.hypervisorDevice(n)
    if (device(index).isIn('virtualization')) devices.push(index)
  }
  return devices
}

function hostAt(truth: Truth, state: State, index: number): ManagedObject | undefined {
  if (index >= truth.estate.counts.devices) return undefined
  const host = truth.device(index)
  const ref = ids.host(index)
  if (host.cluster === undefined || !host.isIn('virtualization')) return undefined
  const isOn = host.power === 'on'
  const { manufacturer, name: model } = host.model
  const [address = ''] = host.address.split('/')
  const tagged = (key: string, value: string) =>
    `<otherIdentifyingInfo>${tag('identifierValue', value)}<identifierType>${tag('label', key)}${tag('key', key)}</identifierType></otherIdentifyingInfo>`
  const common = tag('vendor', manufacturer) + tag('model', model) + tag('uuid', host.uuid)
  const version = host.platform.split(' ').at(-1) ?? '8.0'
  return {
    ref,
    properties: {
      name: () => text(state.names.get(ref.id) ?? host.fqdn),
      parent: () => reference(ids.cluster(host.cluster ?? 0)),
      overallStatus: () => typed('ManagedEntityStatus', isOn ? 'green' : 'red'),
      // vCenter cannot tell a host that is off from one that it does not reach.
      'runtime.connectionState': () => typed('HostSystemConnectionState', isOn ? 'connected' : 'notResponding'),
      'runtime.powerState': () => typed('HostSystemPowerState', isOn ? 'poweredOn' : 'unknown'),
      'runtime.inMaintenanceMode': () => boolean(false),
      'runtime.bootTime': () => (isOn ? time(host.powerSince) : undefined),
      'hardware.systemInfo': () =>
        typed(
          'HostSystemInfo',
          common +
            tagged('AssetTag', ' unknown') +
            tagged('ServiceTag', host.serial) +
            tag('serialNumber', host.serial),
        ),
      'summary.hardware': () =>
        typed('HostHardwareSummary', common + tag('memorySize', 512 * 1024 ** 3) + tag('numCpuCores', 64)),
      'config.product': () =>
        typed(
          'AboutInfo',
          tag('name', 'VMware ESXi') +
            tag('fullName', `VMware ESXi ${version}.3 build-24022510`) +
            tag('version', version),
        ),
      'config.network.pnic': () =>
        typed(
          'ArrayOfPhysicalNic',
          host.macs
            .map(
              (mac, i) =>
                `<PhysicalNic>${tag('key', `key-vim.host.PhysicalNic-vmnic${i}`)}${tag('mac', mac)}</PhysicalNic>`,
            )
            .join(''),
        ),
      'config.network.vnic': () =>
        typed(
          'ArrayOfHostVirtualNic',
          `<HostVirtualNic>${tag('device', 'vmk0')}<spec><ip>${tag('dhcp', false)}${tag('ipAddress', address)}</ip></spec></HostVirtualNic>`,
        ),
      'config.network.dnsConfig': () =>
        typed(
          'HostDnsConfig',
          tag('hostName', host.hostName) + tag('domainName', host.fqdn.slice(host.hostName.length + 1)),
        ),
    },
  }
}
