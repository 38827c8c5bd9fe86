import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zammad } from '../../src/connectors/zammad/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import type { Observation } from '../../src/core/connector.ts'
import { Problem } from '../../src/core/problem.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCa } from '../lib/ca.ts'
import { makeCompany } from '../lib/company.ts'
import { startZammad, type ZammadOptions } from './start.ts'

// The connector, the real HTTP client and the simulated Zammad, over TLS.

const truth = makeCompany({ devices: 48, vms: 60, now: new Date('2026-11-20T12:00:00Z') })

async function start(t: TestContext, options: ZammadOptions = {}) {
  const za = await startZammad({ truth, tickets: 60, ...options })
  t.after(za.stop)
  const connect = (token = za.credential.token, config: object = {}) => {
    const limits = { headersMs: 200 }
    const credential = { token }
    return connectTo(t, zammad, {
      config: { ...za.config, pageSize: 25, ...config },
      credential,
      caPem: za.caPem,
      limits,
    })
  }
  const sent = () => za.requests.map(({ method, path, query }) => `${method} ${path}${query && `?${query}`}`)
  return { za, connect, sent }
}

function byKind(observations: readonly Observation[]) {
  const kinds = Object.groupBy(observations, ({ kind }) => kind)
  return (kind: string) => kinds[kind] ?? []
}

test('A full sync reports every ticket and every entry of time once, across pages', async (t) => {
  const { za, connect, sent } = await start(t)

  const { observations, batches } = await connect().sync()

  const of = byKind(observations)
  const ids = Array.from({ length: 60 }, (_, i) => i + 1)
  assert.deepEqual(
    of('ticket').map(({ externalId }) => Number(externalId)),
    ids,
  )
  assert.deepEqual(
    of('time-entry').map(({ externalId }) => Number(externalId)),
    ids.flatMap((id) => za.tickets.timeOf(id).map((entry) => entry.id)),
  )
  assert.ok(batches.every(({ full }) => full))
  assert.ok(sent().every((line) => line.startsWith('GET ')))
})

test('A ticket and the time on it are told with what is known, and name a machine of the company', async (t) => {
  const { za, connect } = await start(t)

  const of = byKind((await connect().sync()).observations)

  const id = 7
  const ticket = za.tickets.ticket(id, true)
  const seen = of('ticket')[id - 1]
  assert.deepEqual(seen, {
    kind: 'ticket',
    externalId: '7',
    name: ticket['title'],
    status: ticket['state'],
    url: `${za.url}/#ticket/zoom/7`,
    attributes: {
      number: '60007',
      priority: ticket['priority'],
      group: ticket['group'],
      ...(ticket['owner'] !== '-' && { owner: ticket['owner'] }),
      customer: ticket['customer'],
      organization: ticket['organization'],
      createdAt: ticket['created_at'],
      updatedAt: ticket['updated_at'],
      ...(ticket['close_at'] !== null && { closedAt: ticket['close_at'] }),
      ...(ticket['pending_time'] !== null && { pendingUntil: ticket['pending_time'] }),
      articles: 1,
      ...(ticket['time_unit'] !== null && {
        timeUnits: Number(ticket['time_unit']),
        durationSeconds: Number(ticket['time_unit']) * 60,
      }),
    },
    facts: { openedAt: ticket['created_at'] },
  })
  assert.ok(seen?.name.includes(za.tickets.machineOf(id).hostName))
  const entry = of('time-entry')[0]
  const of1 = za.tickets.ticket(Number(entry?.relations?.[0]?.externalId), true)
  assert.equal(entry?.name, `${entry?.attributes['timeUnits']} minutes on #${of1['number']} ${of1['title']}`)
  assert.equal(entry?.attributes['durationSeconds'], Number(entry?.attributes['timeUnits']) * 60)
})

const units = [
  ['minutes', 60],
  ['hours', 3600],
  ['unknown', undefined],
] as const
for (const [timeUnit, seconds] of units) {
  test(`A unit of time is ${seconds ?? 'not turned into'} seconds when the setting says ${timeUnit}`, async (t) => {
    const { connect } = await start(t)
    const [entry] = byKind((await connect(undefined, { timeUnit }).sync()).observations)('time-entry')

    const expected = seconds === undefined ? undefined : Number(entry?.attributes['timeUnits']) * seconds
    assert.equal(entry?.attributes['durationSeconds'], expected)
  })
}

test('An incremental sync reads the changed and the new, and the time on them, and nothing else', async (t) => {
  const { za, connect } = await start(t)
  const { sync } = connect()
  const { cursor } = await sync()
  const added = za.tickets.add('Printer of AMS1 on fire')
  const booked = za.tickets.book(5, 20)
  za.tickets.setState(9, 'closed')
  za.requests.splice(0)

  const { observations, batches } = await sync(cursor)

  const of = byKind(observations)
  assert.deepEqual(
    of('ticket').map(({ externalId }) => Number(externalId)),
    [5, 9, added],
  )
  assert.equal(of('ticket')[1]?.status, 'closed')
  assert.ok(of('time-entry').some(({ externalId }) => externalId === String(booked)))
  assert.equal(
    batches.some(({ full }) => full),
    false,
  )
  // Who am I, the probe of the index in two, two pages of the search, and the time of the tickets that have some.
  assert.ok(za.requests.length <= 8, String(za.requests.length))
})

test('A ticket that the index shows late comes with the next sync', async (t) => {
  const { za, connect } = await start(t)
  const { sync } = connect()
  const { cursor } = await sync()
  za.holdIndex(5)
  za.tickets.book(5, 20)
  const second = await sync(cursor)
  za.releaseIndex()

  assert.deepEqual(byKind(second.observations)('ticket'), [])
  assert.deepEqual(
    byKind((await sync(second.cursor)).observations)('ticket').map(({ externalId }) => externalId),
    ['5'],
  )
})

test('A ticket that is deleted before its time is asked for stops nothing', async (t) => {
  const { za, connect } = await start(t)
  const booked = za.tickets.timeOf(4).length
  assert.ok(booked > 0)
  const whole = byKind((await connect().sync()).observations)('time-entry').length
  za.fault({ kind: '404', path: '/api/v1/tickets/4/time_accountings' })

  assert.equal(byKind((await connect().sync()).observations)('time-entry').length, whole - booked)
})

test('Tickets that change while they are read are neither skipped nor repeated', async (t) => {
  const { za, connect } = await start(t)
  const { context } = connect()
  const seen: string[] = []
  for await (const { stage, observations = [] } of zammad.sync?.({
    ...(context as object),
    now: () => new Date(),
  } as never) ?? []) {
    if (stage !== 'tickets') continue
    seen.push(...observations.map(({ externalId }) => externalId))
    za.tickets.touch(2)
    za.tickets.touch(50)
    za.tickets.remove(3)
  }

  assert.equal(new Set(seen).size, seen.length)
  assert.equal(seen.length, 60)
})

test('Without the search index a sync fails instead of finding nothing, and the check says so', async (t) => {
  const { connect } = await start(t, { withoutIndex: true })

  await assert.rejects(connect().sync(), { type: 'upstream-failed', detail: /Elasticsearch is missing or empty/ })
  assert.match(String((await connect().check()).warnings?.[0]), /need its Elasticsearch/)
})

test('A Zammad that answers a search with ids and the tickets beside them is read too', async (t) => {
  const { za, connect } = await start(t)
  za.fault({ kind: 'no-expand', path: '/api/v1/tickets/search', count: 99 })

  const of = byKind((await connect().sync()).observations)
  assert.equal(of('ticket').length, 60)
  assert.equal(of('ticket')[0]?.status, undefined)
})

test('Everything is read again after a cursor that is too old or of another kind', async (t) => {
  const { za, connect } = await start(t)
  const { sync } = connect()
  const { cursor } = await sync()
  za.forward(31 * 86_400_000)

  assert.ok((await sync(cursor)).batches.every(({ full }) => full))
  assert.ok((await sync({ page: 1 })).batches.every(({ full }) => full))
  assert.ok((await sync({ since: '2100-01-01T00:00:00.000Z' })).batches.every(({ full }) => full))
})

test('The check names the account and warns of an administrator and of a missing unit (claims: A35)', async (t) => {
  const { za, connect } = await start(t)

  assert.deepEqual(await connect().check(), { version: 'unknown', account: 'atlas@example.net', warnings: [] })
  assert.deepEqual(await connect(za.tokens.admin, { timeUnit: 'unknown' }).check(), {
    version: '6.5.0',
    account: 'root@example.net',
    warnings: [
      'The account is an administrator. Use an agent who may only read the groups.',
      'The setting timeUnit is not set: booked time is shown in units, not as a duration.',
    ],
  })
})

test('Each token that cannot be used is refused with a sentence that says why', async (t) => {
  const { za, connect } = await start(t)
  const unknown = /unknown, has expired, or token access is switched off/
  for (const [token, detail] of [
    ['0123456789abcdef', unknown],
    [za.tokens.expired, unknown],
    [za.tokens.narrow, /lacks a permission \(ticket\.agent\)/],
  ] as const)
    await assert.rejects(connect(token).check(), { type: 'upstream-denied', detail })
  za.settings.tokenAccess = false
  await assert.rejects(connect().check(), { type: 'upstream-denied', detail: unknown })
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
    const { za, connect } = await start(t)
    za.fault({ path: '/api/v1/tickets/search', ...fault })

    assert.equal(byKind((await connect().sync()).observations)('ticket').length, 60)
    assert.deepEqual(za.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid', detail: /html instead of JSON/ },
  { kind: 'malformed', type: 'upstream-invalid', detail: /not valid JSON/ },
  { kind: 'redirect', type: 'upstream-invalid', detail: /redirect/ },
  { kind: 'unsorted', count: 99, type: 'upstream-invalid', detail: /twice or out of order/ },
  { kind: 'masked-500', type: 'upstream-failed', detail: /administrator finds it in the log under a1B2c3D4/ },
  { kind: '403', type: 'upstream-denied', detail: /ticket\.agent/ },
  { kind: '503', count: 99, type: 'upstream-busy', detail: /503/ },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy', detail: /429/ },
  { kind: 'hang', count: 99, type: 'upstream-timeout', detail: /too long/ },
  { kind: 'reset', count: 99, type: 'upstream-unreachable', detail: /broke/ },
] as const
for (const { type, detail, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const { za, connect } = await start(t)
    za.fault({ path: '/api/v1/tickets/search', ...fault })

    await assert.rejects(connect().sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(String(error.detail), detail)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|https?:/)
      return true
    })
  })
}

test('A Zammad whose certificate is of another authority is not spoken to (claims: D12 D28)', async (t) => {
  const { za } = await start(t)
  const { check } = connectTo(t, zammad, { config: za.config, credential: za.credential, caPem: makeCa().caPem })

  await assert.rejects(check(), { type: 'upstream-untrusted' })
  assert.deepEqual(za.requests, [])
})

function runAs({ config, http }: Pick<ReturnType<typeof connectTo>, 'config' | 'http'>) {
  return async (name: string, input: Record<string, unknown>) => {
    const action = zammad.actions.find((one) => one.name === name)
    assert.ok(action, name)
    const context: Context = {
      principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
      door: 'http',
      requestId: 'req_1',
      signal: new AbortController().signal,
      connection: { id: 'con_1', config, http },
    }
    const parsed = action.input.parse({ connection: 'za', ...input })
    // biome-ignore lint/suspicious/noExplicitAny: each test knows its action's answer
    return action.output.parse(await handlerOf(action).run(parsed, context)) as any
  }
}

test('Each action has its access and its route', () => {
  assert.deepEqual(
    zammad.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['zammad.tickets.search', 'read', 'GET', '/connections/{connection}/zammad/tickets'],
      ['zammad.ticket.get', 'read', 'GET', '/connections/{connection}/zammad/tickets/{id}'],
      ['zammad.ticket.comment', 'write', 'POST', '/connections/{connection}/zammad/tickets/{id}/notes'],
    ],
  )
})

test('Tickets are searched by words, page by page, and hostile words stay words (claims: D16)', async (t) => {
  const { za, connect, sent } = await start(t)
  const run = runAs(connect())
  const { hostName } = za.tickets.machineOf(7)
  const byName = await run('zammad.tickets.search', { query: hostName })
  const first = await run('zammad.tickets.search', { query: 'ams1', limit: 25 })
  const last = await run('zammad.tickets.search', { query: 'ams1', limit: 25, page: 3 })

  assert.ok(byName.items.some(({ id }: { id: string }) => id === '7'))
  assert.deepEqual([first.items.length, first.next, last.items.length, last.next], [25, 2, 10, null])
  for (const [query, encoded] of [
    ['a&limit=999#x', 'a%26limit%3D999%23x'],
    ['../../users?x', '..%2F..%2Fusers%3Fx'],
    ['a\r\nHost: b', 'a%0D%0AHost%3A+b'],
    ['%2e%2e', '%252e%252e'],
  ] as const) {
    await run('zammad.tickets.search', { query })
    assert.equal(sent().at(-1), `GET /api/v1/tickets/search?query=${encoded}&expand=true&page=1&per_page=25&limit=25`)
  }
})

test('A ticket is read with its newest articles as text', async (t) => {
  const { za, connect } = await start(t)
  const run = runAs(connect())
  za.tickets.write(7, { body: 'second', content_type: 'text/plain', internal: true, type: 'note' })

  const without = await run('zammad.ticket.get', { id: '7' })
  const newest = await run('zammad.ticket.get', { id: '7', articles: 1 })
  const all = await run('zammad.ticket.get', { id: '7', articles: 50 })

  assert.deepEqual(without.articles, [])
  assert.deepEqual(
    newest.articles.map(({ text }: { text: string }) => text),
    ['second'],
  )
  assert.equal(all.articles[0].text, `Hello,\nplease have a look at ${za.tickets.machineOf(7).hostName} & its disks.`)
})

test('An article that a customer made of tags without end is read at once (it took hours)', async (t) => {
  const { za, connect } = await start(t)
  const run = runAs(connect())
  za.tickets.write(7, {
    body: `<br ${'<'.repeat(1_000_000)}${'<br '.repeat(250_000)}`,
    content_type: 'text/html',
    internal: true,
    type: 'note',
  })

  const { articles } = await run('zammad.ticket.get', { id: '7', articles: 1 })

  assert.equal(articles[0].text.length, 4000)
})

test('A note is internal, and the same note again is not added', async (t) => {
  const { za, connect } = await start(t)
  const run = runAs(connect(za.tokens.writer))

  const first = await run('zammad.ticket.comment', { id: '7', text: '  Backed up again since 08:00.  ' })
  const again = await run('zammad.ticket.comment', { id: '7', text: 'Backed up again since 08:00.' })

  assert.deepEqual([first.added, again], [true, { ...first, added: false }])
  assert.deepEqual(
    za.tickets
      .articlesOf(7)
      .slice(1)
      .map(({ body, internal, type }) => ({ body, internal, type })),
    [{ body: 'Backed up again since 08:00.', internal: true, type: 'note' }],
  )
})

test('A reader may not write, and a missing ticket is not found', async (t) => {
  const { connect } = await start(t)
  const read = runAs(connect())

  await assert.rejects(read('zammad.ticket.comment', { id: '7', text: 'x' }), { type: 'upstream-denied' })
  await assert.rejects(read('zammad.ticket.get', { id: '999' }), { type: 'not-found' })
})

const hostile = ['../../users', '1/../2', '1?x=1', '1#x', '1\r\nx: y', '%2e%2e', '1%2f..', '-1', '0', '1e9', ' 1', '１']
test('An id that could leave its place in a path is refused before anything is sent (claims: D16)', async (t) => {
  const { connect, sent } = await start(t)
  const run = runAs(connect())
  for (const id of hostile)
    for (const name of ['zammad.ticket.get', 'zammad.ticket.comment'])
      await assert.rejects(run(name, { id, text: 'x' }), { name: 'ZodError' }, `${name} ${JSON.stringify(id)}`)
  assert.deepEqual(sent(), [])
})

test('A webhook is signed over its body as the connector says, and sent up to five times under one id', async (t) => {
  const { za } = await start(t, { webhookWaitMs: 1 })
  const ca = makeCa()
  const { certPem: cert, keyPem: key } = ca.issue({ commonName: 'localhost', hosts: ['127.0.0.1'] })
  const got: { headers: Record<string, unknown>; body: string }[] = []
  const hub = createServer({ cert, key }, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    got.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') })
    response.writeHead(got.length < 3 ? 503 : 202).end()
  })
  hub.listen(0, '127.0.0.1')
  await once(hub, 'listening')
  t.after(() => hub.close())
  za.webhookTo({
    url: `https://127.0.0.1:${(hub.address() as AddressInfo).port}/hook`,
    token: 'shared',
    caPem: ca.caPem,
  })

  za.tickets.setState(7, 'closed')
  za.changed(7)
  while (za.deliveries.length < 3) await sleep(5)

  const { signature } = zammad.webhook ?? assert.fail('no webhook')
  for (const { headers, body } of got) {
    const digest = createHmac('sha1', 'shared').update(body).digest('hex')
    assert.equal(headers[signature.header], `${signature.prefix}${digest}`)
  }
  assert.equal(new Set(got.map(({ body }) => String(body))).size, 1)
  assert.deepEqual(
    za.deliveries.map(({ attempt, status }) => [attempt, status]),
    [
      [1, 503],
      [2, 503],
      [3, 202],
    ],
  )
})
