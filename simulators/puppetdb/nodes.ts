import type { Device, VirtualMachine } from '../lib/estate.ts'
import type { MachineTruth, Truth } from '../lib/truth.ts'

type Machine = (Device | VirtualMachine) & MachineTruth
type Change = {
  /** Facts and report; `reportedAt` where the report came later alone. */
  receivedAt?: Date
  reportedAt?: Date
  agentAt?: Date
  deactivated?: Date
  expired?: Date
  role?: string
  certname?: string
}
export type Row = Record<string, unknown>

const minute = 60_000
const version = '7.34.0'

/**
 * The nodes of the company that Puppet configures, under their full names and in their order. Each has one report; an agent sends
 * its facts a minute before.
 */
export function makeNodes(truth: Truth, now: () => Date) {
  const { estate } = truth
  const { devices, vms } = estate.counts
  const machine = (ref: number): Machine => {
    if (ref < devices) return truth.device(ref)
    return truth.vm(ref < devices + vms ? ref - devices : 0)
  }
  const changes = new Map<number, Change>()
  const names = new Map<number, string>()
  const certname = (ref: number): string => {
    const known = names.get(ref)
    if (known !== undefined) return known
    const name = changes.get(ref)?.certname ?? machine(ref).fqdn
    names.set(ref, name)
    return name
  }
  const byName = (a: number, b: number) => (certname(a) < certname(b) ? -1 : 1)
  const refs = [
    ...[...truth.devices('configuration')].map(({ index }) => index),
    ...[...truth.vms('configuration')].map(({ index }) => devices + index),
  ].sort(byName)

  const receivedAt = (ref: number) => changes.get(ref)?.receivedAt ?? machine(ref).reportAt
  /** Truthful agents; `report` can give one a wrong clock. */
  const agentAt = (ref: number) => changes.get(ref)?.agentAt ?? machine(ref).reportAt
  const change = (ref: number, more: Change) => changes.set(ref, { ...changes.get(ref), ...more })

  return {
    refs,
    certname,
    isActive: (ref: number) => !changes.get(ref)?.deactivated && !changes.get(ref)?.expired,
    node(ref: number): Row {
      const { deactivated, expired } = changes.get(ref) ?? {}
      const received = receivedAt(ref)
      return {
        certname: certname(ref),
        deactivated: deactivated?.toISOString() ?? null,
        expired: expired?.toISOString() ?? null,
        facts_timestamp: new Date(received.getTime() - minute).toISOString(),
        report_timestamp: agentAt(ref).toISOString(),
        catalog_timestamp: new Date(received.getTime() - minute).toISOString(),
        facts_environment: 'production',
        report_environment: 'production',
        catalog_environment: 'production',
        latest_report_status: ref % 17 === 0 ? 'failed' : ref % 5 === 0 ? 'changed' : 'unchanged',
        latest_report_noop: false,
        latest_report_noop_pending: false,
        latest_report_hash: hashOf(ref),
        latest_report_corrective_change: null,
        latest_report_job_id: null,
        cached_catalog_status: 'not_used',
      }
    },
    report(ref: number): Row {
      const received = changes.get(ref)?.reportedAt ?? receivedAt(ref)
      return {
        hash: hashOf(ref),
        certname: certname(ref),
        status: this.node(ref)['latest_report_status'],
        noop: false,
        environment: 'production',
        puppet_version: version,
        start_time: new Date(agentAt(ref).getTime() - minute).toISOString(),
        end_time: agentAt(ref).toISOString(),
        producer_timestamp: received.toISOString(),
        receive_time: received.toISOString(),
        logs: { data: [{ message: 'canary-log password=hunter2' }] },
      }
    },
    facts: (ref: number): Row => factsOf(truth, machine(ref), certname(ref), changes.get(ref)?.role),
    /** The agent runs now. `slowMs`: its clock is behind. */
    run(ref: number): void {
      change(ref, { receivedAt: now(), reportedAt: now(), agentAt: now() })
    },
    /** A report without facts, as of an agent that was started when its facts were cached. */
    reportAlone: (ref: number, slowMs: number) =>
      change(ref, { reportedAt: now(), agentAt: new Date(now().getTime() - slowMs) }),
    setRole: (ref: number, role: string) => change(ref, { role, receivedAt: now(), agentAt: now() }),
    deactivate: (ref: number) => change(ref, { deactivated: now() }),
    expire: (ref: number) => change(ref, { expired: now() }),
    add(name: string): number {
      const ref = devices + vms + changes.size
      change(ref, { certname: name, receivedAt: now(), agentAt: now() })
      refs.push(ref)
      refs.sort(byName)
      return ref
    },
  }
}

export type Nodes = ReturnType<typeof makeNodes>

function hashOf(ref: number): string {
  return ref.toString(16).padStart(40, '0')
}

/** Facts as Facter 4 structures them, and secrets as sites put them into custom facts. */
function factsOf(truth: Truth, machine: Machine, certname: string, role = 'base'): Row {
  const isVm = 'mac' in machine
  const [hostname = '', ...domain] = certname.split('.')
  const ip = machine.addressIn('configuration').split('/')[0]
  const ip6 = isVm ? machine.address6?.split('/')[0] : undefined
  const mac = isVm ? machine.mac : machine.macs[0]
  const memory = isVm ? machine.memoryMb : 262_144
  return {
    kernel: machine.platform.includes('Windows') ? 'windows' : 'Linux',
    kernelrelease: '6.1.0-28-amd64',
    puppetversion: version,
    os: {
      name: machine.platform,
      architecture: 'x86_64',
      release: { full: machine.platform.replace(/\D+/, '') || '1' },
    },
    networking: {
      hostname,
      domain: domain.join('.'),
      fqdn: certname,
      ip,
      ...(ip6 && { ip6 }),
      mac,
      interfaces: { eth0: { ip, mac, bindings: [{ address: ip }] } },
    },
    dmi: {
      manufacturer: isVm ? 'VMware, Inc.' : machine.model.manufacturer,
      product: {
        name: isVm ? 'VMware Virtual Platform' : machine.model.name,
        uuid: machine.uuid,
        serial_number: isVm ? 'None' : machine.serial,
      },
    },
    virtual: isVm ? 'vmware' : 'physical',
    is_virtual: isVm,
    memory: { system: { total_bytes: memory * 1_048_576 } },
    processors: { count: isVm ? machine.vcpus : 32 },
    system_uptime: { seconds: Math.round((truth.now.getTime() - machine.powerSince.getTime()) / 1000) },
    role,
    app: { version: '4.2.1', port: 8443, database: { password: 'canary-nested-password', dsn: 'canary-dsn' } },
    root_password_hash: 'canary-password',
    ec2_userdata: 'canary-userdata',
    backup_url: 'https://svc:canary-in-url@backup.example.net/',
    site_note: '-----BEGIN PRIVATE KEY-----canary-----END PRIVATE KEY-----',
  }
}
