import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import fc from 'fast-check'
import { makeDecide, type Question } from './decide.ts'
import { makePolicySet } from './policy-set.ts'
import { action, principalWith } from './routes-for-tests.ts'
import { schemaOf } from './schema.ts'

const few = [
  action('lab.devices.find', 'read'),
  action('lab.journal.add', 'write'),
  action('inventory.assets.get', 'read'),
]
const scopes = [
  'principal',
  'principal is Atlas::Agent',
  'principal in Atlas::Role::"operator"',
  'principal == Atlas::User::"usr_1"',
]
const whats = [
  'action',
  'action in Atlas::Action::"write"',
  'action in Atlas::Action::"connectors"',
  'action == Atlas::Action::"inventory.assets.get"',
]
const wheres = [
  'resource',
  'resource in Atlas::ResourceType::"connection"',
  'resource == Atlas::Resource::"connection/con_1"',
]
const whens = [
  '',
  'when { context.approval.granted }',
  'unless { context.approval.granted }',
  'when { context.door == "mcp" }',
]
const anyRule = fc
  .tuple(...[scopes, whats, wheres, whens].map((list) => fc.constantFrom(...list)))
  .map(([who, what, where, when]) => `(${who}, ${what}, ${where}) ${when};`)
const anyQuestion: fc.Arbitrary<Question> = fc.record({
  principal: fc
    .tuple(
      fc.constantFrom('user', 'agent', 'system'),
      fc.subarray(['admin', 'operator']),
      fc.constantFrom('usr_1', 'usr_2'),
    )
    .map(([kind, roles, id]) => principalWith(roles, { kind, id })),
  action: fc.constantFrom(...few),
  resource: fc.constantFrom(
    { type: 'connection', id: 'con_1' },
    { type: 'connection', id: 'con_2' },
    { type: 'any', id: '*' },
  ),
  approved: fc.boolean(),
  door: fc.constantFrom('http', 'mcp'),
})
const rank = { forbid: 0, ask: 1, permit: 2 }

test('adding a forbid never permits more, for any policies and any question', () => {
  const property = fc.property(
    fc.array(fc.tuple(fc.constantFrom('permit', 'forbid'), anyRule), { maxLength: 4 }),
    anyRule,
    fc.array(anyQuestion, { minLength: 5, maxLength: 15 }),
    (rules, extra, questions) => {
      const text = rules.map(([effect, body], i) => rule(`r${i}`, `${effect} ${body}`)).join('\n')
      const before = makeDecide({ policySet: makePolicySet(text, few) })
      const after = makeDecide({ policySet: makePolicySet(`${text}\n${rule('extra', `forbid ${extra}`)}`, few) })
      for (const q of questions) assert.ok(rank[after(q).effect] <= rank[before(q).effect])
    },
  )

  fc.assert(property, { numRuns: 60 })
})

test('the remembered, prepared decision is the one Cedar gives when it is asked from scratch', () => {
  const schema = schemaOf(few)
  const property = fc.property(
    fc.array(fc.tuple(fc.constantFrom('permit', 'forbid'), anyRule), { minLength: 1, maxLength: 4 }),
    fc.array(anyQuestion, { minLength: 5, maxLength: 15 }),
    (rules, questions) => {
      const text = rules.map(([effect, body], i) => rule(`r${i}`, `${effect} ${body}`)).join('\n')
      const decide = makeDecide({ policySet: makePolicySet(text, few) })
      for (const q of questions) {
        const permits = (granted: boolean) => fromScratch(schema, text, q, granted)
        const expected = permits(q.approved) ? 'permit' : !q.approved && permits(true) ? 'ask' : 'forbid'
        assert.equal(decide(q).effect, expected)
      }
    },
  )

  fc.assert(property, { numRuns: 40 })
})

function fromScratch(schema: ReturnType<typeof schemaOf>, text: string, q: Question, granted: boolean): boolean {
  const types = { user: 'Atlas::User', agent: 'Atlas::Agent', system: 'Atlas::System' }
  const principal = { type: types[q.principal.kind], id: q.principal.id }
  const resource = { type: 'Atlas::Resource', id: `${q.resource.type}/${q.resource.id}` }
  const roles = q.principal.kind === 'system' ? [] : q.principal.bindings.map(({ role }) => role)
  const answer = cedar.isAuthorized({
    principal,
    action: { type: 'Atlas::Action', id: q.action.name },
    resource,
    context: { approval: { granted }, door: q.door },
    schema,
    policies: { staticPolicies: text },
    entities: [
      { uid: principal, attrs: {}, parents: roles.map((id) => ({ type: 'Atlas::Role', id })) },
      { uid: resource, attrs: {}, parents: [{ type: 'Atlas::ResourceType', id: q.resource.type }] },
    ],
  })
  assert.equal(answer.type, 'success')
  return answer.type === 'success' && answer.response.decision === 'allow'
}

function rule(id: string, body: string): string {
  return `@id("${id}") @description("For a test.") ${body}\n`
}
