import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { rawExchange, testDoors, tokens } from '../../testing/doors.ts'
import { securityHeaders } from './headers.ts'
import type { HttpDoorConfig } from './parts.ts'

// What only bytes on a socket can show: Host forms, path spellings, broken HTTP, slow clients.

async function listening(t: TestContext, config: HttpDoorConfig = {}) {
  const doors = testDoors({ config })
  await doors.app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => doors.app.close())
  const { port } = doors.app.server.address() as AddressInfo
  const send = (lines: readonly string[], body = '') =>
    rawExchange(port, `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
  return { ...doors, port, send }
}
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])
const auth = `Authorization: Bearer ${tokens.viewer}`

const paths: [string, number][] = [
  ['/api/v1/assets/a1', 200],
  ['/api/v1/assets/%61%31', 200],
  ['/api/v1/assets/a;b', 200],
  ['/api/v1/assets/%252e%252e%252f', 200],
  ['/api/v1/assets/..', 404],
  ['/api/v1/assets/%2e%2e', 404],
  ['/api/v1/assets/%2e', 404],
  ['/api/v1/assets/a%2fb', 404],
  ['/api/v1/assets/a%2Fb', 404],
  ['/api/v1/assets/a%5cb', 404],
  ['/api/v1/assets/a%00', 404],
  ['/api/v1/assets/a%0d%0ab', 404],
  ['/api/v1/assets/', 404],
  ['/api/v1//assets', 404],
  ['//api/v1/assets', 404],
  ['/api/v1/assets;x=1', 404],
  ['/api/v1/Assets', 404],
  ['/API/v1/assets', 404],
  ['/api/v1/../v1/assets', 404],
  ['/api/v1/./assets', 404],
  ['/livez/../api/v1/assets', 404],
  ['/livez/%2e%2e/api/v1/assets', 404],
  ['/livez;/api/v1/assets', 404],
  ['/api%2fv1%2fassets', 404],
  ['/api/v1/assets%3fq=1', 404],
  ['/api/v1/assets/%', 400],
  ['/api/v1/assets/%zz', 400],
  ['/api/v1/assets/%c3%28', 400],
  [`/api/v1/assets/${'a'.repeat(300)}`, 404],
]
test('a path is taken as it is spelled: the canonical one works, another is nowhere (INC-17)', async (t) => {
  const { send, port } = await listening(t)
  for (const [path, status] of paths) {
    const host = `Host: 127.0.0.1:${port}`
    assert.equal(statusOf(await send([`GET ${path} HTTP/1.1`, host, auth])), status, path)
    const stranger = statusOf(await send([`GET ${path} HTTP/1.1`, host]))
    assert.ok(stranger === 401 || (stranger === status && status !== 200), `${path} ${stranger}`)
  }
})

test('Host and the absolute form must name this server (INC-2, INC-3)', async (t) => {
  const { send, port } = await listening(t, { publicUrl: 'https://Atlas.example.org', allowedHosts: ['inner:8443'] })
  const other = port === 1 ? 2 : port - 1
  const cases: [string, string[], number][] = [
    ['the listening address', [`Host: 127.0.0.1:${port}`], 200],
    ['localhost', [`Host: localhost:${port}`], 200],
    ['localhost in capitals', [`Host: LOCALHOST:${port}`], 200],
    ['the IPv6 loopback', [`Host: [::1]:${port}`], 200],
    ['the public name', ['Host: atlas.example.org'], 200],
    ['an allowed name with its port', ['Host: inner:8443'], 200],
    ['an allowed name with another port', ['Host: inner:8444'], 421],
    ['the public name with a foreign port', ['Host: atlas.example.org:444'], 421],
    ['another port', [`Host: 127.0.0.1:${other}`], 421],
    ['no port', ['Host: 127.0.0.1'], 421],
    ['a foreign name', ['Host: evil.example'], 421],
    ['a foreign name with our port', [`Host: evil.example:${port}`], 421],
    ['our name as a prefix', [`Host: localhost.evil.example:${port}`], 421],
    ['our name after an at sign', [`Host: evil.example@127.0.0.1:${port}`], 421],
    ['another loopback address', [`Host: 127.0.0.2:${port}`], 421],
    ['the any address', [`Host: 0.0.0.0:${port}`], 421],
    ['a decimal address', [`Host: 2130706433:${port}`], 421],
    ['an empty name', ['Host:'], 421],
    ['two names', [`Host: 127.0.0.1:${port}`, 'Host: evil.example'], 400],
    ['the same name twice', [`Host: 127.0.0.1:${port}`, `Host: 127.0.0.1:${port}`], 400],
    ['none', [], 400],
    ['a forwarded name that nobody trusts', ['Host: evil.example', `X-Forwarded-Host: 127.0.0.1:${port}`], 421],
  ]
  for (const [name, headers, status] of cases) {
    const answer = await send(['GET /livez HTTP/1.1', ...headers])
    assert.equal(statusOf(answer), status, name)
    if (status !== 200) assert.match(answer, /problem\+json[\s\S]*requestId/, name)
  }

  const absolute: [string, string, number][] = [
    [`http://127.0.0.1:${port}/livez`, `127.0.0.1:${port}`, 200],
    ['http://evil.example/livez', `127.0.0.1:${port}`, 421],
    [`http://127.0.0.1:${port}/livez`, 'evil.example', 421],
    [`http://evil.example@127.0.0.1:${port}/livez`, `127.0.0.1:${port}`, 200],
    ['ftp:nothing', `127.0.0.1:${port}`, 400],
  ]
  for (const [target, host, status] of absolute)
    assert.equal(statusOf(await send([`GET ${target} HTTP/1.1`, `Host: ${host}`])), status, `${target} ${host}`)
})

test('Origin must be our own or listed, on every route; CORS names exactly that origin (claims: C11, C12)', async (t) => {
  const { send, port } = await listening(t, {
    publicUrl: 'https://atlas.example.org',
    corsOrigins: ['https://ui.example.org'],
  })
  const cases: [string, number, boolean][] = [
    [`http://127.0.0.1:${port}`, 200, false],
    ['https://atlas.example.org', 200, false],
    ['https://ui.example.org', 200, true],
    ['null', 403, false],
    ['https://ui.example.org.evil.example', 403, false],
    ['https://evil-ui.example.org', 403, false],
    ['https://ui.example.org:444', 403, false],
    ['http://ui.example.org', 403, false],
    ['https://UI.example.org', 403, false],
    ['https://ui.example.org/', 403, false],
    ['https://example.org', 403, false],
    ['*', 403, false],
    [`http://localhost:${port}`, 403, false],
  ]
  for (const [origin, status, isCors] of cases)
    for (const [method, path] of [
      ['GET', '/livez'],
      ['GET', '/api/v1/assets'],
      ['POST', '/mcp'],
      ['GET', '/nowhere'],
    ] as const) {
      const answer = await send([`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, `Origin: ${origin}`])
      const expected = status === 403 ? 403 : ({ '/livez': 200, '/nowhere': 404 }[path as string] ?? 401)
      assert.equal(statusOf(answer), expected, `${origin} ${path}`)
      assert.equal(
        /access-control-allow-origin: (.*)\r/i.exec(answer)?.[1],
        isCors ? origin : undefined,
        `${origin} ${path}`,
      )
      assert.doesNotMatch(answer, /allow-credentials/i)
      assert.match(answer, /vary: Origin/i)
    }
})

test('a preflight is answered for a listed origin only', async (t) => {
  const { send, port } = await listening(t, { corsOrigins: ['https://ui.example.org'] })
  const preflight = (origin: string) =>
    send([
      'OPTIONS /mcp HTTP/1.1',
      `Host: 127.0.0.1:${port}`,
      `Origin: ${origin}`,
      'Access-Control-Request-Method: POST',
    ])
  const good = await preflight('https://ui.example.org')
  assert.equal(statusOf(good), 204)
  assert.match(good, /access-control-allow-origin: https:\/\/ui\.example\.org\r/)
  assert.match(good, /access-control-allow-headers: Authorization/)
  assert.match(good, /access-control-max-age: 600/)
  assert.equal(statusOf(await preflight('https://evil.example')), 403)
})

test('a cross-site write is refused by what the browser says of itself', async (t) => {
  const { send, port } = await listening(t)
  const post = (site: string) =>
    send(['POST /api/v1/login HTTP/1.1', `Host: 127.0.0.1:${port}`, `Sec-Fetch-Site: ${site}`])
  assert.equal(statusOf(await post('cross-site')), 403)
  assert.equal(statusOf(await post('same-site')), 403)
  assert.equal(statusOf(await post('same-origin')), 400)
  assert.equal(statusOf(await post('none')), 400)
})

test('forwarded headers count from a named proxy only, and then bring HSTS', async (t) => {
  const trusting = await listening(t, { trustedProxies: ['127.0.0.1'], publicUrl: 'https://atlas.example.org' })
  const plain = await listening(t, { publicUrl: 'https://atlas.example.org' })
  const lines = ['GET /livez HTTP/1.1', 'Host: atlas.example.org', 'X-Forwarded-Proto: https']
  assert.match(await trusting.send(lines), /strict-transport-security: max-age=63072000; includeSubDomains; preload/)
  assert.doesNotMatch(await plain.send(lines), /strict-transport-security/)
})

test('the source address is the socket unless a named proxy forwards', async (t) => {
  const addresses: string[] = []
  const parts = { unauthenticatedLimit: (address: string) => void addresses.push(address) }
  for (const trustedProxies of [undefined, ['127.0.0.1']]) {
    const { app } = testDoors({ parts, config: trustedProxies ? { trustedProxies } : {} })
    await app.listen({ host: '127.0.0.1', port: 0 })
    t.after(() => app.close())
    const { port } = app.server.address() as AddressInfo
    await rawExchange(
      port,
      `GET /api/v1/me HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nForwarded: for=192.0.2.3\r\nX-Real-IP: 192.0.2.4\r\nConnection: close\r\n\r\n`.replace(
        '/me',
        '/assets',
      ),
    )
  }
  assert.deepEqual(addresses, ['127.0.0.1', '192.0.2.2'])
})

const broken: [string, (port: number) => string, number][] = [
  ['no HTTP', () => 'hello\r\n\r\n', 400],
  [
    'a header block over 16 KiB',
    (port) => `GET /livez HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
    431,
  ],
  ['a URL over 16 KiB', (port) => `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`, 431],
  [
    'two lengths',
    (port) =>
      `POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}`,
    400,
  ],
  [
    'a length and chunks',
    (port) =>
      `POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  ['a space before the colon', (port) => `GET /livez HTTP/1.1\r\nHost : 127.0.0.1:${port}\r\n\r\n`, 400],
  ['a folded header', (port) => `GET /livez HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: a\r\n b\r\n\r\n`, 400],
  [
    'an expectation that nobody has',
    (port) => `POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nExpect: magic\r\nConnection: close\r\n\r\n`,
    417,
  ],
]
for (const [name, bytes, status] of broken)
  test(`${name} gets ${status} as a problem with the security headers`, async (t) => {
    const { port } = await listening(t)
    const answer = await rawExchange(port, bytes(port))
    assert.equal(statusOf(answer), status, answer)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    for (const [header, value] of Object.entries(securityHeaders))
      assert.ok(head.toLowerCase().includes(`${header}: ${value}`.toLowerCase()), header)
    assert.match(head, /content-type: application\/problem\+json/i)
    const problem = JSON.parse(body)
    assert.equal(problem.status, status)
    assert.match(problem.requestId, /^req_/)
  })

test('a client that never finishes its header block is told and cut off', async (t) => {
  const { app, port } = await listening(t)
  assert.deepEqual([app.server.headersTimeout, app.server.requestTimeout, app.server.timeout], [10_000, 30_000, 0])
  app.server.headersTimeout = 200
  app.server.requestTimeout = 200
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n')
  for (let i = 0; i < 80 && !socket.closed; i++) await wait(100)
  assert.equal(statusOf(answer), 408)
  assert.ok(socket.closed)
})

test('a call is cancelled when its client goes away', async (t) => {
  const { port, seen, aborted } = await listening(t)
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET /api/v1/wait HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${auth}\r\n\r\n`)
  while (seen.length === 0) await wait(5)
  socket.destroy()
  for (let i = 0; i < 100 && aborted.length === 0; i++) await wait(10)
  assert.equal(aborted.length, 1)
})

test('a shutdown waits for the call that runs, and not for its connection', async (t) => {
  const { app, port, seen } = await listening(t)
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(`GET /api/v1/wait?ms=300 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${auth}\r\n\r\n`)
  while (seen.length === 0) await wait(5)
  const started = performance.now()
  await app.close()
  assert.equal(statusOf(answer), 200)
  assert.ok(performance.now() - started < 10_000)
})

test('two Authorization headers are nobody, whichever comes first', async (t) => {
  const { send, port } = await listening(t)
  const lines = ['GET /api/v1/assets HTTP/1.1', `Host: 127.0.0.1:${port}`]
  for (const second of [auth, 'Authorization: Bearer atl_other', 'authorization: Basic YTpi', 'Authorization:']) {
    assert.equal(statusOf(await send([...lines, auth, second])), 401, second)
    assert.equal(statusOf(await send([...lines, second, auth])), 401, second)
  }
  assert.equal(statusOf(await send([...lines, auth])), 200)
})
