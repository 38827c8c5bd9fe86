import type { EventCode } from './catalogue.ts'
import type { Pruned } from './retention-policy.ts'

/** One thing that happened, as the rooms tell it to the log. entry.ts decides what of it is public to the log's readers. */
export type AuditEvent = {
  readonly code: EventCode
  readonly principal?: {
    readonly id: string
    readonly kind: string
    readonly name?: string
    readonly tokenId?: string
    readonly onBehalfOf?: string
  }
  readonly door?: string
  readonly action?: string
  readonly access?: string
  readonly requestId?: string
  readonly resource?: { readonly type: string; readonly id: string }
  /** `ok` or a problem type. */
  readonly outcome?: string
  readonly decision?: { readonly effect: string; readonly policies: readonly string[]; readonly version: string }
  readonly inputHash?: string
  readonly approval?: string
  /** Of `log.pruned` alone. */
  readonly pruned?: Pruned
  /** Of `audit.subject.forgotten` alone: entries of others whose sealed detail spoke of the subject, and is gone with it. */
  readonly erased?: readonly number[]
  /** Personal data and free text: encrypted per subject; the entry has only its commitment. */
  readonly detail?: Readonly<Record<string, unknown>>
}

/** What `forget` records; verify-log.ts excuses the missing payloads of exactly these subjects. */
export const forgottenCode = 'audit.subject.forgotten' satisfies EventCode

/** Somebody looked at the clock and says that it is right: entries before this one no longer hold up signing. */
export const clockAcceptedCode = 'log.clock-accepted' satisfies EventCode

/** What retention records before it deletes; verification excuses what such an entry names, and nothing else. */
export const prunedCode = 'log.pruned' satisfies EventCode
