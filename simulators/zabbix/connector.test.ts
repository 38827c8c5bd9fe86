import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { zabbix } from '../../src/connectors/zabbix/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startZabbix, type Zabbix, type ZabbixOptions } from './start.ts'

// The connector, the real HTTP client with sessions, and the simulated Zabbix, over TLS.

const versions = ['6.0', '7.0', '7.2'] as const
const now = new Date('2026-11-20T12:00:00Z')
const company = () => makeCompany({ devices: 96, vms: 200, copies: 1, now })

type More = {
  readonly credential?: Readonly<Record<string, string>>
  readonly pageSize?: number
  readonly limits?: Partial<HttpLimits>
}

async function start(t: TestContext, options: ZabbixOptions = {}) {
  const sim = await startZabbix({ truth: company(), ...options })
  t.after(sim.stop)
  return sim
}

function open(t: TestContext, sim: Zabbix, { credential = sim.credential, pageSize = 100, limits }: More = {}) {
  const config = { ...sim.config, pageSize }
  return connectTo(t, zabbix, { config, credential, caPem: sim.caPem, ...(limits && { limits }) })
}
type Connected = ReturnType<typeof open>

async function act(by: Connected, name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const action = zabbix.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.safeParse({ connection: 'zx', ...input })
  if (!parsed.success) throw new Problem('invalid-input')
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal: by.context.signal,
    connection: { id: 'con_1', config: by.config, http: by.http },
  }
  return action.output.parse(await handlerOf(action).run(parsed.data, context)) as Record<string, unknown>
}

const counted = (seen: readonly { kind: string }[]) =>
  Object.fromEntries(Object.entries(Object.groupBy(seen, (one) => one.kind)).map(([kind, all]) => [kind, all?.length]))
const methods = (sim: Zabbix) => sim.calls.map(({ method }) => method)

for (const version of versions) {
  for (const how of ['token', 'password'] as const) {
    test(`A full sync of ${version} with a ${how} reports everything once, and never sends the credential twice`, async (t) => {
      const sim = await start(t, { version })
      const { sync, signOut } = open(t, sim, { credential: how === 'token' ? sim.credential : sim.login('reader') })
      const truth = company()

      const { batches, observations } = await sync()
      await signOut().catch(() => undefined)

      const [devices, vms] = [[...truth.devices('monitoring')], [...truth.vms('monitoring')]]
      const problems = sim.events.events.size
      assert.ok(problems > 5)
      assert.deepEqual(counted(observations), {
        group: 10,
        host: devices.length + vms.length,
        trigger: problems,
        problem: problems,
      })
      assert.equal(
        new Set(observations.map(({ kind, externalId }) => `${kind} ${externalId}`)).size,
        observations.length,
      )
      assert.ok(batches.every((batch) => batch.full))
      assert.ok(
        observations.filter(({ kind }) => kind === 'host').every(({ relations }) => (relations?.length ?? 0) >= 2),
      )
      const places = new Set(sim.calls.filter(({ auth }) => auth !== 'none').map(({ auth }) => auth))
      assert.deepEqual([...places], [version === '6.0' ? 'body' : 'header'])
      assert.equal(sim.sessionCount(), 0)
    })
  }
}

test('What is seen of a machine is what the company knows of it', async (t) => {
  const sim = await start(t)
  const truth = company()
  const { observations } = await open(t, sim).sync()
  const hosts = new Map(observations.filter(({ kind }) => kind === 'host').map((one) => [one.externalId, one]))

  for (const { index, hostName, serial, macs, addressIn, isMonitored } of truth.devices('monitoring')) {
    const seen = hosts.get(String(sim.hosts.idOf.device(index)))
    assert.equal(seen?.serial, serial)
    assert.equal(seen?.addresses?.[0], addressIn('monitoring').split('/')[0])
    assert.deepEqual([seen?.machine?.macs, seen?.facts], [[macs[0]], { isMonitored }])
    assert.ok(
      seen?.machine?.hostNames?.some((name) => name.split('.')[0] === hostName),
      hostName,
    )
  }
  for (const { index, hostName, addressIn, isMonitored } of truth.vms('monitoring')) {
    const seen = hosts.get(String(sim.hosts.idOf.vm(index)))
    assert.equal(seen?.addresses?.[0], addressIn('monitoring').split('/')[0])
    assert.deepEqual(seen?.facts, { isMonitored })
    assert.ok(
      seen?.machine?.hostNames?.some((name) => name.split('.')[0]?.toLowerCase() === hostName),
      hostName,
    )
  }
})

test('Problems are on machines that are on and monitored, and point to them', async (t) => {
  const sim = await start(t)
  const { observations } = await open(t, sim).sync()
  const hosts = new Map(observations.filter(({ kind }) => kind === 'host').map((one) => [one.externalId, one]))
  const problems = observations.filter(({ kind }) => kind === 'problem')

  for (const { relations = [], facts } of problems) {
    const [affects, raisedBy] = relations
    assert.deepEqual([affects?.type, raisedBy?.type], ['affects', 'raised-by'])
    assert.equal(hosts.get(affects?.externalId ?? '')?.facts?.isMonitored, true)
    assert.ok(Date.parse(facts?.openedAt ?? '') <= now.getTime())
    assert.ok((facts?.severity ?? -1) >= 0)
  }
})

test('The next sync reports what came, and no more what ended, was deleted or was switched off', async (t) => {
  const sim = await start(t)
  const reader = open(t, sim)
  const vm = sim.hosts.idOf.vm
  const ended = sim.openProblem([vm(0)], 'Will end')
  const hidden = sim.openProblem([vm(1)], 'Its trigger is switched off')
  const onOther = sim.openProblem([vm(2)], 'Its host is switched off')
  const deleted = sim.openProblem([vm(3)], 'Its host is deleted')
  const first = await reader.sync()
  sim.resolve(ended)
  sim.disableTriggerOf(hidden)
  sim.change(vm(2), { status: '1', name: 'renamed02.example.net' })
  sim.removeHost(vm(3))
  const added = sim.addHost('new01.example.net')
  const opened = sim.openProblem([added, vm(0)], 'Link down', 5)

  const second = await reader.sync(first.cursor)

  const idsOf = (seen: typeof first.observations, kind: string) =>
    seen.filter((one) => one.kind === kind).map((one) => one.externalId)
  const difference = (kind: string) => {
    const [before, after] = [new Set(idsOf(first.observations, kind)), new Set(idsOf(second.observations, kind))]
    return { came: [...after.difference(before)], went: [...before.difference(after)] }
  }
  assert.deepEqual(difference('problem'), { came: [opened], went: [ended, hidden, onOther, deleted] })
  assert.deepEqual(difference('host'), { came: [String(added)], went: [String(vm(3))] })
  assert.equal(difference('trigger').went.length, 4)
  assert.ok(
    second.batches.every((batch) => batch.full),
    'what was not seen becomes stale in this run',
  )
  const renamed = second.observations.find((one) => one.externalId === String(vm(2)))
  assert.deepEqual([renamed?.name, renamed?.facts], ['renamed02.example.net', { isMonitored: false }])
  const link = second.observations.find((one) => one.externalId === opened)
  assert.deepEqual(
    link?.relations?.filter(({ type }) => type === 'affects').map((one) => one.externalId),
    [String(added), String(vm(0))],
  )
})

test('Only named fields are asked for, so that no secret of a host is ever sent', async (t) => {
  const sim = await start(t)
  const reader = open(t, sim)
  await reader.check()
  await reader.sync()
  await act(reader, 'zabbix.host.get', { id: String(sim.hosts.idOf.vm(0)) })

  for (const { method, params } of sim.calls) {
    const { output, countOutput } = params as { output?: unknown; countOutput?: boolean }
    if (method.endsWith('.get')) assert.ok(Array.isArray(output) || countOutput, method)
  }
})

test('An account that sees no host group ends the sync', async (t) => {
  const sim = await start(t)

  await assert.rejects(open(t, sim, { credential: { token: sim.tokens.blind } }).sync(), { type: 'upstream-denied' })
})

for (const version of versions) {
  test(`The check of ${version} names the account and what it may do too much (claims: A35)`, async (t) => {
    const sim = await start(t, { version })
    const checked = (credential: Record<string, string>) => open(t, sim, { credential }).check()

    const reader = await checked(sim.credential)
    assert.deepEqual([reader.account, reader.warnings], ['atlas', []])
    assert.ok(reader.version.startsWith(version))
    assert.deepEqual(await checked(sim.login('reader')), reader)
    const warned: readonly (readonly [keyof typeof sim.tokens, RegExp])[] = [
      ['super', /super admin/],
      ['user', /no allow list/],
      ['bare', /cannot be told/],
      ['operator', /type Admin/],
      ['blind', /no host group/],
    ]
    for (const [name, pattern] of warned)
      assert.match((await checked({ token: sim.tokens[name] })).warnings?.[0] ?? '', pattern)
  })
}

test('Each way of being refused has its own sentence', async (t) => {
  const sim = await start(t)
  const cases = [
    [
      { token: '0'.repeat(64) },
      'Zabbix does not know this API token, or the token or its user is disabled. Create a new token.',
    ],
    [
      { token: sim.tokens.disabled },
      'Zabbix does not know this API token, or the token or its user is disabled. Create a new token.',
    ],
    [{ token: sim.tokens.expired }, 'The Zabbix API token has expired. Create a new one.'],
    [
      { ...sim.login('reader'), password: 'wrong' },
      'Zabbix refused the user name or password, or blocks the account for a while after failed sign-ins.',
    ],
  ] as const
  for (const [credential, detail] of cases)
    await assert.rejects(open(t, sim, { credential }).check(), { type: 'upstream-denied', detail })
})

test('A wrong password is tried once a call, so a sync does not lock the account', async (t) => {
  const sim = await start(t)
  await assert.rejects(open(t, sim, { credential: { ...sim.login('reader'), password: 'wrong' } }).sync(), {
    type: 'upstream-denied',
  })

  assert.equal(methods(sim).filter((method) => method === 'user.login').length, 1)
})

for (const version of versions) {
  test(`A session of ${version} that ended is opened again, once, and nothing is lost`, async (t) => {
    const sim = await start(t, { version })
    const reader = open(t, sim, { credential: sim.login('operator') })
    await reader.check()
    sim.endSessions()
    const checked = await reader.check()
    sim.forward(16 * 60_000)
    const { observations } = await reader.sync()
    const id = sim.openProblem([sim.hosts.idOf.vm(0)], 'Twice?')
    sim.endSessions()
    await act(reader, 'zabbix.problem.comment', { id, message: 'once' })

    assert.equal(checked.account, 'atlas-operator')
    assert.ok(observations.length > 100)
    assert.equal(sim.events.events.get(id)?.acknowledges.length, 1)
    assert.equal(methods(sim).filter((method) => method === 'user.login').length, 4)
  })
}

test('An upgrade from 6.0 to 7.2 under a running connection is noticed', async (t) => {
  const sim = await start(t, { version: '6.0' })
  const reader = open(t, sim)
  const before = await reader.check()
  sim.upgrade('7.2')
  const after = await reader.check()

  assert.deepEqual([before.version, after.version], ['6.0.14', '7.2.3'])
  assert.equal(sim.calls.at(-1)?.auth, 'header')
})

test('A sign-out ends the session that a password opened', async (t) => {
  const sim = await start(t)
  const reader = open(t, sim, { credential: sim.login('reader') })
  await reader.check()
  assert.equal(sim.sessionCount(), 1)
  await reader.signOut()

  assert.equal(sim.sessionCount(), 0)
})

test('An operator acknowledges, comments and plans; a reader is refused and nothing changes', async (t) => {
  const sim = await start(t)
  const [reader, operator] = [open(t, sim), open(t, sim, { credential: sim.writer })]
  const host = String(sim.hosts.idOf.vm(0))
  const id = sim.openProblem([Number(host)], 'Database is down', 5)
  const plan = { name: 'Night', hosts: [host], from: '2026-12-01T20:00:00Z', until: '2026-12-01T21:00:00Z' }
  const attempts: readonly (readonly [string, Record<string, unknown>])[] = [
    ['zabbix.problem.acknowledge', { id }],
    ['zabbix.problem.comment', { id, message: 'Looking.' }],
    ['zabbix.maintenance.create', plan],
  ]
  for (const [name, input] of attempts)
    await assert.rejects(act(reader, name, input), { type: 'upstream-denied' }, name)
  assert.deepEqual([sim.events.events.get(id)?.acknowledged, sim.maintenances.length], [false, 0])

  for (const [name, input] of attempts) await act(operator, name, input)
  for (const [name, input] of attempts) if (!name.endsWith('comment')) await act(operator, name, input)
  const { items } = await act(reader, 'zabbix.problems.list', { host, minSeverity: 5, acknowledged: 'yes' })

  assert.deepEqual(sim.events.events.get(id)?.acknowledges, [
    { userid: '4', message: '', action: 2 },
    { userid: '4', message: 'Looking.', action: 4 },
  ])
  assert.equal(sim.maintenances.length, 1)
  assert.deepEqual(
    (items as { id: string }[]).map((one) => one.id),
    [id],
  )
  await assert.rejects(act(operator, 'zabbix.maintenance.create', { ...plan, name: 'Other', hosts: ['1'] }), {
    type: 'not-found',
  })
  await assert.rejects(act(operator, 'zabbix.problem.acknowledge', { id: '1' }), { type: 'not-found' })
})

test('A write whose answer is lost is not sent again', async (t) => {
  const sim = await start(t)
  const operator = open(t, sim, { credential: sim.writer })
  const id = sim.openProblem([sim.hosts.idOf.vm(0)], 'Lost answer')
  await operator.check()
  // The first request of the action asks whether the problem is there; the second writes.
  sim.fault({ kind: 'slow', ms: 1 })
  sim.fault({ kind: 'reset', count: 5 })

  const comment = act(operator, 'zabbix.problem.comment', { id, message: 'once' })
  await assert.rejects(comment, { type: 'upstream-unreachable' })
  assert.equal(sim.events.events.get(id)?.acknowledges.length, 1)
})

test('Problems are listed to the last page', async (t) => {
  const sim = await start(t)
  const reader = open(t, sim)
  const seen: string[] = []
  let cursor: string | undefined
  for (;;) {
    const { items, next } = await act(reader, 'zabbix.problems.list', { limit: 3, ...(cursor && { cursor }) })
    seen.push(...(items as { id: string }[]).map((one) => one.id))
    if (next === null) break
    cursor = String(next)
  }

  assert.deepEqual(seen, [...sim.events.events.keys()].reverse())
})

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: '502', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 2, ms: 30 },
]
for (const fault of passing) {
  test(`A sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
    const sim = await start(t)
    const reader = open(t, sim)
    await reader.check()
    sim.fault(fault)

    assert.equal(counted((await reader.sync()).observations)['host'], [...sim.hosts.ids()].length)
    assert.deepEqual(sim.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid' },
  { kind: 'malformed', type: 'upstream-invalid' },
  { kind: 'redirect', type: 'upstream-invalid' },
  { kind: 'same-page', count: 99, type: 'upstream-invalid' },
  { kind: 'rpc-error', type: 'upstream-failed' },
  { kind: 'no-database', type: 'upstream-failed' },
  { kind: '500', type: 'upstream-failed' },
  { kind: '401', type: 'upstream-denied' },
  { kind: '503', count: 99, type: 'upstream-busy' },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy' },
  { kind: 'hang', count: 99, type: 'upstream-timeout' },
  { kind: 'reset', count: 99, type: 'upstream-unreachable' },
] as const
for (const { type, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const sim = await start(t)
    const limits = fault.kind === 'hang' ? { headersMs: 100 } : {}
    const reader = open(t, sim, { pageSize: 5, limits })
    await reader.check()
    sim.fault(fault)

    await assert.rejects(reader.sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|https?:|[0-9a-f]{32}|SELECT/)
      return true
    })
  })
}

test('A Zabbix whose certificate is of another authority is not spoken to (claims: D12 D28)', async (t) => {
  const [sim, other] = [await start(t), await start(t)]
  const stranger = connectTo(t, zabbix, { config: sim.config, credential: sim.credential, caPem: other.caPem })

  await assert.rejects(stranger.check(), { type: 'upstream-untrusted' })
  assert.deepEqual([sim.requests, sim.calls], [[], []])
})

test('Hostile words arrive as words: every request line is the same (claims: D16)', async (t) => {
  const sim = await start(t)
  const operator = open(t, sim, { credential: sim.writer })
  const host = String(sim.hosts.idOf.vm(0))
  const id = sim.openProblem([Number(host)], 'x')
  const hostile = [
    '../../x',
    '?a=b',
    '#x',
    '%2e%2e/',
    '","auth":"x',
    "'; drop table hosts;--",
    '<script>alert(1)</script>',
    'a\u2028\n"\\',
  ]
  for (const text of hostile) {
    await act(operator, 'zabbix.problem.comment', { id, message: text })
    const plan = {
      name: text.replaceAll(/\p{Cc}/gu, ''),
      hosts: [host],
      from: '2026-12-01T20:00:00Z',
      until: '2026-12-01T21:00:00Z',
    }
    await act(operator, 'zabbix.maintenance.create', { ...plan, description: text })
    for (const name of ['zabbix.host.get', 'zabbix.problem.acknowledge'])
      await assert.rejects(act(operator, name, { id: text }), { type: 'invalid-input' })
  }
  await assert.rejects(act(operator, 'zabbix.problem.comment', { id: '1\r\nx: y', message: 'x' }), {
    type: 'invalid-input',
  })

  const lines = new Set(sim.requests.map(({ method, path, query }) => `${method} ${path}?${query}`))
  assert.deepEqual([...lines], ['POST /api_jsonrpc.php?'])
  assert.deepEqual(
    sim.events.events.get(id)?.acknowledges.map(({ message }) => message),
    hostile,
  )
  assert.deepEqual(
    sim.maintenances.map((one) => one['description']),
    hostile,
  )
})
