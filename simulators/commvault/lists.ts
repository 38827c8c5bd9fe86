import { hypervisorName, type Json, subclientIdOf } from './jobs.ts'
import { clientIdOf, hypervisorIdOf, type Machines } from './machines.ts'

export type Extra = { readonly id: number; readonly hostName: string }

/** The bodies of `GET Client`, `GET VM` and `GET StoragePool`. */
export function makeLists(machines: Machines) {
  const { machine, count, servers, sites } = machines
  const extras: Extra[] = []
  const deleted = new Set<number>()

  function hypervisors(): Json[] {
    return Array.from({ length: sites }, (_, site) =>
      clientJson(
        hypervisorIdOf(site),
        hypervisorName(machines, site),
        `${hypervisorName(machines, site)}.example.net`,
        '',
      ),
    )
  }

  return {
    extras,
    deleted,
    addClient(hostName: string): number {
      const id = clientIdOf(count) + 1000 + extras.length
      extras.push({ id, hostName })
      return id
    },
    clients(): Json[] {
      const own: Json[] = []
      for (let place = 0; place < count; place++) {
        if (!machines.hasAgent(place)) continue
        const { clientName, fqdn, platform } = machine(place)
        own.push(clientJson(clientIdOf(place), clientName, fqdn, platform))
      }
      const added = extras.map(({ id, hostName }) => clientJson(id, hostName, `${hostName}.dc.example.net`, 'Debian'))
      return [...hypervisors(), ...own, ...added].map((client) => ({ client }))
    },
    hypervisors: () => hypervisors().map(({ clientEntity }) => ({ VSInstanceType: 1, client: clientEntity })),
    vmCount: count - servers,
    vms(from: number, size: number): Json[] {
      const rows: Json[] = []
      for (let place = servers + from; place < Math.min(count, servers + from + size); place++)
        rows.push(vmJson(machines, place, deleted.has(place)))
      return rows
    },
    pools: () => [...Array.from({ length: sites }, (_, site) => diskPool(machines, site)), cloudPool(sites)],
  }
}

function clientJson(clientId: number, clientName: string, hostName: string, platform: string): Json {
  return {
    clientEntity: {
      clientId,
      clientName,
      hostName,
      displayName: clientName.toLowerCase(),
      clientGUID: `C0000000-0000-4000-8000-${String(clientId).padStart(12, '0')}`,
      _type_: 3,
    },
    cvdPort: 8400,
    ...(platform && {
      osInfo: {
        Type: /windows/i.test(platform) ? 'Windows' : 'Unix',
        OsDisplayInfo: { OSName: platform, ProcessorType: 'x64' },
      },
      versionInfo: { version: '11.40.2' },
    }),
  }
}

function vmJson(machines: Machines, place: number, isDeleted: boolean): Json {
  const { clientName, hostName, guid, host, platform, site, diskBytes } = machines.machine(place)
  const end = machines.lastGood[place] as number
  const isCurrent = end > 0 && machines.fails[place] === 0
  return {
    type: 9,
    name: clientName,
    strGUID: guid,
    strOSName: platform,
    vmHost: host,
    vendor: 1,
    isDeleted,
    vmStatus: isCurrent ? 1 : 2,
    slaCategoryDescription: isCurrent ? 'Protected' : 'Not protected',
    vmSize: diskBytes,
    subclientId: subclientIdOf(place, true, site),
    subclientName: `${machines.siteCode(site)}-vms`,
    plan: { planId: 8, planName: 'Gold' },
    client: { clientId: clientIdOf(place), clientName, displayName: hostName },
    pseudoClient: { clientId: hypervisorIdOf(site), clientName: hypervisorName(machines, site) },
    ...(end > 0 && { bkpStartTime: end - 1800, bkpEndTime: end }),
  }
}

/** In MB; a quarter to three quarters used. */
function diskPool(machines: Machines, site: number): Json {
  const totalCapacity = 209_715_200
  const totalFreeSpace = Math.round(totalCapacity * (0.75 - (site % 5) / 10))
  return {
    storagePoolEntity: { storagePoolId: 300 + site, storagePoolName: `${machines.siteCode(site)}-disk`, _type_: 160 },
    storagePoolType: 1,
    status: 'Online',
    statusCode: 0,
    totalCapacity,
    totalFreeSpace,
    sizeOnDisk: totalCapacity - totalFreeSpace,
    numberOfNodes: 2,
    isArchiveStorage: false,
  }
}

function cloudPool(sites: number): Json {
  return {
    storagePoolEntity: { storagePoolId: 300 + sites, storagePoolName: 'cloud-archive', _type_: 160 },
    storagePoolType: 1,
    status: 'Online',
    statusCode: 0,
    totalCapacity: 0,
    totalFreeSpace: 0,
    sizeOnDisk: 52_428_800,
    numberOfNodes: 0,
    isArchiveStorage: true,
  }
}
