import { Problem } from '../../../core/problem.ts'
import { faultProblem } from '../../../lib/http-outcome.ts'

/** An entry as it goes out: the exact bytes that were hashed, which have no personal data. The sealed payload never leaves. */
export type SinkEntry = { readonly index: number; readonly leaf: Buffer; readonly hash: Buffer }

/** How far a sink is: entries below `next` were sent; those below `confirmed` are certainly there, and are never sent again. */
export type Position = { readonly next: number; readonly confirmed: number }

export type Round = {
  readonly at: Position
  /** Entries that are committed. */
  readonly size: number
  /** The server stops: what is kept back for later goes now. */
  readonly isLast: boolean
  readonly signal: AbortSignal
}

export type SinkName = 'syslog' | 'webhook' | 's3'

/** A place beside the log where copies of its entries go. */
export type Sink = {
  readonly name: SinkName
  /** Where it leads. Another target is another sink, which begins anew. */
  readonly target: string
  /** It is worth nothing without the first entry. */
  readonly isWhole?: boolean
  /** Sends one batch. Answers how far it is then: where it was, when there is nothing to do. Throws when it could not. */
  deliver(round: Round): Promise<Position>
  /** Ends what is open. Another process delivers now, or nobody. */
  close(): Promise<void>
}

/** What a sink reads of the log. */
export type Source = {
  readonly origin: string
  /** The first entry that is still kept: those before it were pruned. */
  first(): Promise<number>
  /** Entries from `start` on, without a gap and checked against their hashes: at most `count` and about `bytes`. */
  entries(start: number, limit: { readonly count: number; readonly bytes: number }): Promise<readonly SinkEntry[]>
  /** A signed checkpoint of at least `size` entries, cosigned when the policy has witnesses. */
  checkpoint(size: number): Promise<string>
  /** The bytes of a tile of the log. */
  tile(path: string): Promise<Buffer>
}

/**
 * Any fault as one that is stored and shown: errors of the network name hosts and addresses, so their own text is dropped. `gone` is final:
 * the receiver does not want to be asked again.
 */
export function sinkProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const { name } = error as Error
  if (name === 'TimeoutError' || name === 'AbortError') return new Problem('upstream-timeout', tooLong)
  const problem = faultProblem(error)
  if (problem instanceof Problem) return new Problem(problem.type, problem.message)
  const { code } = error as { code?: unknown }
  const kind = [name, code].filter((word) => typeof word === 'string' && /^\w{1,60}$/.test(word)).join(' ')
  return new Problem('internal', `Delivering failed unexpectedly (${kind})`)
}

export const tooLong = 'The receiver took too long'
