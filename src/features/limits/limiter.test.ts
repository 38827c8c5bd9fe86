import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { fixedClock } from '../../testing/databases.ts'
import { makeBuckets, steadyClock } from './buckets.ts'
import { rateLimitHeaders } from './headers.ts'
import { makeLimiter } from './limiter.ts'

const second = 1000

/** Retry-After of a refusal, or 'ok'. */
function outcome(take: () => unknown): number | 'ok' {
  try {
    take()
    return 'ok'
  } catch (error) {
    assert.ok(error instanceof Problem, String(error))
    assert.equal(error.type, 'rate-limited')
    assert.equal(Object.keys(error).includes('cause'), false)
    return error.retryAfterSeconds ?? Number.NaN
  }
}

function principal(id: string): Principal {
  return { id, kind: 'agent', name: id, bindings: [], version: '1' }
}
const one = principal('usr_1')
const times = <T>(n: number, run: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => run(i))

test('the 101st call within a minute is refused, however the calls are spread (claims: B8 B25)', () => {
  for (const gap of [0, 1, 100, 590, 599]) {
    const clock = fixedClock()
    const { take } = makeLimiter({ rpm: 100, now: clock.now })

    const outcomes = times(101, () => {
      clock.forward(gap)
      return outcome(() => take(one, 'a.b.c'))
    })

    assert.deepEqual(outcomes.slice(0, 100), Array(100).fill('ok'))
    assert.equal(typeof outcomes[100], 'number', `with ${gap} ms between calls`)
  }
})

test('a call after the Retry-After of a refusal goes through; one second before it does not', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 200 }),
      (rpm, gaps) => {
        const clock = fixedClock()
        const { take } = makeLimiter({ rpm, now: clock.now })
        for (const gap of gaps) {
          clock.forward(gap)
          const first = outcome(() => take(one, 'a'))
          if (first === 'ok') continue
          clock.forward((first - 1) * second - 1)
          if (first > 1)
            assert.notEqual(
              outcome(() => take(one, 'a')),
              'ok',
            )
          clock.forward(second + 1)
          assert.equal(
            outcome(() => take(one, 'a')),
            'ok',
          )
        }
      },
    ),
  )
})

test('over any time never more than the capacity and what flowed back, and never more than the capacity in the first window', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 120 }),
      (rpm, gaps) => {
        const clock = fixedClock()
        const { take } = makeLimiter({ rpm, now: clock.now })
        const accepted: number[] = []
        for (const gap of gaps) {
          clock.forward(gap)
          if (outcome(() => take(one, 'a')) === 'ok') accepted.push(clock.now().getTime())
        }
        for (const [i, from] of accepted.entries())
          for (const [j, to] of accepted.entries())
            if (j >= i) assert.ok(j - i + 1 <= rpm + (rpm * (to - from)) / 60_000 + 1e-6)
        assert.ok(accepted.filter((at) => at < (accepted[0] ?? 0) + 60_000).length <= rpm)
      },
    ),
  )
})

test('a principal who stays below the limit is never refused', () => {
  const clock = fixedClock()
  const { take } = makeLimiter({ rpm: 60, now: clock.now })

  const outcomes = times(1000, () => {
    clock.forward(1050)
    return outcome(() => take(one, 'a'))
  })

  assert.deepEqual(new Set(outcomes), new Set(['ok']))
})

test('each principal and each action has its own bucket', () => {
  const { take } = makeLimiter({ rpm: 1, now: fixedClock().now })

  const outcomes = [one, one, principal('usr_2')].flatMap((who) =>
    ['a', 'b'].map((what) => outcome(() => take(who, what))),
  )

  assert.deepEqual(outcomes, ['ok', 'ok', 61 + 59, 61 + 59, 'ok', 'ok'])
})

test('a clock that goes back gives no tokens and makes nobody wait longer', () => {
  const clock = fixedClock()
  const { take } = makeLimiter({ rpm: 2, now: clock.now })
  times(2, () => take(one, 'a'))

  const seen = times(24, () => {
    clock.forward(-3600 * second)
    return outcome(() => take(one, 'a'))
  })

  assert.deepEqual(seen, Array(24).fill(90))
  clock.forward(90 * second)
  assert.equal(
    outcome(() => take(one, 'a')),
    'ok',
  )
})

test('what is left is told after every call', () => {
  const clock = fixedClock()
  const { take } = makeLimiter({ rpm: 2, now: clock.now })
  const rest = { limit: 2, windowSeconds: 60 }

  assert.deepEqual(take(one, 'a'), { ...rest, remaining: 1, resetSeconds: 60 })
  clock.forward(10_500)
  assert.deepEqual(take(one, 'a'), { ...rest, remaining: 0, resetSeconds: 50 })
  clock.forward(80_000)
  assert.deepEqual(take(one, 'a'), { ...rest, remaining: 0, resetSeconds: 30 })
})

test('memory is bounded: idle buckets go, and past the bound the least recently used', () => {
  const clock = fixedClock()
  const parts = { capacity: 1, windowSeconds: 60, clock: steadyClock(clock.now) }
  const buckets = makeBuckets({ ...parts, maxBuckets: 1000 })

  times(5000, (i) => buckets.take(`k${i}`))
  assert.equal(buckets.size(), 1000)
  assert.equal(
    outcome(() => buckets.take('k4999')),
    120,
  )
  assert.equal(
    outcome(() => buckets.take('k3999')),
    'ok',
  )

  clock.forward(120 * second)
  times(400, () => outcome(() => buckets.take('k')))
  times(400, (i) => buckets.take(`n${i}`))
  assert.equal(buckets.size(), 401)
})

test('a bucket in use outlives buckets that are not', () => {
  const clock = fixedClock()
  const buckets = makeBuckets({ capacity: 30, windowSeconds: 60, clock: steadyClock(clock.now), maxBuckets: 10 })

  const outcomes = times(60, (i) => {
    buckets.take(`other ${i}`)
    return outcome(() => buckets.take('ours'))
  })

  assert.deepEqual(
    outcomes.map((one) => one === 'ok'),
    times(60, (i) => i < 30),
  )
})

test('a limit that is no whole number from 1 is refused', () => {
  for (const rpm of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => makeLimiter({ rpm, now: fixedClock().now }), RangeError)
})

const headers: readonly [string, ReturnType<typeof rateLimitHeaders>, Record<string, string>][] = [
  [
    'a call within the limit',
    rateLimitHeaders({ limit: 100, remaining: 42, resetSeconds: 17, windowSeconds: 60 }),
    { 'RateLimit-Policy': '"default";q=100;w=60', RateLimit: '"default";r=42;t=17' },
  ],
  [
    'a refused call',
    rateLimitHeaders({ limit: 100, remaining: 0, resetSeconds: 17, windowSeconds: 60 }, 'login', 18),
    { 'RateLimit-Policy': '"login";q=100;w=60', RateLimit: '"login";r=0;t=18', 'Retry-After': '18' },
  ],
  [
    'a name with quotes',
    rateLimitHeaders({ limit: 1, remaining: 0, resetSeconds: 1, windowSeconds: 1 }, 'a"b\\c'),
    { 'RateLimit-Policy': '"a\\"b\\\\c";q=1;w=1', RateLimit: '"a\\"b\\\\c";r=0;t=1' },
  ],
]
for (const [title, actual, expected] of headers)
  test(`the headers of ${title} are as the draft writes them (claims: B25)`, () => assert.deepEqual(actual, expected))

test('a limit name that could start a new header line is refused', () => {
  const state = { limit: 1, remaining: 0, resetSeconds: 1, windowSeconds: 1 }
  assert.throws(() => rateLimitHeaders(state, 'a\r\nSet-Cookie: b'), TypeError)
})
