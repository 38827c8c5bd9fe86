import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Principal } from '../../core/action.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, freshSqlite, testOnEach } from '../../testing/databases.ts'
import { networkOf, subnetOf } from '../limits/network.ts'
import { usageActions } from './actions.ts'
import { makeCalls } from './calls.ts'
import { usageMigrations } from './migrations.ts'
import { makeUsage } from './usage.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const learned = 8 * day + 10 * hour
const office = '10.1.2.77'
const search = 'inventory.assets.search'

function principalOf(tokenId: string, id = 'agt_1', kind: Principal['kind'] = 'agent'): Principal {
  return { id, kind, name: 'Someone', bindings: [], tokenId, version: '1' }
}
const agent = principalOf('tok_1')

type Event = Parameters<Parameters<typeof makeUsage>[0]['record']>[0]

/** A watch on `database`; `events` is what it told the audit log, in order. Tokens `tok_session…` are sign-ins. */
function open(database: Database, clock = fixedClock()) {
  const events: Event[] = []
  const audit = { isDown: false }
  const usage = makeUsage({
    database,
    now: clock.now,
    record: async (event) => {
      if (audit.isDown) throw new Error('audit is down')
      events.push(event)
    },
    isSession: async (tokenId) => tokenId.startsWith('tok_session'),
    subnetOf,
    log: { error() {} },
  })
  const call = (times: number, { who = agent, action = search, from = office } = {}) => {
    for (let i = 0; i < times; i++) usage.note(who, action, from)
  }
  /** Six calls a minute in a minute of each hour from 8 to 18 o'clock, and the clock at ten o'clock of the ninth day. */
  const learnHabits = async (who = [agent]) => {
    const start = clock.now().getTime()
    for (let at = 0; at < learned; at += hour) {
      clock.forward(start + at - clock.now().getTime())
      const of = new Date(start + at).getUTCHours()
      if (of < 8 || of >= 18) continue
      for (const one of who) call(6, { who: one })
      await usage.flush()
    }
    clock.forward(start + learned - clock.now().getTime())
  }
  const kinds = () => events.map(({ detail }) => detail['kind'])
  return { usage, events, kinds, audit, clock, call, learnHabits }
}

testOnEach(
  'a tenfold burst, a new network, a new action and an hour never used are one event each, and stand in the list (claims: A37)',
  usageMigrations,
  async (database) => {
    const { usage, events, clock, call, learnHabits } = open(database)
    await learnHabits()
    call(60)
    call(1, { from: '203.0.113.9' })
    call(1, { action: 'vault.secrets.reveal' })
    clock.forward(30_000)
    await usage.flush()
    clock.forward(13 * hour)
    call(1)
    await usage.flush()

    const usual = { since: '2026-01-01T08:00:00.000Z', days: 9 }
    const [ten, eleven] = ['2026-01-09T10:00Z', '2026-01-09T23:00Z']
    const found = [
      ['burst', ten, { callsPerMinute: 62 }, { callsPerMinute: 6 }],
      ['network', ten, { networks: ['203.0.113.0/24'] }, { networks: ['10.1.2.0/24'] }],
      ['action', ten, { actions: ['vault.secrets.reveal'] }, { actions: [search] }],
      ['hour', eleven, { hours: [23] }, { hours: [8, 9, 10, 11, 12, 13, 14, 15, 16, 17] }],
    ] as const
    const { items, next } = await usage.list({ limit: 10 })
    const byKind = new Map(items.map((item) => [item.kind, item]))
    assert.deepEqual([items.length, next, items[0]?.kind], [4, null, 'hour'])
    assert.deepEqual(
      Object.fromEntries(events.map((event) => [event.detail['kind'], event])),
      Object.fromEntries(
        found.map(([kind, at, seen, was]) => {
          const detail = {
            anomaly: byKind.get(kind)?.id,
            kind,
            hour: at,
            seen,
            usual: { ...usual, ...was },
          }
          const principal = { id: 'agt_1', kind: 'agent', tokenId: 'tok_1' }
          return [kind, { code: 'anomaly.detected', principal, resource: { type: 'token', id: 'tok_1' }, detail }]
        }),
      ),
    )
    assert.deepEqual(byKind.get('network'), {
      id: byKind.get('network')?.id,
      kind: 'network',
      credential: { type: 'token', id: 'tok_1' },
      principal: { id: 'agt_1', kind: 'agent' },
      hour: ten,
      detectedAt: '2026-01-09T10:00:30.000Z',
      seen: { networks: ['203.0.113.0/24'] },
      usual: { ...usual, networks: ['10.1.2.0/24'] },
    })
    const [action] = usageActions(usage)
    assert.deepEqual([action?.name, action?.access], ['identity.anomalies.list', 'read'])
    assert.deepEqual(action?.output.parse({ items, next }), { items, next })
    const only = async (filter: object) => (await usage.list({ limit: 10, ...filter })).items.map(({ kind }) => kind)
    assert.deepEqual(await only({ kind: 'burst' }), ['burst'])
    assert.deepEqual(await only({ credential: 'tok_2' }), [])
    const page = await usage.list({ limit: 1 })
    assert.deepEqual(
      [page.items[0]?.kind, (await usage.list({ limit: 10, cursor: page.next ?? '' })).items.length],
      ['hour', 3],
    )
  },
)

testOnEach('fourteen days of steady work lead to no event (claims: A37)', usageMigrations, async (database) => {
  const { usage, events, clock, call } = open(database)
  for (let hours = 0; hours < 14 * 24; hours++) {
    for (let i = 0; i < 30; i++) {
      call(1 + (i % 9), { action: `a.b.c${i % 5}`, from: i % 2 === 0 ? office : '2001:db8:7:1::5' })
      clock.forward(hour / 30)
    }
    await usage.flush()
  }
  assert.deepEqual(events, [])
})

testOnEach(
  'one credential has one event of a kind in an hour, also when several processes see it (claims: A37)',
  usageMigrations,
  async (database) => {
    const clock = fixedClock()
    const one = open(database, clock)
    const other = open(database, clock)
    await one.learnHabits()
    for (let i = 0; i < 6; i++) {
      for (const each of [one, other]) each.call(1, { from: `203.0.${i}.9` })
      await Promise.all([one.usage.flush(), other.usage.flush()])
      clock.forward(9 * minute)
    }
    assert.equal(one.events.length + other.events.length, 1)
    clock.forward(10 * minute)
    one.call(1, { from: '203.0.113.9' })
    await one.usage.flush()
    assert.equal(one.events.length + other.events.length, 2)
  },
)

testOnEach(
  'what several processes see is one baseline: half a burst in each is a burst (claims: A37)',
  usageMigrations,
  async (database) => {
    const clock = fixedClock()
    const [one, other] = [open(database, clock), open(database, clock)]
    await one.learnHabits()
    one.call(30)
    await one.usage.flush()
    assert.deepEqual(one.kinds(), [])
    clock.forward(20_000)
    other.call(30)
    await other.usage.flush()
    assert.deepEqual([one.kinds(), other.kinds()], [[], ['burst']])
  },
)

testOnEach('a restart keeps the habits, and what was noted last (claims: A37)', usageMigrations, async (database) => {
  const clock = fixedClock()
  const before = open(database, clock)
  await before.learnHabits()
  before.call(60)
  await before.usage.stop()
  const after = open(database, clock)
  after.call(1, { from: '203.0.113.9' })
  await after.usage.stop()
  assert.deepEqual([before.kinds(), after.kinds()], [['burst'], ['network']])
})

testOnEach('an event that the audit log could not take is recorded later, once', usageMigrations, async (database) => {
  const { usage, kinds, audit, call, learnHabits } = open(database)
  await learnHabits()
  audit.isDown = true
  call(1, { from: '203.0.113.9' })
  await assert.rejects(usage.flush(), /audit is down/)
  assert.deepEqual(kinds(), [])
  audit.isDown = false
  await usage.flush()
  await usage.flush()
  assert.deepEqual(kinds(), ['network'])
})

testOnEach(
  "a user's sign-ins are one credential, tokens are each their own, and Atlas itself is not watched",
  usageMigrations,
  async (database) => {
    const { usage, events, call, learnHabits } = open(database)
    const ada = (tokenId: string) => principalOf(tokenId, 'usr_ada', 'user')
    await learnHabits([ada('tok_session1'), principalOf('tok_2'), principalOf('tok_s', 'sys_1', 'system')])
    call(1, { who: ada('tok_session2'), from: '203.0.113.9' })
    call(1, { who: principalOf('tok_3'), from: '203.0.113.9' })
    call(60, { who: principalOf('tok_s', 'sys_1', 'system'), from: '203.0.113.9' })
    await usage.flush()

    assert.deepEqual(
      events.map(({ principal, resource, detail }) => [detail['kind'], resource, principal.tokenId]),
      [['network', { type: 'user', id: 'usr_ada' }, 'tok_session2']],
    )
  },
)

testOnEach('baselines and anomalies are forgotten after 90 days', usageMigrations, async (database) => {
  const { usage, clock, call, learnHabits } = open(database)
  await learnHabits()
  call(60)
  await usage.flush()
  clock.forward(91 * day)
  await usage.flush()
  assert.deepEqual((await usage.list({ limit: 10 })).items, [])
  call(60, { from: '203.0.113.9' })
  await usage.flush()
  assert.deepEqual((await usage.list({ limit: 10 })).items, [])
})

test('the watch tells within the minute by itself, and a call waits for nothing: noting answers nothing and needs no database (claims: A37)', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const database = await freshSqlite(t, usageMigrations)
  const { usage, kinds, call, learnHabits } = open(database)
  await learnHabits()
  usage.start()
  call(60)
  assert.equal(usage.note(agent, search, office), undefined)
  t.mock.timers.tick(30_000)
  while (kinds().length === 0) await setImmediate()
  assert.deepEqual(kinds(), ['burst'])
  await usage.stop()
  await database.close()
  call(60)
  await usage.stop()
})

testOnEach('what is merged at the same moment is not lost', usageMigrations, async (database) => {
  const clock = fixedClock()
  const watches = [open(database, clock), open(database, clock), open(database, clock), open(database, clock)]
  await watches[0]!.learnHabits()
  for (const { call } of watches) call(15)
  await Promise.all(watches.map(({ usage }) => usage.flush()))
  const { items } = await watches[0]!.usage.list({ limit: 10 })
  assert.deepEqual(
    items.map(({ kind, seen }) => [kind, seen]),
    [['burst', { callsPerMinute: 60 }]],
  )
})

test('whatever callers do, what is kept in memory is bounded', () => {
  const clock = fixedClock()
  const calls = makeCalls({ now: clock.now, subnetOf, maxTokens: 3 })
  for (let i = 0; i < 5000; i++) {
    calls.note(principalOf(`tok_${i}`), search, office)
    calls.note(principalOf('tok_0'), `a.b.c${i}`, `10.${i % 256}.${i >> 8}.1`)
    clock.forward(1000)
  }
  const [first, ...rest] = calls.take()
  assert.deepEqual(
    [first?.seconds.size, first?.actions.size, first?.networks.size, rest.length, calls.take().length],
    [600, 200, 32, 2, 0],
  )
})

test('a subnet is the /24 of an IPv4 address and the /48 of an IPv6 address', () => {
  const subnets = {
    '192.0.2.77': '192.0.2.0/24',
    '::ffff:192.0.2.77': '192.0.2.0/24',
    '2001:db8:7:1::5': '2001:db8:7::/48',
    '2001:db8:7:ffff::5%eth0': '2001:db8:7::/48',
    nonsense: 'unknown',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(subnets).map((address) => [address, subnetOf(address)])), subnets)
  assert.equal(networkOf('192.0.2.77'), '192.0.2.77')
})
