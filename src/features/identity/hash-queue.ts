import { availableParallelism } from 'node:os'
import { Problem } from '../../core/problem.ts'

// argon2 runs on libuv's pool of four threads. At most three are taken, so that sign-ins never stop DNS and files.
const defaultConcurrency = Math.min(2 * availableParallelism(), 3)
const defaultWaiting = 32

/**
 * Runs at most `concurrency` jobs at a time and lets `waiting` more wait; beyond that the caller is told to come back
 * (`rate-limited`). Hashing a password is costly on purpose; without a bound a stranger could spend all our CPU with it.
 */
export function makeHashQueue({ concurrency = defaultConcurrency, waiting = defaultWaiting } = {}) {
  const queue: (() => void)[] = []
  let running = 0

  return async function run<T>(job: () => Promise<T>): Promise<T> {
    if (running >= concurrency) {
      if (queue.length >= waiting)
        throw new Problem('rate-limited', 'Too many sign-ins at the same time. Try again in a moment.', {
          retryAfterSeconds: 2,
        })
      await new Promise<void>((resolve) => queue.push(resolve))
    } else running += 1
    try {
      return await job()
    } finally {
      // The place goes to the next in line without being free in between.
      const next = queue.shift()
      if (next) next()
      else running -= 1
    }
  }
}
