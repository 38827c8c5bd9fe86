import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Problem } from '../../core/problem.ts'
import { testDoors, tokens } from '../../testing/doors.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const json = { 'content-type': 'application/json' }

test('an action answers 200 with its output, and the gate has written both events', async () => {
  const { app, events } = testDoors()

  const answer = await app.inject({ url: '/api/v1/assets?q=sw-01', headers: bearer(tokens.viewer) })

  assert.deepEqual([answer.statusCode, answer.json()], [200, { items: [{ id: 'ast_1', name: 'sw-01' }], next: null }])
  assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
  assert.deepEqual(
    events.map(({ code, door, requestId }) => [code, door, requestId]),
    [
      ['action.started', 'http', answer.headers['x-request-id']],
      ['action.succeeded', 'http', answer.headers['x-request-id']],
    ],
  )
})

const defaults = { kind: [], limit: 50, stale: false, sort: null }
const queries: [string, object][] = [
  ['', {}],
  ['q=a%20b+c', { q: 'a b c' }],
  ['q=5', { q: '5' }],
  ['q=true', { q: 'true' }],
  ['limit=7', { limit: 7 }],
  ['stale=true', { stale: true }],
  ['stale=false', { stale: false }],
  ['kind=device', { kind: ['device'] }],
  ['kind=1&kind=2', { kind: ['1', '2'] }],
  ['sort=-name', { sort: '-name' }],
  ['kind=device&q=a&limit=1&stale=true', { kind: ['device'], q: 'a', limit: 1, stale: true }],
]
for (const [query, input] of queries)
  test(`the query "${query}" is read by the action's schema`, async () => {
    const { app, seen } = testDoors()
    const answer = await app.inject({ url: `/api/v1/assets?${query}`, headers: bearer(tokens.viewer) })
    assert.equal(answer.statusCode, 200, answer.body)
    assert.deepEqual(seen, [{ ...defaults, ...input }])
  })

const badQueries: [string, string][] = [
  ['limit=x', '/limit'],
  ['limit=', '/limit'],
  ['limit=0x10', '/limit'],
  ['limit=1e2', '/limit'],
  ['limit=007', '/limit'],
  ['limit=1.5', '/limit'],
  ['limit=201', '/limit'],
  ['limit=1&limit=2', '/limit'],
  ['stale=1', '/stale'],
  ['stale=TRUE', '/stale'],
  ['stale=', '/stale'],
  ['q=a&q=b', '/q'],
  ['sort=up', '/sort'],
  ['colour=red', '/'],
  ['kind[]=a', '/'],
]
for (const [query, field] of badQueries)
  test(`the query "${query}" is refused and names ${field}`, async () => {
    const { app, seen } = testDoors()
    const answer = await app.inject({ url: `/api/v1/assets?${query}`, headers: bearer(tokens.viewer) })
    assert.deepEqual([answer.statusCode, answer.json().errors[0].field, seen], [400, field, []])
  })

test('prototype names are refused in queries and bodies (claims: D15)', async () => {
  const { app, seen } = testDoors()
  for (const name of ['__proto__', 'constructor', 'toString', '__proto__%5Bq%5D']) {
    const answer = await app.inject({ url: `/api/v1/assets?${name}=x`, headers: bearer(tokens.viewer) })
    assert.equal(answer.statusCode, 400, name)
  }
  const bodies = [
    '{"name":"n","__proto__":{"admin":true}}',
    '{"name":"n","config":{"a":[{"__proto__":1}]}}',
    '{"name":"n","config":{"\\u005f_proto__":1}}',
    '{"name":"n","config":{"constructor":{"prototype":{}}}}',
  ]
  for (const payload of bodies) {
    const answer = await app.inject({
      method: 'POST',
      url: '/api/v1/connections',
      headers: { ...json, ...bearer(tokens.admin) },
      payload,
    })
    assert.equal(answer.statusCode, 400, payload)
  }
  assert.deepEqual(seen, [])
  assert.equal(Reflect.get({}, 'admin'), undefined)
})

test('a field in both the path and the body is refused', async () => {
  const { app } = testDoors()
  const request = {
    method: 'PATCH' as const,
    url: '/api/v1/connections/c1',
    headers: { ...json, ...bearer(tokens.admin) },
  }
  const good = await app.inject({ ...request, payload: { name: 'n' } })
  const bad = await app.inject({ ...request, payload: { name: 'n', connection: 'c2' } })
  const inQuery = await app.inject({ ...request, url: `${request.url}?name=m`, payload: { name: 'n' } })
  assert.deepEqual([good.statusCode, good.json()], [200, { id: 'c1' }])
  assert.deepEqual([bad.statusCode, bad.json().errors], [400, [{ field: '/connection', rule: 'is given by the path' }]])
  assert.equal(inQuery.statusCode, 400)
})

test('a viewer cannot write: 403, and the log says so', async () => {
  const { app, events, seen } = testDoors()
  const answer = await app.inject({
    method: 'POST',
    url: '/api/v1/connections',
    headers: bearer(tokens.viewer),
    payload: { name: 'n' },
  })
  assert.deepEqual([answer.statusCode, answer.json().type, seen], [403, '/docs/problems#denied', []])
  assert.deepEqual(
    events.map(({ code, outcome }) => [code, outcome]),
    [['action.failed', 'denied']],
  )
})

test('what needs an approval answers 202 with its place, and runs with the approval', async () => {
  const { app, approveAll } = testDoors()
  const remove = (extra = {}) =>
    app.inject({ method: 'DELETE', url: '/api/v1/connections/c1', headers: { ...bearer(tokens.admin), ...extra } })

  const asked = await remove()
  approveAll()
  const done = await remove({ 'atlas-approval': 'apr_1' })
  const again = await remove({ 'atlas-approval': 'apr_1' })

  assert.deepEqual(
    [asked.statusCode, asked.headers['location'], asked.json().pending],
    [202, '/api/v1/approvals/apr_1', 'apr_1'],
  )
  assert.deepEqual([done.statusCode, done.json()], [200, { removed: true }])
  assert.equal(again.statusCode, 202)
})

test('the limit is told on success and on refusal', async () => {
  const { app } = testDoors({ limit: 1 })
  const call = () => app.inject({ url: '/api/v1/assets', headers: bearer(tokens.viewer) })
  const first = await call()
  const second = await call()
  assert.deepEqual(
    [first.headers['ratelimit'], first.headers['ratelimit-policy']],
    ['"default";r=0;t=9', '"default";q=1;w=60'],
  )
  assert.deepEqual(
    [second.statusCode, second.headers['retry-after'], second.headers['ratelimit'], second.json().retryAfterSeconds],
    [429, '7', '"default";r=0;t=7', 7],
  )
})

test('a stranger is limited before it is told that it is one', async () => {
  const parts = {
    unauthenticatedLimit: () => {
      throw new Problem('rate-limited', undefined, { retryAfterSeconds: 3 })
    },
  }
  const { app } = testDoors({ parts })
  const wrong = await app.inject({ url: '/api/v1/assets', headers: bearer('atl_other') })
  const right = await app.inject({ url: '/api/v1/assets', headers: bearer(tokens.viewer) })
  const login = await app.inject({ method: 'POST', url: '/api/v1/login', payload: { username: 'a', password: 'b' } })
  const health = await app.inject({ url: '/livez' })
  assert.deepEqual(
    [wrong, right, login, health].map((a) => a.statusCode),
    [429, 200, 429, 200],
  )
})

test('a bug shows nothing but a request id (claims: D19)', async () => {
  const parts = {
    authenticate: async () => {
      throw new Error('select * from token at /srv/atlas/store.ts: canary-value')
    },
  }
  for (const doors of [testDoors(), testDoors({ parts })]) {
    const answer = await doors.app.inject({ url: '/api/v1/break', headers: bearer(tokens.viewer) })
    const requestId = answer.headers['x-request-id']
    assert.deepEqual(answer.json(), {
      type: '/docs/problems#internal',
      title: 'Internal error',
      status: 500,
      requestId,
    })
    assert.equal(doors.logged.length, 1)
    assert.doesNotMatch(inspect(answer.headers), /canary|select|srv/)
  }
})

test('secrets travel as Secret from the first line on', async () => {
  const { app, seen, events } = testDoors()
  const payload = { name: 'n', credential: { token: 'canary-value' } }
  const answer = await app.inject({
    method: 'POST',
    url: '/api/v1/connections',
    headers: bearer(tokens.admin),
    payload,
  })
  assert.equal(answer.statusCode, 200)
  assert.doesNotMatch(inspect(seen, { depth: 9 }) + JSON.stringify(events), /canary-value/)
})

test('login and setup take exactly their fields', async () => {
  const { app } = testDoors()
  const post = async (url: string, payload: object) => {
    const answer = await app.inject({ method: 'POST', url, payload })
    return [answer.statusCode, answer.json()]
  }
  const done = { token: 'for a', expiresAt: '2026-01-01T00:00:00.000Z' }
  assert.deepEqual(await post('/api/v1/login', { username: 'a', password: 'p' }), [200, done])
  assert.deepEqual(await post('/api/v1/setup', { setupToken: 's', username: 'a', password: 'p' }), [200, done])
  const [status, problem] = await post('/api/v1/login', {
    username: 'a',
    password: 'canary-value',
    admin: true,
    userId: 1,
  })
  assert.equal(status, 400)
  assert.doesNotMatch(JSON.stringify(problem), /canary-value/)
  assert.deepEqual(
    (await post('/api/v1/login', { username: 7 }))[1].errors.map((e: { field: string }) => e.field),
    ['/username', '/password'],
  )
})
