import type { Truth } from '../lib/truth.ts'
import { ids, type Places, storesPerCluster } from './places.ts'
import type { SnapshotNode, State } from './state.ts'
import {
  boolean,
  escaped,
  int,
  type ManagedObject,
  type Ref,
  reference,
  references,
  tag,
  text,
  time,
  typed,
} from './values.ts'

const gib = 1024
/** vCenter keeps `/` in names encoded. */
export const templateNames = ['tpl-debian-12', 'tpl-windows%2f2022'] as const

/** What a virtual machine of this vCenter is, whether from the truth, a template, or added later. */
export type Machine = {
  readonly id: string
  readonly name: string
  readonly uuid: string
  readonly mac: string
  readonly hostName: string
  readonly addresses: readonly string[]
  readonly platform: string
  readonly cpus: number
  readonly memoryMib: number
  readonly isTemplate: boolean
  readonly power: 'poweredOn' | 'poweredOff' | 'suspended'
  readonly powerSince: Date
  readonly snapshots: readonly SnapshotNode[]
  readonly currentSnapshot: string | undefined
  readonly folder: Ref
  readonly site: number
  readonly cluster: number
  /** Device index. */
  readonly host: number | undefined
  readonly isDatabase: boolean
  readonly store: number
}

export type Machines = ReturnType<typeof makeMachines>

/** `vm-<index>`: those of the truth, then the templates, then what was added. */
export function makeMachines(truth: Truth, places: Places, state: State) {
  const { estate } = truth
  const firstTemplate = estate.counts.vms
  const firstAdded = firstTemplate + templateNames.length

  function machine(id: string): Machine | undefined {
    const index = Number(/^vm-(\d{1,9})$/.exec(id)?.[1] ?? Number.NaN)
    if (Number.isNaN(index) || state.removed.has(id)) return undefined
    const change = state.vms.get(id) ?? {}
    const basis = basisOf(index)
    if (!basis) return undefined
    const { name = basis.name, power = basis.power, powerSince = basis.powerSince } = change
    const { snapshots = basis.snapshots, currentSnapshot = basis.snapshots[0]?.id } = change
    return { ...basis, id, name, power, powerSince, snapshots, currentSnapshot }
  }

  function basisOf(index: number): Omit<Machine, 'id' | 'currentSnapshot'> | undefined {
    if (index >= firstAdded) return state.added.includes(index) ? madeOne(index, `new-${index}`, false) : undefined
    if (index >= firstTemplate) return madeOne(index, templateNames[index - firstTemplate] ?? '', true)
    const vm = truth.vm(index)
    if (!vm.isIn('virtualization')) return undefined
    const at = vm.snapshotAt
    const node = at && { id: `snapshot-9${index}`, name: 'before-patching', description: '', createdAt: at }
    return {
      name: vm.hostName,
      uuid: vm.uuid,
      mac: vm.mac,
      hostName: vm.fqdn,
      addresses: [vm.addressIn('virtualization'), ...(vm.address6 === undefined ? [] : [vm.address6])],
      platform: vm.platform,
      cpus: vm.vcpus,
      memoryMib: vm.memoryMb,
      isTemplate: false,
      power: vm.power === 'on' ? 'poweredOn' : 'poweredOff',
      powerSince: vm.powerSince,
      snapshots: node ? [{ ...node, state: 'poweredOn', children: [] }] : [],
      folder: ids.tenant(vm.site, vm.tenant),
      site: vm.site,
      cluster: vm.cluster,
      host: hostFor(vm.cluster, vm.host),
      isDatabase: vm.purpose === 'Database',
      store: vm.cluster * storesPerCluster + (index % storesPerCluster),
    }
  }

  function madeOne(index: number, name: string, isTemplate: boolean): Omit<Machine, 'id' | 'currentSnapshot'> {
    const number = String(index).padStart(12, '0')
    return {
      name,
      uuid: `42000000-0000-4000-a000-${number}`,
      mac: `00:50:56:ff:${number.slice(-4, -2)}:${number.slice(-2)}`,
      hostName: '',
      addresses: [],
      platform: name.includes('windows') ? 'Windows Server 2022' : 'Debian 12',
      cpus: 2,
      memoryMib: 4 * gib,
      isTemplate,
      power: 'poweredOff',
      powerSince: truth.now,
      snapshots: [],
      folder: ids.folder('v', 0),
      site: 0,
      cluster: 0,
      host: hostFor(0, 0),
      isDatabase: false,
      store: 0,
    }
  }

  /** The host of the truth, or another of the cluster where that one is not in use. */
  function hostFor(cluster: number, wanted: number): number | undefined {
    const isUp = (index: number) => truth.device(index).isIn('virtualization') && truth.device(index).power === 'on'
    if (wanted > 0 && isUp(wanted)) return wanted
    const running = places.hostsOf(cluster).filter(isUp)
    return running[wanted % Math.max(running.length, 1)]
  }

  return {
    machine,
    find: (id: string): ManagedObject | undefined => {
      const found = machine(id)
      return found && asObject(found, state)
    },
    *all(): Generator<Ref> {
      const refOf = (index: number): Ref => ({ type: 'VirtualMachine', id: `vm-${index}` })
      for (let index = 0; index < firstAdded; index++) if (machine(`vm-${index}`)) yield refOf(index)
      for (const index of state.added) if (!state.removed.has(`vm-${index}`)) yield refOf(index)
    },
    nextIndex: () => firstAdded + state.added.length,
  }
}

function asObject(vm: Machine, state: State): ManagedObject {
  const isOn = vm.power === 'poweredOn'
  const hasTools = isOn && vm.hostName !== ''
  const [primary = ''] = vm.addresses
  return {
    ref: { type: 'VirtualMachine', id: vm.id },
    properties: {
      name: () => text(vm.name),
      parent: () => reference(vm.folder),
      resourcePool: () =>
        vm.isTemplate ? undefined : reference(vm.isDatabase ? ids.pool(vm.cluster) : ids.ownPool(vm.cluster)),
      datastore: () => references([ids.store(vm.store)]),
      network: () => references([ids.portgroup(vm.site)]),
      snapshot: () => (vm.snapshots.length > 0 ? snapshotInfo(vm) : undefined),
      'runtime.powerState': () => typed('VirtualMachinePowerState', vm.power),
      'runtime.connectionState': () => typed('VirtualMachineConnectionState', 'connected'),
      'runtime.bootTime': () => (isOn ? time(vm.powerSince) : undefined),
      'runtime.suspendTime': () => (vm.power === 'suspended' ? time(vm.powerSince) : undefined),
      'runtime.host': () => (vm.host === undefined ? undefined : reference(ids.host(vm.host))),
      'config.template': () => boolean(vm.isTemplate),
      'config.uuid': () => text(vm.uuid),
      'config.instanceUuid': () => text(`50${vm.uuid.slice(2)}`),
      'config.guestFullName': () => text(vm.platform),
      'config.version': () => text('vmx-19'),
      'config.changeVersion': () => text(String(state.seq())),
      'config.hardware.numCPU': () => int(vm.cpus),
      'config.hardware.memoryMB': () => int(vm.memoryMib),
      'config.hardware.device': () => devices(vm),
      'guest.hostName': () => (hasTools ? text(vm.hostName) : undefined),
      'guest.ipAddress': () => (hasTools ? text(primary.replace(/\/.*/, '')) : undefined),
      'guest.net': () => typed('ArrayOfGuestNicInfo', hasTools ? guestNics(vm) : ''),
      'guest.toolsRunningStatus': () => text(hasTools ? 'guestToolsRunning' : 'guestToolsNotRunning'),
    },
  }
}

function devices({ mac }: Machine): string {
  const device = (type: string, inner: string) => `<VirtualDevice xsi:type="${type}">${inner}</VirtualDevice>`
  return typed(
    'ArrayOfVirtualDevice',
    device('ParaVirtualSCSIController', tag('key', 1000)) +
      device('VirtualDisk', tag('key', 2000) + tag('capacityInKB', 41_943_040)) +
      device('VirtualVmxnet3', tag('key', 4000) + tag('addressType', 'assigned') + tag('macAddress', mac)),
  )
}

/** Beside the machine's own adapter, a bridge that containers have on every such guest. */
function guestNics({ addresses, mac }: Machine): string {
  const ip = (address: string) => {
    const [plain = '', length = ''] = address.split('/')
    return `<ipAddress>${tag('ipAddress', plain)}${length === '' ? '' : tag('prefixLength', length)}${tag('state', 'preferred')}</ipAddress>`
  }
  const nic = (key: number, macAddress: string, all: readonly string[]) =>
    `<GuestNicInfo>${all.map((one) => tag('ipAddress', one.replace(/\/.*/, ''))).join('')}${tag('macAddress', macAddress)}${tag('connected', true)}${tag('deviceConfigId', key)}<ipConfig>${all.map(ip).join('')}</ipConfig></GuestNicInfo>`
  return nic(4000, mac, [...addresses, 'fe80::250:56ff:fe00:1/64']) + nic(-1, '02:42:ac:11:00:01', ['172.17.0.1/16'])
}

function snapshotInfo({ id, snapshots, currentSnapshot }: Machine): string {
  const node = (name: string, one: SnapshotNode): string =>
    `<${name}><snapshot type="VirtualMachineSnapshot">${one.id}</snapshot><vm type="VirtualMachine">${id}</vm><name>${escaped(one.name)}</name>${tag('description', one.description)}${tag('id', 1)}${tag('createTime', one.createdAt.toISOString())}${tag('state', one.state)}${tag('quiesced', false)}${one.children.map((child) => node('childSnapshotList', child)).join('')}</${name}>`
  const current =
    currentSnapshot === undefined
      ? ''
      : `<currentSnapshot type="VirtualMachineSnapshot">${currentSnapshot}</currentSnapshot>`
  return typed('VirtualMachineSnapshotInfo', current + snapshots.map((one) => node('rootSnapshotList', one)).join(''))
}
