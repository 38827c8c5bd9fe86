import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDoors, tokens } from '../../testing/doors.ts'
import { publicPaths } from './door.ts'
import { securityHeaders } from './headers.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const concrete = (path: string) => path.replaceAll(/:\w+/g, 'x1').replace('*', '0/000.p/1')

test('every registered route answers 401 without a token, unless it is on the public list (claims: A17, C2; INC-10)', async () => {
  const { app, routes } = testDoors()
  const registered: string[] = []
  // What fastify itself knows, not what the door says it registered.
  await app.ready()
  const printed = app.printRoutes({ commonPrefix: false, includeHooks: false })
  for (const line of printed.split('\n')) registered.push(...(/\((.*)\)/.exec(line)?.[1]?.split(', ') ?? []))
  assert.equal(registered.filter((method) => method !== 'HEAD').length, routes.length)

  for (const { method, path, public: isPublic } of routes) {
    const answer = await app.inject({ method, url: concrete(path) })
    assert.equal(isPublic, publicPaths.includes(path), path)
    if (isPublic) assert.notEqual(answer.statusCode, 401, path)
    else {
      assert.equal(answer.statusCode, 401, `${method} ${path}`)
      const resource = path === '/mcp' ? '/mcp' : ''
      assert.equal(
        answer.headers['www-authenticate'],
        `Bearer resource_metadata="http://localhost:80/.well-known/oauth-protected-resource${resource}"`,
      )
    }
  }
})

const wrongTokens: [string, Record<string, string | string[]>][] = [
  ['no header', {}],
  ['another scheme', { authorization: 'Basic YTpi' }],
  ['no token', { authorization: 'Bearer' }],
  ['an empty token', { authorization: 'Bearer ' }],
  ['two tokens', { authorization: `Bearer ${tokens.admin} ${tokens.admin}` }],
  ['two spaces', { authorization: `Bearer  ${tokens.admin}` }],
  ['an unknown token', { authorization: 'Bearer atl_other' }],
  ['the token in a cookie', { cookie: `token=${tokens.admin}; Authorization=${tokens.admin}` }],
  ['the token in a proxy header', { 'proxy-authorization': `Bearer ${tokens.admin}`, 'x-forwarded-user': 'admin' }],
]
for (const [name, headers] of wrongTokens)
  test(`${name} is unauthenticated`, async () => {
    const { app, seen } = testDoors()
    const answer = await app.inject({ method: 'GET', url: '/api/v1/assets', headers })
    assert.deepEqual([answer.statusCode, seen], [401, []])
    assert.equal(answer.json().type, '/docs/problems#unauthenticated')
  })

test('the scheme is case-insensitive', async () => {
  const { app } = testDoors()
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    const headers = { authorization: `${scheme} ${tokens.viewer}` }
    assert.equal((await app.inject({ url: '/api/v1/assets', headers })).statusCode, 200)
  }
})

test('a token in the URL is refused everywhere, also beside a valid header (claims: C2)', async () => {
  const { app, seen } = testDoors()
  const queries = ['access_token=x', 'ACCESS_TOKEN=x', 'api_key=x', 'apikey=x', 'bearer=x', `q=${tokens.admin}`]
  for (const query of queries)
    for (const path of ['/api/v1/assets', '/mcp', '/livez', '/nowhere']) {
      const answer = await app.inject({ url: `${path}?${query}`, headers: bearer(tokens.admin) })
      assert.equal(answer.statusCode, 400, `${path}?${query}`)
      assert.doesNotMatch(answer.body, /atl_/)
    }
  assert.deepEqual(seen, [])
})

test('no header name changes who the caller is or what it may do (INC-16)', async () => {
  const { app, seen } = testDoors()
  const names = [
    'x-middleware-subrequest',
    'x-original-url',
    'x-rewrite-url',
    'x-forwarded-user',
    'x-remote-user',
    'x-user-id',
  ]
  names.push(
    'x-http-method-override',
    'x-method-override',
    'x-forwarded-for',
    'x-real-ip',
    'forwarded',
    'via',
    'x-auth',
  )
  names.push(
    'x-internal',
    'x-admin',
    'x-role',
    'x-scopes',
    'x-api-key',
    'x-atlas-principal',
    'atlas-principal',
    'mcp-init-host',
  )
  names.push(
    'accept-version',
    'x-amzn-oidc-identity',
    'cf-access-jwt-assertion',
    'x-goog-iap-jwt-assertion',
    'te',
    'prefer',
  )
  const words = [
    'user',
    'token',
    'bypass',
    'trusted',
    'debug',
    'role',
    'principal',
    'auth',
    'session',
    'tenant',
    'skip',
  ]
  for (const a of ['x', 'atlas', 'fastify', 'next', 'internal', 'proxy', 'mcp'])
    for (const b of words)
      for (const c of ['', '-id', '-name', '-override', '-level', '-url']) names.push(`${a}-${b}${c}`)
  assert.ok(names.length >= 480)

  for (const name of names) {
    const value = name.includes('url') ? '/livez' : 'admin'
    const stranger = await app.inject({
      method: 'POST',
      url: '/api/v1/connections',
      headers: { [name]: value },
      payload: {},
    })
    assert.equal(stranger.statusCode, 401, name)
    const viewer = await app.inject({
      method: 'POST',
      url: '/api/v1/connections',
      headers: { [name]: value, ...bearer(tokens.viewer) },
      payload: { name: 'n' },
    })
    assert.equal(viewer.statusCode, 403, name)
  }
  assert.deepEqual(seen, [])
})

test('another method than the path knows is 405 with Allow', async () => {
  const { app } = testDoors()
  const cases: [string, string, string][] = [
    ['DELETE', '/api/v1/assets', 'GET, HEAD'],
    ['PUT', '/api/v1/connections/c1', 'PATCH, DELETE'],
    ['GET', '/mcp', 'POST'],
    ['DELETE', '/mcp', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['OPTIONS', '/api/v1/assets', 'GET, HEAD'],
    ['POST', '/audit/tile/0/000', 'GET, HEAD'],
  ]
  for (const [method, url, allow] of cases) {
    const answer = await app.inject({ method: method as 'GET', url, headers: bearer(tokens.admin) })
    assert.deepEqual(
      [answer.statusCode, answer.headers['allow'], answer.json().type],
      [405, allow, '/docs/problems#method-not-allowed'],
      url,
    )
  }
})

test('every answer carries the security headers, a request id and no cookie', async () => {
  const { app, routes } = testDoors()
  const requests = [
    ...routes.map(({ method, path }) => ({ method, url: concrete(path) })),
    ...routes.map(({ method, path }) => ({ method, url: concrete(path), headers: bearer(tokens.admin) })),
    { method: 'GET', url: '/nowhere' },
    { method: 'GET', url: '/%zz' },
    { method: 'GET', url: `/api/v1/assets/${'a'.repeat(300)}` },
    { method: 'PUT', url: '/livez' },
    { method: 'OPTIONS', url: '/api/v1/assets' },
    { method: 'GET', url: '/livez', headers: { host: 'evil.example' } },
    { method: 'GET', url: '/livez', headers: { origin: 'https://evil.example' } },
    { method: 'POST', url: '/api/v1/login', headers: { 'content-type': 'text/plain' }, payload: 'x' },
    { method: 'POST', url: '/api/v1/login', headers: { 'content-type': 'garbage' }, payload: 'x' },
    { method: 'POST', url: '/api/v1/login', headers: { 'content-type': 'application/json' }, payload: '{' },
  ] as { method: 'GET'; url: string; headers?: Record<string, string>; payload?: string }[]
  for (const request of requests) {
    const answer = await app.inject(request)
    const name = `${request.method} ${request.url} ${answer.statusCode}`
    for (const [header, value] of Object.entries(securityHeaders)) {
      if (header === 'cache-control' && /audit/.test(request.url)) continue
      const isPage = answer.headers['content-type']?.startsWith('text/html') && header === 'content-security-policy'
      if (isPage)
        assert.match(String(answer.headers[header]), /^default-src 'none'; script-src 'nonce-[\w+/]{24}'/, name)
      else assert.equal(answer.headers[header], value, `${name} ${header}`)
    }
    assert.match(String(answer.headers['x-request-id']), /^req_/, name)
    assert.equal(answer.headers['strict-transport-security'], undefined, name)
    assert.equal(answer.headers['set-cookie'], undefined, name)
    assert.equal(answer.headers['x-powered-by'], undefined, name)
    if (answer.statusCode >= 400 && request.url !== '/mcp') {
      assert.equal(answer.headers['content-type'], 'application/problem+json', name)
      assert.equal(answer.json().requestId, answer.headers['x-request-id'], name)
    }
  }
})
