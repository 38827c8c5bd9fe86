import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Context, handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { netbox } from './index.ts'

const config = { url: 'https://netbox.example.net', pageSize: 500 }
const etag = 'W/"2026-11-20T07:12:44.120331Z"'

/** Runs an action as the gate does: parsed input, a connection, a checked output. */
async function call(t: TestContext, name: string, input: Record<string, unknown>, exchanges: readonly Exchange[]) {
  const action = netbox.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const parsed = action.input.parse({ connection: 'nb', ...input })
  const { http, signal } = upstream(t, import.meta.dirname, exchanges, { config })
  const context: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(parsed, context))
}

test('Each action has its access, its route and the connection as resource', () => {
  assert.deepEqual(
    netbox.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['netbox.devices.find', 'read', 'GET', '/connections/{connection}/netbox/devices'],
      ['netbox.object.get', 'read', 'GET', '/connections/{connection}/netbox/objects/{kind}/{id}'],
      ['netbox.journal.add', 'write', 'POST', '/connections/{connection}/netbox/journal'],
      ['netbox.device.set-status', 'write', 'POST', '/connections/{connection}/netbox/devices/{id}/status'],
    ],
  )
})

test('Devices are found by filters that NetBox knows, by exactly the listed requests (claims: D31)', async (t) => {
  const request =
    'GET /api/dcim/devices/?name__ic=esx%261&status=active&site=ams1&ordering=id&limit=1&exclude=config_context'

  const found = await call(t, 'netbox.devices.find', { name: 'esx&1', status: 'active', site: 'ams1', limit: 1 }, [
    { request, reply: 'devices-first.json' },
  ])

  const { items, next, total } = found as {
    items: { id: string; name: string; url: string }[]
    next: string
    total: number
  }
  assert.deepEqual(
    { items: items.map(({ id, name, url }) => ({ id, name, url })), next, total },
    {
      items: [{ id: '101', name: 'ams1-esx01', url: 'https://netbox.example.net/dcim/devices/101/' }],
      next: '101',
      total: 2,
    },
  )
})

test('The next page of devices begins after the cursor and ends with null', async (t) => {
  const found = await call(t, 'netbox.devices.find', { cursor: '101' }, [
    {
      request: 'GET /api/dcim/devices/?ordering=id&limit=25&id__gt=101&exclude=config_context',
      reply: 'devices-last.json',
    },
  ])

  assert.equal((found as { next: string | null }).next, null)
})

test('An object is read by its kind and id, with the etag of its state', async (t) => {
  const device = (await call(t, 'netbox.object.get', { kind: 'device', id: '101' }, [
    { request: 'GET /api/dcim/devices/101/?exclude=config_context', reply: 'device.json', headers: { etag } },
  ])) as Record<string, unknown>

  assert.deepEqual(
    [device['id'], device['kind'], device['name'], device['status'], device['etag']],
    ['101', 'device', 'ams1-esx01', 'active', etag],
  )
  assert.equal(JSON.stringify(device).includes('root password'), false, 'comments are not read')
})

test('An object that is not there is a not-found problem', async (t) => {
  await assert.rejects(
    call(t, 'netbox.object.get', { kind: 'site', id: '9' }, [
      { request: 'GET /api/dcim/sites/9/', reply: new Problem('not-found') },
    ]),
    { type: 'not-found' },
  )
})

test('A journal entry names the object and the level', async (t) => {
  const entry = await call(
    t,
    'netbox.journal.add',
    { kind: 'device', id: '101', comment: 'Fan 3 replaced', level: 'warning' },
    [{ request: 'POST /api/extras/journal-entries/', body: 'journal-entry-request.json', reply: 'journal-entry.json' }],
  )

  assert.deepEqual(entry, { id: '12', url: 'https://netbox.example.net/extras/journal-entries/12/' })
})

const readDevice: Exchange = {
  request: 'GET /api/dcim/devices/101/?exclude=config_context',
  reply: 'device.json',
  headers: { etag },
}
const patch: Exchange = {
  request: 'PATCH /api/dcim/devices/101/',
  body: 'set-status-request.json',
  requestHeaders: { 'if-match': etag },
  reply: 'device-offline.json',
}
const wanted = { id: '101', status: 'offline', reason: 'Moved to R12' }

test('A status is set only on the state that was read', async (t) => {
  assert.deepEqual(await call(t, 'netbox.device.set-status', { ...wanted, etag }, [readDevice, patch]), {
    id: '101',
    status: 'offline',
    previousStatus: 'active',
    changed: true,
  })
})

test('A status that is set already writes nothing', async (t) => {
  assert.deepEqual(await call(t, 'netbox.device.set-status', { id: '101', status: 'active' }, [readDevice]), {
    id: '101',
    status: 'active',
    previousStatus: 'active',
    changed: false,
  })
})

test('An older etag writes nothing and is precondition-failed', async (t) => {
  await assert.rejects(
    call(t, 'netbox.device.set-status', { ...wanted, etag: 'W/"2026-11-19T00:00:00Z"' }, [readDevice]),
    {
      type: 'precondition-failed',
    },
  )
})

test('A change between reading and writing is precondition-failed', async (t) => {
  await assert.rejects(
    call(t, 'netbox.device.set-status', wanted, [readDevice, { ...patch, reply: new Problem('precondition-failed') }]),
    { type: 'precondition-failed' },
  )
})

test('NetBox before 4.6, which has no ETag, is written without If-Match', async (t) => {
  const { requestHeaders: _, ...plainPatch } = patch
  const outcome = await call(t, 'netbox.device.set-status', wanted, [{ ...readDevice, headers: {} }, plainPatch])

  assert.equal((outcome as { changed: boolean }).changed, true)
})

test('Input that could leave its place in a path, a query or a header is refused', () => {
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ['netbox.object.get', { kind: 'device', id: '../../users/tokens' }],
    ['netbox.object.get', { kind: 'device', id: '1/../2' }],
    ['netbox.object.get', { kind: 'device', id: '0' }],
    ['netbox.object.get', { kind: 'device', id: '1?x=1' }],
    ['netbox.object.get', { kind: 'token', id: '1' }],
    ['netbox.object.get', { kind: '__proto__', id: '1' }],
    ['netbox.devices.find', { site: 'ams1&limit=0' }],
    ['netbox.devices.find', { nmae: 'typo' }],
    ['netbox.devices.find', { limit: 100_000 }],
    ['netbox.devices.find', { limit: '' }],
    ['netbox.device.set-status', { id: '1', status: 'gone' }],
    ['netbox.device.set-status', { id: '1', status: 'active', etag: '"a"\r\nx: y' }],
    ['netbox.device.set-status', { id: '1', status: 'active', etag: '*' }],
    ['netbox.journal.add', { kind: 'device', id: '1', comment: '   ' }],
  ]
  for (const [name, input] of refused) {
    const action = netbox.actions.find((one) => one.name === name)
    assert.equal(action?.input.safeParse({ connection: 'nb', ...input }).success, false, JSON.stringify(input))
  }
})

const user = (more: object) => ({ id: 4, username: 'atlas', ...more })
const tokens = (...results: readonly object[]) => ({ count: results.length, next: null, previous: null, results })
const checks = [
  {
    title: 'a reader whose tokens it cannot see',
    user: 'current-user.json',
    tokens: new Problem('upstream-denied'),
    warnings: [],
  },
  {
    title: 'an old NetBox',
    version: '3.7.8',
    user: 'current-user.json',
    tokens: new Problem('upstream-denied'),
    warnings: ['NetBox 3 is older than 4.0: it is read as far as it can be, but it is not supported.'],
  },
  {
    title: 'a superuser',
    user: user({ is_superuser: true }),
    tokens: tokens({ id: 1, enabled: true, write_enabled: true, expires: null }),
    warnings: [
      'The account is a superuser. Use an account that may only view.',
      'The token may write. Reading needs a token with "write enabled" off.',
      'The token never expires. Give it an end and replace it in time.',
    ],
  },
  {
    title: 'an account that may change things',
    user: user({ permissions: [{ actions: ['view', 'change'] }, { actions: ['delete'] }] }),
    tokens: tokens(),
    warnings: ['The account may do more than view: change, delete.'],
  },
  {
    title: 'a token that ends soon',
    user: user({}),
    tokens: tokens({ id: 1, enabled: true, write_enabled: false, expires: '2026-11-25T00:00:00Z' }),
    warnings: ['The token expires on 2026-11-25.'],
  },
  {
    title: 'a token that ends later',
    user: user({}),
    tokens: tokens({ id: 1, write_enabled: false, expires: '2027-05-01T00:00:00Z' }),
    warnings: [],
  },
  {
    title: 'several tokens of which ours may be the harmless one',
    user: user({}),
    tokens: tokens(
      { id: 1, write_enabled: true, expires: '2026-11-25T00:00:00Z' },
      { id: 2, write_enabled: false, expires: '2027-05-01T00:00:00Z' },
    ),
    warnings: [],
  },
  {
    title: 'a token that is off beside ours',
    user: user({}),
    tokens: tokens(
      { id: 1, enabled: false, write_enabled: true, expires: null },
      { id: 2, write_enabled: false, expires: '2027-05-01T00:00:00Z' },
    ),
    warnings: [],
  },
] as const
for (const { title, user, tokens, warnings, ...rest } of checks) {
  test(`The check of a connection says what is worth saying about ${title} (claims: A35)`, async (t) => {
    const version = 'version' in rest ? rest.version : '4.6.8'
    const context = upstream(
      t,
      import.meta.dirname,
      [
        {
          request: 'GET /api/status/',
          reply: { 'netbox-version': version },
          headers: { date: 'Fri, 20 Nov 2026 12:00:00 GMT' },
        },
        { request: 'GET /api/authentication-check/', reply: user },
        { request: 'GET /api/users/tokens/?user_id=4&ordering=id&limit=100', reply: tokens },
        { request: 'GET /api/core/object-changes/?ordering=id&limit=1', reply: 'changelog-oldest.json' },
      ],
      { config },
    )

    assert.deepEqual(await netbox.check(context), { version, account: 'atlas', warnings: [...warnings] })
  })
}
