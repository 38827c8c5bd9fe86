import { Problem } from '../../core/problem.ts'

/** What is left of a limit after a call, for the answer's headers. All times in whole seconds, rounded up. */
export type LimitState = {
  readonly limit: number
  readonly remaining: number
  /** Until `remaining` grows again by more than what trickles back: the end of the running window. */
  readonly resetSeconds: number
  readonly windowSeconds: number
}

export type Buckets = {
  /** Takes one token of `key`, or throws the problem `rate-limited` with `retryAfterSeconds` and takes none. */
  take(key: string): LimitState
  /** Gives `key` a fresh, full bucket. */
  forget(key: string): void
  /** How many buckets are in memory. */
  size(): number
}

type Parts = {
  /** Tokens in a full bucket; as many flow back in one window. */
  readonly capacity: number
  readonly windowSeconds: number
  /** Milliseconds that never go back (see `steadyClock`). */
  readonly clock: () => number
  readonly maxBuckets?: number
}

/** Tokens spent since `start` (of the clock), and in the window before it, which flow back evenly while this window runs. */
type Bucket = { start: number; spent: number; before: number }

/**
 * Token buckets by key: `capacity` tokens, `capacity` per window flowing back. What was spent in one window starts to flow
 * back when that window ends, not at once, so call `capacity` + 1 within the first window is always refused (a plain bucket
 * lets one more through after 0.6 s of 100 per minute). Over any time T: at most capacity + capacity × T / window.
 * Our own code and not rate-limiter-flexible: one node needs no store, this is a map and three numbers per key,
 * and it runs before every call.
 */
export function makeBuckets({ capacity, windowSeconds, clock, maxBuckets = 100_000 }: Parts): Buckets {
  if (!Number.isSafeInteger(capacity) || capacity < 1) throw new RangeError('A limit must be a whole number from 1')
  const window = windowSeconds * 1000
  // Insertion order is order of use, so the first entries are the ones to drop.
  const buckets = new Map<string, Bucket>()

  return { take, forget: (key) => void buckets.delete(key), size: () => buckets.size }

  function take(key: string): LimitState {
    const at = clock()
    const bucket = current(key, at)
    // Before the refusal: an empty bucket that is still asked is in use, and dropping it would fill it.
    buckets.delete(key)
    buckets.set(key, bucket)
    evict(at)
    if (left(bucket, at) < 1) {
      const retryAfterSeconds = Math.max(1, Math.ceil(wait(bucket, at) / 1000))
      throw new Problem('rate-limited', `Try again in ${retryAfterSeconds} s`, { retryAfterSeconds })
    }
    bucket.spent += 1
    return state(bucket, at)
  }

  /** The bucket as it is now; a key without one, or idle for two windows, has a full one. */
  function current(key: string, at: number): Bucket {
    const bucket = buckets.get(key)
    const windows = bucket ? Math.floor((at - bucket.start) / window) : 2
    if (!bucket || windows >= 2) return { start: at, spent: 0, before: 0 }
    if (windows === 1) {
      bucket.start += window
      bucket.before = bucket.spent
      bucket.spent = 0
    }
    return bucket
  }

  /** Whole tokens. */
  function left({ start, spent, before }: Bucket, at: number): number {
    // Multiplied before divided: a token promised for this very moment must not be lost by rounding.
    return Math.floor(capacity - spent - (before * (window - (at - start))) / window)
  }

  /** Milliseconds until one token is there. */
  function wait({ start, spent, before }: Bucket, at: number): number {
    const elapsed = at - start
    // Within this window, if enough of the last one flows back; otherwise in the next, where `spent` flows back.
    if (spent < capacity) return window * (1 - (capacity - 1 - spent) / before) - elapsed
    return window * (1 + 1 / spent) - elapsed
  }

  function state(bucket: Bucket, at: number): LimitState {
    const resetSeconds = Math.ceil((window - (at - bucket.start)) / 1000)
    return { limit: capacity, remaining: left(bucket, at), resetSeconds, windowSeconds }
  }

  /** Idle buckets are full ones and cost nothing to drop; past the bound the least recently used go. Constant time per call. */
  function evict(at: number): void {
    let budget = 4
    for (const [key, { start }] of buckets) {
      if (budget-- === 0 || (at - start < 2 * window && buckets.size <= maxBuckets)) return
      buckets.delete(key)
    }
  }
}

/**
 * Milliseconds since it was made, by the given clock, that stand still while that clock goes back: setting it back gives
 * no tokens, and nobody waits longer for it either.
 */
export function steadyClock(now: () => Date): () => number {
  let last = now().getTime()
  let elapsed = 0
  return () => {
    const at = now().getTime()
    elapsed += Math.max(0, at - last)
    last = at
    return elapsed
  }
}
