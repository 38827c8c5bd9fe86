import type { Facts, Observation, XmlElement } from '../../core/connector.ts'
import { basisOf, placed, relationsOf, type Scene, textOf } from './basis.ts'
import { isOwnAddress, isOwnName } from './marks.ts'
import type { Found } from './properties.ts'
import { all, at, booleanAt, numberAt, textAt, timeAt } from './soap.ts'
import { isOwnPool, placeIn, plainName } from './tree.ts'

type Relations = NonNullable<Observation['relations']>

/** A virtual machine and its snapshots. */
export function observeVm(scene: Scene, found: Found): Observation[] {
  const { placement: inFolder, ...basis } = basisOf(scene, found)
  const { properties, ref } = found
  const host = textOf(found, 'runtime.host')
  const onHost = placeIn(scene.tree, host)
  // The folder tells the datacenter also while no host runs the machine; the host tells the cluster.
  const placement = { ...onHost, ...inFolder, ...(onHost.cluster && { cluster: onHost.cluster }) }
  const status = textOf(found, 'runtime.powerState')
  const uuid = textOf(found, 'config.uuid')
  const hostName = textOf(found, 'guest.hostName') ?? ''
  const pool = poolOf(scene, found)
  const vm: Observation = {
    ...basis,
    ...(placement.datacenter && { site: placement.datacenter.name }),
    ...(status !== undefined && { status: status.toLowerCase() }),
    addresses: addressesOf(found),
    attributes: {
      cpus: numberAt(properties.get('config.hardware.numCPU')) ?? null,
      memoryMib: numberAt(properties.get('config.hardware.memoryMB')) ?? null,
      platform: textOf(found, 'config.guestFullName') ?? null,
      hardware: textOf(found, 'config.version') ?? null,
      instanceUuid: textOf(found, 'config.instanceUuid') ?? null,
      connection: textOf(found, 'runtime.connectionState') ?? null,
      tools: textOf(found, 'guest.toolsRunningStatus') ?? null,
      host: (host !== undefined && scene.tree.get(host)?.name) || null,
      pool: pool?.name ?? null,
      ...placed(placement),
    },
    relations: [
      ...(host === undefined ? [] : [{ type: 'runs-on', kind: 'host', externalId: host }]),
      ...relationsOf(placement),
      ...(pool ? [{ type: 'in-pool', kind: 'resource-pool', externalId: pool.id }] : []),
      ...references(found, 'datastore').map((id) => ({ type: 'stored-on', kind: 'datastore', externalId: id })),
      ...references(found, 'network').map((id) => ({ type: 'connected-to', kind: 'network', externalId: id })),
    ],
    machine: {
      form: 'virtual',
      ...(uuid !== undefined && { uuids: [uuid] }),
      macs: all(properties.get('config.hardware.device'), 'VirtualDevice').flatMap(
        (device) => textAt(device, 'macAddress') ?? [],
      ),
      ...(isOwnName(hostName) && { hostNames: [hostName] }),
    },
    facts: factsOf(scene, found),
  }
  return [vm, ...snapshotsIn(found).map((snapshot) => observeSnapshot(vm, ref.id, snapshot))]
}

/** Templates are in none, and what is in a host's or cluster's own pool is in no pool that people made. */
function poolOf({ tree }: Scene, found: Found) {
  const pool = tree.get(textOf(found, 'resourcePool') ?? '')
  return pool && !isOwnPool(tree, pool.parent) ? pool : undefined
}

const powers: Readonly<Record<string, NonNullable<Facts['power']>>> = {
  poweredOn: 'on',
  poweredOff: 'off',
  suspended: 'suspended',
}

/** `powerSince` is left out where vCenter does not know: it keeps no time of switching off but the event. */
function factsOf({ offSince }: Scene, found: Found): Facts {
  const { ref, properties } = found
  const state = textOf(found, 'runtime.powerState') ?? ''
  const power = Object.hasOwn(powers, state) ? powers[state] : undefined
  const isTemplate = booleanAt(properties.get('config.template'))
  const since = {
    on: timeAt(properties.get('runtime.bootTime')),
    suspended: timeAt(properties.get('runtime.suspendTime')),
    off: offSince.get(ref.id),
  }
  const powerSince = power && since[power]
  return {
    ...(power && { power }),
    ...(powerSince !== undefined && { powerSince }),
    ...(isTemplate !== undefined && { isTemplate }),
  }
}

/** Only the machine's own adapters: what containers and tunnels in the guest have is the same in many guests. */
function addressesOf({ properties }: Found): string[] {
  const nics = all(properties.get('guest.net'), 'GuestNicInfo').filter((nic) => numberAt(nic, 'deviceConfigId') !== -1)
  const known = nics.flatMap((nic) => {
    const detailed = all(at(nic, 'ipConfig'), 'ipAddress').flatMap((one) => {
      const ip = textAt(one, 'ipAddress')
      const length = numberAt(one, 'prefixLength')
      return ip === undefined ? [] : [length === undefined ? ip : `${ip}/${length}`]
    })
    return detailed.length > 0 ? detailed : all(nic, 'ipAddress').map(({ text }) => text)
  })
  const addresses = known.length > 0 ? known : [textAt(properties.get('guest.ipAddress')) ?? '']
  const withoutZones = addresses.map((address) => address.replace(/%[^/]*/, ''))
  return [...new Set(withoutZones)].filter(isOwnAddress)
}

function references({ properties }: Found, path: string): string[] {
  return all(properties.get(path), 'ManagedObjectReference').map(({ text }) => text)
}

/** One snapshot in a machine's tree. */
export type Snapshot = {
  readonly id: string
  readonly name: string
  readonly createdAt: string | undefined
  readonly state: string | undefined
  readonly parent: string | undefined
  readonly isCurrent: boolean
}

/** All snapshots of a virtual machine, each after the one it was made on. */
export function snapshotsIn({ properties }: Found): Snapshot[] {
  const info = properties.get('snapshot')
  const current = textAt(info, 'currentSnapshot')
  const below = (list: readonly XmlElement[], parent?: string): Snapshot[] =>
    list.flatMap((one) => {
      const id = textAt(one, 'snapshot')
      if (id === undefined) return []
      const snapshot: Snapshot = {
        id,
        name: plainName(textAt(one, 'name')) ?? id,
        createdAt: timeAt(one, 'createTime'),
        state: textAt(one, 'state')?.toLowerCase(),
        parent,
        isCurrent: id === current,
      }
      return [snapshot, ...below(all(one, 'childSnapshotList'), id)]
    })
  return below(all(info, 'rootSnapshotList'))
}

function observeSnapshot(vm: Observation, vmId: string, snapshot: Snapshot): Observation {
  const { id, name, createdAt, state, parent, isCurrent } = snapshot
  const relations: Relations = [
    { type: 'snapshot-of', kind: 'virtual-machine', externalId: vmId },
    ...(parent === undefined ? [] : [{ type: 'based-on', kind: 'snapshot', externalId: parent }]),
  ]
  return {
    kind: 'snapshot',
    externalId: id,
    name,
    ...(state !== undefined && { status: state }),
    ...(vm.site !== undefined && { site: vm.site }),
    attributes: { virtualMachine: vm.name, isCurrent },
    relations,
    ...(createdAt !== undefined && { facts: { createdAt } }),
  }
}
