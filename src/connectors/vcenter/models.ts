import type { Wanted } from './properties.ts'

/** Our kind for each type that becomes an asset. Standalone compute resources and folders only place others. */
export const kinds: Readonly<Record<string, string>> = {
  VirtualMachine: 'virtual-machine',
  HostSystem: 'host',
  ClusterComputeResource: 'cluster',
  Datastore: 'datastore',
  Network: 'network',
  DistributedVirtualPortgroup: 'network',
  OpaqueNetwork: 'network',
  Datacenter: 'datacenter',
  ResourcePool: 'resource-pool',
  VirtualApp: 'resource-pool',
}

export const viewTypes = [
  'VirtualMachine',
  'HostSystem',
  'ComputeResource',
  'Datastore',
  'Network',
  'Datacenter',
  'Folder',
  'ResourcePool',
] as const

/** What is read of each type, and nothing else. */
export const properties = {
  VirtualMachine: [
    'name',
    'parent',
    'resourcePool',
    'datastore',
    'network',
    'snapshot',
    'runtime.powerState',
    'runtime.connectionState',
    'runtime.bootTime',
    'runtime.suspendTime',
    'runtime.host',
    'config.template',
    'config.uuid',
    'config.instanceUuid',
    'config.guestFullName',
    'config.version',
    'config.hardware.numCPU',
    'config.hardware.memoryMB',
    // Where the network adapters' MAC addresses are when the machine is off.
    'config.hardware.device',
    'guest.hostName',
    'guest.ipAddress',
    'guest.net',
    'guest.toolsRunningStatus',
  ],
  HostSystem: [
    'name',
    'parent',
    'runtime.connectionState',
    'runtime.powerState',
    'runtime.inMaintenanceMode',
    'runtime.bootTime',
    'hardware.systemInfo',
    'summary.hardware',
    'config.product',
    'config.network.pnic',
    'config.network.vnic',
    'config.network.dnsConfig',
  ],
  ClusterComputeResource: [
    'name',
    'parent',
    'overallStatus',
    'host',
    'configuration.dasConfig.enabled',
    'configuration.drsConfig.enabled',
  ],
  Datastore: ['name', 'parent', 'summary', 'host'],
  Network: ['name', 'parent', 'overallStatus'],
  Datacenter: ['name', 'parent', 'overallStatus'],
  ResourcePool: ['name', 'parent', 'overallStatus'],
} as const satisfies Wanted

/** What tells that a thing changed; it is then read again in whole. `changeVersion` stands for the whole configuration. */
export const signals: Wanted = {
  VirtualMachine: [
    'name',
    'parent',
    'resourcePool',
    'datastore',
    'network',
    'snapshot',
    'runtime.powerState',
    'runtime.connectionState',
    'runtime.bootTime',
    'runtime.host',
    'config.template',
    'config.changeVersion',
    'guest.hostName',
    'guest.net',
    'guest.toolsRunningStatus',
  ],
  HostSystem: [
    'name',
    'parent',
    'runtime.connectionState',
    'runtime.powerState',
    'runtime.inMaintenanceMode',
    'runtime.bootTime',
    'config.product',
    'config.network.vnic',
    'config.network.dnsConfig',
  ],
  ComputeResource: ['name', 'parent', 'overallStatus', 'host'],
  Datastore: ['name', 'parent', 'summary', 'host'],
  Network: ['name', 'parent', 'overallStatus'],
  Datacenter: ['name', 'parent', 'overallStatus'],
  Folder: ['name', 'parent'],
  ResourcePool: ['name', 'parent', 'overallStatus'],
}

/** The entry of `properties` for a type as objects have it. */
export function modelOf(type: string): keyof typeof properties | undefined {
  if (type === 'DistributedVirtualPortgroup' || type === 'OpaqueNetwork') return 'Network'
  if (type === 'VirtualApp') return 'ResourcePool'
  return Object.hasOwn(properties, type) ? (type as keyof typeof properties) : undefined
}

/** Types whose name or place is shown on other things. */
export const placeTypes: ReadonlySet<string> = new Set([
  'Folder',
  'StoragePod',
  'Datacenter',
  'ComputeResource',
  'ClusterComputeResource',
  'HostSystem',
  'ResourcePool',
  'VirtualApp',
])
