import type { Attribute, Facts, Subject } from '../../../core/connector.ts'

/** One system's view of a machine, as findings and the machine's page see it. */
export type MachineAsset = {
  readonly id: string
  readonly connection: string
  readonly connector: string
  /** What the system is the witness of. */
  readonly subjects: readonly Subject[]
  readonly kind: string
  readonly externalId: string
  readonly name: string
  readonly status: string | null
  readonly site: string | null
  readonly serial: string | null
  readonly addresses: readonly string[]
  readonly url: string | null
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly facts: Facts
  readonly form: 'physical' | 'virtual' | null
  readonly lastSeenAt: string
  /** Since when the system does not have it any more; null while it has. */
  readonly staleAt: string | null
}

/** Assets of several systems that are the same thing. Stale assets are part of it only as history. */
export type MachineView = {
  readonly id: string
  readonly name: string
  readonly form: 'physical' | 'virtual' | null
  readonly site: string | null
  readonly assets: readonly MachineAsset[]
}
