import { Problem } from '../../core/problem.ts'
import { makeBuckets, steadyClock } from './buckets.ts'
import { networkOf } from './network.ts'

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** Failures before the first delay, then 1, 2, 4 … seconds. OWASP Authentication, "exponential delay". */
const freeFailures = 3
const longestDelay = 60

/**
 * Throttles password guessing (SECURITY.md §5): per user name and network 10 in 15 minutes, per network 300 an hour,
 * per user name 50 a day. A network from which that user signed in has fifty of its own, so a stranger can use up the
 * strangers' guesses only and cannot lock the user out. In memory: a restart forgets.
 */
export function makeLoginThrottle({ now, maxBuckets = 100_000 }: { now: () => Date; maxBuckets?: number }) {
  const clock = steadyClock(now)
  const pairs = makeBuckets({ capacity: 10, windowSeconds: 15 * minute, clock, maxBuckets })
  const networks = makeBuckets({ capacity: 300, windowSeconds: hour, clock, maxBuckets })
  const names = makeBuckets({ capacity: 50, windowSeconds: day, clock, maxBuckets })
  const known = new Set<string>()

  return {
    /**
     * Counts an attempt before the password is looked at, so that attempts at the same time cannot all slip through.
     * Throws `rate-limited`, the same whether or not the user exists; otherwise says how long to wait with the answer.
     */
    take(username: string, remoteAddress: string): { readonly delaySeconds: number } {
      const { name, network, pair } = keys(username, remoteAddress)
      // The narrow limit comes before the wide one: a refused attempt must not eat the user's own fifty.
      refuse(() => networks.take(network))
      const { limit, remaining } = refuse(() => pairs.take(pair))
      refuse(() => names.take(known.has(pair) ? pair : name))
      const earlier = limit - remaining - 1
      return { delaySeconds: earlier < freeFailures ? 0 : Math.min(2 ** (earlier - freeFailures), longestDelay) }
    },

    /** The password was right: the attempts of this user from this network are forgotten, and the network is known. */
    succeeded(username: string, remoteAddress: string): void {
      const { pair } = keys(username, remoteAddress)
      pairs.forget(pair)
      known.delete(pair)
      known.add(pair)
      const [oldest] = known
      if (known.size > maxBuckets && oldest !== undefined) known.delete(oldest)
    },
  }
}

function keys(username: string, remoteAddress: string) {
  const name = foldCase(username)
  const network = networkOf(remoteAddress)
  return { name, network, pair: JSON.stringify([name, network]) }
}

/** One text for all spellings of a user name that look alike to sign-in: NFKC and no case. */
function foldCase(username: string): string {
  // Up and down again folds what has one case only in one direction: ß and SS, final sigma.
  return username.slice(0, 1024).normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC')
}

function refuse<T>(take: () => T): T {
  try {
    return take()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const { retryAfterSeconds = 1 } = error
    throw new Problem('rate-limited', 'Too many sign-in attempts', { retryAfterSeconds, cause: error })
  }
}
