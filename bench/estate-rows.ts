import type { Device, VirtualMachine } from '../simulators/lib/estate.ts'
import type { MachineTruth, System, Truth } from '../simulators/lib/truth.ts'
import type { Observation, Subject } from '../src/core/connector.ts'

// What ten connections of one company report: five kinds of systems that know its machines (the virtualization twice, the
// configuration twice), and what hangs on them: addresses, volumes, problems, snapshots, tickets, pages.

type Machine = (Device | VirtualMachine) & MachineTruth & { readonly index: number }

export type Feed = {
  readonly id: string
  readonly connector: string
  readonly subjects: readonly Subject[]
  readonly rows: (truth: Truth) => Generator<Observation>
}

/** Assets of one virtual machine, its share of devices, tickets and all the rest: an estate of `assets` has so many machines. */
const perVm = 7.6

export function sizesFor(assets: number): { devices: number; vms: number; copies: number } {
  const vms = Math.max(200, Math.round(assets / perVm))
  // Of 24 devices in a rack 12 are hypervisors, for 10 virtual machines each. 3 % of the machines have a flaw.
  return { devices: Math.ceil(vms / 120 + 1) * 24, vms, copies: Math.ceil((vms * 0.03) / 11) }
}

export const feeds: readonly Feed[] = [
  feed(1, 'registry', registryRows),
  feed(2, 'virtualization', (truth) => virtualizationRows(truth, 0)),
  feed(3, 'virtualization', (truth) => virtualizationRows(truth, 1)),
  feed(4, 'monitoring', monitoringRows),
  feed(5, 'backup', backupRows),
  feed(6, 'configuration', (truth) => configurationRows(truth, 0)),
  feed(7, 'configuration', (truth) => configurationRows(truth, 1)),
  feed(8, 'storage', storageRows),
  feed(9, 'tickets', ticketRows),
  feed(10, 'documentation', pageRows),
]

function feed(n: number, subject: Subject, rows: Feed['rows']): Feed {
  return { id: `con_${String(n).padStart(24, '0')}`, connector: `bench-${subject}`, subjects: [subject], rows }
}

function* machines(truth: Truth, system: System): Generator<Machine> {
  yield* truth.devices(system)
  yield* truth.vms(system)
}

function idOf(one: Machine): string {
  return `${isVm(one) ? 'v' : 'd'}${one.index}`
}

function isVm(one: Machine): one is VirtualMachine & MachineTruth & { readonly index: number } {
  return 'vcpus' in one
}

function siteOf(truth: Truth, one: Machine): string {
  return truth.estate.site(one.site).code.toUpperCase()
}

function bare(address: string): string {
  return address.slice(0, address.indexOf('/'))
}

const lifecycles = {
  'in-service': 'active',
  planned: 'planned',
  staged: 'planned',
  spare: 'spare',
  failed: 'failed',
  off: 'off',
  leaving: 'leaving',
} as const

function* registryRows(truth: Truth): Generator<Observation> {
  for (const one of machines(truth, 'registry')) {
    const site = siteOf(truth, one)
    const tenant = truth.estate.tenant(one.tenant).name
    const kind = isVm(one) ? 'virtual-machine' : 'device'
    const address = one.addressIn('registry')
    const common = { kind, externalId: idOf(one), name: one.hostName, status: lifecycles[one.state], site }
    const facts = { lifecycle: lifecycles[one.state] }
    const { cluster, platform } = one
    const where = cluster === undefined ? {} : { cluster: truth.estate.cluster(cluster).name }
    if (isVm(one))
      yield {
        ...common,
        addresses: [address],
        attributes: { ...where, tenant, platform, role: one.purpose, vcpus: one.vcpus, memoryMib: one.memoryMb },
        machine: { form: 'virtual', hostNames: [one.hostName] },
        facts,
      }
    else
      yield {
        ...common,
        serial: one.serial,
        addresses: [address],
        attributes: {
          ...where,
          tenant,
          platform,
          role: one.role,
          manufacturer: one.model.manufacturer,
          model: one.model.name,
          rack: truth.estate.rack(one.rack).name,
        },
        machine: { form: 'physical', hostNames: [one.hostName] },
        facts,
      }
    yield {
      kind: 'ip-address',
      externalId: `ip-${idOf(one)}`,
      name: address,
      status: 'active',
      addresses: [address],
      attributes: { dnsName: one.fqdn, tenant },
      relations: [{ type: 'assigned-to', kind, externalId: idOf(one) }],
    }
  }
}

/** Every second site's virtualization is a system of its own. */
function* virtualizationRows(truth: Truth, half: 0 | 1): Generator<Observation> {
  for (const one of machines(truth, 'virtualization')) {
    if (one.site % 2 !== half) continue
    const facts = { power: one.power, powerSince: one.powerSince.toISOString() }
    const common = { externalId: idOf(one), name: one.hostName, site: siteOf(truth, one) }
    const [address] = [bare(one.addressIn('virtualization'))]
    const cluster = truth.estate.cluster(one.cluster ?? 0).name
    if (isVm(one))
      yield {
        ...common,
        kind: 'virtual-machine',
        status: one.power === 'on' ? 'poweredon' : 'poweredoff',
        addresses: [address],
        attributes: { cluster, vcpus: one.vcpus, memoryMib: one.memoryMb, diskGib: one.diskGb, guest: one.platform },
        relations: [
          { type: 'runs-on', kind: 'host', externalId: `d${one.host}` },
          { type: 'stored-on', kind: 'datastore', externalId: `ds-${one.cluster}` },
        ],
        machine: { form: 'virtual', uuids: [one.uuid], macs: [one.mac], hostNames: [one.hostName] },
        facts,
      }
    else
      yield {
        ...common,
        kind: 'host',
        status: one.power === 'on' ? 'connected' : 'notresponding',
        serial: one.serial,
        addresses: [address],
        attributes: { cluster, model: one.model.name, vendor: one.model.manufacturer, version: one.platform },
        machine: { form: 'physical', uuids: [one.uuid], macs: [...one.macs], fqdns: [one.fqdn] },
        facts,
      }
    if (one.snapshotAt || (isVm(one) && one.index % 12 === 0))
      yield {
        kind: 'snapshot',
        externalId: `sn-${idOf(one)}`,
        name: 'before upgrade',
        attributes: { quiesced: one.index % 2 === 0 },
        relations: [{ type: 'snapshot-of', kind: 'virtual-machine', externalId: idOf(one) }],
        facts: { createdAt: (one.snapshotAt ?? new Date(truth.now.getTime() - 86_400_000)).toISOString() },
      }
  }
  for (let index = half; index < truth.estate.counts.clusters; index += 2)
    yield {
      kind: 'datastore',
      externalId: `ds-${index}`,
      name: `${truth.estate.cluster(index).name}-vsan`,
      attributes: { capacityBytes: 2 ** 44 },
      facts: { usedPercent: index % 50 === 0 ? 91 : 40 },
    }
}

function* monitoringRows(truth: Truth): Generator<Observation> {
  for (const one of machines(truth, 'monitoring')) {
    yield {
      kind: 'host',
      externalId: idOf(one),
      name: one.fqdn,
      status: one.isMonitored ? 'enabled' : 'disabled',
      addresses: [bare(one.addressIn('monitoring'))],
      attributes: {
        groups: [`${siteOf(truth, one)} servers`, 'Production'],
        templates: [one.platform],
        proxy: 'proxy-1',
      },
      machine: { hostNames: [one.fqdn] },
      facts: { isMonitored: one.isMonitored },
    }
    if (one.index % 16 !== 0) continue
    yield {
      kind: 'problem',
      externalId: `pr-${idOf(one)}`,
      name: `${one.hostName}: ${one.index % 3 === 0 ? 'disk space is low on /var' : 'high memory utilization'}`,
      status: 'open',
      attributes: { acknowledged: false },
      relations: [{ type: 'affects', kind: 'host', externalId: idOf(one) }],
      facts: { severity: 1 + (one.index % 5), openedAt: new Date(truth.now.getTime() - 3_600_000).toISOString() },
    }
  }
}

function* backupRows(truth: Truth): Generator<Observation> {
  for (const one of machines(truth, 'backup'))
    yield {
      kind: 'client',
      externalId: idOf(one),
      name: one.hostName.toUpperCase(),
      status: one.backupFails ? 'failed' : 'completed',
      addresses: [bare(one.addressIn('backup'))],
      attributes: { plan: one.index % 3 === 0 ? 'Gold 30 days' : 'Silver 14 days', os: one.platform },
      machine: { ...(isVm(one) && { form: 'virtual' as const, uuids: [one.uuid] }), hostNames: [one.fqdn] },
      facts: { backupAt: one.backupAt?.toISOString() ?? null },
    }
}

/** Servers and half of the virtual machines in one system, the other half in another. */
function* configurationRows(truth: Truth, half: 0 | 1): Generator<Observation> {
  for (const one of machines(truth, 'configuration')) {
    if (one.index % 2 !== half) continue
    const uuids = [one.uuid]
    yield {
      kind: 'node',
      externalId: idOf(one),
      name: one.fqdn,
      status: 'unchanged',
      ...(!isVm(one) && { serial: one.serial }),
      addresses: [bare(one.addressIn('configuration'))],
      attributes: { environment: 'production', os: one.platform, kernel: '6.12.41', uptimeDays: one.index % 90 },
      machine: {
        form: isVm(one) ? 'virtual' : 'physical',
        fqdns: [one.fqdn],
        uuids,
        macs: isVm(one) ? [one.mac] : [...one.macs],
      },
      facts: { reportAt: one.reportAt.toISOString() },
    }
  }
}

function* storageRows(truth: Truth): Generator<Observation> {
  for (const one of truth.vms('virtualization')) {
    if (one.index % 4 !== 0) continue
    yield {
      kind: 'volume',
      externalId: `vol-${one.index}`,
      name: `${one.hostName}-data`,
      status: 'in-use',
      attributes: { capacityBytes: one.diskGb * 2 ** 30, pool: `pool-${one.site}` },
      relations: [{ type: 'in-pool', kind: 'pool', externalId: `pool-${one.site}` }],
    }
  }
  for (let site = 0; site < truth.estate.counts.sites; site++)
    yield {
      kind: 'pool',
      externalId: `pool-${site}`,
      name: `pool-${site}`,
      status: 'normal',
      attributes: { capacityBytes: 2 ** 48 },
      facts: { usedPercent: site % 40 === 0 ? 93 : 55 },
    }
}

const troubles = ['is slow since this morning', 'needs more memory', 'backup failed', 'please restart after patching']

function* ticketRows(truth: Truth): Generator<Observation> {
  for (let n = 0; n < truth.estate.counts.vms / 5; n++) {
    const one = truth.vm((n * 7) % truth.estate.counts.vms)
    yield {
      kind: 'ticket',
      externalId: String(n),
      name: `${one.hostName} ${troubles[n % troubles.length]}`,
      status: n % 3 === 0 ? 'open' : 'closed',
      attributes: {
        number: String(200_000 + n),
        group: 'Operations',
        priority: '2 normal',
        customer: `user${n % 900}`,
      },
      facts: { createdAt: new Date(truth.now.getTime() - n * 60_000).toISOString() },
    }
  }
}

function* pageRows(truth: Truth): Generator<Observation> {
  for (let n = 0; n < truth.estate.counts.vms / 20; n++) {
    const hosts = [0, 1, 2, 3].map((k) => truth.vm((n * 20 + k * 3) % truth.estate.counts.vms).hostName)
    yield {
      kind: 'page',
      externalId: String(n),
      name: `Runbook ${n}: ${truth.estate.vm(n).purpose}`,
      status: 'current',
      attributes: {
        space: 'OPS',
        labels: ['runbook', 'production'],
        excerpt: `Restart the service on ${hosts.join(', ')} one after the other, then look at the dashboard.`,
      },
    }
  }
}
