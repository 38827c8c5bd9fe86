import type { Subject } from '../../../core/connector.ts'
import type { MachineAsset, MachineView } from '../machines/view.ts'
import type { Seen } from './seen.ts'

export const severities = ['info', 'warning', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

/** What findings are made of. `machines` and `things` answer pages, so that an estate of any size fits in memory. */
export type Source = {
  readonly machines: () => AsyncIterable<readonly MachineView[]>
  /** Assets that carry facts and are not machines: pools, snapshots, certificates. */
  readonly things: () => AsyncIterable<readonly Thing[]>
  readonly connections: () => Promise<readonly Witness[]>
}

/** An asset that is not a machine. `machine` is the one that it belongs to, where that is known. */
export type Thing = MachineAsset & { readonly machine?: { readonly id: string; readonly name: string } | null }

/** A connection as a witness, and as something that findings are about. */
export type Witness = {
  readonly id: string
  readonly connector: string
  readonly name: string
  readonly subjects: readonly Subject[]
  /** End of the last run that read everything; null: never. */
  readonly lastFullAt: string | null
  /** End of the last good run of any kind: what the connection says is as of then. Unknown: as of now. */
  readonly lastSyncedAt?: string | null | undefined
  /** When its credential must have been changed. */
  readonly credentialDueAt?: string | null | undefined
  readonly certificateExpiresAt?: string | null | undefined
}

/** One statement of one system: which asset says what, and as of when. */
export type Evidence = {
  readonly subject: Subject | 'atlas'
  readonly connection: string | null
  /** Null: the system was asked and does not have it. */
  readonly asset: string | null
  /** What the system calls it. */
  readonly name: string | null
  readonly says: string
  readonly at: string | null
  readonly url: string | null
}

/** A number that an administrator may set. */
export type Setting = {
  readonly title: string
  readonly default: number
  readonly min: number
  readonly max: number
}

export type RuleContext<S extends string = string> = {
  readonly now: Date
  readonly settings: Readonly<Record<S, number>>
  /** The connections that are witnesses of a subject. */
  readonly witnesses: (subject: Subject) => readonly Witness[]
  /** The moment, in ms, as of which a connection speaks; ages are counted to it, so that a system that is silent proves nothing. */
  readonly asOf: (connection: string) => number
}

/** `evidence` says what the witnesses say now, whether or not something is found: it explains a finding, and what ended it. */
export type Judge<T, S extends string = string> = {
  readonly finds: (about: T, context: RuleContext<S>) => boolean | Severity
  readonly evidence: (about: T, context: RuleContext<S>) => readonly Evidence[]
}

/**
 * What a rule must be able to hear: connections that are witness of one of the subjects. `all`: there is one, and every one has
 * been read completely, because the rule concludes something from an absence. `one`: one that has been read completely.
 */
export type Need = { readonly of: readonly Subject[]; readonly from: 'all' | 'one' }
export const all = (...of: Subject[]): Need => ({ of, from: 'all' })
export const one = (...of: Subject[]): Need => ({ of, from: 'one' })

export type Rule<S extends string = string> = {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  /** What a finding of it means. */
  readonly meaning: string
  /** What to do about it. */
  readonly advice: string
  readonly settings: Readonly<Record<S, Setting>>
  /** Each must be met, or the rule rests: it neither opens nor resolves findings. */
  readonly witnesses: readonly Need[]
  readonly machine?: Judge<Seen, S>
  readonly thing?: Judge<Thing, S>
  readonly connection?: Judge<Witness, S>
}

/** Gives a rule's functions its own setting names; outside, all rules are alike. */
export function defineRule<const S extends string = never>(rule: Rule<S>): Rule {
  return Object.freeze(rule) as unknown as Rule
}
