import type { Attribute, Observation } from '../../core/connector.ts'
import type { Controller, Disk, Pool, Server, Snapshot, Volume } from './schema.ts'

// One function per kind of thing: what the inventory keeps of a row. Sizes of volumes and pools are in GB (2^30 bytes), of
// snapshots in MB. Relations: part-of (pool) · attached-to (server) · snapshot-of (volume).

const gib = 2 ** 30

export function observeVolume(row: Volume): Observation {
  return {
    kind: 'volume',
    ...identity(row),
    ...status(row.status),
    attributes: attributes({
      dataType: row.data_type,
      capacityBytes: bytes(row.virtual_capacity),
      allocatedBytes: bytes(row.allocated_capacity),
      provisionedBytes: bytes(row.provisioned_capacity),
      pool: row.pool_display_name,
      isThin: flag(row.thin),
      isEncrypted: flag(row.encryption),
      hasSnapshots: flag(row.has_snapshots),
      accessType: row.access_type,
      exportName: row.export_name,
      nfsExport: row.nfs_export_path,
      modifiedAt: row.modified_at,
    }),
    ...relations(
      ['part-of', 'pool', row.pool_name],
      ...serversOf(row).map((server) => ['attached-to', 'server', server] as const),
    ),
    ...created(row.created_at),
  }
}

export function observePool(row: Pool): Observation {
  const used = usedPercent(row)
  return {
    kind: 'pool',
    ...identity(row),
    ...status(row.status),
    attributes: attributes({
      type: row.type,
      isCached: flag(row.cache),
      capacityBytes: bytes(row.capacity),
      availableBytes: bytes(row.available_capacity),
      provisionedBytes: bytes(row.provisioned_capacity),
      usedPercent: used,
    }),
    ...(used !== undefined && { facts: { usedPercent: used } }),
  }
}

/** A host that volumes are attached to. Its label is a host name only when it looks like one: it may also be an IQN or a network. */
export function observeServer(row: Server): Observation {
  const label = row.display_name ?? ''
  const isHost = isHostName(label)
  const address = isAddress(row.iscsi_ip) ? row.iscsi_ip : undefined
  return {
    kind: 'server',
    ...identity(row),
    ...status(row.status),
    ...(isHost && address !== undefined && { addresses: [address] }),
    attributes: attributes({
      os: row.os,
      iqn: row.iqn,
      storageAddress: row.iscsi_ip,
      usesIpsec: flag(row.ipsec_iscsi),
    }),
    ...(isHost && { machine: label.includes('.') ? { fqdns: [label] } : { hostNames: [label] } }),
  }
}

export function observeSnapshot(row: Snapshot): Observation {
  const megabytes = row.volume_capacity_mb
  return {
    kind: 'snapshot',
    ...identity(row),
    ...status(row.status),
    attributes: attributes({
      volume: row.volume_display_name,
      volumeBytes: typeof megabytes === 'number' ? megabytes * 2 ** 20 : undefined,
    }),
    ...relations(['snapshot-of', 'volume', row.volume_ext_name], ['part-of', 'pool', row.pool_name]),
    ...created(row.created_at),
  }
}

export function observeController(row: Controller): Observation {
  const addresses = [row.mgmt_ip, row.iscsi_ip, row.iscsi_ipv6].filter(isAddress)
  return {
    kind: 'controller',
    ...identity(row),
    ...status(row.state),
    ...(addresses.length > 0 && { addresses: [...new Set(addresses)] }),
    attributes: attributes({
      softwareVersion: row.software_ver,
      target: row.target,
      managementAddress: row.mgmt_ip,
      iscsiAddress: row.iscsi_ip,
    }),
  }
}

export function observeDisk(row: Disk): Observation {
  return {
    kind: 'disk',
    ...identity(row),
    ...status(row.status),
    attributes: attributes({ type: row.type, capacityBytes: bytes(row.capacity), raidGroup: row.raid_group_name }),
  }
}

/** The ids in `srv-00000003,srv-00000007`. */
export function serversOf({ server_ext_names }: Volume): string[] {
  return (server_ext_names ?? '').split(/[\s,;]+/).filter((word) => /^srv-[0-9a-f]{1,16}$/.test(word))
}

/** One decimal; undefined when the VPSA does not say both figures. */
function usedPercent({ capacity, available_capacity }: Pool): number | undefined {
  if (typeof capacity !== 'number' || typeof available_capacity !== 'number' || capacity <= 0) return undefined
  const used = ((capacity - available_capacity) / capacity) * 100
  return Math.round(Math.min(Math.max(used, 0), 100) * 10) / 10
}

function isHostName(label: string): boolean {
  return (
    label.length <= 253 &&
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i.test(label) &&
    // `iqn.1998-01.com.vmware` is a name too, and an address is made of digits.
    /[a-z]/i.test(label.split('.').at(-1) ?? '') &&
    !/^(?:iqn|eui|naa)\./i.test(label)
  )
}

function isAddress(value: string | null | undefined): value is string {
  return typeof value === 'string' && /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:]+)$/i.test(value)
}

function identity(row: { readonly name: string; readonly display_name?: string | null | undefined }) {
  return { externalId: row.name, name: row.display_name || row.name }
}

function status(value: string | null | undefined) {
  return value ? { status: value.toLowerCase() } : {}
}

function created(at: string | null | undefined) {
  return at ? { facts: { createdAt: at } } : {}
}

function bytes(gigabytes: number | null | undefined): number | undefined {
  return typeof gigabytes === 'number' ? Math.round(gigabytes * gib) : undefined
}

/** The VPSA says YES and NO. */
function flag(value: string | null | undefined): boolean | undefined {
  return value === 'YES' ? true : value === 'NO' ? false : undefined
}

function attributes(said: Readonly<Record<string, Attribute | undefined>>): Record<string, Attribute> {
  const kept: Record<string, Attribute> = {}
  for (const [name, value] of Object.entries(said))
    if (value !== undefined && value !== null && value !== '') kept[name] = value
  return kept
}

function relations(...edges: readonly (readonly [string, string, string | null | undefined])[]) {
  const known = edges.flatMap(([type, kind, to]) => (to ? [{ type, kind, externalId: to }] : []))
  return known.length > 0 ? { relations: known } : {}
}
