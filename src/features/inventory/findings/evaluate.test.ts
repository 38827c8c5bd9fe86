import assert from 'node:assert/strict'
import type { Database } from '../../../lib/db/database.ts'
import { fixedClock, testOnEach } from '../../../testing/databases.ts'
import type { MachineView } from '../machines/view.ts'
import { inventoryMigrations } from '../migrations.ts'
import { makeFindings } from './findings.ts'
import type { Source, Thing, Witness } from './rule.ts'
import { rules } from './rules/index.ts'
import { claim } from './store-run.ts'
import { ago, asset, machine, sourceOf, testNow, thing, witness, witnesses } from './testing.ts'

const never = new AbortController().signal
const everything = {
  rules: [],
  states: [],
  severities: [],
  sites: [],
  machine: undefined,
  connection: undefined,
  q: undefined,
}
const hour = 3_600_000

/** A company that a test changes between evaluations. */
function company(database: Database, start: { machines?: MachineView[]; things?: Thing[] } = {}) {
  const clock = fixedClock(testNow.toISOString())
  const estate = { machines: [] as MachineView[], things: [] as Thing[], connections: witnesses as Witness[], ...start }
  const spoken = () =>
    estate.connections.map((one) =>
      one.lastFullAt === null ? one : { ...one, lastSyncedAt: clock.now().toISOString() },
    )
  const source: Source = {
    machines: () => sourceOf(estate).machines(),
    things: () => sourceOf(estate).things(),
    connections: async () => spoken(),
  }
  const findings = makeFindings({ database, source, now: clock.now })
  const all = async () => (await findings.list(everything, { limit: 200, cursor: undefined })).items
  const only = async () => {
    const [first, second] = await all()
    assert.ok(first && !second, 'there is one finding')
    return first
  }
  return { ...findings, findings, source, clock, estate, all, only, run: () => findings.evaluate(never) }
}

const off = (days: number, id = 'mch_1'): MachineView => ({
  ...machine('virtual', asset('virtualization', { power: 'off', powerSince: ago(days * 24) }, { id: `ast_${id}` })),
  id,
})
const registered = (view: MachineView, lifecycle: 'active' | 'off' = 'off'): MachineView => ({
  ...view,
  assets: [...view.assets, asset('registry', { lifecycle })],
})
const longOff = (id?: string) => registered(off(40, id))
const without = (...subjects: string[]) => witnesses.filter(({ id }) => !subjects.includes(id.slice(4)))

testOnEach('what is found again is not written again, and is seen last now', inventoryMigrations, async (database) => {
  const { run, only, estate, clock } = company(database, { machines: [longOff()] })
  assert.equal((await run()).opened, 1)
  const before = await only()

  clock.forward(hour)
  const later = [
    asset('virtualization', { power: 'off', powerSince: ago(960) }, { lastSeenAt: ago(-1), id: 'ast_mch_1' }),
  ]
  estate.machines = [registered({ ...off(40), assets: later })]
  const { machines, opened, changed, resolved, held } = await run()

  assert.deepEqual(
    { machines, opened, changed, resolved, held },
    { machines: 1, opened: 0, changed: 0, resolved: 0, held: 0 },
  )
  assert.deepEqual(await only(), { ...before, lastSeenAt: clock.now().toISOString() })
  assert.equal(before.rule, 'powered-off')
  assert.deepEqual(before.evidence, [
    {
      subject: 'virtualization',
      connection: 'con_virtualization',
      asset: 'ast_mch_1',
      name: 'web-1',
      says: `switched off since ${ago(960)}`,
      at: ago(0),
      url: null,
    },
  ])
})

testOnEach(
  'a finding resolves with the evidence, and reopens as the same one',
  inventoryMigrations,
  async (database) => {
    const { run, only, get, estate, clock, findings } = company(database, { machines: [longOff()] })
    await run()
    const { id, openedAt } = await only()

    clock.forward(hour)
    estate.machines = [
      registered({ ...off(0), assets: [asset('virtualization', { power: 'on', powerSince: ago(1) })] }, 'active'),
    ]
    assert.equal((await run()).resolved, 1)
    const resolved = await get(id)
    assert.equal(resolved.state, 'resolved')
    assert.equal(resolved.lastSeenAt, openedAt)
    assert.equal(resolved.resolvedAt, clock.now().toISOString())
    assert.deepEqual(
      resolved.resolution?.map(({ says }) => says),
      [`switched on since ${ago(1)}`],
    )
    assert.deepEqual(await run().then(({ resolved: again }) => again), 0)

    clock.forward(hour)
    estate.machines = [longOff()]
    assert.equal((await run()).reopened, 1)
    // While it ran, it had no backup and no monitoring.
    const { trend } = await findings.summary(1)
    assert.deepEqual(trend, [{ day: '2026-11-26', open: 1, acknowledged: 0, opened: 4, resolved: 3 }])
    const reopened = await get(id)
    assert.deepEqual(
      [reopened.state, reopened.timesOpened, reopened.firstOpenedAt, reopened.openedAt, reopened.resolvedAt],
      ['open', 2, openedAt, clock.now().toISOString(), null],
    )
    assert.deepEqual(
      reopened.history.map(({ what, by, evidence }) => [what, by, evidence[0]?.says]),
      [
        ['reopened', null, undefined],
        ['resolved', null, `switched on since ${ago(1)}`],
      ],
    )
  },
)

testOnEach('what is no longer in the inventory is resolved, the rest is not', inventoryMigrations, async (database) => {
  const many = Array.from({ length: 1_203 }, (_, n) => longOff(`mch_${n}`))
  const snapshot = thing('snapshot', 'virtualization', { createdAt: ago(1_000) }, { id: 'ast_s' })
  const { run, list, estate } = company(database, { machines: many, things: [snapshot] })
  assert.equal((await run()).opened, 1_204)

  estate.machines = many.filter((_, n) => n % 601 !== 0)
  estate.things = [{ ...snapshot, staleAt: ago(0) }]
  const { resolved, opened, changed } = await run()

  assert.deepEqual({ resolved, opened, changed }, { resolved: 4, opened: 0, changed: 0 })
  const gone = await list({ ...everything, states: ['resolved'] }, { limit: 200, cursor: undefined })
  const words = Array.from({ length: 4 }, () => 'It is no longer in the inventory')
  assert.deepEqual(
    gone.items.map(({ resolution }) => resolution?.[0]?.says),
    words,
  )
})

testOnEach('a changed threshold and a switched-off rule resolve findings', inventoryMigrations, async (database) => {
  const { run, only, editRule, findings, clock } = company(database, { machines: [longOff()] })
  await run()
  await editRule('powered-off', 'usr_1', { settings: { days: 50 }, reason: 'We park machines' })
  assert.equal((await run()).resolved, 1)
  assert.deepEqual(
    (await only()).resolution?.map(({ says }) => says),
    [`switched off since ${ago(960)}`],
  )

  await editRule('powered-off', 'usr_1', { settings: { days: 30 }, reason: 'We do not' })
  assert.equal((await run()).reopened, 1)

  clock.forward(hour)
  await editRule('powered-off', 'usr_2', { isOn: false, reason: 'Nobody looks' })
  const edited = (await findings.rules()).find(({ rule }) => rule.id === 'powered-off')
  assert.deepEqual(edited?.edited, { by: 'usr_2', at: clock.now().toISOString(), reason: 'Nobody looks' })
  assert.deepEqual([edited?.isOn, edited?.settings], [false, { days: 30 }])
  assert.equal((await run()).resolved, 1)
  assert.deepEqual(
    (await only()).resolution?.map(({ says }) => says),
    ['The rule is switched off'],
  )
})

testOnEach('findings of a rule that is no longer shipped are resolved', inventoryMigrations, async (database) => {
  const { run, source, clock } = company(database, { machines: [longOff()] })
  await run()
  const fewer = makeFindings({
    database,
    source,
    now: clock.now,
    rules: rules.filter(({ id }) => id !== 'powered-off'),
  })
  assert.equal((await fewer.evaluate(never)).resolved, 1)
})

for (const [what, connections] of [
  ['is missing', without('virtualization')],
  ['was not read completely', [...without('virtualization'), witness('virtualization', { lastFullAt: null })]],
  [
    'was not read completely for weeks',
    [...without('virtualization'), witness('virtualization', { lastFullAt: ago(400) })],
  ],
] as const)
  testOnEach(`a rule whose witness ${what} neither opens nor resolves`, inventoryMigrations, async (database) => {
    const { run, only, estate, clock } = company(database, { machines: [longOff('mch_1')] })
    await run()
    const before = await only()

    clock.forward(hour)
    estate.connections = [...connections]
    estate.machines = [longOff('mch_2')]
    const { opened, resolved, resting } = await run()

    assert.deepEqual({ opened, resolved }, { opened: 0, resolved: 0 })
    assert.ok(resting.some(({ rule }) => rule === 'powered-off'))
    assert.deepEqual(await only(), { ...before, isResting: true })
  })

testOnEach('a rule does not resolve by what half of its witnesses say', inventoryMigrations, async (database) => {
  const running = machine('virtual', asset('virtualization', { power: 'on' }))
  const { run, all, estate } = company(database, { machines: [running] })
  await run()
  const states = async () => Object.fromEntries((await all()).map(({ rule, state }) => [rule, state]))
  assert.deepEqual(await states(), { 'no-backup': 'open', 'not-in-registry': 'open', 'not-monitored': 'open' })

  estate.connections = [...witnesses, witness('monitoring', { id: 'con_second', lastFullAt: null })]
  estate.machines = []
  assert.equal((await run()).resolved, 2)
  assert.deepEqual(await states(), { 'no-backup': 'resolved', 'not-in-registry': 'resolved', 'not-monitored': 'open' })
})

testOnEach(
  'what one witness opened, the absence of that witness does not end',
  inventoryMigrations,
  async (database) => {
    const running = machine(
      'virtual',
      asset('virtualization', { power: 'on' }),
      asset('registry', { lifecycle: 'active' }),
    )
    const unsaved = {
      ...running,
      assets: [...running.assets, asset('monitoring'), asset('backup', { backupAt: null })],
    }
    const { run, only, estate, clock } = company(database, { machines: [unsaved] })
    await run()
    const before = await only()
    assert.equal(before.rule, 'no-backup')

    // The rule still judges, by the configuration; only this finding has lost its witness.
    clock.forward(hour)
    estate.connections = without('virtualization')
    estate.machines = [{ ...unsaved, assets: unsaved.assets.slice(1) }]
    const { held, resolved, resting } = await run()
    assert.deepEqual(
      { held, resolved, rests: resting.some(({ rule }) => rule === 'no-backup') },
      { held: 1, resolved: 0, rests: false },
    )
    assert.deepEqual(await only(), { ...before, isResting: true })
    assert.equal((await run()).held, 0)

    estate.connections = witnesses
    estate.machines = [unsaved]
    assert.equal((await run()).changed, 1)
    assert.deepEqual(await only(), { ...before, lastSeenAt: clock.now().toISOString() })
  },
)

testOnEach('an acknowledgement holds until it ends, or its cause does', inventoryMigrations, async (database) => {
  const { run, only, acknowledge, get, estate, clock, list } = company(database, { machines: [longOff()] })
  await run()
  const { id } = await only()
  const until = new Date(clock.now().getTime() + 2 * hour).toISOString()
  const given = { by: 'usr_1', reason: 'Parked for the audit', at: clock.now().toISOString(), until }
  assert.deepEqual((await acknowledge(id, 'usr_1', { reason: given.reason, until })).acknowledgement, given)

  clock.forward(hour)
  const still = await run()
  assert.deepEqual([still.changed, still.expired, (await only()).state], [0, 0, 'acknowledged'])
  assert.deepEqual((await only()).acknowledgement, given)

  clock.forward(hour)
  const open = { ...everything, states: ['open'] as const }
  const beforeTheNext = await list(open, { limit: 1, cursor: undefined })
  assert.deepEqual(
    beforeTheNext.items.map(({ state, acknowledgement }) => [state, acknowledgement]),
    [['open', null]],
  )
  const acknowledged = { ...everything, states: ['acknowledged'] as const }
  assert.deepEqual((await list(acknowledged, { limit: 1, cursor: undefined })).items, [])
  assert.equal((await run()).expired, 1)
  assert.deepEqual([(await only()).state, (await only()).acknowledgement], ['open', null])

  await acknowledge(id, 'usr_1', { reason: 'Once more', until: '2027-01-01T00:00:00+01:00' })
  estate.machines = []
  assert.equal((await run()).resolved, 1)
  estate.machines = [longOff()]
  await run()
  const again = await get(id)
  assert.deepEqual([again.state, again.acknowledgement], ['open', null])
  assert.deepEqual(
    again.history.map(({ what, by, reason, until: end }) => [what, by, reason, end]),
    [
      ['reopened', null, null, null],
      ['resolved', null, null, null],
      ['acknowledged', 'usr_1', 'Once more', '2026-12-31T23:00:00.000Z'],
      ['expired', null, null, null],
      ['acknowledged', 'usr_1', 'Parked for the audit', until],
    ],
  )
})

testOnEach('what people may not do to a finding', inventoryMigrations, async (database) => {
  const { run, only, acknowledge, reopen, editRule, estate, clock } = company(database, { machines: [longOff()] })
  await run()
  const { id } = await only()
  const inDays = (days: number) => new Date(clock.now().getTime() + days * 24 * hour).toISOString()
  const ack = (until: string) => acknowledge(id, 'usr_1', { reason: 'because', until })
  const edit = (settings: Record<string, number>) => editRule('powered-off', 'usr_1', { settings, reason: 'because' })

  await assert.rejects(ack(inDays(0)), { type: 'invalid-input', detail: '/until: must lie in the future' })
  await assert.rejects(ack(inDays(366)), { type: 'invalid-input', detail: '/until: must be at most 365 days ahead' })
  await assert.rejects(reopen(id, 'usr_1', 'because'), { type: 'conflict' })
  await assert.rejects(acknowledge('fnd_none', 'usr_1', { reason: 'because', until: inDays(1) }), { type: 'not-found' })
  await assert.rejects(edit({ days: 0 }), { type: 'invalid-input', detail: '/settings/days: must be 1 to 3650' })
  await assert.rejects(edit({ hours: 5 }), { type: 'invalid-input', detail: '/settings: must be of days' })
  await assert.rejects(edit({ constructor: 5 }), { type: 'invalid-input' })
  await assert.rejects(editRule('not-monitored', 'usr_1', { settings: { days: 5 }, reason: 'because' }), {
    detail: '/settings: the rule has no settings',
  })
  await assert.rejects(editRule('no-such-rule', 'usr_1', { isOn: false, reason: 'because' }), { type: 'not-found' })

  assert.equal((await ack(inDays(365))).state, 'acknowledged')
  assert.equal((await reopen(id, 'usr_2', 'It matters')).state, 'open')
  estate.machines = []
  await run()
  await assert.rejects(ack(inDays(1)), { type: 'conflict' })
  await assert.rejects(reopen(id, 'usr_1', 'because'), { type: 'conflict' })
})

testOnEach('one evaluation at a time; the lease of a dead one is taken over', inventoryMigrations, async (database) => {
  const { run, source, clock, all } = company(database, { machines: [longOff()] })
  // Whoever has begun waits until the other has its answer; otherwise the one could end before the other asks.
  const answered = Promise.withResolvers<void>()
  setTimeout(answered.resolve, 10_000).unref()
  const slow: Source = {
    ...source,
    async *machines() {
      await answered.promise
      yield* source.machines()
    },
  }
  const start = () => makeFindings({ database, source: slow, now: clock.now }).evaluate(never).finally(answered.resolve)
  const outcomes = await Promise.allSettled([start(), start()])
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  const refused = outcomes.find((outcome) => outcome.status === 'rejected')
  assert.equal((refused as PromiseRejectedResult).reason.type, 'conflict')
  assert.equal((await all()).length, 1)

  assert.equal(await claim(database, 'evl_dead', clock.now(), clock.now()), true)
  await assert.rejects(run(), { type: 'conflict' })
  clock.forward(119_000)
  await assert.rejects(run(), { type: 'conflict' })
  clock.forward(2_000)
  assert.equal((await run()).machines, 1)
})

testOnEach('an evaluation whose lease was taken over writes nothing more', inventoryMigrations, async (database) => {
  const { source, clock, all, run } = company(database)
  const slow: Source = {
    ...source,
    async *machines() {
      yield [longOff('mch_1')]
      clock.forward(300_000)
      await claim(database, 'evl_other', clock.now(), new Date(clock.now().getTime() - 120_000))
      yield [longOff('mch_2')]
    },
  }
  const findings = makeFindings({ database, source: slow, now: clock.now })
  await assert.rejects(findings.evaluate(never), { type: 'conflict' })
  assert.deepEqual(
    (await all()).map(({ machine: id }) => id),
    ['mch_1'],
  )
  // The loser did not give back what was no longer its own.
  await assert.rejects(run(), { type: 'conflict' })
})

testOnEach(
  'a cancelled or failed evaluation resolves nothing it has not seen',
  inventoryMigrations,
  async (database) => {
    const { run, source, estate, clock, all } = company(database, { machines: [longOff('mch_1'), longOff('mch_2')] })
    await run()
    const stopping = new AbortController()
    const ending = (end: () => void): Source => ({
      ...source,
      async *machines() {
        yield [longOff('mch_3')]
        end()
        yield [longOff('mch_4')]
      },
    })
    const cancelled = makeFindings({ database, source: ending(() => stopping.abort()), now: clock.now })
    await assert.rejects(cancelled.evaluate(stopping.signal), { type: 'cancelled' })
    const failing = makeFindings({
      database,
      source: ending(() => {
        throw new Error('the database went away')
      }),
      now: clock.now,
    })
    await assert.rejects(failing.evaluate(never), /went away/)
    assert.deepEqual((await all()).map(({ machine: id, state }) => `${id} ${state}`).sort(), [
      'mch_1 open',
      'mch_2 open',
      'mch_3 open',
    ])

    estate.machines = [longOff('mch_1')]
    assert.equal((await run()).resolved, 2)
  },
)

testOnEach('what was resolved 400 days ago is forgotten', inventoryMigrations, async (database) => {
  const { run, all, get, estate, clock } = company(database, { machines: [longOff('mch_1'), longOff('mch_2')] })
  await run()
  const [second] = await all()
  estate.machines = [longOff('mch_2')]
  await run()
  estate.machines = []
  clock.forward(24 * hour)
  await run()
  clock.forward(400 * 24 * hour)
  estate.connections = witnesses.map((one) => ({ ...one, lastFullAt: clock.now().toISOString() }))
  await run()
  assert.deepEqual(
    (await all()).map(({ machine: id }) => id),
    ['mch_2'],
  )
  assert.equal((await get(second?.id ?? '')).history.length, 1)
})

testOnEach('a finding gets worse in place', inventoryMigrations, async (database) => {
  const pool = (usedPercent: number) => thing('pool', 'storage', { usedPercent })
  const { run, only, estate } = company(database, { things: [pool(90.2)] })
  await run()
  const { id } = await only()
  estate.things = [pool(90.9)]
  assert.equal((await run()).changed, 0)
  estate.things = [pool(96)]
  assert.equal((await run()).changed, 1)
  const { severity, evidence, ...rest } = await only()
  assert.deepEqual([rest.id, severity, evidence[0]?.says], [id, 'critical', '96 % used'])
})
