import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shippedPolicies } from './policy.ts'
import { makePolicySet, PolicyFault } from './policy-set.ts'
import { routeActions } from './routes-for-tests.ts'
import { schemaOf } from './schema.ts'

test('the schema has a type for each kind of principal, an action for each action, and its groups', () => {
  const { Atlas } = schemaOf([
    { name: 'vault.secrets.put', access: 'write' },
    { name: 'lab.devices.find', access: 'read' },
  ])

  assert.deepEqual(Object.keys(Atlas?.entityTypes ?? {}), [
    'Role',
    'ResourceType',
    'Resource',
    'User',
    'Agent',
    'System',
  ])
  const memberOf = Object.entries(Atlas?.actions ?? {}).map(([id, action]) => [
    id,
    (action.memberOf ?? []).map((m) => m.id),
  ])
  assert.deepEqual(Object.fromEntries(memberOf), {
    read: [],
    reveal: [],
    write: [],
    destroy: [],
    connectors: [],
    'approvals.*': [],
    'audit.*': [],
    'connections.*': [],
    'exports.*': [],
    'identity.*': [],
    'inventory.*': [],
    'policy.*': [],
    'system.*': [],
    'vault.*': [],
    'lab.*': ['connectors'],
    'vault.secrets.put': ['write', 'vault.*'],
    'lab.devices.find': ['read', 'lab.*'],
  })
})

const ok = '@id("a") @description("A.") permit (principal, action, resource);'
const faults: [name: string, text: string, message: RegExp][] = [
  ['what is not Cedar', 'allow everybody', /cannot be read/],
  ['an unfinished rule', ok.slice(0, -1), /cannot be read/],
  ['a rule without an id', 'permit (principal, action, resource);', /lacks its @id/],
  [
    'a rule without a description',
    '@id("a") permit (principal, action, resource);',
    /lacks its @id .* or its @description/,
  ],
  ['an id that is no id', ok.replace('"a"', '"A b"'), /lacks its @id/],
  ['two rules with one id', `${ok}\n${ok.replace('permit', 'forbid')}`, /same @id/],
  ['one rule twice', `${ok}\n${ok}`, /same @id/],
  ['a template', '@id("a") @description("A.") permit (principal == ?principal, action, resource);', /templates/],
  [
    'an action that does not exist',
    ok.replace('action,', 'action == Atlas::Action::"vault.secret.reveal",'),
    /unrecognized action/,
  ],
  ['an area that does not exist', ok.replace('action,', 'action in Atlas::Action::"valt.*",'), /unrecognized action/],
  [
    'a type that does not exist',
    ok.replace('principal,', 'principal is Atlas::Usr,'),
    /unrecognized entity type `Atlas::Usr` \(did you mean/,
  ],
  ['a context field that does not exist', ok.replace(';', ' when { context.approved };'), /attribute/],
  ['a comparison of different types', ok.replace(';', ' when { context.door == 7 };'), /types/],
  [
    'an optional field read without looking first',
    ok
      .replace('principal,', 'principal is Atlas::Agent,')
      .replace(';', ' when { principal.onBehalfOf == Atlas::User::"x" };'),
    /onBehalfOf/,
  ],
]
for (const [name, text, message] of faults)
  test(`${name} is refused with a message that says so`, () => {
    assert.throws(
      () => makePolicySet(text, routeActions),
      (error) => error instanceof PolicyFault && message.test(error.message),
    )
  })

test('the version is the content: the same text gives the same, a changed comment another', () => {
  const [first, again, other] = [shippedPolicies, shippedPolicies, `${shippedPolicies}// more`].map(
    (text) => makePolicySet(text, routeActions).version,
  )

  assert.match(first ?? '', /^[0-9a-f]{12}$/)
  assert.deepEqual([first === again, first === other], [true, false])
})

test('the rules keep the order of the text, also when there are more than ten', () => {
  const ids = Array.from({ length: 25 }, (_, i) => `r${i}`)
  const text = ids.map((id) => ok.replace('"a"', `"${id}"`)).join('\n')

  assert.deepEqual([...makePolicySet(text, routeActions).policies.keys()], ids)
})

test('a set that looks at single resources is known, so that its decisions are remembered for each one', () => {
  const cases: [string, boolean][] = [
    [shippedPolicies, false],
    [ok, false],
    [ok.replace('resource)', 'resource == Atlas::Resource::"connection/con_1")'), true],
    [ok.replace('resource)', 'resource in Atlas::ResourceType::"connection")'), true],
    [ok.replace(';', ' when { resource == Atlas::Resource::"connection/con_1" };'), true],
    [ok.replace(';', ' unless { [Atlas::Resource::"connection/con_1"].contains(resource) };'), true],
  ]
  for (const [text, expected] of cases) assert.equal(makePolicySet(text, routeActions).readsResource, expected, text)
})

test('two sets with the same policies and another catalog do not share what Cedar keeps', () => {
  const [one, two] = routeActions
  assert.ok(one && two)
  const sets = [[one], [one, two]].map((actions) => makePolicySet(ok, actions))
  const who = { type: 'Atlas::User', id: 'usr_1' }
  const what = { type: 'Atlas::Resource', id: 'any/*' }
  const ask = (set: (typeof sets)[number]) =>
    set.evaluate({
      principal: who,
      action: { type: 'Atlas::Action', id: two.name },
      resource: what,
      context: { approval: { granted: false }, door: 'http' },
      entities: [
        { uid: who, attrs: {}, parents: [] },
        { uid: what, attrs: {}, parents: [] },
      ],
    })

  assert.throws(() => ask(sets[0]!), /Cedar/)
  assert.deepEqual(ask(sets[1]!), { permitted: true, policies: ['a'] })
})
