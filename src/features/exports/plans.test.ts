import assert from 'node:assert/strict'
import { Problem } from '../../core/problem.ts'
import { testOnEach } from '../../testing/databases.ts'
import { ada, attach, ended, eve, order, outcome, root, setUp, system, until } from '../../testing/exports.ts'
import type { Exports } from './exports.ts'
import { exportsMigrations } from './migrations.ts'
import type { NewPlan, PlanView } from './plans.ts'

const hour = 3_600_000
const weekly: NewPlan = { ...order, name: 'Weekly', schedule: '0 6 * * 1', readers: [] }
const input = { connection: 'con_1', file: 'CMDB {{name}}', content: '{{base64}}' }
const publishing: NewPlan = { ...weekly, publish: { action: attach.name, input } }

const planOf = async (room: Exports, id: string): Promise<PlanView> =>
  (await room.plans.list(root)).find((plan) => plan.id === id) ?? assert.fail('no plan')
const published = (room: Exports, id: string) => until(async () => (await planOf(room, id)).publication ?? undefined)

testOnEach(
  'a plan is due when its schedule comes round, and makes an export of its owner’s',
  exportsMigrations,
  async (database, t) => {
    const { room, clock } = setUp(t, database)
    const plan = await room.plans.create(ada, { ...weekly, readers: [eve.id], keepDays: 30 })
    // 2026-01-01 is a Thursday.
    assert.deepEqual([plan.nextRunAt, await room.plans.due()], ['2026-01-05T06:00:00.000Z', []])

    clock.forward(4 * 24 * hour + 6 * hour)
    assert.deepEqual(await room.plans.due(), [plan.id])
    const { lastExport, nextRunAt, lastRunAt } = await room.plans.run(system, plan.id)

    const made = await ended(room, lastExport ?? '')
    assert.deepEqual(
      [made.name, made.owner.id, made.plan, made.sharedWith, made.expiresAt, made.state],
      ['Weekly', ada.id, plan.id, [eve.id], '2026-02-04T06:00:00.000Z', 'ready'],
    )
    assert.deepEqual([lastRunAt, nextRunAt], ['2026-01-05T06:00:00.000Z', '2026-01-12T06:00:00.000Z'])
    assert.deepEqual([await room.plans.due(), (await room.plans.list(ada))[0]?.publication], [[], null])
  },
)

testOnEach('a plan is its owner’s and the administrators’', exportsMigrations, async (database, t) => {
  const { room } = setUp(t, database)
  const { id } = await room.plans.create(ada, weekly)

  const seen = await Promise.all([ada, eve, root].map(async (who) => (await room.plans.list(who)).length))
  const ran = [await outcome(room.plans.run(eve, id)), await outcome(room.plans.run(ada, id))]
  const removed = [await outcome(room.plans.remove(eve, id)), await outcome(room.plans.remove(root, id))]

  assert.deepEqual(
    [seen, ran, removed],
    [
      [1, 0, 1],
      ['not-found', 'done'],
      ['not-found', 'done'],
    ],
  )
  assert.equal(await outcome(room.plans.remove(ada, id)), 'not-found')
})

testOnEach('of two processes one runs a plan', exportsMigrations, async (database, t) => {
  const { room, make, clock } = setUp(t, database)
  const { id } = await room.plans.create(ada, weekly)
  const other = make()
  clock.forward(5 * 24 * hour)
  t.after(other.close)

  const outcomes = await Promise.all([room, other, room].map((one) => outcome(one.plans.run(system, id))))

  assert.deepEqual(outcomes.sort(), ['conflict', 'conflict', 'done'])
  assert.equal(await outcome(other.plans.run(system, id)), 'conflict', 'also when it comes late')
})

const refused: readonly [title: string, change: Partial<NewPlan>, outcome: string][] = [
  ['a schedule that is none', { schedule: 'every day' }, 'invalid-input'],
  ['a schedule with seconds', { schedule: '0 0 6 * * 1' }, 'invalid-input'],
  ['a schedule that never comes', { schedule: '0 0 31 2 *' }, 'invalid-input'],
  ['a schedule of every minute', { schedule: '* * * * *' }, 'invalid-input'],
  ['a dataset that there is not', { dataset: 'nothing' }, 'invalid-input'],
  ['a reader who does not exist', { readers: ['usr_nobody'] }, 'invalid-input'],
  ['an action that is not offered', { publish: { action: 'vault.secrets.put', input } }, 'invalid-input'],
  ['an input that does not fit the action', { publish: { action: attach.name, input: { file: 1 } } }, 'invalid-input'],
  ['the owner may not do what is published', { publish: { action: attach.name, input } }, 'denied'],
]
testOnEach('a plan that cannot be is refused', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  world.forbidden.add(`usr_eve ${attach.name} connection/con_1`)

  for (const [title, change, expected] of refused)
    assert.deepEqual([title, await outcome(room.plans.create(eve, { ...weekly, ...change }))], [title, expected])
  assert.deepEqual(await room.plans.list(root), [])
})

testOnEach(
  'a plan that its owner may no longer have says so, and waits for its next time',
  exportsMigrations,
  async (database, t) => {
    const { room, world, clock } = setUp(t, database)
    const { id } = await room.plans.create(ada, weekly)
    clock.forward(5 * 24 * hour)

    world.forbidden.add('usr_ada machines.list inventory/*')
    assert.equal(await outcome(room.plans.run(system, id)), 'denied')
    assert.match((await planOf(room, id)).problem?.detail ?? '', /you may not/)
    assert.deepEqual(await room.plans.due(), [])

    clock.forward(7 * 24 * hour)
    world.people.delete(ada.id)
    assert.equal(await outcome(room.plans.run(system, id)), 'denied')
    assert.match((await planOf(room, id)).problem?.detail ?? '', /can no longer sign in/)
    assert.equal((await room.list(root, { limit: 9 })).items.length, 0)
  },
)

testOnEach(
  'a finished file is handed to the action, as Atlas itself on behalf of the owner',
  exportsMigrations,
  async (database, t) => {
    const { room, world } = setUp(t, database)
    const { id } = await room.plans.create(ada, publishing)

    const { lastExport } = await room.plans.run(ada, id)
    const publication = await published(room, id)

    const content = Buffer.from('{"name":"web-1"}\n{"name":"web-2"}\n{"name":"web-3"}\n').toString('base64')
    assert.deepEqual(world.asked, [
      {
        principal: system.id,
        onBehalfOf: ada.id,
        name: attach.name,
        input: { connection: 'con_1', file: 'CMDB Weekly.jsonl', content },
      },
    ])
    assert.deepEqual(publication, { state: 'done', export: lastExport, at: '2026-01-01T00:00:00.000Z' })
  },
)

testOnEach(
  'a publication that must be approved says so, and is carried out once it is',
  exportsMigrations,
  async (database, t) => {
    const { room, world } = setUp(t, database)
    world.answer = { pending: 'apr_1' }
    world.approval = 'pending'
    const { id } = await room.plans.create(ada, publishing)
    const { lastExport } = await room.plans.run(ada, id)

    const waiting = await published(room, id)
    const dueBefore = await room.plans.due()
    world.approval = 'approved'
    world.answer = { output: {} }
    const dueAfter = await room.plans.due()
    const after = await room.plans.run(system, id)

    assert.deepEqual([waiting.state, waiting.approval, dueBefore, dueAfter], ['pending', 'apr_1', [], [id]])
    assert.deepEqual([after.publication?.state, after.lastExport], ['done', lastExport])
    assert.deepEqual(world.asked[0], world.asked[1])
    assert.deepEqual([world.asked.length, await room.plans.due()], [2, []])
  },
)

testOnEach('a no ends the waiting', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  world.answer = { pending: 'apr_1' }
  world.approval = 'pending'
  const { id } = await room.plans.create(ada, publishing)
  await room.plans.run(ada, id)
  await published(room, id)

  world.approval = 'denied'
  assert.deepEqual(await room.plans.due(), [])

  const { state, problem } = (await planOf(room, id)).publication ?? {}
  assert.deepEqual([state, problem?.type, world.asked.length], ['failed', 'denied', 1])
})

testOnEach('an approval and the plan’s own time together: both happen', exportsMigrations, async (database, t) => {
  const { room, world, clock } = setUp(t, database)
  world.answer = { pending: 'apr_1' }
  const { id } = await room.plans.create(ada, publishing)
  const { lastExport } = await room.plans.run(ada, id)
  await published(room, id)
  world.approval = 'approved'
  world.answer = { output: {} }
  clock.forward(6 * 24 * hour)

  const after = await room.plans.run(system, id)

  assert.notEqual(after.lastExport, lastExport)
  await until(async () => world.asked.length === 3)
})

testOnEach(
  'what goes wrong while publishing is said by the plan; the file stays',
  exportsMigrations,
  async (database, t) => {
    const { room, world } = setUp(t, database)
    world.answer = new Problem('upstream-denied', 'The system refused the credential')
    const { id } = await room.plans.create(ada, publishing)
    const { lastExport } = await room.plans.run(ada, id)

    const { state, problem } = await published(room, id)

    assert.deepEqual(
      [state, problem],
      ['failed', { type: 'upstream-denied', detail: 'The system refused the credential' }],
    )
    assert.equal((await room.get(ada, lastExport ?? '')).state, 'ready')
  },
)

testOnEach('a file too large to be sent is not read for it', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  world.rows = Array.from({ length: 9 }, () => [['x'.repeat(1_048_576)]])
  const { id } = await room.plans.create(ada, publishing)
  await room.plans.run(ada, id)

  const { problem } = await published(room, id)

  assert.deepEqual([problem?.type, world.asked], ['too-large', []])
})

testOnEach('nothing is published that the owner may no longer do', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  const { id } = await room.plans.create(ada, publishing)
  world.forbidden.add(`usr_ada ${attach.name} connection/con_1`)
  await room.plans.run(ada, id)

  const { state, problem } = await published(room, id)

  assert.deepEqual([state, problem?.type, world.asked], ['failed', 'denied', []])
})

testOnEach('a placeholder in the name of a file is not filled in again', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  const { id } = await room.plans.create(ada, { ...publishing, name: 'A {{base64}} plan' })
  await room.plans.run(ada, id)
  await published(room, id)

  assert.equal((world.asked[0]!.input as typeof input).file, 'CMDB A {{base64}} plan.jsonl')
})

testOnEach('a person has only so many plans', exportsMigrations, async (database, t) => {
  const { room } = setUp(t, database, { limits: { plans: 2 } })

  const outcomes = await Promise.all([1, 2, 3].map(() => outcome(room.plans.create(ada, weekly))))

  assert.deepEqual(outcomes.sort(), ['conflict', 'done', 'done'])
})
