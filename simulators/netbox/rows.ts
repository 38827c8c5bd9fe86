import type { Estate } from '../lib/estate.ts'
import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'
import { addressAt, addressCount, vmOfAddress } from './addresses.ts'
import { type Collection, type Json, makeCollection } from './collection.ts'
import { makeRefs } from './refs.ts'
import {
  choice,
  deviceStatus,
  family,
  manufacturers,
  platformNames,
  regionNames,
  roleLabels,
  roleNames,
  vmStatus,
  words,
} from './words.ts'

/** The last moment at which a seeded row changed, so that a seed always gives the same stamps. */
const seededUntil = Date.parse('2026-11-01T00:00:00Z')
const seededSpan = 700 * 86_400_000

type Builder = {
  readonly estate: Estate
  /** What is true of the estate: then nothing is forgotten, and only the flaws told there are shown. */
  readonly truth?: Truth | undefined
  readonly origin: string
  readonly seed: number
  readonly now: () => Date
}

/** What every row has. */
type Head = {
  readonly id: number
  readonly url: string
  readonly page: string
  readonly created: string
  readonly updated: string
}

/** The estate as NetBox shows it, with what people forget there: names of PDUs, serials, primary addresses. */
export function estateCollections({ estate, truth, origin, seed, now }: Builder): Collection[] {
  const dice = makeDice(seed + 1)
  const refs = makeRefs(estate, origin, truth !== undefined)
  const { counts } = estate
  const vmOf = (i: number) => {
    const vm = truth?.vm(i)
    return vm ? Object.assign(vm, { address: vm.addressIn('registry') }) : estate.vm(i)
  }
  const hasVm = (i: number) => truth?.vm(i).isIn('registry') ?? true
  /** Whether people wrote it down; of a true estate they did. */
  const isKept = (question: number, i: number, missing: number) =>
    truth !== undefined || dice.part(question, i) > missing
  const newest = Math.min(seededUntil, now().getTime() - 86_400_000)
  /** `make` answers the whole row: rows of large models are plain literals, which are several times faster than spreads. */
  const whole = (
    index: number,
    path: string,
    type: string,
    count: number,
    make: (i: number, head: Head) => Json,
    isThere: (i: number) => boolean = () => true,
  ) => {
    const updatedAt = (id: number) => newest - Math.floor(dice.part(index, id) * seededSpan)
    return makeCollection({
      path,
      type,
      ids: Array.from({ length: count }, (_, i) => i + 1).filter((id) => isThere(id - 1)),
      updatedAt,
      make: (id) => {
        const stamp = updatedAt(id)
        const created = new Date(stamp - 86_400_000).toISOString()
        const updated = new Date(stamp).toISOString()
        return make(id - 1, {
          id,
          url: `${origin}/api/${path}/${id}/`,
          page: `${origin}/${path}/${id}/`,
          created,
          updated,
        })
      },
    })
  }
  const collection = (index: number, path: string, type: string, count: number, make: (i: number) => Json) =>
    whole(index, path, type, count, (i, { id, url, page, created, updated }) => {
      return { id, url, display_url: page, ...make(i), created, last_updated: updated }
    })
  const device = (i: number, head: Head): Json => {
    const it = estate.device(i)
    const documented = isKept(90, i, 0.04)
    const primary = documented ? refs.address(i + 1, it.address) : null
    const oob = it.oobAddress && documented ? refs.address(counts.devices + estate.oobRank(i) + 1, it.oobAddress) : null
    return {
      id: head.id,
      url: head.url,
      display_url: head.page,
      display: refs.deviceLabel(i, it),
      name: refs.deviceName(i, it),
      device_type: refs.deviceType(it.model),
      role: refs.listed('dcim/device-roles', roleNames, roleLabels[it.role]),
      tenant: it.role === 'server' ? refs.tenant(it.tenant) : null,
      platform: it.role === 'pdu' ? null : refs.listed('dcim/platforms', platformNames, it.platform),
      serial: isKept(91, i, 0.03) ? it.serial : '',
      asset_tag: dice.part(92, i) > 0.2 ? `A-${100_000 + i}` : null,
      site: refs.site(it.site),
      location: null,
      rack: refs.rack(it.rack),
      position: it.unit ?? null,
      face: it.unit === undefined ? null : { value: 'front', label: 'Front' },
      latitude: null,
      longitude: null,
      parent_device: null,
      status: choice(deviceStatus[it.state]),
      airflow: null,
      primary_ip: primary,
      primary_ip4: primary,
      primary_ip6: null,
      oob_ip: oob,
      cluster: it.cluster === undefined ? null : refs.cluster(it.cluster),
      virtual_chassis: null,
      vc_position: null,
      vc_priority: null,
      description: '',
      owner: null,
      comments: '',
      config_template: null,
      local_context_data: null,
      tags: i % 7 === 0 ? [refs.named('extras/tags', 1, 'managed')] : [],
      custom_fields: {},
      interface_count: it.role === 'access-switch' ? 54 : 6,
      created: head.created,
      last_updated: head.updated,
    }
  }
  const virtualMachine = (i: number, head: Head): Json => {
    const it = vmOf(i)
    const primary4 = isKept(93, i, 0.03) ? refs.address(counts.devices + counts.oob + i + 1, it.address) : null
    const primary6 = it.address6
      ? refs.address(counts.devices + counts.oob + counts.vms + Math.floor(i / 10) + 1, it.address6)
      : null
    return {
      id: head.id,
      url: head.url,
      display_url: head.page,
      display: it.hostName,
      name: it.hostName,
      status: choice(vmStatus[it.state]),
      site: refs.site(it.site),
      cluster: refs.cluster(it.cluster),
      device: dice.part(94, i) > 0.5 ? refs.device(it.host) : null,
      serial: '',
      role: refs.listed('dcim/device-roles', roleNames, it.purpose),
      tenant: refs.tenant(it.tenant),
      platform: refs.listed('dcim/platforms', platformNames, it.platform),
      primary_ip: primary6 ?? primary4,
      primary_ip4: primary4,
      primary_ip6: primary6,
      vcpus: it.vcpus,
      memory: it.memoryMb,
      disk: it.diskGb * 1000,
      description: '',
      owner: null,
      comments: '',
      config_template: null,
      local_context_data: null,
      tags: [],
      custom_fields: {},
      interface_count: 1,
      virtual_disk_count: 1,
      created: head.created,
      last_updated: head.updated,
    }
  }
  const ipAddress = (i: number, head: Head): Json => {
    const { address, dnsName, owner, type, port } = addressAt(estate, i, vmOf)
    const assigned = type === 'dcim.interface' ? { device: refs.device(owner) } : { virtual_machine: refs.vm(owner) }
    const path = type === 'dcim.interface' ? 'dcim/interfaces' : 'virtualization/interfaces'
    return {
      id: head.id,
      url: head.url,
      display_url: head.page,
      display: address,
      family: family(address),
      address,
      vrf: null,
      tenant: null,
      status: choice('active'),
      role: null,
      assigned_object_type: type,
      assigned_object_id: i + 1,
      assigned_object: refs.ref(path, i + 1, port, { ...assigned, name: port, description: '' }),
      nat_inside: null,
      nat_outside: [],
      dns_name: dice.part(95, i) > 0.1 ? dnsName : '',
      description: '',
      owner: null,
      comments: '',
      tags: [],
      custom_fields: {},
      created: head.created,
      last_updated: head.updated,
    }
  }

  const collections = [
    collection(0, 'tenancy/tenants', 'tenancy.tenant', counts.tenants, (i) => ({
      ...words(estate.tenant(i).name),
      group: null,
      description: '',
      comments: '',
      tags: [],
      custom_fields: {},
    })),
    collection(1, 'dcim/sites', 'dcim.site', counts.sites, (i) => {
      const it = estate.site(i)
      return {
        display: it.code.toUpperCase(),
        name: it.code.toUpperCase(),
        slug: it.code,
        status: choice('active'),
        region: refs.named('dcim/regions', regionNames.indexOf(it.country) + 1, it.country),
        group: null,
        tenant: null,
        facility: it.facility,
        time_zone: it.timeZone,
        description: it.name,
        physical_address: '',
        tags: [],
        custom_fields: {},
      }
    }),
    collection(2, 'dcim/racks', 'dcim.rack', counts.racks, (i) => {
      const it = estate.rack(i)
      return {
        display: it.name,
        name: it.name,
        facility_id: null,
        site: refs.site(it.site),
        location: null,
        tenant: null,
        status: choice('active'),
        role: null,
        serial: '',
        asset_tag: null,
        u_height: it.units,
        description: '',
        tags: [],
        custom_fields: {},
      }
    }),
    collection(3, 'virtualization/clusters', 'virtualization.cluster', counts.clusters, (i) => {
      const it = estate.cluster(i)
      return {
        display: it.name,
        name: it.name,
        type: refs.named('virtualization/cluster-types', 1, 'VMware vSphere'),
        group: null,
        status: choice('active'),
        tenant: null,
        scope_type: 'dcim.site',
        scope_id: it.site + 1,
        scope: refs.site(it.site),
        description: '',
        comments: '',
        tags: [],
        custom_fields: {},
      }
    }),
    whole(4, 'dcim/devices', 'dcim.device', counts.devices, device),
    whole(5, 'virtualization/virtual-machines', 'virtualization.virtualmachine', counts.vms, virtualMachine, hasVm),
    collection(6, 'ipam/prefixes', 'ipam.prefix', counts.subnets, (i) => {
      const it = estate.subnet(i)
      return {
        display: it.cidr,
        family: family(it.cidr),
        prefix: it.cidr,
        vrf: null,
        scope_type: 'dcim.site',
        scope_id: it.site + 1,
        scope: refs.site(it.site),
        tenant: null,
        vlan: refs.ref('ipam/vlans', i + 1, `${it.use} (${it.vlan})`, { vid: it.vlan, name: it.use }),
        status: choice('active'),
        role: null,
        is_pool: false,
        description: '',
        tags: [],
        custom_fields: {},
      }
    }),
    whole(7, 'ipam/ip-addresses', 'ipam.ipaddress', addressCount(estate), ipAddress, (i) => {
      const vm = vmOfAddress(estate, i)
      return vm === undefined || hasVm(vm)
    }),
  ]
  const lists: readonly (readonly [string, string, readonly string[]])[] = [
    ['dcim/manufacturers', 'dcim.manufacturer', manufacturers],
    ['dcim/device-roles', 'dcim.devicerole', roleNames],
    ['dcim/platforms', 'dcim.platform', platformNames],
    ['dcim/regions', 'dcim.region', regionNames],
  ]
  return [
    ...collections,
    ...lists.map(([path, type, names], i) =>
      collection(20 + i, path, type, names.length, (n) => words(names[n] ?? '')),
    ),
  ]
}
