import type { Attribute, MachineMarks, Observation } from '../../core/connector.ts'
import type { Host } from './schema.ts'
import { utc } from './words.ts'

/** What the inventory keeps of a host. */
export function observeHost(host: Host, base: string): Observation {
  const addresses = [host.ip, host.ip6].filter((address) => typeof address === 'string' && address !== '') as string[]
  return {
    kind: 'host',
    externalId: String(host.id),
    name: host.name,
    ...(host.global_status_label && { status: host.global_status_label.toLowerCase() }),
    ...(host.location_name && { site: host.location_name }),
    ...(addresses.length > 0 && { addresses }),
    url: `${base}/hosts/${encodeURIComponent(host.name)}`,
    attributes: attributes(host),
    machine: marks(host),
    facts: { reportAt: utc(host.last_report) ?? null },
  }
}

/** Foreman calls a host by its full name; the certificate's name is another only where somebody chose it. */
function marks({ name, certname, mac, uuid, ...host }: Host): MachineMarks {
  const names = [...new Set([name, certname ?? ''].map((one) => one.toLowerCase()))]
  const fqdns = names.filter((one) => /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/.test(one))
  const form = formOf(host)
  return {
    ...(form && { form }),
    ...(fqdns.length > 0 && { fqdns }),
    hostNames: [name],
    ...(mac && { macs: [mac] }),
    ...(uuid && givesBiosUuid.has(host.compute_resource_provider ?? '') && { uuids: [uuid] }),
  }
}

/** `uuid` is the compute resource's own id of the machine. Only these use the BIOS UUID for it; VMware has its instance UUID there. */
const givesBiosUuid = new Set(['Libvirt', 'Ovirt'])

function formOf({ reported_data, compute_resource_id }: Pick<Host, 'reported_data' | 'compute_resource_id'>) {
  if (typeof compute_resource_id === 'number') return 'virtual'
  if (typeof reported_data?.virtual !== 'boolean') return undefined
  return reported_data.virtual ? 'virtual' : 'physical'
}

function attributes(host: Host): Record<string, Attribute> {
  const { reported_data: reported } = host
  const said = {
    fqdn: host.name,
    certname: host.certname === host.name ? undefined : host.certname,
    operatingSystem: host.operatingsystem_name,
    architecture: host.architecture_name,
    model: host.model_name,
    hostgroup: host.hostgroup_title,
    environment: host.environment_name,
    organization: host.organization_name,
    location: host.location_name,
    domain: host.domain_name,
    subnet: host.subnet_name,
    owner: host.owner_name,
    computeResource: host.compute_resource_name,
    configurationStatus: host.configuration_status_label?.toLowerCase(),
    buildStatus: host.build_status_label?.toLowerCase(),
    macAddress: host.mac,
    managementAddress: host.sp_ip,
    managementMac: host.sp_mac,
    enabled: host.enabled,
    managed: host.managed,
    building: host.build,
    cores: reported?.cores,
    sockets: reported?.sockets,
    memoryMib: reported?.ram,
    diskBytes: reported?.disks_total,
    bootedAt: utc(reported?.boot_time),
    installedAt: utc(host.installed_at),
    createdAt: utc(host.created_at),
    lastReport: utc(host.last_report),
  }
  return Object.fromEntries(
    Object.entries(said).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  ) as Record<string, Attribute>
}
