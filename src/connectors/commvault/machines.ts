import type { Http, Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { ask, type Config, said } from './api.ts'
import {
  type Client,
  Clients,
  Hypervisors,
  type StoragePool,
  StoragePools,
  type VirtualMachine,
  VirtualMachines,
} from './schema.ts'

/** Undefined: not known. Null: known to the backup system and never backed up. */
export type BackupAt = string | null | undefined

/** `GET VM` is paged by a header: page number from 0, and size. */
export async function* virtualMachinePages(http: Http, config: Config) {
  let seen = 0
  let before = ''
  for (let page = 0; ; page++) {
    const { body } = await ask(http, config, VirtualMachines, {
      method: 'GET',
      path: '/VM',
      headers: { paginginfo: `${page},${config.pageSize}` },
    })
    const rows = body.vmStatusInfoList ?? []
    const total = Math.max(body.totalRecords ?? 0, seen + rows.length)
    const first = JSON.stringify(rows.slice(0, 3).map(machineId))
    if (rows.length === 0 && seen < total)
      throw new Problem('upstream-invalid', 'Commvault announces more virtual machines than it sends')
    if (rows.length > 0 && first === before)
      throw new Problem('upstream-invalid', 'Commvault sent the same page of virtual machines twice')
    yield { rows, total }
    seen += rows.length
    before = first
    if (seen >= total) return
  }
}

export async function readClients(http: Http, config: Config): Promise<readonly Client[]> {
  const { body } = await ask(http, config, Clients, { method: 'GET', path: '/Client' })
  return (body.clientProperties ?? []).map(({ client }) => client)
}

export async function readHypervisors(http: Http, config: Config): Promise<ReadonlySet<number>> {
  const query = { PseudoClientType: 'VSPseudo' }
  const { body } = await ask(http, config, Hypervisors, { method: 'GET', path: '/Client', query })
  return new Set((body.VSPseudoClientsList ?? []).map(({ client }) => client.clientId))
}

export async function readStoragePools(http: Http, config: Config): Promise<Observation[]> {
  const { body } = await ask(http, config, StoragePools, { method: 'GET', path: '/StoragePool' })
  return (body.storagePoolList ?? []).map(poolObservation)
}

/** A virtual machine is named by its client id, as its jobs name it; one that has no client yet by its GUID. */
export function machineId({ client, strGUID, name }: VirtualMachine): string {
  return client?.clientId ? String(client.clientId) : (strGUID ?? name)
}

/** The GUID is the hypervisor's own name for the machine, not the BIOS UUID, so it is no machine mark. */
export function vmObservation(vm: VirtualMachine, backupAt: BackupAt): Observation {
  const hypervisor = vm.pseudoClient?.clientId
  const isDeleted = vm.isDeleted === true
  return {
    kind: 'virtual-machine',
    externalId: machineId(vm),
    name: vm.client?.displayName ?? vm.name,
    status: isDeleted ? 'deleted' : (vm.slaCategoryDescription ?? 'unknown').toLowerCase(),
    attributes: said({
      vm: vm.name,
      guid: vm.strGUID?.toLowerCase(),
      host: vm.vmHost,
      operatingSystem: vm.strOSName,
      hypervisor: vm.pseudoClient?.clientName,
      subclient: vm.subclientName,
      subclientId: vm.subclientId?.toString(),
      plan: vm.plan?.planName,
      diskBytes: vm.vmSize,
    }),
    relations: hypervisor ? [{ type: 'backed-up-through', kind: 'client', externalId: String(hypervisor) }] : [],
    // What is left of a machine that its hypervisor deleted is a backup, not a view of a machine.
    ...(!isDeleted && {
      machine: { form: 'virtual' as const, ...marks(vm.name) },
      ...(backupAt !== undefined && { facts: { backupAt } }),
    }),
  }
}

export function clientObservation(client: Client, isHypervisor: boolean, backupAt: BackupAt): Observation {
  const { clientId, clientName, displayName, hostName } = client.clientEntity
  const host = hostName || clientName
  const isAddress = /^[\d.]+$|:/.test(host)
  return {
    kind: 'client',
    externalId: String(clientId),
    name: displayName || clientName,
    ...(isAddress && { addresses: [host] }),
    attributes: said({
      type: isHypervisor ? 'hypervisor' : 'server',
      client: clientName,
      hostName,
      operatingSystem: client.osInfo?.OsDisplayInfo?.OSName ?? client.osInfo?.Type,
      processor: client.osInfo?.OsDisplayInfo?.ProcessorType,
      version: client.versionInfo?.version,
    }),
    // A hypervisor's client stands for a vCenter or a cluster, not for one machine.
    ...(!isHypervisor && {
      machine: isAddress ? {} : marks(host),
      ...(backupAt !== undefined && { facts: { backupAt } }),
    }),
  }
}

function marks(host: string) {
  return host.includes('.') ? { fqdns: [host] } : { hostNames: [host] }
}

const mebibyte = 1024 * 1024

/** Cloud pools have no capacity; Commvault then sends 0 or -1. */
function poolObservation(pool: StoragePool): Observation {
  const { storagePoolEntity: entity, totalCapacity: total, totalFreeSpace: free } = pool
  const isKnown = total !== null && total !== undefined && free !== null && free !== undefined
  const usedPercent =
    isKnown && total > 0 && free >= 0 ? Math.round(1000 * (1 - Math.min(free / total, 1))) / 10 : undefined
  const bytes = (megabytes: number | null | undefined) =>
    megabytes && megabytes > 0 ? megabytes * mebibyte : undefined
  return {
    kind: 'storage-pool',
    externalId: String(entity.storagePoolId),
    name: entity.storagePoolName,
    ...(pool.status && { status: pool.status.toLowerCase() }),
    attributes: said({
      capacityBytes: bytes(total),
      freeBytes: usedPercent === undefined ? undefined : (free ?? 0) * mebibyte,
      sizeOnDiskBytes: bytes(pool.sizeOnDisk),
      nodes: pool.numberOfNodes,
      isArchive: pool.isArchiveStorage,
    }),
    ...(usedPercent !== undefined && { facts: { usedPercent } }),
  }
}
