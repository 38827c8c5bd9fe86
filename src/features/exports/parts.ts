import type { FileHandle } from 'node:fs/promises'
import type { Action, Door, Principal, Resource } from '../../core/action.ts'
import type { Database } from '../../lib/db/database.ts'
import type { Datasets, May } from './dataset.ts'

export type Log = {
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

type Call = {
  readonly door: Door
  readonly principal: Principal
  readonly requestId: string
  readonly signal: AbortSignal
}

/** What publishing a plan's file takes; everything goes through the gate. */
export type PublishParts = {
  /** An action that a plan may publish with: one of a connector, that writes. */
  readonly actionOf: (name: string) => Action | undefined
  /** What it would be done to: the one connection that the input names. */
  readonly resourceOf: (input: unknown) => Promise<Resource>
  /** Atlas itself. */
  readonly system: () => Principal
  readonly invoke: (call: Call, name: string, input: unknown) => Promise<{ output: unknown } | { pending: string }>
  readonly approvalState: (id: string) => Promise<string | undefined>
}

export type ExportsParts = {
  readonly database: Database
  /** Where the files lie; made with mode 0700. */
  readonly folder: string
  readonly datasets: Datasets
  /** Whether policy permits a call, an approval not counted; `ask` is no. */
  readonly may: May
  /** Whether it permits a call, or would with an approval. */
  readonly mayAsk: May
  /** Undefined when there is no such principal, or it may not sign in. */
  readonly findPrincipal: (id: string) => Promise<Principal | undefined>
  /** Takes known secrets out. The gate does so with what actions answer; a file does not pass the gate. */
  readonly redact: (value: unknown) => unknown
  readonly publish: PublishParts
  readonly now: () => Date
  readonly log: Log
  readonly limits?: Partial<Limits>
  /** Only tests have another. */
  readonly create?: (path: string) => Promise<FileHandle>
}

export type Limits = {
  /** Runs of one principal at once. */
  readonly running: number
  /** Runs of one principal and exports whose file is kept. */
  readonly kept: number
  readonly plans: number
  readonly bytes: number
  /** Files carried out together; the others wait. */
  readonly atOnce: number
}

export const usualLimits: Limits = { running: 5, kept: 100, plans: 50, bytes: 2_147_483_647, atOnce: 2 }
