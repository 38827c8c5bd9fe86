import assert from 'node:assert/strict'
import { request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { kimai } from '../../src/connectors/kimai/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import type { Observation } from '../../src/core/connector.ts'
import { Problem } from '../../src/core/problem.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCa } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { type Kimai, type KimaiOptions, startKimai } from './start.ts'

// The connector, the real HTTP client and the simulated Kimai, over TLS.

const truth = makeCompany({ devices: 48, vms: 60 })

async function start(t: TestContext, options: KimaiOptions = {}) {
  const ki = await startKimai({ truth, timesheets: 60, ...options })
  t.after(ki.stop)
  const connect = (token = ki.credential.token, config: object = {}) => {
    const credential = { token }
    const limits = { headersMs: 400 }
    return connectTo(t, kimai, {
      config: { ...ki.config, pageSize: 25, ...config },
      credential,
      caPem: ki.caPem,
      limits,
    })
  }
  const sent = () => ki.requests.map(({ method, path, query }) => `${method} ${path}${query && `?${query}`}`)
  return { ki, connect, sent }
}

function byKind(observations: readonly Observation[]) {
  const kinds = Object.groupBy(observations, ({ kind }) => kind)
  return (kind: string) => kinds[kind] ?? []
}
const idsOf = (observations: readonly Observation[]) => observations.map(({ externalId }) => Number(externalId))
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)

test('A full sync reports every customer, project, activity and timesheet once, across pages', async (t) => {
  const { connect, sent } = await start(t)

  const { observations, batches } = await connect().sync()

  const of = byKind(observations)
  assert.deepEqual(
    ['customer', 'project', 'activity', 'timesheet'].map((kind) => idsOf(of(kind))),
    [upTo(15), upTo(30), upTo(5), upTo(60)],
  )
  assert.ok(batches.every(({ full }) => full))
  assert.ok(sent().every((line) => line.startsWith('GET ')))
})

test('A timesheet is told with the names of its project, activity and customer, and names a machine', async (t) => {
  const { ki, connect } = await start(t)

  const of = byKind((await connect().sync()).observations)

  const entry = ki.book.entry(10) ?? assert.fail('no entry')
  const project = of('project').find(({ externalId }) => externalId === String(entry.project))
  const activity = of('activity').find(({ externalId }) => externalId === String(entry.activity))
  const seconds = (Number(entry.end) - entry.begin) / 1000
  assert.deepEqual(of('timesheet')[9], {
    kind: 'timesheet',
    externalId: '10',
    name: `${Math.round(seconds / 36) / 100} h ${project?.name}, ${activity?.name}`,
    status: 'exported',
    attributes: {
      begin: new Date(entry.begin).toISOString(),
      end: new Date(Number(entry.end)).toISOString(),
      durationSeconds: seconds,
      description: entry.description,
      project: project?.name,
      customer: project?.attributes['customer'],
      activity: activity?.name,
      userId: String(entry.user),
      billable: entry.billable,
      tags: ['night'],
    },
    relations: [
      { type: 'spent-on', kind: 'project', externalId: String(entry.project) },
      { type: 'is-a', kind: 'activity', externalId: String(entry.activity) },
    ],
  })
  const machines = ki.book.machineNames()
  assert.ok(
    of('timesheet').every(({ attributes }) => machines.has(String(attributes['description']).split(' ').at(-1) ?? '')),
  )
  const running = of('timesheet').at(-1)
  assert.deepEqual([running?.status, running?.attributes['durationSeconds']], ['running', undefined])
})

test('Customers, projects and activities are told with what they belong to, and no contact data', async (t) => {
  const { ki, connect } = await start(t)
  ki.book.hideCustomer(1)

  const of = byKind((await connect().sync()).observations)

  assert.deepEqual(of('customer')[0], {
    kind: 'customer',
    externalId: '1',
    name: truth.estate.tenant(0).name,
    status: 'hidden',
    url: `${ki.url}/en/admin/customer/1/details`,
    attributes: {
      number: 'C1',
      company: `${truth.estate.tenant(0).name} d.o.o.`,
      country: 'SI',
      currency: 'EUR',
      timeZone: 'Europe/Ljubljana',
      billable: true,
    },
  })
  assert.deepEqual(of('project')[0]?.relations, [{ type: 'belongs-to', kind: 'customer', externalId: '1' }])
  assert.deepEqual(of('activity').at(-1)?.relations, [{ type: 'part-of', kind: 'project', externalId: '2' }])
  assert.equal(JSON.stringify(of('customer')).includes('+386'), false)
})

test('An incremental sync reads the modified and the new timesheets, and no others', async (t) => {
  const { ki, connect } = await start(t)
  const { sync } = connect()
  const { cursor } = await sync()
  ki.forward(3_600_000)
  ki.book.touch(5, 'Patched after all')
  const { id: added } = ki.book.add({ ...(ki.book.entry(7) ?? assert.fail('no entry')), description: 'New' })
  ki.requests.splice(0)

  const { observations, batches } = await sync(cursor)

  const of = byKind(observations)
  assert.deepEqual(idsOf(of('timesheet')), [5, added])
  assert.equal(of('timesheet')[0]?.attributes['description'], 'Patched after all')
  assert.equal(
    batches.some(({ full }) => full),
    false,
  )
  assert.equal(ki.requests.length, 5)
})

test('Everything is read again after a cursor that is too old or of another kind', async (t) => {
  const { ki, connect } = await start(t)
  const { sync } = connect()
  const { cursor } = await sync()
  ki.forward(31 * 86_400_000)

  assert.ok((await sync(cursor)).batches.every(({ full }) => full))
  assert.ok((await sync({ page: 1 })).batches.every(({ full }) => full))
  assert.ok((await sync({ since: '2100-01-01T00:00:00.000Z' })).batches.every(({ full }) => full))
})

for (const [title, timesheets, when] of [
  ['early', 60, 1],
  ['late', 60, 2],
  ['so that the last page vanishes', 51, 2],
] as const) {
  test(`A timesheet that is deleted while the list is read hides no other: ${title}`, async (t) => {
    const { ki, connect } = await start(t, { timesheets })
    const { context } = connect()
    const seen = new Set<number>()
    let pages = 0
    const steps = kimai.sync?.({ ...(context as object), now: () => new Date() } as never) ?? []
    for await (const { stage, observations = [] } of steps) {
      if (stage !== 'timesheets') continue
      for (const id of idsOf(observations)) seen.add(id)
      pages += 1
      if (pages === when) ki.book.remove(3)
    }

    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      upTo(timesheets),
    )
  })
}

test('Without the right to see others, Kimai shows only the own times', async (t) => {
  const { ki, connect } = await start(t)

  const of = byKind((await connect(ki.tokens.own).sync()).observations)
  assert.deepEqual([...new Set(of('timesheet').map(({ attributes }) => attributes['userId']))], ['2'])
})

test('A proxy that removes the paging headers hides nothing', async (t) => {
  const { ki, connect } = await start(t, { timesheets: 50 })
  ki.fault({ kind: 'no-headers', path: '/api/timesheets', count: 99 })

  assert.deepEqual(idsOf(byKind((await connect().sync()).observations)('timesheet')), upTo(50))
  assert.equal(ki.requests.at(-1)?.status, 404, 'the page beyond the end is a 404, and no fault')
})

test('The check names the account and warns of an administrator and an old Kimai (claims: A35)', async (t) => {
  const { ki, connect } = await start(t)
  const old = await start(t, { version: '1.30.11' })

  assert.deepEqual(await connect().check(), { version: '2.66.0', account: 'atlas', warnings: [] })
  assert.deepEqual((await connect(ki.tokens.admin).check()).warnings, [
    'The account is an administrator. Use one with a role that may only view.',
  ])
  assert.match(String((await old.connect().check()).warnings?.[0]), /older than 2/)
})

test('A token that Kimai does not know is refused with a sentence', async (t) => {
  const { connect } = await start(t)

  await assert.rejects(connect('0123456789abcdef').check(), {
    type: 'upstream-denied',
    detail: 'The connected system answered 401: Kimai does not accept the API token.',
  })
})

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 1, ms: 50 },
]
for (const fault of passing) {
  test(`A sync gets over ${fault.kind} and misses nothing`, async (t) => {
    const { ki, connect } = await start(t)
    ki.fault({ path: '/api/timesheets', ...fault })

    assert.equal(byKind((await connect().sync()).observations)('timesheet').length, 60)
    assert.deepEqual(ki.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid', detail: /html instead of JSON/ },
  { kind: 'malformed', type: 'upstream-invalid', detail: /not valid JSON/ },
  { kind: 'redirect', type: 'upstream-invalid', detail: /redirect/ },
  { kind: 'same-page', count: 99, type: 'upstream-invalid', detail: /same page of timesheets twice/ },
  { kind: 'unsorted', type: 'upstream-invalid', detail: /out of order/ },
  { kind: '500', type: 'upstream-failed', detail: /500/ },
  { kind: '403', type: 'upstream-denied', detail: /lacks a permission/ },
  { kind: '404', type: 'not-found', detail: /404/ },
  { kind: '503', count: 99, type: 'upstream-busy', detail: /503/ },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy', detail: /429/ },
  { kind: 'hang', count: 99, type: 'upstream-timeout', detail: /too long/ },
  { kind: 'reset', count: 99, type: 'upstream-unreachable', detail: /broke/ },
] as const
for (const { type, detail, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const { ki, connect } = await start(t)
    ki.fault({ path: '/api/timesheets', ...fault })

    await assert.rejects(connect().sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(String(error.detail), detail)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|https?:/)
      return true
    })
  })
}

test('A Kimai whose certificate is of another authority is not spoken to (claims: D12 D28)', async (t) => {
  const { ki } = await start(t)
  const { check } = connectTo(t, kimai, { config: ki.config, credential: ki.credential, caPem: makeCa().caPem })

  await assert.rejects(check(), { type: 'upstream-untrusted' })
  assert.deepEqual(ki.requests, [])
})

const headers: readonly (readonly [string, (ki: Kimai) => Record<string, string>, number])[] = [
  ['Bearer', (ki) => ({ authorization: `Bearer ${ki.tokens.reader}` }), 200],
  ['bearer in lower case', (ki) => ({ authorization: `bearer ${ki.tokens.reader}` }), 401],
  ['the legacy pair', (ki) => ({ 'x-auth-user': 'atlas', 'x-auth-token': ki.tokens.reader }), 200],
  ['nothing', () => ({}), 401],
]
for (const [title, make, status] of headers) {
  test(`The simulator answers ${status} to ${title}`, async (t) => {
    const { ki } = await start(t)
    const got = await new Promise<number | undefined>((resolve, reject) => {
      const sent = request(`${ki.url}/api/ping`, { ca: ki.caPem, headers: make(ki) }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      sent.on('error', reject)
      sent.end()
    })

    assert.equal(got, status)
  })
}

function runAs({ config, http }: Pick<ReturnType<typeof connectTo>, 'config' | 'http'>) {
  return async (name: string, input: Record<string, unknown>) => {
    const action = kimai.actions.find((one) => one.name === name)
    assert.ok(action, name)
    const context: Context = {
      principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
      door: 'http',
      requestId: 'req_1',
      signal: new AbortController().signal,
      connection: { id: 'con_1', config, http },
    }
    const parsed = action.input.parse({ connection: 'ki', ...input })
    // biome-ignore lint/suspicious/noExplicitAny: each test knows its action's answer
    return action.output.parse(await handlerOf(action).run(parsed, context)) as any
  }
}

test('Each action has its access and its route', () => {
  assert.deepEqual(
    kimai.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['kimai.timesheets.list', 'read', 'GET', '/connections/{connection}/kimai/timesheets'],
      ['kimai.timesheet.create', 'write', 'POST', '/connections/{connection}/kimai/timesheets'],
    ],
  )
})

test('Timesheets are listed newest first, page by page, and by person, project and state', async (t) => {
  const { ki, connect } = await start(t)
  const run = runAs(connect())

  const first = await run('kimai.timesheets.list', { limit: 40 })
  const last = await run('kimai.timesheets.list', { limit: 40, page: 2 })
  const beyond = await run('kimai.timesheets.list', { limit: 40, page: 3 })
  const entry = ki.book.entry(20) ?? assert.fail('no entry')
  const some = await run('kimai.timesheets.list', {
    user: String(entry.user),
    project: String(entry.project),
    exported: 'yes',
  })

  assert.deepEqual([first.items[0].id, first.next, first.total], ['60', 2, 60])
  assert.deepEqual([last.items.length, last.next], [20, null])
  assert.deepEqual([beyond.items, beyond.next], [[], null])
  assert.ok(some.items.some(({ id }: { id: string }) => id === '20'))
  assert.ok(
    some.items.every(
      ({ user, exported }: { user: string; exported: boolean }) => user === String(entry.user) && exported,
    ),
  )
})

const booking = {
  project: '1',
  activity: '1',
  begin: '2026-11-20T08:00:00',
  end: '2026-11-20T09:30:00',
  description: 'Patched ams1-web0001',
  tags: ['night', 'atlas'],
}

test('Time is booked once, in the time zone of the person, and asked again is answered', async (t) => {
  const { ki, connect } = await start(t)
  const run = runAs(connect(ki.tokens.writer))

  const first = await run('kimai.timesheet.create', booking)
  const again = await run('kimai.timesheet.create', booking)

  const { id, created, ...rest } = first
  assert.equal(created, true)
  assert.deepEqual(again, { id, created: false, ...rest })
  assert.deepEqual(rest, {
    begin: '2026-11-20T08:00:00+01:00',
    end: '2026-11-20T09:30:00+01:00',
    durationSeconds: 5400,
    description: 'Patched ams1-web0001',
    project: '1',
    activity: '1',
    user: '5',
    tags: ['night', 'atlas'],
    exported: false,
  })
  assert.equal(ki.requests.filter(({ method }) => method === 'POST').length, 1)
})

test('Rounding can move the begin, and then a call that is repeated books again, as the description says', async (t) => {
  const { ki, connect } = await start(t)
  ki.rules.roundMinutes = 15
  const run = runAs(connect(ki.tokens.writer))
  const input = { ...booking, begin: '2026-11-20T08:07:00', user: '2' }

  const first = await run('kimai.timesheet.create', input)
  const again = await run('kimai.timesheet.create', input)

  assert.deepEqual(
    [first.begin, first.user, first.created, again.created],
    ['2026-11-20T08:00:00+01:00', '2', true, true],
  )
  const { description } =
    kimai.actions.find(({ name }) => name === 'kimai.timesheet.create') ?? assert.fail('no action')
  assert.match(description, /repeated after they moved the begin books a second time/)
})

test('What Kimai refuses is told by the names of fields', async (t) => {
  const { ki, connect } = await start(t)
  const write = runAs(connect(ki.tokens.writer))
  const own = runAs(connect(ki.tokens.own))
  ki.rules.allowOverlap = false
  await write('kimai.timesheet.create', booking)
  const cases = [
    [write, { ...booking, project: '999' }, 'upstream-failed', /refused the value of project\.$/],
    [write, { ...booking, activity: '5' }, 'upstream-failed', /refused the value of activity\.$/],
    [write, { ...booking, description: 'Other' }, 'upstream-failed', /refused the value of begin\.$/],
    [own, { ...booking, user: '3' }, 'upstream-failed', /does not take one of the fields/],
    [runAs(connect()), booking, 'upstream-denied', /lacks a permission/],
    [write, { ...booking, end: '2026-11-20T07:00:00' }, 'invalid-input', /ended before it began/],
  ] as const
  for (const [run, input, type, detail] of cases)
    await assert.rejects(run('kimai.timesheet.create', input), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(String(error.detail), detail)
      return true
    })
})

const hostile = [
  '../../users',
  '1/../2',
  '1?x=1',
  '1&size=1',
  '1#x',
  '1\r\nx: y',
  '%2e%2e',
  '-1',
  '0',
  '1e9',
  ' 1',
  '１',
]
test('Input that could leave its place is refused before anything is sent (claims: D16)', async (t) => {
  const { connect, sent } = await start(t)
  const run = runAs(connect())
  for (const value of hostile)
    for (const [name, field] of [
      ['kimai.timesheets.list', 'user'],
      ['kimai.timesheets.list', 'project'],
      ['kimai.timesheets.list', 'activity'],
      ['kimai.timesheets.list', 'begin'],
      ['kimai.timesheets.list', 'end'],
      ['kimai.timesheets.list', 'exported'],
      ['kimai.timesheet.create', 'project'],
      ['kimai.timesheet.create', 'begin'],
      ['kimai.timesheet.create', 'user'],
    ] as const) {
      const input = name === 'kimai.timesheet.create' ? { ...booking, [field]: value } : { [field]: value }
      await assert.rejects(run(name, input), { name: 'ZodError' }, `${name} ${field} ${JSON.stringify(value)}`)
    }
  await assert.rejects(run('kimai.timesheet.create', { ...booking, tags: ['a,b'] }), { name: 'ZodError' })
  assert.deepEqual(sent(), [])
})
