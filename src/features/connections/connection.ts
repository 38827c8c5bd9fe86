import type { ProblemType } from '../../core/problem.ts'
import type { Tls } from './tls.ts'

export type ShownProblem = { readonly type: string; readonly title: string; readonly detail?: string }

/** The outcome of the last check. */
export type CheckOutcome = {
  readonly at: string
  readonly ok: boolean
  readonly version?: string
  readonly account?: string
  readonly warnings: readonly string[]
  readonly problem?: ShownProblem
}

/** How a connection does: nothing tried yet, a run at work, the last thing tried went well, or it did not. */
export const connectionStates = ['new', 'syncing', 'ok', 'failing'] as const

/** A connection as everybody with the right to read it sees it: never a credential value. */
export type ConnectionView = {
  readonly id: string
  readonly connector: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** The credential fields that are set. */
  readonly credential: readonly string[]
  readonly hasCaCertificate: boolean
  readonly certificatePin: string | null
  readonly schedule: string | null
  /** Whether actions may change the system. */
  readonly allowWrites: boolean
  readonly state: (typeof connectionStates)[number]
  readonly problem: ShownProblem | null
  readonly lastCheck: CheckOutcome | null
  readonly lastSyncedAt: string | null
  /** The certificate that the system last showed. */
  readonly certificate: Tls['certificate']
  /** Why the system was last not trusted, whatever came after. */
  readonly tlsFailure: Tls['failure']
  readonly activeSync: string | null
  readonly createdAt: string
  readonly updatedAt: string
}

export const syncStates = ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted'] as const
export type SyncState = (typeof syncStates)[number]
export const syncModes = ['auto', 'full'] as const
export type SyncMode = (typeof syncModes)[number]

export type SyncCounts = {
  read: number
  created: number
  updated: number
  unchanged: number
  gone: number
  stale: number
}

/** One run as a person watches it. */
export type SyncView = {
  readonly id: string
  readonly connection: string
  readonly mode: SyncMode
  /** Whether it reads everything; null until it starts. */
  readonly full: boolean | null
  readonly state: SyncState
  readonly stage: string | null
  /** How many the stage will report, when known. */
  readonly total: number | null
  readonly counts: Readonly<SyncCounts>
  /** Read per second over the whole run. */
  readonly rate: number
  readonly attempt: number
  readonly problem: ShownProblem | null
  readonly queuedAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
}

/** What a run has done so far. */
export type Progress = { stage: string | null; total: number | null; isFull: boolean; counts: SyncCounts }

export type StoredProblem = { readonly type: ProblemType; readonly detail?: string | undefined }
