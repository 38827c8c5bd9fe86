import { dotted, macOf, serialOf, three, two, uuidOf } from './estate-marks.ts'
import {
  cities,
  guestPlatforms,
  hardware,
  type Model,
  platforms,
  purposes,
  type Role,
  tenantNames,
} from './estate-words.ts'
import { type Dice, makeDice } from './random.ts'

// The truth about one invented company's machines, neutral of any system: each simulator shows it under that system's own
// names and with that system's own flaws. Everything is computed from the seed and an index, so any size costs no memory.
//
// Layout: 12 racks a site, 24 places a rack: 2 switches, 1 PDU, 3 places that are firewalls and a router in a site's first
// rack and servers or storage elsewhere, 12 hypervisors, 6 servers. 4 racks of hypervisors are a cluster.
// Addresses: 10.0.0.0/9 has a /26 per rack for devices, 10.128.0.0/9 a /25 per rack for virtual machines.

const perRack = 24
const racksPerSite = 12
const racksPerCluster = 4
const clustersPerSite = racksPerSite / racksPerCluster
const firstHypervisor = 6
const hypervisorsPerRack = 12
const oobPerRack = perRack - firstHypervisor
const vmsPerHypervisor = 10

/** Keys of the dice: one number per question, so that answers are independent. */
const ask = { model: 1, platform: 2, tenant: 3, state: 4, purpose: 5, size: 7, server: 8 } as const

export type State = 'in-service' | 'planned' | 'staged' | 'spare' | 'failed' | 'off' | 'leaving'

export type Site = {
  readonly code: string
  readonly name: string
  readonly country: string
  readonly timeZone: string
  readonly facility: string
}
export type Rack = { readonly name: string; readonly site: number; readonly units: number }
export type Cluster = { readonly name: string; readonly site: number }
export type Tenant = { readonly name: string; readonly slug: string }

/** A thing in a rack. `site`, `rack`, `tenant` and `cluster` are indexes. */
export type Device = {
  readonly role: Role
  readonly hostName: string
  readonly fqdn: string
  readonly serial: string
  readonly uuid: string
  readonly macs: readonly string[]
  readonly model: Model
  readonly platform: string
  readonly site: number
  readonly rack: number
  /** Lowest rack unit; undefined for what hangs at the side. */
  readonly unit: number | undefined
  readonly tenant: number
  readonly cluster: number | undefined
  readonly state: State
  /** With prefix length. */
  readonly address: string
  readonly oobAddress: string | undefined
}

export type VirtualMachine = {
  readonly hostName: string
  readonly fqdn: string
  readonly uuid: string
  readonly mac: string
  readonly purpose: string
  readonly platform: string
  readonly site: number
  /** The hypervisor it runs on. */
  readonly host: number
  readonly cluster: number
  readonly tenant: number
  readonly vcpus: number
  readonly memoryMb: number
  readonly diskGb: number
  readonly state: State
  readonly address: string
  /** Every tenth has one. */
  readonly address6: string | undefined
}

export type Subnet = {
  readonly cidr: string
  readonly site: number
  readonly vlan: number
  readonly use: 'devices' | 'virtual machines'
}

export type Estate = ReturnType<typeof makeEstate>

/** The same seed and sizes give the same estate. At most 10 virtual machines per hypervisor and 1,500,000 devices. */
export function makeEstate({ seed, devices, vms }: { seed: number; devices: number; vms: number }) {
  const dice = makeDice(seed)
  const racks = Math.ceil(devices / perRack)
  const lastRack = devices - Math.max(racks - 1, 0) * perRack
  const inRacks = (first: number, count: number) =>
    Math.max(racks - 1, 0) * count + Math.min(Math.max(lastRack - first, 0), count)
  const hypervisors = inRacks(firstHypervisor, hypervisorsPerRack)
  if (vms > hypervisors * vmsPerHypervisor) {
    throw new RangeError(
      `${devices} devices hold ${hypervisors} hypervisors, which is too few for ${vms} virtual machines`,
    )
  }
  if (devices > 1_500_000) throw new RangeError('at most 1,500,000 devices have addresses')
  const fullSites = Math.floor(racks / racksPerSite)
  const counts = {
    devices,
    vms,
    hypervisors,
    racks,
    sites: Math.ceil(racks / racksPerSite),
    clusters: fullSites * clustersPerSite + Math.ceil((racks % racksPerSite) / racksPerCluster),
    tenants: tenantNames.length,
    oob: inRacks(firstHypervisor, oobPerRack),
    vms6: Math.ceil(vms / 10),
    subnets: racks * 2,
  }
  return {
    counts,
    site,
    rack,
    tenant,
    cluster: (index: number): Cluster => {
      const at = Math.floor(index / clustersPerSite)
      return { name: `${site(at).code.toUpperCase()}-PROD-0${(index % clustersPerSite) + 1}`, site: at }
    },
    device: (index: number): Device => device(dice, index),
    vm: (index: number): VirtualMachine => virtualMachine(dice, hypervisors, index),
    subnet: (index: number): Subnet => subnet(index),
    /** The position of a device among those with an out-of-band address, and back. */
    oobRank: (index: number) => Math.floor(index / perRack) * oobPerRack + (index % perRack) - firstHypervisor,
    oobDevice: (rank: number) => Math.floor(rank / oobPerRack) * perRack + (rank % oobPerRack) + firstHypervisor,
    hypervisorDevice,
  }
}

function site(index: number): Site {
  const [code, name, country, timeZone] = cities[index % cities.length] as (typeof cities)[number]
  const number = Math.floor(index / cities.length) + 1
  return { code: `${code}${number}`, name: `${name} ${number}`, country, timeZone, facility: `${name} DC${number}` }
}

function rack(index: number): Rack {
  const at = Math.floor(index / racksPerSite)
  return { name: `${site(at).code.toUpperCase()}-R${two((index % racksPerSite) + 1)}`, site: at, units: 47 }
}

function tenant(index: number): Tenant {
  const name = tenantNames[index % tenantNames.length] as string
  return { name, slug: name.toLowerCase().replaceAll(' ', '-') }
}

function device(dice: Dice, index: number): Device {
  const at = Math.floor(index / perRack)
  const place = index % perRack
  const inSite = at % racksPerSite
  const siteIndex = Math.floor(at / racksPerSite)
  const role = roleAt(place, inSite)
  const model: Model = dice.pick(hardware[role] as readonly Model[], ask.model, role === 'hypervisor' ? at : index)
  const hostName = `${site(siteIndex).code}-${nameAt(dice, role, place, inSite, index)}`
  const mac = (n: number) => macOf(model.oui, index * 2 + n)
  return {
    role,
    hostName,
    fqdn: `${hostName}.dc.example.net`,
    serial: serialOf(model, index),
    get uuid() {
      return uuidOf(dice, index, 0)
    },
    get macs() {
      return [mac(0), mac(1)]
    },
    model,
    platform: dice.pick(platforms[role], ask.platform, role === 'hypervisor' ? at : index),
    site: siteIndex,
    rack: at,
    unit: unitAt(place),
    tenant: role === 'server' ? dice.whole(ask.tenant, index) % tenantNames.length : 0,
    cluster: role === 'hypervisor' ? siteIndex * clustersPerSite + Math.floor(inSite / racksPerCluster) : undefined,
    state: stateOf(dice, index, 0),
    address: `${dotted(0x0a00_0000 + at * 64 + 2 + place)}/26`,
    oobAddress: place >= firstHypervisor ? `${dotted(0x0a00_0000 + at * 64 + 32 + place)}/26` : undefined,
  }
}

function virtualMachine(dice: Dice, hypervisors: number, index: number): VirtualMachine {
  const host = hypervisorDevice(index % hypervisors)
  const at = Math.floor(host / perRack)
  const siteIndex = Math.floor(at / racksPerSite)
  const inSite = at % racksPerSite
  const inRack = ((index % hypervisors) % hypervisorsPerRack) + hypervisorsPerRack * Math.floor(index / hypervisors)
  const [word, purpose, vcpus, memoryMb, diskGb] = dice.pick(purposes, ask.purpose, index)
  const factor = 1 + (dice.whole(ask.size, index) % 2)
  const number = inSite * hypervisorsPerRack * vmsPerHypervisor + inRack + 1
  const hostName = `${site(siteIndex).code}-${word}${String(number).padStart(4, '0')}`
  const low = at * 128 + 2 + inRack
  return {
    hostName,
    fqdn: `${hostName}.vm.example.net`,
    get uuid() {
      return uuidOf(dice, index, 1)
    },
    get mac() {
      return macOf('00:50:56', index)
    },
    purpose,
    platform: dice.pick(guestPlatforms, ask.platform, index, 1),
    site: siteIndex,
    host,
    cluster: siteIndex * clustersPerSite + Math.floor(inSite / racksPerCluster),
    tenant: dice.whole(ask.tenant, index, 1) % tenantNames.length,
    vcpus: vcpus * factor,
    memoryMb: memoryMb * factor,
    diskGb: diskGb * factor,
    state: stateOf(dice, index, 1),
    address: `${dotted(0x0a80_0000 + low)}/25`,
    address6:
      index % 10 === 0
        ? `2001:db8:${siteIndex.toString(16)}:${at.toString(16)}::${(inRack + 2).toString(16)}/64`
        : undefined,
  }
}

function subnet(index: number): Subnet {
  const at = Math.floor(index / 2)
  const where = { site: Math.floor(at / racksPerSite), vlan: 100 + (at % racksPerSite) * 2 + (index % 2) }
  if (index % 2 === 0) return { ...where, cidr: `${dotted(0x0a00_0000 + at * 64)}/26`, use: 'devices' }
  return { ...where, cidr: `${dotted(0x0a80_0000 + at * 128)}/25`, use: 'virtual machines' }
}

/** The device index of the nth hypervisor. */
function hypervisorDevice(n: number): number {
  return Math.floor(n / hypervisorsPerRack) * perRack + firstHypervisor + (n % hypervisorsPerRack)
}

function roleAt(place: number, inSite: number): Role {
  if (place < 2) return 'access-switch'
  if (place === 2) return 'pdu'
  if (place < 5) return inSite === 0 ? 'firewall' : 'server'
  if (place === 5) return inSite === 0 ? 'router' : 'storage'
  return place < firstHypervisor + hypervisorsPerRack ? 'hypervisor' : 'server'
}

function nameAt(dice: Dice, role: Role, place: number, inSite: number, index: number): string {
  const rackName = `r${two(inSite + 1)}`
  if (role === 'access-switch') return `${rackName}-sw${place + 1}`
  if (role === 'pdu') return `${rackName}-pdu1`
  if (role === 'firewall') return `fw${place - 2}`
  if (role === 'router') return 'rt1'
  if (role === 'storage') return `sto${two(inSite)}`
  if (role === 'hypervisor') return `esx${three(inSite * hypervisorsPerRack + place - firstHypervisor + 1)}`
  return `${dice.pick(['bm', 'sql', 'bkp', 'mon', 'gpu'], ask.server, index)}${three(inSite * perRack + place)}`
}

/** Switches at the top, then downwards from unit 1 in steps of two. */
function unitAt(place: number): number | undefined {
  if (place < 2) return 46 + place
  return place === 2 ? undefined : (place - 3) * 2 + 1
}

function stateOf(dice: Dice, index: number, kind: number): State {
  const part = dice.part(ask.state, index, kind)
  if (part < 0.93) return 'in-service'
  const others: readonly State[] = ['off', 'planned', 'staged', 'failed', 'leaving', 'spare', 'off']
  return others[Math.floor((part - 0.93) * 100)] ?? 'off'
}
