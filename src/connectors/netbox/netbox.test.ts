import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SyncBatch } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { netbox } from './index.ts'
import { observeVirtualMachine } from './observe.ts'
import { VirtualMachine } from './schema.ts'

const config = { url: 'https://netbox.example.net/', pageSize: 500 }
const date = { date: 'Fri, 20 Nov 2026 12:00:00 GMT' }
const opening: readonly Exchange[] = [
  { request: 'GET /api/status/', reply: 'status.json', headers: date },
  { request: 'GET /api/core/object-changes/?ordering=id&limit=1', reply: 'changelog-oldest.json' },
]
const lists = {
  tenant: '/api/tenancy/tenants/',
  site: '/api/dcim/sites/',
  rack: '/api/dcim/racks/',
  cluster: '/api/virtualization/clusters/',
  device: '/api/dcim/devices/',
  'virtual-machine': '/api/virtualization/virtual-machines/',
  prefix: '/api/ipam/prefixes/',
  'ip-address': '/api/ipam/ip-addresses/',
} as const
const lean = (path: string) => (/devices|virtual-machines/.test(path) ? '&exclude=config_context' : '')
const first = (path: string, limit = 500, more = '') =>
  `GET ${path}?ordering=id&limit=${limit}&id__gt=0${more}${lean(path)}`
const emptyLists = (besides: readonly string[], more = ''): Exchange[] =>
  Object.entries(lists)
    .filter(([kind]) => !besides.includes(kind))
    .map(([, path]) => ({ request: first(path, 500, more), reply: 'empty.json' }))

async function run(context: Parameters<typeof netbox.sync & object>[0]) {
  const steps = netbox.sync?.(context)
  assert.ok(steps)
  const batches: SyncBatch[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { batches, cursor: step.value }
    batches.push(step.value)
  }
}
const observed = (batches: readonly SyncBatch[]) => batches.flatMap((batch) => batch.observations ?? [])

test('A full sync reports every kind of object, with what it says and what it belongs to', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      ...opening,
      { request: first(lists.tenant, 1), reply: 'tenants.json' },
      { request: first(lists.site, 1), reply: 'sites.json' },
      { request: first(lists.rack, 1), reply: 'racks.json' },
      { request: first(lists.cluster, 1), reply: 'clusters.json' },
      { request: first(lists.device, 1), reply: 'devices-first.json' },
      {
        request: 'GET /api/dcim/devices/?ordering=id&limit=1&id__gt=101&exclude=config_context',
        reply: 'devices-last.json',
      },
      { request: first(lists['virtual-machine'], 1), reply: 'virtual-machines.json' },
      { request: first(lists.prefix, 1), reply: 'prefixes.json' },
      { request: first(lists['ip-address'], 1), reply: 'ip-addresses.json' },
    ],
    { config: { ...config, pageSize: 1 } },
  )

  const { batches, cursor } = await run(context)

  assert.deepEqual(
    batches.map(({ observations, ...batch }) => ({ ...batch, rows: observations?.length })),
    [
      { stage: 'tenants', total: 1, rows: 1, full: true },
      { stage: 'sites', total: 1, rows: 1, full: true },
      { stage: 'racks', total: 1, rows: 1, full: true },
      { stage: 'clusters', total: 1, rows: 1, full: true },
      { stage: 'devices', total: 2, rows: 1, full: true },
      { stage: 'devices', total: 2, rows: 1, full: true },
      { stage: 'virtual machines', total: 1, rows: 1, full: true },
      { stage: 'prefixes', total: 1, rows: 1, full: true },
      { stage: 'IP addresses', total: 1, rows: 1, full: true },
    ],
  )
  const wanted = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/observations.json'), 'utf8'))
  assert.deepEqual(observed(batches), wanted)
  assert.deepEqual(cursor, { since: '2026-11-20T12:00:00.000Z', emptyLog: false })
})

test('An incremental sync reads deletions and then changes since the cursor, less the skew', async (t) => {
  const cursor = { since: '2026-11-19T12:00:00.000Z', emptyLog: false }
  const since = '&last_updated__gte=2026-11-19T11%3A58%3A00.000Z'
  const types = [
    'tenancy.tenant',
    'dcim.site',
    'dcim.rack',
    'virtualization.cluster',
    'dcim.device',
    'virtualization.virtualmachine',
    'ipam.prefix',
    'ipam.ipaddress',
  ]
  const deletions = types.map((type) => ({
    request: `GET /api/core/object-changes/?action=delete&changed_object_type=${type}&time_after=2026-11-19T11%3A58%3A00.000Z&ordering=id&limit=500&id__gt=0`,
    reply: type === 'dcim.device' ? 'deleted-devices.json' : 'empty.json',
  }))
  const context = upstream(
    t,
    import.meta.dirname,
    [
      ...opening,
      ...deletions,
      ...emptyLists(['device'], since),
      { request: first(lists.device, 500, since), reply: 'devices-last.json' },
    ],
    { config, cursor },
  )

  const { batches, cursor: next } = await run(context)

  assert.deepEqual(
    batches.flatMap((batch) => batch.gone ?? []),
    [{ kind: 'device', externalId: '77' }],
  )
  assert.deepEqual(
    observed(batches).map((one) => [one.kind, one.externalId]),
    [['device', '102']],
  )
  assert.deepEqual([...new Set(batches.map((batch) => batch.full))], [undefined])
  assert.ok(batches.findIndex((batch) => batch.gone) < batches.findIndex((batch) => batch.observations))
  assert.deepEqual(next, { since: '2026-11-20T12:00:00.000Z', emptyLog: false })
})

const oldest = (time: string | undefined) => ({
  count: time ? 1 : 0,
  next: null,
  previous: null,
  results: time ? [{ id: 5, time, changed_object_id: 1 }] : [],
})
const noChangelog: readonly Exchange[] = [
  { request: 'GET /api/core/object-changes/?ordering=id&limit=1', reply: new Problem('not-found') },
  { request: 'GET /api/extras/object-changes/?ordering=id&limit=1', reply: new Problem('not-found') },
]
const log = (reply: unknown): readonly Exchange[] => [
  { request: 'GET /api/core/object-changes/?ordering=id&limit=1', reply },
]
const whetherFull = [
  {
    title: 'the cursor is older than 80 days',
    since: '2026-08-31T12:00:00.000Z',
    log: log(oldest('2026-01-01T00:00:00Z')),
    full: true,
  },
  {
    title: 'the cursor is 79 days old',
    since: '2026-09-02T12:00:00.000Z',
    log: log(oldest('2026-01-01T00:00:00Z')),
    full: false,
  },
  {
    title: 'the changelog may not be read',
    since: '2026-11-19T12:00:00.000Z',
    log: log(new Problem('upstream-denied')),
    full: true,
  },
  { title: 'there is no changelog', since: '2026-11-19T12:00:00.000Z', log: noChangelog, full: true },
  {
    title: 'the changelog begins after the cursor',
    since: '2026-11-18T12:00:00.000Z',
    log: log(oldest('2026-11-18T12:00:01Z')),
    full: true,
  },
  {
    title: 'the changelog reaches back to the cursor',
    since: '2026-11-18T12:00:00.000Z',
    log: log(oldest('2026-11-18T12:00:00Z')),
    full: false,
  },
  {
    title: 'the changelog lost all its rows',
    since: '2026-11-20T11:00:00.000Z',
    log: log(oldest(undefined)),
    full: true,
  },
  {
    title: 'the changelog was empty an hour ago and still is',
    since: '2026-11-20T11:00:00.000Z',
    emptyLog: true,
    log: log(oldest(undefined)),
    full: false,
  },
  {
    title: 'the changelog was empty two days ago',
    since: '2026-11-18T12:00:00.000Z',
    emptyLog: true,
    log: log(oldest('2026-11-20T11:00:00Z')),
    full: true,
  },
  {
    title: "the server's clock is behind the cursor",
    since: '2026-11-21T12:00:00.000Z',
    log: log(oldest('2026-01-01T00:00:00Z')),
    full: true,
  },
  { title: 'the cursor is not one of ours', since: 'yesterday', log: log(oldest('2026-01-01T00:00:00Z')), full: true },
]
for (const { title, since, emptyLog = false, log, full } of whetherFull) {
  test(`A sync ${full ? 'reads everything' : 'reads only changes'} when ${title}`, async () => {
    const context = upstream(
      { after: () => {} } as unknown as TestContext,
      import.meta.dirname,
      [...opening.slice(0, 1), ...log],
      {
        config,
        cursor: { since, emptyLog },
      },
    )

    const error = await run(context).then(String, (reason: Error) => reason.message)

    const next = full
      ? first(lists.tenant)
      : 'GET /api/core/object-changes/?action=delete&changed_object_type=tenancy.tenant'
    assert.ok(error.startsWith(`unexpected request: ${next}`), error)
  })
}

test('Before 4.1 the changelog is read below extras', async (t) => {
  const context = upstream(
    t,
    import.meta.dirname,
    [
      ...opening.slice(0, 1),
      ...noChangelog.slice(0, 1),
      { request: 'GET /api/extras/object-changes/?ordering=id&limit=1', reply: 'changelog-oldest.json' },
      ...emptyLists([]),
    ],
    { config },
  )

  assert.deepEqual((await run(context)).cursor, { since: '2026-11-20T12:00:00.000Z', emptyLog: false })
})

const row = (id: number) => ({ id, name: `t${id}`, slug: `t${id}` })
const page = (ids: readonly number[], count: number | null = ids.length, next: string | null = null) => ({
  count,
  next,
  previous: null,
  results: ids.map(row),
})
const tenants = (after: number) => `GET /api/tenancy/tenants/?ordering=id&limit=500&id__gt=${after}`
const unsafe = 'NetBox sent tenants twice or out of order while they were read; nothing was concluded from that page'
const untrusted = [
  { title: 'a page that comes twice', pages: [page([1, 2], 4, 'x'), page([1, 2], 4, 'x')], detail: unsafe },
  { title: 'a page that is not in order', pages: [page([2, 1])], detail: unsafe },
  { title: 'an id that comes twice', pages: [page([1, 1])], detail: unsafe },
  { title: 'a filter that is ignored', pages: [page([1, 2], 3, 'x'), page([1, 2, 3])], detail: unsafe },
  {
    title: 'rows that are announced and never sent',
    pages: [page([1, 2], 4), page([], 2), page([], 2)],
    afters: [0, 2, 2],
    detail: 'NetBox says that there are more tenants but does not send them',
  },
  { title: 'another form of page', pages: [{ items: [] }], detail: undefined },
  { title: 'a row without an id', pages: [{ ...page([]), results: [{ name: 'x' }] }], detail: undefined },
]
for (const { title, pages, detail, afters = [0, 2, 3] } of untrusted) {
  test(`A sync ends in upstream-invalid on ${title}`, async (t) => {
    const replies = pages.map((reply, i) => ({ request: tenants(afters[i] ?? 0), reply }))
    const context = upstream(t, import.meta.dirname, [...opening, ...replies], { config })

    await assert.rejects(run(context), (error) => {
      assert.ok(error instanceof Problem)
      assert.equal(error.type, 'upstream-invalid')
      if (detail !== undefined) assert.equal(error.detail, detail)
      return true
    })
  })
}

const gathered = [
  {
    title: 'a row deleted between the count and the rows',
    pages: [page([1, 2], 3), page([], 0)],
    afters: [0, 2],
    ids: ['1', '2'],
  },
  {
    title: 'a server that sends smaller pages than asked for',
    pages: [page([1], 3, 'x'), page([2], 2, 'x'), page([3], 1)],
    afters: [0, 1, 2],
    ids: ['1', '2', '3'],
  },
  {
    title: 'rows lost from a page whose count is right',
    pages: [page([1], 2), page([2])],
    afters: [0, 1],
    ids: ['1', '2'],
  },
  { title: 'a page without a count', pages: [page([1], null, 'x'), page([2], null)], afters: [0, 1], ids: ['1', '2'] },
]
for (const { title, pages, afters, ids } of gathered) {
  test(`A sync misses nothing with ${title}`, async (t) => {
    const replies = pages.map((reply, i) => ({ request: tenants(afters[i] ?? 0), reply }))
    const context = upstream(t, import.meta.dirname, [...opening, ...replies, ...emptyLists(['tenant'])], { config })

    assert.deepEqual(
      observed((await run(context)).batches).map((one) => one.externalId),
      ids,
    )
  })
}

test('A refusal names what may not be viewed', async (t) => {
  const denied = new Problem('upstream-denied', 'The connected system answered 403')
  const context = upstream(t, import.meta.dirname, [...opening, { request: tenants(0), reply: denied }], { config })

  await assert.rejects(run(context), {
    type: 'upstream-denied',
    detail: 'Reading tenants: The connected system answered 403',
  })
})

test('A list that never ends is left after twice what was announced', async (t) => {
  const endless = Array.from({ length: 12 }, (_, i) => ({
    request: tenants(i * 1000),
    reply: page(
      Array.from({ length: 1000 }, (_, n) => i * 1000 + n + 1),
      5,
      'x',
    ),
  }))
  const context = upstream(t, import.meta.dirname, [...opening, ...endless.slice(0, 11)], { config })

  await assert.rejects(run(context), {
    type: 'upstream-invalid',
    detail: 'NetBox keeps sending more tenants than it says it has',
  })
})

test('Both forms of token are sent with their own scheme word', () => {
  const cases = [
    [
      'nbt_4F9DAouzURLb.zjebxBPzICiPbWz0Wtx0fTL7bCKXKGTYhNzkgC2S',
      'Bearer nbt_4F9DAouzURLb.zjebxBPzICiPbWz0Wtx0fTL7bCKXKGTYhNzkgC2S',
    ],
    ['0123456789abcdef0123456789abcdef01234567', 'Token 0123456789abcdef0123456789abcdef01234567'],
  ] as const
  for (const [token, authorization] of cases) {
    const request = { method: 'GET', target: '/', host: 'x', headers: {}, body: undefined, now: new Date(0) }
    assert.deepEqual(netbox.authenticate({ token: new Secret(token) }, request, undefined), { authorization })
    assert.equal(netbox.credential.safeParse({ token }).success, true)
  }
})

test('The settings take an https address and nothing else (claims: D11)', () => {
  const accepted = ['https://netbox.example.net', 'https://netbox.example.net:8443/netbox/', 'https://10.0.0.5']
  const refused = [
    'http://netbox.example.net',
    'https://user:pw@netbox.example.net',
    'https://netbox.example.net/?a=b',
    'https://netbox.example.net/#x',
    'netbox.example.net',
    'file:///etc/passwd',
    '',
    'https://',
  ]

  assert.deepEqual(
    accepted.filter((url) => !netbox.config.safeParse({ url }).success),
    [],
  )
  assert.deepEqual(
    refused.filter((url) => netbox.config.safeParse({ url }).success),
    [],
  )
  assert.equal(netbox.config.safeParse({ url: accepted[0], pagesize: 5 }).success, false)
  for (const token of ['', 'nbt_abc', 'Bearer nbt_a.b', 'nbt_a.b\r\nX: y', '0123']) {
    assert.equal(netbox.credential.safeParse({ token }).success, false, token)
  }
})

const lifecycles = {
  active: 'active',
  offline: 'off',
  paused: 'off',
  planned: 'planned',
  staged: 'planned',
  failed: 'failed',
  inventory: 'spare',
  decommissioning: 'leaving',
  'our-own-status': undefined,
  constructor: undefined,
}

for (const [value, lifecycle] of Object.entries(lifecycles))
  test(`The status ${value} says ${lifecycle ?? 'nothing'} about what a machine should be`, () => {
    const row = VirtualMachine.parse({ id: 1, name: 'web01', status: { value } })
    assert.deepEqual(observeVirtualMachine(row, '').facts, lifecycle && { lifecycle })
  })
