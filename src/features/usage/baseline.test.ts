import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Baseline, type Departure, learn } from './baseline.ts'
import type { Calls } from './calls.ts'

// One credential's habits, without a database: what is usual, what departs from it, and how slowly that becomes usual.

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
/** A Monday. */
const start = Date.parse('2026-01-05T00:00:00.000Z')

type Use = { readonly calls?: number; readonly within?: number; readonly network?: string; readonly action?: string }

/** Calls spread evenly over the time from `at` on, a minute unless told. */
function minuteOf(
  at: number,
  { calls = 6, within = minute, network = '10.1.2.0/24', action = 'inventory.assets.search' }: Use = {},
): Calls {
  const seconds = new Map<number, number>()
  for (let i = 0; i < calls; i++) {
    const key = Math.floor((at + (i * within) / calls) / second)
    seconds.set(key, (seconds.get(key) ?? 0) + 1)
  }
  const principal = { id: 'agt_1', kind: 'agent' as const }
  return { tokenId: 'tok_1', principal, seconds, networks: new Set([network]), actions: new Set([action]), lastAt: at }
}

function makeCredential() {
  let baseline: Baseline | undefined
  const departures: Departure[] = []
  return {
    departures,
    baseline: () => baseline,
    use(at: number, use: Use = {}): readonly Departure[] {
      const learned = learn(baseline, minuteOf(at, use))
      baseline = learned.baseline
      departures.push(...learned.departures)
      return learned.departures
    },
  }
}

/** Six calls a minute from 8 to 18 o'clock, for `days` days. */
function workdays(credential: ReturnType<typeof makeCredential>, days: number, from = start): void {
  for (let at = from; at < from + days * day; at += 10 * minute)
    if (new Date(at).getUTCHours() >= 8 && new Date(at).getUTCHours() < 18) credential.use(at)
}

/** The same numbers in every run. */
function makeDice(seed: number) {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const steady: readonly {
  readonly title: string
  readonly uses: (at: Date, dice: (below: number) => number) => Use[]
}[] = [
  { title: 'one call each minute, all day', uses: () => [{ calls: 1 }] },
  { title: 'a number of calls that varies between 1 and 60', uses: (_at, dice) => [{ calls: 1 + dice(60) }] },
  {
    title: 'an agent that polls, and 400 calls at half past two each night',
    uses: (at) => [{ calls: at.getUTCHours() === 2 && at.getUTCMinutes() === 30 ? 400 : 2 }],
  },
  {
    title: 'a report of its own on Sundays',
    uses: (at) =>
      at.getUTCDay() === 0 && at.getUTCHours() === 5 && at.getUTCMinutes() < 3
        ? [{ calls: 300, action: 'exports.reports.start' }]
        : [{ calls: 3 }],
  },
  {
    title: 'a person in the office on weekdays, from two networks, in bunches',
    uses: (at, dice) => {
      const isWork = at.getUTCDay() > 0 && at.getUTCDay() < 6 && at.getUTCHours() >= 8 && at.getUTCHours() < 17
      if (!isWork || dice(4) > 0) return []
      return [
        { calls: 1 + dice(40), network: dice(3) === 0 ? '10.9.9.0/24' : '10.1.2.0/24', action: `a.b.c${dice(20)}` },
      ]
    },
  },
  {
    title: 'a timer that wavers around the full hour',
    uses: (at) => (at.getUTCHours() === 4 && at.getUTCMinutes() === (at.getUTCDate() % 2 === 0 ? 0 : 1) ? [{}] : []),
  },
]

for (const { title, uses } of steady)
  test(`fourteen days of steady work depart from nothing: ${title} (claims: A37)`, () => {
    const credential = makeCredential()
    const dice = makeDice(7)
    for (let at = start; at < start + 14 * day; at += minute)
      for (const use of uses(new Date(at), dice)) credential.use(at, use)

    assert.deepEqual(credential.departures, [])
  })

const morning = start + 10 * day + 10 * hour

const departing: readonly {
  readonly title: string
  readonly at?: number
  readonly use: Use
  readonly finds: unknown
}[] = [
  { title: 'six calls a minute as always', use: {}, finds: [] },
  { title: 'nine times the calls', use: { calls: 54 }, finds: [] },
  {
    title: 'ten times the calls',
    use: { calls: 60 },
    finds: [['burst', { callsPerMinute: 60 }, { callsPerMinute: 6 }]],
  },
  {
    title: 'another network',
    use: { network: '203.0.113.0/24' },
    finds: [['network', { networks: ['203.0.113.0/24'] }, { networks: ['10.1.2.0/24'] }]],
  },
  {
    title: 'another action',
    use: { action: 'vault.secrets.reveal' },
    finds: [['action', { actions: ['vault.secrets.reveal'] }, { actions: ['inventory.assets.search'] }]],
  },
  {
    title: 'three in the morning',
    at: start + 10 * day + 3 * hour,
    use: {},
    finds: [['hour', { hours: [3] }, { hours: [8, 9, 10, 11, 12, 13, 14, 15, 16, 17] }]],
  },
  {
    title: 'an hour before the usual ones, as when clocks change',
    at: start + 10 * day + 7 * hour,
    use: {},
    finds: [],
  },
]

for (const { title, at = morning, use, finds } of departing)
  test(`after ten days of six calls a minute in office hours: ${title} (claims: A37)`, () => {
    const credential = makeCredential()
    workdays(credential, 10)

    const found = credential.use(at, use).map(({ kind, seen, usual }) => [kind, seen, usual])
    assert.deepEqual(found, finds)
    assert.deepEqual(credential.departures.length, found.length)
  })

test('nothing departs while a credential is learning: seven days, and three with calls', () => {
  const odd = { calls: 500, network: '203.0.113.0/24', action: 'x.y.z' }
  const young = makeCredential()
  workdays(young, 6)
  assert.deepEqual(young.use(start + 6 * day + 3 * hour, odd), [])

  const rare = makeCredential()
  rare.use(start)
  rare.use(start + 8 * day)
  assert.deepEqual(rare.use(start + 9 * day, odd), [])
  assert.notDeepEqual(rare.use(start + 12 * day, { network: '198.51.100.0/24' }), [])
})

test('a burst that crosses the full minute is one', () => {
  const credential = makeCredential()
  workdays(credential, 10)
  const half = (at: number) => credential.use(at, { calls: 30, within: 30 * second }).map(({ kind }) => kind)
  assert.deepEqual(half(morning + 30 * second), [])
  assert.deepEqual(half(morning + 60 * second), ['burst'])
})

test('a quiet credential has no burst below twenty calls a minute', () => {
  const credential = makeCredential()
  for (let at = start; at < start + 10 * day; at += hour) credential.use(at, { calls: 1 })
  const found = [19, 20].map((calls) => credential.use(morning + calls * hour, { calls }).map(({ kind }) => kind))
  assert.deepEqual(found, [[], ['burst']])
})

test('what is new departs until it becomes usual, on the third day that it is used', () => {
  const credential = makeCredential()
  workdays(credential, 10)
  const found = [0, 1 * hour, 1 * day, 2 * day, 3 * day].map(
    (later) => credential.use(morning + later, { network: '203.0.113.0/24' }).length,
  )
  assert.deepEqual(found, [1, 1, 1, 0, 0])
})

test('a burst teaches a doubling a day at most, and is forgotten after fourteen days with calls', () => {
  const credential = makeCredential()
  workdays(credential, 10)
  const bursts = (at: number, calls: number) =>
    credential.use(at, { calls }).filter(({ kind }) => kind === 'burst').length
  assert.equal(bursts(morning, 6000), 1)
  assert.equal(bursts(morning + day, 6000), 1)
  assert.equal(bursts(morning + 2 * day, 240), 1)
  workdays(credential, 15, start + 13 * day)
  assert.equal(bursts(morning + 20 * day, 60), 1)
})

test('a caller from many networks drives out no usual one, and the baseline stays small', () => {
  const credential = makeCredential()
  workdays(credential, 10)
  for (let i = 0; i < 500; i++) credential.use(morning + i * second, { network: `203.0.${i}.0/24` })
  for (let i = 0; i < 500; i++) credential.use(morning + i * second, { action: `a.b.c${i}` })

  assert.deepEqual(
    credential.use(morning + hour).filter(({ kind }) => kind === 'network'),
    [],
  )
  const { networks = [], actions = [] } = credential.baseline() ?? {}
  assert.deepEqual([networks.length, actions.length], [64, 300])
  assert.ok(JSON.stringify(credential.baseline()).length < 64_000)
})

test('a habit is forgotten after ninety days without it', () => {
  const credential = makeCredential()
  workdays(credential, 10)
  for (let i = 0; i < 91; i++) credential.use(morning + i * day, { network: '10.7.7.0/24' })
  assert.deepEqual(
    credential.use(morning + 101 * day).map(({ kind }) => kind),
    ['network'],
  )
})
