import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import type { Principal } from '../../core/action.ts'
import { toProblem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { isId } from '../../lib/ids.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { Exact } from './approval.ts'
import { makeApprovals } from './approvals.ts'
import { approvalsMigrations } from './migrations.ts'
import type { Row } from './store.ts'

const hour = 3_600_000
const agent = someone('agt_1', 'agent', [], { onBehalfOf: 'usr_owner', tokenId: 'tok_1', name: 'Robot' })
const operator = someone('usr_op', 'user', ['operator'], { name: 'Ola' })
const exact: Exact = {
  principal: agent,
  action: 'lab.journal.add',
  resource: { type: 'connection', id: 'con_1' },
  inputHash: 'hash-1',
  policyVersion: 'v1',
}
const input = { connection: 'con_1', text: 'Changed the fan', token: new Secret('planted-value-1') }
const yes = { decision: 'approved', reason: 'Known work' } as const

testOnEach(
  'a request is shown, approved, found, redeemed once, and then nothing is left',
  approvalsMigrations,
  async (database) => {
    const { approvals, clock } = room(database)

    const id = await approvals.request({ ...exact, input })
    const asked = {
      id,
      action: 'lab.journal.add',
      resource: { type: 'connection', id: 'con_1' },
      input: { connection: 'con_1', text: 'Changed the fan', token: '[secret]' },
      damaged: false,
      principal: { id: 'agt_1', kind: 'agent', name: 'Robot', onBehalfOf: 'usr_owner' },
      inputHash: 'hash-1',
      policyVersion: 'v1',
      requestedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-01T01:00:00.000Z',
    }
    assert.ok(isId(id) && id.startsWith('apr_'))
    assert.deepEqual(await approvals.get(operator, id), { ...asked, state: 'pending' })
    assert.deepEqual([await approvals.find(exact), await approvals.find(exact, id)], [undefined, undefined])
    assert.equal(await approvals.redeem(id, exact), false)

    clock.forward(1000)
    const reviewed = {
      ...asked,
      reviewer: { id: 'usr_op', kind: 'user', name: 'Ola' },
      reviewedAt: '2026-01-01T00:00:01.000Z',
      reason: 'Known work',
    }
    assert.deepEqual(await approvals.review(id, operator, yes), { ...reviewed, state: 'approved' })
    assert.deepEqual([await approvals.find(exact), await approvals.find(exact, id)], [id, id])

    clock.forward(1000)
    assert.deepEqual([await approvals.redeem(id, exact), await approvals.redeem(id, exact)], [true, false])
    assert.deepEqual(await approvals.get(agent, id), {
      ...reviewed,
      state: 'redeemed',
      redeemedAt: '2026-01-01T00:00:02.000Z',
    })
    assert.deepEqual([await approvals.find(exact), await outcome(approvals.find(exact, id))], [undefined, 'denied'])
  },
)

const swaps: [string, Partial<Exact>][] = [
  ['another principal', { principal: someone('agt_2', 'agent', []) }],
  ['the user that the agent works for', { principal: someone('usr_owner', 'user', []) }],
  ['another action', { action: 'lab.device.remove' }],
  ['another resource, as after a connection took another name', { resource: { type: 'connection', id: 'con_2' } }],
  ['a resource of another type', { resource: { type: 'asset', id: 'con_1' } }],
  ['a changed input', { inputHash: 'hash-2' }],
  ['a changed policy', { policyVersion: 'v2' }],
]
testOnEach('an approval serves the exact call only: every swap is refused', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  const id = await approvals.request({ ...exact, input })
  await approvals.review(id, operator, yes)

  for (const [name, part] of swaps) {
    const swapped = { ...exact, ...part }
    const found = [await approvals.find(swapped), await outcome(approvals.find(swapped, id))]
    assert.deepEqual([...found, await approvals.redeem(id, swapped)], [undefined, 'denied', false], name)
  }
  assert.equal(await approvals.redeem(id, exact), true)
})

testOnEach('of 20 redeems at once exactly one succeeds', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  const id = await approvals.request({ ...exact, input })
  await approvals.review(id, operator, yes)

  const redeemed = await Promise.all(Array.from({ length: 20 }, () => approvals.redeem(id, exact)))

  assert.equal(redeemed.filter(Boolean).length, 1)
})

testOnEach(
  'of 10 yes and 10 no at once exactly one counts, and it is the one that stays',
  approvalsMigrations,
  async (database) => {
    const { approvals } = room(database)
    const id = await approvals.request({ ...exact, input })

    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        outcome(approvals.review(id, operator, { decision: i % 2 === 0 ? 'approved' : 'denied' })),
      ),
    )

    const [winner, ...others] = outcomes.filter((o) => o !== 'conflict')
    assert.deepEqual(others, [])
    assert.equal((await approvals.get(operator, id)).state, (winner as { state: string }).state)
  },
)

testOnEach(
  'asking again while a question is open gives the same id, also from 20 calls at once',
  approvalsMigrations,
  async (database) => {
    const { approvals, clock } = room(database)

    const ids = await Promise.all(Array.from({ length: 20 }, () => approvals.request({ ...exact, input })))
    const others = []
    for (const [, part] of swaps) others.push(await approvals.request({ ...exact, ...part, input }))
    assert.equal(new Set(ids).size, 1)
    assert.equal(new Set([...ids, ...others]).size, 1 + swaps.length)

    await approvals.review(ids[0] ?? '', operator, { decision: 'denied' })
    const second = await approvals.request({ ...exact, input })
    clock.forward(hour)
    const third = await approvals.request({ ...exact, input })
    assert.equal(new Set([ids[0], second, third]).size, 3)
  },
)

testOnEach('a question and its answer expire together', approvalsMigrations, async (database) => {
  const { approvals, clock } = room(database)
  const approved = await approvals.request({ ...exact, input })
  await approvals.review(approved, operator, yes)
  const pending = await approvals.request({ ...exact, inputHash: 'hash-2', input })

  clock.forward(hour - 1)
  assert.equal(await approvals.find(exact), approved)
  clock.forward(1)

  assert.equal(await approvals.find(exact), undefined)
  assert.equal(await outcome(approvals.find(exact, approved)), 'denied')
  assert.equal(await approvals.redeem(approved, exact), false)
  assert.equal(await outcome(approvals.review(pending, operator, yes)), 'conflict')
  const states = [await approvals.get(operator, approved), await approvals.get(operator, pending)].map((a) => a.state)
  assert.deepEqual(states, ['expired', 'expired'])
  const { items } = await approvals.list(operator, { state: 'expired', limit: 10 })
  assert.deepEqual(new Set(items.map(({ id }) => id)), new Set([approved, pending]))
  assert.deepEqual((await approvals.list(operator, { state: 'approved', limit: 10 })).items, [])
})

const reviewers: [string, Principal, string][] = [
  ['another person', operator, 'approved'],
  ['the person the agent works for', someone('usr_owner', 'user', ['operator']), 'approved'],
  ['the requester', agent, 'denied'],
  ['the requester, as a person', someone('agt_1', 'user', ['admin']), 'denied'],
  ["somebody with the requester's token", someone('usr_op', 'user', ['admin'], { tokenId: 'tok_1' }), 'denied'],
  ['somebody who acts for the requester', someone('usr_op', 'user', ['admin'], { onBehalfOf: 'agt_1' }), 'denied'],
  ['another agent', someone('agt_2', 'agent', ['admin']), 'denied'],
  ['Atlas itself', someone('system', 'system', ['admin']), 'denied'],
]
testOnEach('only another person may answer, whatever the policies say', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  for (const [i, [name, reviewer, expected]] of reviewers.entries())
    for (const decision of ['approved', 'denied'] as const) {
      const id = await approvals.request({ ...exact, inputHash: `hash-${i}-${decision}`, input })

      const result = await outcome(approvals.review(id, reviewer, { decision }))

      const state = typeof result === 'string' ? result : (result as { state: string }).state
      assert.equal(state, expected === 'approved' ? decision : expected, `${name}: ${decision}`)
    }
})

testOnEach('a denied call is not permitted, and says so to whoever names it', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  const id = await approvals.request({ ...exact, input })
  await approvals.review(id, operator, { decision: 'denied', reason: 'Not today' })

  assert.equal(await approvals.find(exact), undefined)
  assert.equal(await outcome(approvals.find(exact, id)), 'denied')
  assert.equal(await approvals.redeem(id, exact), false)
  assert.equal(await outcome(approvals.review(id, operator, yes)), 'conflict')
})

testOnEach('two approvals of the same call are used oldest first', approvalsMigrations, async (database) => {
  const { approvals, clock } = room(database)
  const ids: string[] = []
  for (let i = 0; i < 2; i++) {
    const id = await approvals.request({ ...exact, input })
    await approvals.review(id, operator, yes)
    ids.push(id)
    clock.forward(1000)
  }

  const used = []
  for (let found = await approvals.find(exact); found !== undefined; found = await approvals.find(exact)) {
    used.push(found)
    await approvals.redeem(found, exact)
  }

  assert.deepEqual(used, ids)
})

const tampers: [string, (tamper: Tamper) => Promise<unknown>][] = [
  ['approved is written into the row', (t) => t.set({ state: 'approved', reviewer_id: 'usr_op', reviewed_at: t.at })],
  [
    'approved is written, with the review of another row',
    async (t) => t.set({ ...(await t.reviewOfOther()), state: 'approved' }),
  ],
  [
    'approved is written, with the request and review of another row',
    async (t) => t.set({ ...(await t.reviewOfOther()), request_box: (await t.other()).request_box, state: 'approved' }),
  ],
  ['a no is turned into a yes', async (t) => t.answer('denied').then(async () => t.set({ state: 'approved' }))],
  [
    'the sealed input is that of another row',
    async (t) => t.answer('approved').then(async () => t.set({ request_box: (await t.other()).request_box })),
  ],
  [
    'the sealed input is cut',
    async (t) =>
      t.answer('approved').then(async () => t.set({ request_box: (await t.row()).request_box.subarray(0, 40) })),
  ],
  [
    'the time of its end is moved',
    async (t) => t.answer('approved').then(async () => t.set({ expires_at: '2027-01-01T00:00:00.000Z' })),
  ],
  ['the reviewer is another', async (t) => t.answer('approved').then(async () => t.set({ reviewer_id: 'usr_x' }))],
  [
    'the time of the answer is another',
    async (t) => t.answer('approved').then(async () => t.set({ reviewed_at: '2026-01-01T00:30:00.000Z' })),
  ],
]
testOnEach(
  'an approval that was written or changed in the database approves nothing',
  approvalsMigrations,
  async (database) => {
    const { approvals, clock } = room(database)
    for (const [i, [name, tamper]] of tampers.entries()) {
      const call = { ...exact, inputHash: `hash-${i}` }
      const id = await approvals.request({ ...call, input })
      const otherId = await approvals.request({ ...exact, inputHash: `other-${i}`, input: { other: true } })
      await approvals.review(otherId, operator, yes)
      const find = (which: string) =>
        tables(database).selectFrom('approval').selectAll().where('id', '=', which).executeTakeFirstOrThrow()
      await tamper({
        at: clock.now().toISOString(),
        set: (values) => tables(database).updateTable('approval').set(values).where('id', '=', id).execute(),
        row: () => find(id),
        other: () => find(otherId),
        reviewOfOther: async () => {
          const { reviewer_id, reviewed_at, review_box } = await find(otherId)
          return { reviewer_id, reviewed_at, review_box }
        },
        answer: (decision) => approvals.review(id, operator, { decision }),
      })

      const found = [
        await approvals.find(call),
        await outcome(approvals.find(call, id)),
        await approvals.redeem(id, call),
      ]
      assert.deepEqual(found, [undefined, 'denied', false], name)
      assert.equal((await approvals.get(operator, id)).damaged, true, name)
    }
  },
)

testOnEach(
  'a request moved onto another call is not shown as that call, and cannot be approved',
  approvalsMigrations,
  async (database) => {
    const { approvals } = room(database)
    const id = await approvals.request({ ...exact, input })
    await tables(database).updateTable('approval').set({ action: 'lab.device.remove' }).where('id', '=', id).execute()

    const { items } = await approvals.list(operator, { limit: 10 })

    assert.deepEqual(
      items.map(({ damaged, input: shown, principal }) => ({ damaged, shown, principal })),
      [{ damaged: true, shown: undefined, principal: { id: 'agt_1' } }],
    )
    assert.equal(await outcome(approvals.review(id, operator, yes)), 'conflict')
    assert.equal((await approvals.review(id, operator, { decision: 'denied' })).state, 'denied')
  },
)

testOnEach('with another root key nothing is approved', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  const id = await approvals.request({ ...exact, input })
  await approvals.review(id, operator, yes)

  const other = room(database, createSecretKey(Buffer.alloc(32, 8))).approvals

  assert.deepEqual([await other.find(exact), await other.redeem(id, exact)], [undefined, false])
})

testOnEach('the database holds no input in clear, and no secret at all', approvalsMigrations, async (database) => {
  const { approvals } = room(database)
  const id = await approvals.request({ ...exact, input })
  await approvals.review(id, operator, { decision: 'approved', reason: 'Because of the fan' })

  const [row] = await tables(database).selectFrom('approval').selectAll().execute()

  const stored = Object.values(row ?? {}).map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
  )
  for (const word of ['planted-value-1', 'Changed the fan', 'Because of the fan', 'Robot', 'Ola'])
    assert.equal(stored.join('\n').includes(word), false, word)
  assert.equal(JSON.stringify(await approvals.get(operator, id)).includes('planted-value-1'), false)
})

testOnEach(
  'a requester sees its own requests, its user what it asked for them, reviewers and auditors all',
  approvalsMigrations,
  async (database) => {
    const { approvals, clock } = room(database)
    const mine = await approvals.request({ ...exact, input })
    clock.forward(1)
    const other = await approvals.request({ ...exact, principal: someone('agt_2', 'agent', []), input })
    const cases: [string, Principal, string[]][] = [
      ['the requester', agent, [mine]],
      ['the user it works for', someone('usr_owner', 'user', ['viewer']), [mine]],
      ['a viewer', someone('usr_2', 'user', ['viewer']), []],
      ['a developer', someone('usr_2', 'user', ['developer']), []],
      ['an operator', operator, [other, mine]],
      ['an admin', someone('usr_2', 'user', ['admin']), [other, mine]],
      ['an auditor', someone('usr_2', 'user', ['auditor']), [other, mine]],
      [
        'an operator of one connection',
        { ...operator, bindings: [{ role: 'operator', scope: 'connection/con_1' }] },
        [],
      ],
    ]
    for (const [name, principal, expected] of cases) {
      const { items } = await approvals.list(principal, { limit: 10 })
      assert.deepEqual(
        items.map(({ id }) => id),
        expected,
        name,
      )
      for (const id of [mine, other]) {
        const got = await outcome(approvals.get(principal, id))
        assert.equal(got === 'not-found', !expected.includes(id), name)
      }
    }
    assert.equal(await outcome(approvals.get(operator, 'apr_none')), 'not-found')
  },
)

testOnEach('a list continues where it ended, newest first, in one state', approvalsMigrations, async (database) => {
  const { approvals, clock } = room(database)
  const ids: string[] = []
  for (let i = 0; i < 5; i++) {
    ids.unshift(await approvals.request({ ...exact, inputHash: `hash-${i}`, input }))
    clock.forward(1)
  }
  await approvals.review(ids[1] ?? '', operator, yes)

  const pages = []
  for (let cursor: string | undefined; ; ) {
    const page = await approvals.list(operator, { limit: 2, cursor, state: 'pending' })
    pages.push(page.items.map(({ id }) => id))
    if (page.next === null) break
    cursor = page.next
  }

  assert.deepEqual(pages, [
    [ids[0], ids[2]],
    [ids[3], ids[4]],
  ])
})

testOnEach(
  'a principal with too many open questions must wait, and another need not',
  approvalsMigrations,
  async (database) => {
    const { approvals, clock } = room(database)
    const first = await approvals.request({ ...exact, inputHash: 'hash-0', input })
    for (let i = 1; i < 50; i++) await approvals.request({ ...exact, inputHash: `hash-${i}`, input })

    const ask = (rest: Partial<Exact>) => outcome(approvals.request({ ...exact, ...rest, input }))
    assert.equal(await ask({ inputHash: 'hash-50' }), 'rate-limited')
    assert.equal(await ask({ inputHash: 'hash-0' }), first)
    assert.match(String(await ask({ principal: someone('agt_2', 'agent', []) })), /^apr_/)
    clock.forward(hour)
    assert.match(String(await ask({ inputHash: 'hash-50' })), /^apr_/)
  },
)

type Tamper = {
  at: string
  set: (values: Partial<Row>) => Promise<unknown>
  row: () => Promise<Row>
  other: () => Promise<Row>
  reviewOfOther: () => Promise<Pick<Row, 'reviewer_id' | 'reviewed_at' | 'review_box'>>
  answer: (decision: 'approved' | 'denied') => Promise<unknown>
}

function room(database: Database, rootKey = testRootKey) {
  const clock = fixedClock()
  const approvals = makeApprovals({ database, rootKey, now: clock.now, ttlMs: hour, hashSecret: () => 'not used here' })
  return { approvals, clock }
}

function tables(database: Database) {
  return database.db.withTables<{ approval: Row }>()
}

function someone(id: string, kind: Principal['kind'], roles: string[], rest: Partial<Principal> = {}): Principal {
  return { id, kind, name: id, bindings: roles.map((role) => ({ role, scope: '*' })), version: '1', ...rest }
}

/** What a promise gives, or the type of the problem that it ends with. */
function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => toProblem(error).type)
}
