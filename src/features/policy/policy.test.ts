import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Action, type Context, handlerOf, type Principal } from '../../core/action.ts'
import { toProblem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, freshSqlite, testOnEach } from '../../testing/databases.ts'
import { policyActions } from './actions.ts'
import { policyMigrations } from './migrations.ts'
import { makePolicy, shippedPolicies } from './policy.ts'
import { hashOf, PolicyFault, versionOf } from './policy-set.ts'
import { principalWith, routeActions } from './routes-for-tests.ts'

const newer = `${shippedPolicies}
@id("nobody-on-sundays") @description("Newer.") forbid (principal, action, resource) when { context.door == "never" };`
const edited = '@id("mine") @description("Mine.") permit (principal in Atlas::Role::"admin", action, resource);'
const question = {
  principal: principalWith(['admin']),
  action: { name: 'inventory.assets.get', access: 'read' },
  resource: { type: 'asset', id: 'ast_1' },
  approved: false,
  door: 'http',
} as const

testOnEach('the shipped policies are version 1, and stay so at every start', policyMigrations, async (database) => {
  const { now, forward } = fixedClock()
  const versions = []
  for (let i = 0; i < 2; i++) {
    const policy = makePolicy({ database, now })
    await policy.load(routeActions)
    versions.push(policy.list())
    forward(1000)
  }

  const stored = {
    id: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    createdBy: 'atlas',
    hash: hashOf(shippedPolicies),
    text: shippedPolicies,
  }
  assert.deepEqual(
    versions.map((v) => [v.stored, v.version]),
    [
      [stored, versionOf(shippedPolicies)],
      [stored, versionOf(shippedPolicies)],
    ],
  )
})

testOnEach(
  'a newer shipped set becomes a new version, unless a person edited the last one',
  policyMigrations,
  async (database) => {
    const { now } = fixedClock()
    const start = async (shipped: string) => {
      const policy = makePolicy({ database, now, shipped })
      await policy.load(routeActions)
      const { stored } = policy.list()
      return [stored.id, stored.createdBy, stored.text]
    }

    assert.deepEqual(await start(shippedPolicies), [1, 'atlas', shippedPolicies])
    assert.deepEqual(await start(newer), [2, 'atlas', newer])
    await store(database, 3, edited, 'usr_1')
    assert.deepEqual(await start(shippedPolicies), [3, 'usr_1', edited])
    assert.deepEqual(await start(newer), [3, 'usr_1', edited])
  },
)

testOnEach('ten starts at once store the shipped policies once', policyMigrations, async (database) => {
  const policies = Array.from({ length: 10 }, () => makePolicy({ database, now: fixedClock().now }))

  await Promise.all(policies.map((policy) => policy.load(routeActions)))

  const rows = await database.db.withTables<Tables>().selectFrom('policy_version').select('id').execute()
  assert.deepEqual(rows, [{ id: 1 }])
})

testOnEach(
  'policies that do not fit stop the start, and until then everything is forbidden',
  policyMigrations,
  async (database) => {
    const cases: [name: string, text: string, hash: string | undefined, message: RegExp][] = [
      ['unreadable', 'permit everything', undefined, /cannot be read/],
      [
        'for an action that is gone',
        edited.replace('action,', 'action == Atlas::Action::"vault.secrets.old",'),
        undefined,
        /unrecognized action/,
      ],
      ['damaged', edited, hashOf('something else'), /damaged/],
    ]
    for (const [i, [name, text, hash, message]] of cases.entries()) {
      await store(database, i + 1, text, 'usr_1', hash)
      const policy = makePolicy({ database, now: fixedClock().now })

      await assert.rejects(
        policy.load(routeActions),
        (error) =>
          error instanceof PolicyFault && message.test(error.message) && error.message.includes(`version ${i + 1}`),
        name,
      )
      assert.deepEqual(
        policy.decide(question),
        { effect: 'forbid', reason: 'policy error', policies: [], version: 'none' },
        name,
      )
    }
  },
)

test('a shipped set that does not fit the catalog is not stored', async (t) => {
  const database = await freshSqlite(t, policyMigrations)
  const policy = makePolicy({ database, now: fixedClock().now })

  await assert.rejects(policy.load(routeActions.slice(0, 5)), PolicyFault)

  assert.deepEqual(await database.db.withTables<Tables>().selectFrom('policy_version').selectAll().execute(), [])
})

test('what a principal sees is what it may call or ask for', async (t) => {
  const policy = await loaded(t)
  const seenBy = (principal: Principal) =>
    routeActions
      .filter((action) => policy.decide({ ...question, principal, action }).effect !== 'forbid')
      .map(({ name }) => name)
      .filter((name) => name.startsWith('lab.'))

  assert.deepEqual(seenBy(principalWith(['operator'], { kind: 'agent' })), ['lab.devices.find', 'lab.journal.add'])
  assert.deepEqual(seenBy(principalWith(['viewer'], { kind: 'agent' })), [])
})

const admin = principalWith(['admin'], { id: 'usr_admin' })
const viewer = principalWith(['viewer'], { id: 'usr_viewer' })
const agent = principalWith(['operator'], { id: 'agt_1', kind: 'agent' })
const explained: [name: string, caller: Principal, input: unknown, answer: unknown][] = [
  [
    'a caller about itself',
    viewer,
    { action: 'inventory.assets.get' },
    {
      principal: 'usr_viewer',
      effect: 'permit',
      reason: 'permit: viewer-reads',
      rules: ['viewer-reads'],
      roles: ['viewer'],
    },
  ],
  [
    'a caller about itself, by its id',
    viewer,
    { principal: 'usr_viewer', action: 'audit.events.get' },
    { principal: 'usr_viewer', effect: 'forbid', reason: 'forbid: no rule permits it', rules: [], roles: ['viewer'] },
  ],
  [
    'a token that is too narrow',
    principalWith(['viewer'], { scopes: ['policy.*'] }),
    { action: 'inventory.assets.get' },
    { principal: 'usr_1', effect: 'forbid', reason: 'forbid: token scopes', rules: [], roles: ['viewer'] },
  ],
  [
    'an admin about an agent',
    admin,
    { principal: 'agt_1', action: 'lab.journal.add' },
    {
      principal: 'agt_1',
      effect: 'ask',
      reason: 'ask: agents-ask-before-write',
      rules: ['agents-ask-before-write'],
      roles: ['operator'],
    },
  ],
  [
    'a role elsewhere',
    principalWith([], { bindings: [{ role: 'admin', scope: 'connection/con_1' }] }),
    { action: 'lab.devices.find', resource: { type: 'connection', id: 'con_2' } },
    { principal: 'usr_1', effect: 'forbid', reason: 'forbid: no rule permits it', rules: [], roles: [] },
  ],
  [
    'a role here',
    principalWith([], { bindings: [{ role: 'admin', scope: 'connection/con_1' }] }),
    { action: 'lab.devices.find', resource: { type: 'connection', id: 'con_1' } },
    {
      principal: 'usr_1',
      effect: 'permit',
      reason: 'permit: admin-all-but-reveal',
      rules: ['admin-all-but-reveal'],
      roles: ['admin'],
    },
  ],
  ['a viewer about somebody else', viewer, { principal: 'agt_1', action: 'lab.journal.add' }, 'denied'],
  ['a viewer about nobody', viewer, { principal: 'usr_none', action: 'lab.journal.add' }, 'denied'],
  [
    'an admin of one connection about somebody else',
    principalWith([], { bindings: [{ role: 'admin', scope: 'connection/con_1' }] }),
    { principal: 'agt_1', action: 'lab.journal.add' },
    'denied',
  ],
  ['an admin about nobody', admin, { principal: 'usr_none', action: 'lab.journal.add' }, 'not-found'],
  ['an action that does not exist', admin, { action: 'lab.journal.burn' }, 'not-found'],
]
for (const [name, caller, input, answer] of explained)
  test(`explain: ${name}`, async (t) => {
    const policy = await loaded(t)
    const actions = policyActions({
      policy,
      findPrincipal: async (id) => [admin, viewer, agent].find((p) => p.id === id),
    })

    const output = await call(actions, 'policy.decision.explain', input, caller)

    assert.deepEqual(typeof output === 'string' ? output : shortened(output), answer)
  })

test('an explanation carries the text and description of the deciding rules', async (t) => {
  const policy = await loaded(t)

  const { deciding, version } = policy.explain({ principal: agent, action: 'lab.journal.add', door: 'http' })

  assert.deepEqual(
    deciding.map(({ id, effect, description }) => [id, effect, description]),
    [
      [
        'agents-ask-before-write',
        'forbid',
        "An agent needs a person's yes before it changes anything in a connected system.",
      ],
    ],
  )
  assert.match(deciding[0]?.text ?? '', /unless { context\.approval\.granted };$/)
  assert.equal(version, versionOf(shippedPolicies))
})

test('the list of policies is the stored text, rule by rule', async (t) => {
  const policy = await loaded(t)
  const actions = policyActions({ policy, findPrincipal: async () => undefined })

  const output = await call(actions, 'policy.policies.list', {}, admin)

  const { items, ...rest } = output as { items: { id: string; text: string }[] }
  assert.deepEqual(rest, {
    next: null,
    version: versionOf(shippedPolicies),
    number: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    createdBy: 'atlas',
  })
  assert.equal(items.length, [...shippedPolicies.matchAll(/^@id/gm)].length)
  for (const { text } of items) assert.ok(shippedPolicies.includes(text))
})

type Tables = { policy_version: { id: number; created_at: string; created_by: string; hash: string; text: string } }

async function store(database: Database, id: number, text: string, by: string, hash = hashOf(text)): Promise<void> {
  const row = { id, created_at: '2026-01-01T00:00:00.000Z', created_by: by, hash, text }
  await database.db.withTables<Tables>().insertInto('policy_version').values(row).execute()
}

async function loaded(t: Parameters<typeof freshSqlite>[0]) {
  const policy = makePolicy({ database: await freshSqlite(t, policyMigrations), now: fixedClock().now })
  await policy.load(routeActions)
  return policy
}

/** The output of an action, checked against its schema as the gate does, or the type of the problem. */
async function call(actions: readonly Action[], name: string, input: unknown, principal: Principal): Promise<unknown> {
  const action = actions.find((candidate) => candidate.name === name)
  assert.ok(action)
  const context: Context = { principal, door: 'http', requestId: 'req_1', signal: new AbortController().signal }
  return handlerOf(action)
    .run(action.input.parse(input), context)
    .then(
      (output) => action.output.parse(output),
      (error: unknown) => toProblem(error).type,
    )
}

function shortened(output: unknown): unknown {
  const { policies, version, ...rest } = output as { policies: { id: string }[]; version: string }
  assert.equal(version, versionOf(shippedPolicies))
  return { ...rest, rules: policies.map(({ id }) => id) }
}
