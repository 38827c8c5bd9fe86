import type { Attribute, Facts, Observation } from '../../core/connector.ts'
import type {
  Choice,
  Cluster,
  Common,
  Device,
  IpAddress,
  Prefix,
  Rack,
  Ref,
  Site,
  Tenant,
  VirtualMachine,
} from './schema.ts'

// One function per NetBox model: what the inventory keeps of a row. `url` is the page for a person.
// Relation types: located-in (site, rack) · member-of (cluster) · runs-on (cluster, device) · assigned-to (device,
// virtual-machine) · belongs-to (tenant) · part-of (device) · nat-inside (ip-address).

export function observeDevice(row: Device, url: string): Observation {
  return {
    kind: 'device',
    ...identity(row, row.name, url),
    ...status(row.status),
    ...site(row.site),
    ...serial(row.serial),
    ...addresses(row.primary_ip4, row.primary_ip6, row.oob_ip),
    attributes: attributes(row, {
      manufacturer: row.device_type?.manufacturer?.name,
      model: row.device_type?.model,
      role: (row.role ?? row.device_role)?.name,
      platform: row.platform?.name,
      assetTag: row.asset_tag,
      location: row.location?.name,
      rack: label(row.rack),
      position: row.position,
      face: row.face?.value,
      cluster: label(row.cluster),
      virtualChassis: row.virtual_chassis?.name,
      primaryAddress: host(row.primary_ip4 ?? row.primary_ip6),
      managementAddress: host(row.oob_ip),
    }),
    ...machine('physical', row),
    ...relations(
      ['located-in', 'site', row.site],
      ['located-in', 'rack', row.rack],
      ['member-of', 'cluster', row.cluster],
      ['part-of', 'device', row.parent_device],
      ['belongs-to', 'tenant', row.tenant],
    ),
  }
}

export function observeVirtualMachine(row: VirtualMachine, url: string): Observation {
  return {
    kind: 'virtual-machine',
    ...identity(row, row.name, url),
    ...status(row.status),
    ...site(row.site),
    ...serial(row.serial),
    ...addresses(row.primary_ip4, row.primary_ip6),
    attributes: attributes(row, {
      role: row.role?.name,
      platform: row.platform?.name,
      cluster: label(row.cluster),
      host: label(row.device),
      vcpus: row.vcpus,
      memoryMb: row.memory,
      diskMb: row.disk,
      primaryAddress: host(row.primary_ip4 ?? row.primary_ip6),
    }),
    ...machine('virtual', row),
    ...relations(
      ['located-in', 'site', row.site],
      ['runs-on', 'cluster', row.cluster],
      ['runs-on', 'device', row.device],
      ['belongs-to', 'tenant', row.tenant],
    ),
  }
}

export function observeIpAddress(row: IpAddress, url: string): Observation {
  const owner = row.assigned_object
  return {
    kind: 'ip-address',
    ...identity(row, row.address, url),
    ...status(row.status),
    ...addresses(row),
    attributes: attributes(row, {
      address: row.address,
      family: row.family?.value,
      dnsName: row.dns_name,
      vrf: row.vrf?.name,
      role: row.role?.value,
      assignedTo: label(owner?.device ?? owner?.virtual_machine),
      interface: owner?.name,
    }),
    ...relations(
      ['assigned-to', 'device', owner?.device],
      ['assigned-to', 'virtual-machine', owner?.virtual_machine],
      ['nat-inside', 'ip-address', row.nat_inside],
      ['belongs-to', 'tenant', row.tenant],
    ),
  }
}

export function observePrefix(row: Prefix, url: string): Observation {
  const at = siteOf(row)
  return {
    kind: 'prefix',
    ...identity(row, row.prefix, url),
    ...status(row.status),
    ...site(at),
    addresses: [row.prefix],
    attributes: attributes(row, {
      prefix: row.prefix,
      family: row.family?.value,
      vrf: row.vrf?.name,
      vlan: row.vlan?.vid,
      vlanName: row.vlan?.name,
      role: row.role?.name,
      pool: row.is_pool,
    }),
    ...relations(['located-in', 'site', at], ['belongs-to', 'tenant', row.tenant]),
  }
}

export function observeSite(row: Site, url: string): Observation {
  return {
    kind: 'site',
    ...identity(row, row.name, url),
    ...status(row.status),
    ...site(row),
    attributes: attributes(row, {
      slug: row.slug,
      region: row.region?.name,
      group: row.group?.name,
      facility: row.facility,
      timeZone: row.time_zone,
      physicalAddress: row.physical_address,
    }),
    ...relations(['belongs-to', 'tenant', row.tenant]),
  }
}

export function observeRack(row: Rack, url: string): Observation {
  return {
    kind: 'rack',
    ...identity(row, row.name, url),
    ...status(row.status),
    ...site(row.site),
    ...serial(row.serial),
    attributes: attributes(row, {
      location: row.location?.name,
      role: row.role?.name,
      assetTag: row.asset_tag,
      heightUnits: row.u_height,
    }),
    ...relations(['located-in', 'site', row.site], ['belongs-to', 'tenant', row.tenant]),
  }
}

export function observeCluster(row: Cluster, url: string): Observation {
  const at = siteOf(row)
  return {
    kind: 'cluster',
    ...identity(row, row.name, url),
    ...status(row.status),
    ...site(at),
    attributes: attributes(row, { type: row.type?.name, group: row.group?.name }),
    ...relations(['located-in', 'site', at], ['belongs-to', 'tenant', row.tenant]),
  }
}

export function observeTenant(row: Tenant, url: string): Observation {
  return {
    kind: 'tenant',
    ...identity(row, row.name, url),
    attributes: attributes(row, { slug: row.slug, group: row.group?.name }),
  }
}

/** An unnamed device is called by NetBox's own label, for example `Juniper EX4300 (106)`. */
function identity(row: Common, name: string | null | undefined, url: string) {
  return { externalId: String(row.id), name: name || row.display || `#${row.id}`, url }
}

function status(choice: Choice) {
  return choice ? { status: String(choice.value).toLowerCase() } : {}
}

/** A device without a name (a shelf, a power strip) is only known by its serial and addresses. */
function machine(form: 'physical' | 'virtual', row: { name?: string | null | undefined; status?: Choice }) {
  const lifecycle = lifecycles.get(String(row.status?.value).toLowerCase())
  return {
    machine: { form, ...(row.name && { hostNames: [row.name] }) },
    ...(lifecycle && { facts: { lifecycle } }),
  }
}

/** The statuses of devices and virtual machines; a NetBox may have others of its own, which say nothing here. */
const lifecycles: ReadonlyMap<string, NonNullable<Facts['lifecycle']>> = new Map([
  ['active', 'active'],
  ['offline', 'off'],
  ['paused', 'off'],
  ['planned', 'planned'],
  ['staged', 'planned'],
  ['failed', 'failed'],
  ['inventory', 'spare'],
  ['decommissioning', 'leaving'],
])

function site(place: Ref) {
  const name = label(place)
  return name ? { site: name } : {}
}

function serial(value: string | null | undefined) {
  return value ? { serial: value } : {}
}

function addresses(...given: readonly ({ address: string } | null | undefined)[]) {
  const hosts = given.map(host).filter((value) => value !== undefined)
  return hosts.length > 0 ? { addresses: [...new Set(hosts)] } : {}
}

/** `10.20.0.11/24` is the host 10.20.0.11 with its mask. */
function host(value: { address: string } | null | undefined): string | undefined {
  return value?.address.split('/')[0]
}

function label(ref: Ref): string | undefined {
  return ref ? ref.name || ref.display || undefined : undefined
}

function siteOf(row: { site?: Ref; scope_type?: string | null | undefined; scope?: Ref }): Ref {
  return row.site ?? (row.scope_type === 'dcim.site' ? row.scope : null)
}

type Said = Attribute | undefined

/** What a row says, without what it leaves empty: an empty field says nothing. */
function attributes(row: Common, own: Readonly<Record<string, Said>>): Record<string, Attribute> {
  const said: Record<string, Said> = {
    ...own,
    tenant: label(row.tenant),
    description: row.description,
    tags: row.tags?.map((tag) => tag.name),
    lastUpdated: row.last_updated,
  }
  const kept: Record<string, Attribute> = {}
  for (const [name, value] of Object.entries(said)) {
    if (value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)) continue
    kept[name] = value
  }
  return kept
}

function relations(...edges: readonly (readonly [string, string, { id: number } | null | undefined])[]) {
  const known = edges.flatMap(([type, kind, to]) => (to ? [{ type, kind, externalId: String(to.id) }] : []))
  return known.length > 0 ? { relations: known } : {}
}
