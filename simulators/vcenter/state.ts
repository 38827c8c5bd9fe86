import type { Ref } from './values.ts'

// What differs from the truth because somebody worked in this vCenter, and the log that update sets are made from.

export type SnapshotNode = {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly createdAt: Date
  readonly state: string
  children: SnapshotNode[]
}

export type VmChange = {
  name?: string
  power?: 'poweredOn' | 'poweredOff' | 'suspended'
  powerSince?: Date
  snapshots?: SnapshotNode[]
  currentSnapshot?: string
}

export type LogEntry = {
  readonly seq: number
  readonly ref: Ref
  readonly kind: 'enter' | 'modify' | 'leave'
  readonly names: readonly string[]
}

export type PowerEvent = { readonly vm: string; readonly type: string; readonly at: Date }

const longestLog = 50_000

export type State = ReturnType<typeof makeState>

export function makeState() {
  const vms = new Map<string, VmChange>()
  const removed = new Set<string>()
  /** New names of anything but virtual machines. */
  const names = new Map<string, string>()
  const added: number[] = []
  const events: PowerEvent[] = []
  const log: LogEntry[] = []
  let seq = 0
  let ids = 0
  return {
    vms,
    removed,
    names,
    added,
    events,
    seq: () => seq,
    newId: (prefix: string) => `${prefix}-${++ids}`,
    note(ref: Ref, kind: LogEntry['kind'], changed: readonly string[] = []): void {
      log.push({ seq: ++seq, ref, kind, names: changed })
      if (log.length > longestLog) log.shift()
    },
    /** Undefined: the log does not reach back so far. */
    since(from: number): readonly LogEntry[] | undefined {
      if (from > seq || from < (log[0]?.seq ?? seq + 1) - 1) return undefined
      return log.filter((entry) => entry.seq > from)
    },
    change(id: string): VmChange {
      const change = vms.get(id) ?? {}
      vms.set(id, change)
      return change
    },
  }
}
