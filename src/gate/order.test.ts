import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineAction, type Principal } from '../core/action.ts'
import { Problem } from '../core/problem.ts'
import { SecretValue } from '../core/secret.ts'
import { makeCatalog } from './catalog.ts'
import { type Call, type GateParts, makeInvoke } from './invoke.ts'

// The specification of the gate: for each case, the exact steps taken, in order, and what the caller gets.

type Option = {
  decision?: 'permit' | 'ask' | 'forbid'
  /** What policy says once the approval is there. */
  decisionApproved?: 'permit' | 'forbid'
  limited?: boolean
  noteFails?: boolean
  refusedTooOften?: boolean
  approved?: boolean
  /** The approval that is found is gone when it is redeemed: somebody was faster. */
  raced?: boolean
  auditDown?: 'started' | 'end' | 'always'
  broken?: boolean
  refuses?: boolean
  result?: unknown
  access?: 'read' | 'reveal'
  unknownConnection?: boolean
  credentialFails?: boolean
  policyFails?: boolean
  limiterFails?: boolean
  vaultFails?: boolean
  closed?: boolean
  closedFails?: boolean
}

const ok = { output: { text: 'ok' } }
const cases: { name: string; with?: Option; action?: string; input?: unknown; steps: string; answer: unknown }[] = [
  {
    name: 'permit',
    steps: 'note resolve limit closed? decide action.started open run redact action.succeeded:ok',
    answer: ok,
  },
  { name: 'no such action', action: 'x.thing.undo', steps: 'refused action.failed:not-found', answer: 'not-found' },
  { name: 'bad input', input: { id: 7 }, steps: 'note refused action.failed:invalid-input', answer: 'invalid-input' },
  {
    name: 'bad input, over and over: handed on to be counted, and the caller is told to wait',
    with: { refusedTooOften: true },
    input: { id: 7 },
    steps: 'note refused action.failed:invalid-input',
    answer: 'rate-limited',
  },
  {
    name: 'a field too many',
    input: { id: '1', more: 1 },
    steps: 'note refused action.failed:invalid-input',
    answer: 'invalid-input',
  },
  {
    name: 'the watch over usage fails: the call goes on',
    with: { noteFails: true },
    steps: 'note bug resolve limit closed? decide action.started open run redact action.succeeded:ok',
    answer: ok,
  },
  {
    name: 'no such connection',
    with: { unknownConnection: true },
    steps: 'note resolve limit decide action.failed:not-found',
    answer: 'not-found',
  },
  {
    name: 'no such connection, for somebody who may not use it if there were one',
    with: { unknownConnection: true, decision: 'forbid' },
    steps: 'note resolve limit decide action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'no such connection: nobody is asked about it',
    with: { unknownConnection: true, decision: 'ask' },
    steps: 'note resolve limit decide action.failed:not-found',
    answer: 'not-found',
  },
  {
    name: 'too many',
    with: { limited: true },
    steps: 'note resolve limit refused action.failed:rate-limited',
    answer: 'rate-limited',
  },
  {
    name: 'the limiter fails',
    with: { limiterFails: true },
    steps: 'note resolve limit bug refused action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'forbid',
    with: { decision: 'forbid' },
    steps: 'note resolve limit closed? decide action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'the connection takes no changes',
    with: { closed: true },
    steps: 'note resolve limit closed? decide action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'the connection takes no changes: nobody is asked, and an approval opens nothing',
    with: { closed: true, decision: 'ask', approved: true },
    steps: 'note resolve limit closed? decide action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'nobody can say whether the connection takes changes',
    with: { closedFails: true },
    steps: 'note resolve limit closed? bug refused action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'a read asks no such thing',
    with: { closed: true, access: 'read' },
    steps: 'note resolve limit decide action.started open run redact action.succeeded:ok',
    answer: ok,
  },
  {
    name: 'the policy fails',
    with: { policyFails: true },
    steps: 'note resolve limit closed? decide bug refused action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'must ask',
    with: { decision: 'ask' },
    steps: 'note resolve limit closed? decide hash find request action.asked',
    answer: { pending: 'apr_1' },
  },
  {
    name: 'was approved',
    with: { decision: 'ask', approved: true },
    steps:
      'note resolve limit closed? decide hash find decide+ redeem action.started open run redact action.succeeded:ok',
    answer: ok,
  },
  {
    name: 'was approved, and is forbidden since',
    with: { decision: 'ask', approved: true, decisionApproved: 'forbid' },
    steps: 'note resolve limit closed? decide hash find decide+ action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'was approved, and a rule forbids outright now',
    with: { decision: 'forbid', approved: true },
    steps: 'note resolve limit closed? decide action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'the approval was used by a faster call',
    with: { decision: 'ask', approved: true, raced: true },
    steps: 'note resolve limit closed? decide hash find decide+ redeem action.failed:denied',
    answer: 'denied',
  },
  {
    name: 'the log is down',
    with: { auditDown: 'always' },
    steps: 'note resolve limit closed? decide',
    answer: 'audit-unavailable',
  },
  {
    name: 'the log is down and policy forbids',
    with: { auditDown: 'always', decision: 'forbid' },
    steps: 'note resolve limit closed? decide',
    answer: 'audit-unavailable',
  },
  {
    name: 'the log is down and an approval is needed',
    with: { auditDown: 'always', decision: 'ask' },
    steps: 'note resolve limit closed? decide hash find request',
    answer: 'audit-unavailable',
  },
  {
    name: 'the log fails after the effect',
    with: { auditDown: 'end' },
    steps: 'note resolve limit closed? decide action.started open run redact',
    answer: 'audit-unavailable',
  },
  {
    name: 'the credential cannot be opened',
    with: { credentialFails: true },
    steps: 'note resolve limit closed? decide action.started open bug action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'the vault is sealed',
    with: { vaultFails: true },
    steps: 'note resolve limit closed? decide action.started open action.failed:sealed',
    answer: 'sealed',
  },
  {
    name: 'the handler throws',
    with: { broken: true },
    steps: 'note resolve limit closed? decide action.started open run bug action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'the connected system refuses',
    with: { refuses: true },
    steps: 'note resolve limit closed? decide action.started open run action.failed:upstream-denied',
    answer: 'upstream-denied',
  },
  {
    name: 'the output is not what was promised',
    with: { result: { text: 7 } },
    steps: 'note resolve limit closed? decide action.started open run bug action.failed:internal',
    answer: 'internal',
  },
  {
    name: 'unknown output fields are dropped',
    with: { result: { text: 'ok', more: 'x' } },
    steps: 'note resolve limit closed? decide action.started open run redact action.succeeded:ok',
    answer: ok,
  },
]

const principal: Principal = { id: 'usr_1', kind: 'user', name: 'Someone', bindings: [], version: '1' }

for (const c of cases)
  test(`gate: ${c.name}`, async () => {
    const { steps, refusals, events, invoke } = build(c.with ?? {})

    const answer = await invoke(call(), c.action ?? 'x.thing.do', c.input ?? { id: '1' }).catch((error: unknown) =>
      error instanceof Problem ? error.type : String(error),
    )

    assert.deepEqual({ steps: steps.join(' '), answer }, { steps: c.steps, answer: c.answer })
    // Only what had no effect may be counted instead of written; a bug is never sure of that.
    const countable = events.filter(({ code, outcome }) => code === 'action.failed' && outcome !== 'internal')
    assert.deepEqual(refusals, steps.includes('action.started') ? [] : countable)
  })

test('gate: what is decided on, approved, hashed and run is the one parsed value (claims: D15)', async () => {
  const seen: unknown[] = []
  const { invoke } = build({ decision: 'ask', approved: true }, seen)

  await invoke(call(), 'x.thing.do', { id: '1' })

  assert.equal(seen.length, 2)
  assert.equal(seen[0], seen[1])
})

test('gate: a secret in the input reaches the handler, and the log only as [secret]', async () => {
  const { invoke, events } = build({})

  await invoke(call(), 'x.thing.do', { id: '1', secret: 'planted-value-1' })

  assert.equal(JSON.stringify(events).includes('planted-value-1'), false)
  assert.deepEqual(events[0]?.detail?.['input'], { id: '1', secret: '[secret]' })
})

test('gate: a connection is looked up once; what is hashed, opened and run has its id and revision, whatever the name means later', async () => {
  const seen: unknown[] = []
  const action = defineAction({
    name: 'x.connection.do',
    title: 'Do',
    description: 'Does it.',
    access: 'write',
    http: { method: 'POST', path: '/x' },
    input: z.strictObject({ connection: z.string(), name: z.string() }),
    output: z.object({}),
    resource: ({ connection }) => ({ type: 'connection', id: connection }),
    connectionOf: ({ connection }) => connection,
    run: async (input, { connection }) => {
      seen.push(input, connection?.id)
      return {}
    },
  })
  const names = new Map([['lab', 'con_1']])
  const { parts } = build({ decision: 'ask', approved: true })
  const invoke = makeInvoke({
    ...parts,
    catalog: makeCatalog([action]),
    resolve: async ({ type, id }) => {
      const resource = { type, id: names.get(id) ?? id }
      names.set('lab', 'con_2')
      return { resource, revision: 7 }
    },
    hashInput: (_name, input, revision) => {
      seen.push(input, revision)
      return 'hash'
    },
    open: async (id, _call, revision) => {
      seen.push(revision)
      return { id, config: {}, http: {} }
    },
  })

  await invoke(call(), 'x.connection.do', { connection: 'lab', name: 'lab' })

  const input = { connection: 'con_1', name: 'lab' }
  assert.deepEqual(seen, [input, 7, 7, input, 'con_1'])
})

test('gate: two actions that agents would call by one name stop the start', () => {
  const action = (name: `${string}.${string}.${string}`, path: string) =>
    defineAction({
      name,
      tool: 'thing_do',
      title: 'Do',
      description: 'Does it.',
      access: 'read',
      http: { method: 'GET', path },
      input: z.strictObject({}),
      output: z.object({}),
      resource: () => ({ type: 'thing', id: '*' }),
      run: async () => ({}),
    })

  assert.throws(() => makeCatalog([action('x.thing.do', '/one'), action('x.thing.undo', '/two')]), /collides/)
})

for (const access of ['read', 'reveal'] as const)
  test(`gate: a known secret in the output of a ${access} ${access === 'read' ? 'is redacted' : 'is what was asked for'}`, async () => {
    const { invoke } = build({ access, result: { text: 'planted-value-2' } })

    assert.deepEqual(await invoke(call(), 'x.thing.do', { id: '1' }), {
      output: { text: access === 'read' ? '[secret]' : 'planted-value-2' },
    })
  })

function call(): Call {
  return {
    door: 'http',
    principal,
    requestId: 'req_1',
    signal: new AbortController().signal,
    remoteAddress: '192.0.2.7',
  }
}

function build(option: Option, seen: unknown[] = []) {
  const steps: string[] = []
  const events: Parameters<GateParts['record']>[0][] = []
  const refusals: typeof events = []
  const action = defineAction({
    name: 'x.thing.do',
    title: 'Do',
    description: 'Does it.',
    access: option.access ?? 'write',
    http: { method: 'POST', path: '/things' },
    input: z.strictObject({ id: z.string(), secret: SecretValue.optional() }),
    output: z.object({ text: z.string() }),
    resource: ({ id }) => ({ type: 'thing', id }),
    connectionOf: ({ id }) => id,
    run: async (input) => {
      steps.push('run')
      seen.push(input)
      if (option.broken) throw new Error('broken')
      if (option.refuses) throw new Problem('upstream-denied')
      return (option.result ?? { text: 'ok' }) as { text: string }
    },
  })
  const parts: GateParts = {
    catalog: makeCatalog([action]),
    resolve: async (resource) => {
      steps.push('resolve')
      if (option.unknownConnection) throw new Problem('not-found')
      return { resource }
    },
    limit: (_principal, name) => {
      steps.push(name === 'refused' ? 'refused' : 'limit')
      if (name === 'refused') {
        if (option.refusedTooOften) throw new Problem('rate-limited')
        return { limit: 1, remaining: 1, resetSeconds: 1, windowSeconds: 60 }
      }
      if (option.limited) throw new Problem('rate-limited')
      if (option.limiterFails) throw new Error('limiter')
      return { limit: 1, remaining: 1, resetSeconds: 1, windowSeconds: 60 }
    },
    note: () => {
      steps.push('note')
      if (option.noteFails) throw new Error('watch')
    },
    whyClosed: async () => {
      steps.push('closed?')
      if (option.closedFails) throw new Error('database')
      return option.closed ? 'the connection is read-only' : undefined
    },
    decide: ({ approved }) => {
      steps.push(approved ? 'decide+' : 'decide')
      if (option.policyFails) throw new Error('policy')
      const effect = approved ? (option.decisionApproved ?? 'permit') : (option.decision ?? 'permit')
      return { effect, reason: 'a rule', policies: [], version: 'v1' }
    },
    hashInput: (_name, input) => {
      steps.push('hash')
      seen.push(input)
      return 'hash'
    },
    approvals: {
      find: async () => {
        steps.push('find')
        return option.approved ? 'apr_1' : undefined
      },
      request: async () => {
        steps.push('request')
        return 'apr_1'
      },
      redeem: async () => {
        steps.push('redeem')
        return !option.raced
      },
    },
    open: async (id) => {
      steps.push('open')
      if (option.credentialFails) throw new Error('vault')
      if (option.vaultFails) throw new Problem('sealed')
      return { id, config: {}, http: {} }
    },
    redact: (value) => {
      if (steps.includes('run')) steps.push('redact')
      return JSON.parse(JSON.stringify(value).replaceAll(/planted-value-\d/g, '[secret]'))
    },
    recordRefusal: async (event) => {
      await parts.record(event)
      refusals.push(event)
    },
    record: async (event) => {
      const end = event.code !== 'action.started'
      if (option.auditDown === 'always' || (option.auditDown === 'end' && end)) throw new Error('audit is down')
      steps.push(event.outcome ? `${event.code}:${event.outcome}` : event.code)
      events.push(event)
    },
    onBug: () => {
      steps.push('bug')
    },
  }
  return { steps, events, refusals, parts, invoke: makeInvoke(parts) }
}
