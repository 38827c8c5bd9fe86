import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Principal, Resource } from '../../core/action.ts'
import { makeDecide, type Question } from './decide.ts'
import { shippedPolicies } from './policy.ts'
import { makePolicySet } from './policy-set.ts'
import { action, principalWith, routeActions } from './routes-for-tests.ts'

const shipped = makePolicySet(shippedPolicies, routeActions)
const find = named('lab.devices.find')
const write = named('lab.journal.add')
const destroy = named('lab.device.remove')
const here: Resource = { type: 'connection', id: 'con_1' }

test('a decision names the effect, the rules that decided and the version of the policies', () => {
  const decide = makeDecide({ policySet: shipped })
  const { version } = shipped
  const cases: [string, Partial<Question>, object][] = [
    ['a permit', {}, { effect: 'permit', reason: 'permit: admin-all-but-reveal', policies: ['admin-all-but-reveal'] }],
    [
      'two permits',
      { principal: principalWith(['viewer', 'developer']), action: named('inventory.assets.get') },
      {
        effect: 'permit',
        reason: 'permit: developer-reads, viewer-reads',
        policies: ['developer-reads', 'viewer-reads'],
      },
    ],
    [
      'no rule',
      { principal: principalWith([]) },
      { effect: 'forbid', reason: 'forbid: no rule permits it', policies: [] },
    ],
    [
      'a forbid',
      { principal: principalWith(['admin'], { kind: 'agent' }), action: named('approvals.requests.approve') },
      { effect: 'forbid', reason: 'forbid: only-people-review', policies: ['only-people-review'] },
    ],
    [
      'an ask',
      { principal: principalWith(['operator'], { kind: 'agent' }), action: write },
      { effect: 'ask', reason: 'ask: agents-ask-before-write', policies: ['agents-ask-before-write'] },
    ],
    [
      'an ask by two rules',
      { principal: principalWith(['admin'], { kind: 'agent' }), action: destroy },
      {
        effect: 'ask',
        reason: 'ask: agents-ask-before-destroy, agents-ask-before-write',
        policies: ['agents-ask-before-destroy', 'agents-ask-before-write'],
      },
    ],
    [
      'an approved ask',
      { principal: principalWith(['operator'], { kind: 'agent' }), action: write, approved: true },
      { effect: 'permit', reason: 'permit: operator-writes', policies: ['operator-writes'] },
    ],
    [
      'an approval without the role',
      { principal: principalWith(['viewer'], { kind: 'agent' }), action: write, approved: true },
      { effect: 'forbid', reason: 'forbid: no rule permits it', policies: [] },
    ],
    [
      'no role, where an agent would have to ask: there is nothing to ask for',
      { principal: principalWith(['viewer'], { kind: 'agent' }), action: write },
      { effect: 'forbid', reason: 'forbid: no rule permits it', policies: [] },
    ],
  ]
  for (const [name, part, expected] of cases) assert.deepEqual(decide(question(part)), { ...expected, version }, name)
})

test('a rule that permits only what is approved asks too, and says which rule it is', () => {
  const text = rule('approved-only', 'permit (principal, action, resource) when { context.approval.granted };')
  const policySet = makePolicySet(text, routeActions)

  const decision = makeDecide({ policySet })(question({ principal: principalWith([]) }))

  const { version } = policySet
  assert.deepEqual(decision, { effect: 'ask', reason: 'ask: approved-only', policies: ['approved-only'], version })
})

test('a role counts only where its binding covers the resource (claims: C19)', () => {
  const decide = makeDecide({ policySet: shipped })
  const on = (scope: string) => principalWith([], { bindings: [{ role: 'operator', scope }] })
  const cases: [scope: string, resource: Resource, effect: string][] = [
    ['*', here, 'permit'],
    ['connection/con_1', here, 'permit'],
    ['connection/con_2', here, 'forbid'],
    ['connection/*', here, 'forbid'],
    ['connection/*', { type: 'connection', id: '*' }, 'permit'],
    ['connection', here, 'forbid'],
    ['connection/con_', here, 'forbid'],
    ['asset/con_1', here, 'forbid'],
    ['connection/con_1', { type: 'asset', id: 'con_1' }, 'forbid'],
    ['connection/con_1', { type: 'connection', id: '*' }, 'forbid'],
    ['connection/con_1', { type: 'any', id: '*' }, 'forbid'],
    ['', here, 'forbid'],
  ]
  // One after the other and backwards, so that a remembered decision of another scope would show.
  for (const [scope, resource, effect] of [...cases, ...cases.toReversed()])
    assert.equal(decide(question({ principal: on(scope), resource })).effect, effect, `${scope} ${resource.id}`)
})

test("a token's scopes only take away, and an unknown word matches nothing", () => {
  const decide = makeDecide({ policySet: shipped })
  const cases: [scopes: string[] | undefined, role: string, effect: string][] = [
    [undefined, 'operator', 'permit'],
    [[], 'operator', 'forbid'],
    [['lab.devices.find'], 'operator', 'permit'],
    [['lab.*'], 'operator', 'permit'],
    [['read'], 'operator', 'permit'],
    [['write', 'read'], 'operator', 'permit'],
    [['write'], 'operator', 'forbid'],
    [['*'], 'operator', 'forbid'],
    [['netbox'], 'operator', 'forbid'],
    [['lab.devices.*'], 'operator', 'forbid'],
    [['net.*'], 'operator', 'forbid'],
    [['inventory.*'], 'operator', 'forbid'],
    [['READ'], 'operator', 'forbid'],
    [[''], 'operator', 'forbid'],
    [['admin'], 'operator', 'forbid'],
    [['lab.devices.find'], 'viewer', 'forbid'],
  ]
  // The same principal id and version throughout: a remembered decision must not leak from one token to another.
  for (const [scopes, role, effect] of [...cases, ...cases.toReversed()])
    assert.equal(
      decide(question({ principal: principalWith([role], scopes && { scopes }) })).effect,
      effect,
      `${role} with ${scopes}`,
    )
})

test('whatever goes wrong is a forbid that names no rule', () => {
  const faults: unknown[] = []
  const decide = makeDecide({ policySet: shipped, onFault: (error) => faults.push(error) })
  const broken: [string, Partial<Record<keyof Question, unknown>>][] = [
    ['a context of the wrong type', { door: 7 }],
    ['an approval that is no yes or no', { approved: 'yes' }],
    ['an action that is not in the catalog', { action: action('backup.files.read', 'read') }],
    ['an action group instead of an action', { action: { name: 'read', access: 'read' } }],
    ['a kind of principal that does not exist', { principal: { ...principalWith(['admin']), kind: 'robot' } }],
    ['no principal', { principal: null }],
    ['a principal id that is no text', { principal: { ...principalWith(['admin']), id: 7 } }],
    ['no resource', { resource: undefined }],
    ['a resource id that is not well-formed text', { resource: { type: 'connection', id: 'con_\ud800' } }],
  ]
  for (const [name, part] of broken) {
    const decision = decide({ ...question({}), ...part } as Question)
    assert.deepEqual(
      decision,
      { effect: 'forbid', reason: 'policy error', policies: [], version: shipped.version },
      name,
    )
  }
  assert.equal(faults.length, broken.length)
})

test('a rule that fails while it is evaluated denies, even where another rule permits', () => {
  const overflow = 'when { context.door == "x" || 9223372036854775807 + 1 > 0 };'
  const permitAll = rule('all', 'permit (principal, action, resource);')
  for (const effect of ['permit', 'forbid']) {
    const text = permitAll + rule('broken', `${effect} (principal, action, resource) ${overflow}`)
    const policySet = makePolicySet(text, routeActions)
    const decide = makeDecide({ policySet })

    assert.deepEqual(decide(question({})), {
      effect: 'forbid',
      reason: 'policy error',
      policies: [],
      version: policySet.version,
    })
  }
})

test('a rule that fails only once the call is approved denies as well', () => {
  const text =
    rule('approved', 'permit (principal, action, resource) when { context.approval.granted };') +
    rule(
      'broken',
      'forbid (principal, action, resource) when { context.approval.granted && 9223372036854775807 + 1 > 0 };',
    )

  const decide = makeDecide({ policySet: makePolicySet(text, routeActions) })

  assert.equal(decide(question({})).reason, 'policy error')
})

test('a rule about one resource holds for that resource alone, although decisions are remembered', () => {
  const text = [
    rule('all', 'permit (principal, action, resource);'),
    rule('not-this', 'forbid (principal, action, resource == Atlas::Resource::"connection/con_1");'),
    rule('not-these', 'forbid (principal, action, resource in Atlas::ResourceType::"secret");'),
  ].join('\n')
  const decide = makeDecide({ policySet: makePolicySet(text, routeActions) })
  const effects = ['connection/con_2', 'connection/con_1', 'connection/con_2', 'secret/sec_1', 'asset/ast_1'].map(
    (at) => {
      const [type = '', id = ''] = at.split('/')
      return decide(question({ resource: { type, id } })).effect
    },
  )

  assert.deepEqual(effects, ['permit', 'forbid', 'permit', 'forbid', 'permit'])
})

test('a rule may look at the user an agent works for', () => {
  const text = rule(
    'for-ada',
    'permit (principal is Atlas::Agent, action, resource) when { principal has onBehalfOf && principal.onBehalfOf == Atlas::User::"usr_ada" };',
  )
  const decide = makeDecide({ policySet: makePolicySet(text, routeActions) })
  const effects = ['usr_ada', 'usr_eve', undefined, 'usr_ada'].map(
    (onBehalfOf) =>
      decide(question({ principal: principalWith([], { kind: 'agent', ...(onBehalfOf && { onBehalfOf }) }) })).effect,
  )

  assert.deepEqual(effects, ['permit', 'forbid', 'forbid', 'permit'])
})

test('a remembered decision is asked of Cedar once, and again when anything it depends on changes', () => {
  const { policySet, asked } = counted()
  const decide = makeDecide({ policySet })
  const principal = principalWith(['operator'])
  const other = (rest: Partial<Principal>) => ({ principal: { ...principal, ...rest } })
  const cases: [string, Partial<Question>, number][] = [
    ['the first time', { principal }, 1],
    ['the same again', { principal }, 0],
    ['another resource of the type', { principal, resource: { type: 'connection', id: 'con_2' } }, 0],
    ['another type', { principal, resource: { type: 'asset', id: 'con_1' } }, 1],
    ['another version of the principal', other({ version: '2' }), 1],
    ['another principal', other({ id: 'usr_2' }), 1],
    ['another kind', other({ kind: 'agent' }), 1],
    ['another door', { principal, door: 'mcp' }, 1],
    ['with an approval', { principal, approved: true }, 1],
    ['another action', { principal, action: write }, 1],
    ['the first again', { principal }, 0],
  ]
  for (const [name, part, expected] of cases) {
    const before = asked()
    decide(question(part))
    assert.equal(asked() - before, expected, name)
  }
})

test('a revoked role is gone with the next decision, whatever is remembered', () => {
  const decide = makeDecide({ policySet: shipped })

  const effects = [['operator'], [], ['operator']].map(
    (roles, i) => decide(question({ principal: principalWith(roles, { version: String(i) }) })).effect,
  )
  const sameVersion = [['operator'], []].map((roles) => decide(question({ principal: principalWith(roles) })).effect)

  assert.deepEqual(
    [effects, sameVersion],
    [
      ['permit', 'forbid', 'permit'],
      ['permit', 'forbid'],
    ],
  )
})

test('the memory is bounded: the least recently used decision goes first, and long ids are not kept', () => {
  const { policySet, asked } = counted()
  const decide = makeDecide({ policySet, cacheSize: 2 })
  const as = (id: string) => decide(question({ principal: principalWith(['admin'], { id }) }))
  for (const id of ['a', 'b', 'a', 'c']) as(id) // b is the least recently used now, and goes
  const counts = [['a', 'c'], ['b'], ['x'.repeat(2000), 'x'.repeat(2000)]].map((ids) => {
    const before = asked()
    for (const id of ids) as(id)
    return asked() - before
  })

  assert.deepEqual(counts, [0, 1, 2])
})

test('no separator in an id lets one question take the decision of another', () => {
  const decide = makeDecide({
    policySet: makePolicySet(rule('one', 'permit (principal == Atlas::User::"a", action, resource);'), routeActions),
  })
  assert.equal(decide(question({ principal: principalWith([], { id: 'a' }) })).effect, 'permit')

  for (const id of ['a\u0000', 'a","user', 'A', ' a', 'a '])
    assert.equal(decide(question({ principal: principalWith([], { id }) })).effect, 'forbid', JSON.stringify(id))
})

/** The shipped policies, and how often Cedar was asked about them. */
function counted() {
  let count = 0
  const evaluate: typeof shipped.evaluate = (request) => {
    count++
    return shipped.evaluate(request)
  }
  return { policySet: { ...shipped, evaluate }, asked: () => count }
}

function question(part: Partial<Question>): Question {
  return { principal: principalWith(['admin']), action: find, resource: here, approved: false, door: 'http', ...part }
}

function rule(id: string, body: string): string {
  return `@id("${id}") @description("For a test.") ${body}\n`
}

function named(name: string) {
  const action = routeActions.find((candidate) => candidate.name === name)
  assert.ok(action)
  return action
}
