import type { Device, Estate, VirtualMachine } from './estate.ts'
import { makeDice } from './random.ts'

// What each system knows of the estate: one coherent company, so that systems agree about everything but the planted flaws.
// A simulator asks here which machines it has and what is true of them; it never invents disagreements of its own.

export const systems = ['registry', 'virtualization', 'monitoring', 'backup', 'configuration'] as const
export type System = (typeof systems)[number]

/** Each is planted on `copies` virtual machines in service, one flaw a machine, and leads to exactly one finding. */
export const flaws = [
  /** The backup system knows it and has never backed it up. */
  'no-backup',
  /** Its last good backup is nine days old; every night since failed. */
  'old-backup',
  /** The monitoring does not have it. */
  'not-monitored',
  /** Deleted long ago, but the monitoring still has it: in no other system. */
  'monitored-but-gone',
  /** Running, but not in the registry. */
  'not-in-registry',
  /** In the registry as active, but the virtualization does not have it (nor anything else but the registry). */
  'not-in-virtualization',
  /** The registry has another primary address than the virtualization and the monitoring. */
  'address-differs',
  /** Active in the registry, switched off for two days in the virtualization (its agent and backups stopped with it). */
  'status-differs',
  /** Offline in the registry, switched off for 90 days. */
  'long-off',
  /** Has a snapshot that is 45 days old. */
  'old-snapshot',
  /** Its configuration agent last reported nine days ago although it runs. */
  'silent-agent',
] as const
export type Flaw = (typeof flaws)[number]

export type MachineTruth = {
  readonly flaw: Flaw | undefined
  readonly power: 'on' | 'off'
  /** When it was last switched on or off. */
  readonly powerSince: Date
  /** End of the last good backup; undefined: never. */
  readonly backupAt: Date | undefined
  /** Whether every backup since then failed. */
  readonly backupFails: boolean
  readonly reportAt: Date
  readonly snapshotAt: Date | undefined
  /** Switched off in the monitoring, as for machines that are off on purpose. */
  readonly isMonitored: boolean
  /** With prefix length, as this system has it. */
  readonly addressIn: (system: System) => string
  readonly isIn: (system: System) => boolean
}

export type Truth = ReturnType<typeof makeTruth>

const hours = 3_600_000
const days = 24 * hours

/**
 * `copies` of each flaw are planted (0: a company without flaws). `now` is the time that ages are counted back from; the same
 * seed, sizes and copies choose the same machines.
 */
export function makeTruth(options: { estate: Estate; seed: number; now: Date; copies?: number }) {
  const { estate, seed, now, copies = 2 } = options
  const dice = makeDice(seed)
  const planted = plant(estate, copies)
  const ago = (ms: number) => new Date(now.getTime() - ms)

  function vm(index: number): VirtualMachine & MachineTruth {
    const machine = estate.vm(index)
    const flaw = planted.get(index)
    const { state } = machine
    const isOff = state === 'off' || state === 'failed' || state === 'spare'
    const off = isOff || flaw === 'status-differs' || flaw === 'long-off'
    const offFor = flaw === 'long-off' ? 90 * days : flaw === 'status-differs' ? 2 * days : 3 * days
    const nightly = (2 + dice.part(21, index) * 18) * hours
    const backupAge = flaw === 'old-backup' ? 9 * days : off ? offFor + nightly : nightly
    const other = `10.255.${index % 250}.${(Math.floor(index / 250) % 250) + 1}/25`
    const own = machine.address
    return Object.assign(machine, {
      flaw,
      // A machine that was switched off on purpose is in the registry as that.
      ...(flaw === 'long-off' && { state: 'off' as const }),
      power: off ? ('off' as const) : ('on' as const),
      powerSince: off ? ago(offFor) : ago((10 + (dice.whole(22, index) % 200)) * days),
      backupAt: flaw === 'no-backup' ? undefined : ago(backupAge),
      backupFails: flaw === 'old-backup',
      reportAt: ago(flaw === 'silent-agent' ? 9 * days : off ? offFor : (1 + dice.part(23, index) * 28) * 60_000),
      snapshotAt: flaw === 'old-snapshot' ? ago(45 * days) : undefined,
      isMonitored: !off || flaw === 'status-differs',
      addressIn: (system: System) => (flaw === 'address-differs' && system === 'registry' ? other : own),
      isIn: (system: System) => isVmIn(system, state, flaw),
    })
  }

  function device(index: number): Device & MachineTruth {
    const machine = estate.device(index)
    const { state, role, address } = machine
    const off = state === 'off' || state === 'failed'
    return Object.assign(machine, {
      flaw: undefined,
      power: off ? ('off' as const) : ('on' as const),
      powerSince: off ? ago(3 * days) : ago((10 + (dice.whole(24, index) % 400)) * days),
      backupAt: ago(off ? 4 * days : (2 + dice.part(25, index) * 18) * hours),
      backupFails: false,
      reportAt: ago(off ? 3 * days : (1 + dice.part(26, index) * 28) * 60_000),
      snapshotAt: undefined,
      isMonitored: !off,
      addressIn: () => address,
      isIn: (system: System) => isDeviceIn(system, state, role),
    })
  }

  return {
    estate,
    now,
    /** VM index → flaw, for tests and the demo's summary. */
    planted: planted as ReadonlyMap<number, Flaw>,
    vm,
    device,
    /** The virtual machines that a system has, in the order of their index. */
    *vms(system: System): Generator<VirtualMachine & MachineTruth & { index: number }> {
      for (let index = 0; index < estate.counts.vms; index++) {
        const one = vm(index)
        if (one.isIn(system)) yield Object.assign(one, { index })
      }
    },
    *devices(system: System): Generator<Device & MachineTruth & { index: number }> {
      for (let index = 0; index < estate.counts.devices; index++) {
        const one = device(index)
        if (one.isIn(system)) yield Object.assign(one, { index })
      }
    },
  }
}

/** Planned and staged machines are only in the registry; what exists is in every system that fits it. */
function isVmIn(system: System, state: VirtualMachine['state'], flaw: Flaw | undefined): boolean {
  if (flaw === 'monitored-but-gone') return system === 'monitoring'
  if (flaw === 'not-in-virtualization') return system === 'registry'
  if (flaw === 'not-in-registry' && system === 'registry') return false
  if (flaw === 'not-monitored' && system === 'monitoring') return false
  if (system === 'registry') return true
  // A virtual machine that is kept in reserve exists, switched off.
  return state !== 'planned' && state !== 'staged'
}

/** Hypervisors are the virtualization's hosts; servers run an operating system that is configured and backed up. */
function isDeviceIn(system: System, state: Device['state'], role: Device['role']): boolean {
  if (system === 'registry') return true
  if (state === 'planned' || state === 'staged' || state === 'spare') return false
  if (system === 'monitoring') return true
  return system === 'virtualization' ? role === 'hypervisor' : role === 'server'
}

/** Spreads the flaws over the machines in service. */
function plant(estate: Estate, copies: number): Map<number, Flaw> {
  const planted = new Map<number, Flaw>()
  const { vms } = estate.counts
  const wanted = flaws.length * copies
  if (vms < wanted * 2) return planted
  for (let n = 0; n < wanted; n++) {
    let index = Math.floor(((n + 0.5) * vms) / wanted)
    while (planted.has(index) || estate.vm(index).state !== 'in-service') index = (index + 1) % vms
    planted.set(index, flaws[n % flaws.length] as Flaw)
  }
  return planted
}
