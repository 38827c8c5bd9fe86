import type { Principal } from '../../core/action.ts'
import { type LimitState, makeBuckets, steadyClock } from './buckets.ts'
import { networkOf } from './network.ts'

export type { LimitState } from './buckets.ts'

type Parts = {
  /** Calls per minute of one principal to one action, and unauthenticated attempts per minute of one network. */
  readonly rpm: number
  readonly now: () => Date
  /** Buckets kept per kind of key; the least recently used go first. */
  readonly maxBuckets?: number
}

/**
 * The limits that stand before every call, in the memory of this process. Keys come from a verified principal or from the
 * socket's address, never from what a caller may write freely.
 */
export function makeLimiter({ rpm, now, ...rest }: Parts) {
  const clock = steadyClock(now)
  const calls = makeBuckets({ capacity: rpm, windowSeconds: 60, clock, ...rest })
  const attempts = makeBuckets({ capacity: rpm, windowSeconds: 60, clock, ...rest })

  return {
    /** Counts one call. Throws the problem `rate-limited` with `retryAfterSeconds` when the minute's calls are used up. */
    take: ({ id }: Principal, actionName: string): LimitState => calls.take(`${id} ${actionName}`),

    /** Counts one attempt without a valid token from `remoteAddress` (its /64 for IPv6). Throws `rate-limited`. */
    takeNetwork: (remoteAddress: string): LimitState => attempts.take(networkOf(remoteAddress)),
  }
}
