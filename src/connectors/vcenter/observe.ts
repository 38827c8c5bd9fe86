import type { Attribute, Observation } from '../../core/connector.ts'
import { basisOf, placed, relationsOf, type Scene, textOf } from './basis.ts'
import { observeHost } from './host.ts'
import { modelOf } from './models.ts'
import type { Found } from './properties.ts'
import { all, booleanAt, numberAt, textAt } from './soap.ts'
import { isOwnPool } from './tree.ts'
import { observeVm } from './vm.ts'

/** A virtual machine comes with its snapshots; folders and standalone compute resources are nothing by themselves. */
export function observe(scene: Scene, found: Found): readonly Observation[] {
  const model = modelOf(found.ref.type)
  if (!model) return []
  if (model === 'VirtualMachine') return observeVm(scene, found)
  if (model === 'HostSystem') return [observeHost(scene, found)]
  if (model === 'ResourcePool' && isOwnPool(scene.tree, textOf(found, 'parent'))) return []
  return [others[model](scene, found)]
}

const others = {
  Datacenter: (scene, found) => plain(scene, found, {}),
  Network: (scene, found) => plain(scene, found, { type: networkTypes[found.ref.type] ?? null }),
  ResourcePool: (scene, found) => plain(scene, found, {}),
  ClusterComputeResource: (scene, found) =>
    plain(scene, found, {
      hosts: all(found.properties.get('host'), 'ManagedObjectReference').length,
      haEnabled: booleanAt(found.properties.get('configuration.dasConfig.enabled')) ?? null,
      drsEnabled: booleanAt(found.properties.get('configuration.drsConfig.enabled')) ?? null,
    }),
  Datastore: (scene, found) => {
    const summary = found.properties.get('summary')
    const capacity = numberAt(summary, 'capacity')
    const free = numberAt(summary, 'freeSpace')
    const isAccessible = booleanAt(summary, 'accessible')
    const usedPercent = capacity && free !== undefined ? Math.round((1 - free / capacity) * 1000) / 10 : undefined
    return {
      ...plain(scene, found, {
        type: textAt(summary, 'type') ?? null,
        capacityBytes: capacity ?? null,
        freeBytes: free ?? null,
        hosts: all(found.properties.get('host'), 'DatastoreHostMount').length,
      }),
      ...(isAccessible !== undefined && { status: isAccessible ? 'accessible' : 'inaccessible' }),
      // A store that cannot be reached tells old numbers.
      ...(usedPercent !== undefined && isAccessible !== false && { facts: { usedPercent } }),
    }
  },
} satisfies Record<string, (scene: Scene, found: Found) => Observation>

const networkTypes: Readonly<Record<string, string>> = {
  Network: 'standard port group',
  DistributedVirtualPortgroup: 'distributed port group',
  OpaqueNetwork: 'opaque network',
}

function plain(scene: Scene, found: Found, attributes: Readonly<Record<string, Attribute>>): Observation {
  const { placement, ...basis } = basisOf(scene, found)
  const status = textOf(found, 'overallStatus')
  return {
    ...basis,
    ...(status !== undefined && { status: status.toLowerCase() }),
    attributes: { ...attributes, ...placed(placement) },
    relations: relationsOf(placement),
  }
}
