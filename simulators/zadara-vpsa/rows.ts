import type { Truth } from '../lib/truth.ts'

export type Row = Record<string, unknown> & { name: string }

/**
 * A list whose rows are computed from their number when they are asked for; only what was changed from outside is kept.
 * Rows stay in the order of their numbers, as the VPSA lists them.
 */
export function makeRows(count: number, make: (n: number) => Row, numberOf: (name: string) => number | undefined) {
  const live = Array.from({ length: count }, (_, n) => n)
  const changed = new Map<number, Row>()
  let next = count
  const row = (n: number): Row => changed.get(n) ?? make(n)
  const find = (name: string): number | undefined => {
    const n = numberOf(name)
    return n !== undefined && live.includes(n) ? n : undefined
  }
  return {
    get size() {
      return live.length
    },
    page: (start: number, limit: number): Row[] => live.slice(start, start + limit).map(row),
    *all(): Generator<Row> {
      for (const n of live) yield row(n)
    },
    get(name: string): Row | undefined {
      const n = find(name)
      return n === undefined ? undefined : row(n)
    },
    add(build: (n: number) => Row): Row {
      const n = next++
      live.push(n)
      changed.set(n, build(n))
      return row(n)
    },
    change(name: string, fields: Record<string, unknown>): boolean {
      const n = find(name)
      if (n === undefined) return false
      changed.set(n, { ...row(n), ...fields })
      return true
    },
    remove(name: string): boolean {
      const n = find(name)
      if (n === undefined) return false
      live.splice(live.indexOf(n), 1)
      changed.delete(n)
      return true
    },
  }
}

export type Rows = ReturnType<typeof makeRows>

export const hex = (n: number): string => n.toString(16).padStart(8, '0')
const numberIn = (prefix: string) => (name: string) =>
  name.startsWith(prefix) && /^[0-9a-f]{8}$/.test(name.slice(prefix.length))
    ? Number.parseInt(name.slice(prefix.length), 16) - 1
    : undefined

/** `2026-03-02 10:11:12 UTC` */
export const stamp = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** One pool is nearly full, the others are not. */
export const fullPool = { number: 1, capacity: 20_000, available: 1_400 } as const

const hours = 3_600_000
const arrayId = 'vsa-0000057a'

/** What the array holds: pools, a volume for each hypervisor, attached to the hypervisors of its cluster, and their snapshots. */
export function makeArray(truth: Truth) {
  // Only numbers are kept of each hypervisor.
  const hosts: number[] = []
  for (const { index } of truth.devices('virtualization')) hosts.push(index)
  const firstOfCluster = new Map<number, number>()
  const clusterOf = (n: number) => truth.device(hosts[n] ?? 0).cluster ?? 0
  for (let n = 0; n < hosts.length; n++) if (!firstOfCluster.has(clusterOf(n))) firstOfCluster.set(clusterOf(n), n)

  const poolCount = 4
  const poolOf = (n: number) => n % poolCount
  const ago = (ms: number) => stamp(new Date(truth.now.getTime() - ms))
  const volumeName = (n: number) => `${truth.estate.cluster(clusterOf(n)).name.toLowerCase()}-ds${(n % 100) + 1}`

  const pools = makeRows(poolCount, poolRow, numberIn('pool-'))
  const servers = makeRows(hosts.length, (n) => serverRow(n, truth.device(hosts[n] ?? 0)), numberIn('srv-'))
  const volumes = makeRows(hosts.length, volumeRow, numberIn('volume-'))
  // Every fourth volume has two snapshots, taken in the last two nights.
  const snapshots = makeRows(Math.ceil(hosts.length / 4) * 2, snapshotRow, numberIn('snap-'))

  function volumeRow(n: number): Row {
    const first = firstOfCluster.get(clusterOf(n)) ?? 0
    const attached = Array.from({ length: Math.min(4, hosts.length - first) }, (_, i) => `srv-${hex(first + i + 1)}`)
    const pool = poolOf(n)
    return makeVolume(n, {
      display_name: volumeName(n),
      virtual_capacity: 2048,
      allocated_capacity: 700 + (n % 10) * 100,
      pool_name: `pool-${hex(pool + 1)}`,
      pool_display_name: poolNames[pool],
      server_ext_names: attached.join(','),
      has_snapshots: n % 4 === 0 ? 'YES' : 'NO',
      created_at: ago((200 + (n % 300)) * 24 * hours),
      modified_at: ago((n % 20) * hours),
    })
  }

  function snapshotRow(n: number): Row {
    const volume = Math.floor(n / 2) * 4
    return makeSnapshot(n, {
      display_name: `nightly-${(n % 2) + 1}`,
      volume_ext_name: `volume-${hex(volume + 1)}`,
      volume_display_name: volumeName(volume),
      volume_capacity_mb: 2048 * 1024,
      cg_name: `cg-${hex(volume + 1)}`,
      pool_name: `pool-${hex(poolOf(volume) + 1)}`,
      created_at: ago(((n % 2) * 24 + 6) * hours),
    })
  }

  const drives = makeRows(poolCount * 6, driveRow, numberIn('volume-'))
  const controllers = makeRows(2, controllerRow, () => undefined)
  return { pools, servers, volumes, snapshots, drives, controllers }
}

export type VpsaArray = ReturnType<typeof makeArray>

const poolNames = ['ssd-1', 'hybrid-1', 'archive-1', 'ssd-2']

function poolRow(n: number): Row {
  const isFull = n === fullPool.number
  return {
    name: `pool-${hex(n + 1)}`,
    display_name: poolNames[n],
    status: 'Normal',
    type: n === 2 ? 'Archival' : 'Transactional',
    cache: 'YES',
    capacity: isFull ? fullPool.capacity : 50_000,
    available_capacity: isFull ? fullPool.available : 20_000 + n * 1_000,
    provisioned_capacity: 60_000,
    raid_group_name: `RaidGroup-${n + 1}`,
  }
}

/** Hypervisors under their short names. The array also tells the secrets with which they sign in to it. */
function serverRow(n: number, device: { hostName: string; address: string }): Row {
  return {
    name: `srv-${hex(n + 1)}`,
    display_name: device.hostName,
    status: 'Active',
    os: 'VMware',
    iqn: `iqn.1998-01.com.vmware:${device.hostName}`,
    iscsi_ip: device.address.split('/')[0],
    ipsec_iscsi: 'NO',
    vpsa_chap_user: 'vpsa-0000057a',
    vpsa_chap_secret: `${chapSecret}-${n}`,
    host_chap_user: device.hostName,
    host_chap_secret: `${chapSecret}-host-${n}`,
  }
}

/** Known to tests, so that they can look for it where it must not be. */
export const chapSecret = 'SimulatedChapSecret'

function driveRow(n: number): Row {
  return {
    name: `volume-${hex(n + 1)}`,
    display_name: `Drive-${String(n).padStart(3, '0')}`,
    status: 'Normal',
    capacity: 7_600,
    type: 'SSD',
    raid_group_name: `RaidGroup-${Math.floor(n / 6) + 1}`,
  }
}

function controllerRow(n: number): Row {
  return {
    name: `${arrayId}-vc-${n}`,
    display_name: `VC-${n}`,
    state: n === 0 ? 'active' : 'standby',
    target: `iqn.2011-04.com.zadarastorage:${arrayId}:1`,
    iscsi_ip: '172.16.8.10',
    iscsi_ipv6: '',
    mgmt_ip: '172.16.9.10',
    software_ver: '23.09-sp1-120',
    heartbeat1: 'ok',
    heartbeat2: 'ok',
    vpsa_chap_user: arrayId,
    vpsa_chap_secret: chapSecret,
  }
}

export function makeVolume(n: number, fields: Record<string, unknown>): Row {
  const name = `volume-${hex(n + 1)}`
  return {
    id: n + 1,
    name,
    cg_name: `cg-${hex(n + 1)}`,
    cg_display_name: `${String(fields['display_name'])}_CG`,
    status: fields['server_ext_names'] ? 'In-use' : 'Available',
    provisioned_capacity: fields['virtual_capacity'],
    data_type: 'BLOCK',
    thin: 'YES',
    encryption: 'YES',
    access_type: 'ISCSI',
    cache: 'YES',
    read_iops_limit: 0,
    write_iops_limit: 0,
    target: null,
    export_name: null,
    nfs_export_path: null,
    ...fields,
  }
}

export function makeSnapshot(n: number, fields: Record<string, unknown>): Row {
  return { name: `snap-${hex(n + 1)}`, status: 'normal', ...fields }
}
