import assert from 'node:assert/strict'
import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { makeCa } from '../../simulators/lib/ca.ts'
import { Problem } from '../core/problem.ts'
import { fixedClock } from '../testing/databases.ts'
import { type HttpOptions, makeHttp } from './http-client.ts'

const ca = makeCa()
const Ok = z.object({ ok: z.literal(true) })
const token = 'nbt_planted-token-value'

type Answer = (request: IncomingMessage, response: ServerResponse, nth: number) => void
type Certificate = Partial<Parameters<typeof ca.issue>[0]>

/** A real https server and a client for it. `asked` collects what arrived. */
async function system(t: TestContext, answer: Answer, options: Partial<HttpOptions> = {}, certificate?: Certificate) {
  const asked: IncomingMessage[] = []
  const { certPem, keyPem } = ca.issue({ commonName: 'system', hosts: ['127.0.0.1', 'localhost'], ...certificate })
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    asked.push(request)
    answer(request, response, asked.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = makeHttp(clientOptions(origin, options))
  t.after(async () => {
    await client.close()
    server.closeAllConnections()
    server.close()
  })
  return { http: client.forCall({ requestId: 'req_1' }), client, asked, origin, server, certPem }
}

function clientOptions(origin: string, options: Partial<HttpOptions>): HttpOptions {
  const { url, limits, ...rest } = options
  return {
    url: url ?? origin,
    caPem: ca.caPem,
    sign: async () => ({ headers: { authorization: `Bearer ${token}` } }),
    allowLoopback: true,
    userAgent: 'atlas/test',
    now: () => new Date(),
    ...rest,
    limits: { retryMs: 1, callMs: 5_000, ...limits },
  }
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
const good: Answer = (_request, response) => json(response, 200, { ok: true })

async function outcome(run: Promise<unknown>): Promise<unknown> {
  try {
    return await run
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return error.retryAfterSeconds === undefined
      ? [error.type, error.detail]
      : [error.type, error.detail, error.retryAfterSeconds]
  }
}

test('a GET is signed in, names its caller, and its answer is parsed (claims: D42)', async (t) => {
  const { http, asked } = await system(t, good)

  assert.deepEqual(await http.get('/api/status/', Ok, { name__ic: 'sw a', id: [1, 2] }), { ok: true })
  const [request] = asked
  assert.equal(request?.url, '/api/status/?name__ic=sw+a&id=1&id=2')
  assert.deepEqual(
    ['authorization', 'user-agent', 'x-request-id', 'accept', 'accept-encoding'].map((name) => request?.headers[name]),
    [`Bearer ${token}`, 'atlas/test', 'req_1', 'application/json', 'identity'],
  )
})

test('a write carries JSON and its own headers, never another host or signing-in header', async (t) => {
  const bodies: string[] = []
  const { http, asked } = await system(t, (request, response) => {
    request.on('data', (chunk) => bodies.push(String(chunk)))
    request.on('end', () => response.writeHead(204).end())
  })

  const headers = { 'If-Match': 'W/"1"', Authorization: 'Bearer other', Host: 'evil.example.org' }
  assert.equal(await http.send('PATCH', '/api/x/1/', z.null(), { status: 'active' }, { headers }), null)
  assert.deepEqual(bodies, ['{"status":"active"}'])
  const sent = asked[0]?.headers
  assert.equal(sent?.['if-match'], 'W/"1"')
  assert.equal(sent?.authorization, `Bearer ${token}`)
  assert.match(sent?.host ?? '', /^127\.0\.0\.1:/)
})

test('read gives the headers without cookies', async (t) => {
  const { http } = await system(t, (_request, response) =>
    json(response, 200, { ok: true }, { etag: 'W/"7"', 'set-cookie': 'a=b' }),
  )
  const { headers } = await http.read('/x', Ok)
  assert.equal(headers['etag'], 'W/"7"')
  assert.equal(headers['set-cookie'], undefined)
})

const html = (_request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Sign in</title>')
}
const says = (status: number, headers: Record<string, string> = {}, body: unknown = { detail: 'no' }): Answer => {
  return (_request, response) => json(response, status, body, headers)
}
const at = (status: number) => `The connected system answered ${status}`

const answers: readonly {
  readonly title: string
  readonly answer: Answer
  readonly gets: unknown
  readonly requests: number
}[] = [
  { title: '401', answer: says(401), gets: ['upstream-denied', at(401)], requests: 1 },
  { title: '403', answer: says(403), gets: ['upstream-denied', at(403)], requests: 1 },
  { title: '404', answer: says(404), gets: ['not-found', at(404)], requests: 1 },
  { title: '409', answer: says(409), gets: ['conflict', at(409)], requests: 1 },
  { title: '412', answer: says(412), gets: ['precondition-failed', at(412)], requests: 1 },
  { title: '400', answer: says(400), gets: ['upstream-failed', at(400)], requests: 1 },
  { title: '500', answer: says(500), gets: ['upstream-failed', at(500)], requests: 1 },
  { title: '502 for ever', answer: says(502), gets: ['upstream-failed', at(502)], requests: 3 },
  { title: '503 for ever', answer: says(503), gets: ['upstream-busy', at(503)], requests: 3 },
  {
    title: '429 that asks for more than half a minute',
    answer: says(429, { 'retry-after': '31' }),
    gets: ['upstream-busy', at(429), 31],
    requests: 1,
  },
  {
    title: '503 once',
    answer: (request, response, nth) => (nth === 1 ? says(503) : good)(request, response, nth),
    gets: { ok: true },
    requests: 2,
  },
  {
    title: 'a reset once',
    answer: (request, response, nth) => (nth === 1 ? void request.socket.destroy() : good(request, response, nth)),
    gets: { ok: true },
    requests: 2,
  },
  {
    title: 'a reset in the middle of the body, for ever',
    answer: (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('{"ok":', () => request.socket.destroy())
    },
    gets: ['upstream-unreachable', 'The connected system broke the network connection'],
    requests: 3,
  },
  {
    title: 'html',
    answer: html,
    gets: ['upstream-invalid', 'The connected system sent html instead of JSON'],
    requests: 1,
  },
  {
    title: 'broken JSON',
    answer: (_request, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":tr'),
    gets: ['upstream-invalid', 'The connected system sent a body that is not valid JSON'],
    requests: 1,
  },
  {
    title: 'other JSON',
    answer: says(200, {}, { ok: 'planted body word' }),
    gets: ['upstream-invalid', 'The connected system sent a body that is not its documented API (/ok: invalid_value)'],
    requests: 1,
  },
  {
    title: 'a body above the cap',
    answer: says(200, {}, 'x'.repeat(2000)),
    gets: ['upstream-invalid', 'The connected system sent more than the size limit'],
    requests: 1,
  },
  {
    title: 'a redirect to another path',
    answer: (request, response, nth) => {
      if (request.url === '/api/x/') good(request, response, nth)
      else response.writeHead(301, { location: '/api/x/' }).end()
    },
    gets: { ok: true },
    requests: 2,
  },
  {
    title: 'redirects without end',
    answer: (_request, response) => void response.writeHead(302, { location: '/login/' }).end(),
    gets: ['upstream-invalid', 'The connected system redirected more than once'],
    requests: 2,
  },
  ...['https://evil.example.org/', 'http://127.0.0.1/', '//169.254.169.254/latest', 'file:///etc/passwd'].map(
    (location) => ({
      title: `a redirect to ${location}`,
      answer: ((_request, response) => void response.writeHead(302, { location }).end()) as Answer,
      gets: ['upstream-invalid', 'The connected system redirected to a place that is not followed'],
      requests: 1,
    }),
  ),
]

for (const { title, answer, gets, requests } of answers)
  test(`a GET that meets ${title}`, async (t) => {
    const { http, asked } = await system(t, answer, { limits: { responseBytes: 1024 } })

    assert.deepEqual([await outcome(http.get('/api/x', Ok)), asked.length], [gets, requests])
  })

for (const status of [429, 502, 503, 504])
  test(`a write that meets ${status} is not repeated`, async (t) => {
    const { http, asked } = await system(t, says(status))
    await outcome(http.send('POST', '/api/x/', Ok, {}))
    assert.equal(asked.length, 1)
  })

test('a write is never redirected', async (t) => {
  const { http, asked } = await system(
    t,
    (_request, response) => void response.writeHead(307, { location: '/y' }).end(),
  )
  assert.deepEqual(
    [await outcome(http.send('POST', '/x', Ok, {})), asked.length],
    [['upstream-invalid', 'The connected system redirected to a place that is not followed'], 1],
  )
})

test('Retry-After is waited for', async (t) => {
  const times: number[] = []
  const { http } = await system(t, (request, response, nth) => {
    times.push(Date.now())
    if (nth === 1) says(429, { 'retry-after': '1' })(request, response, nth)
    else good(request, response, nth)
  })
  assert.deepEqual(await http.get('/x', Ok), { ok: true })
  assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 990)
})

const certificates: readonly {
  readonly title: string
  readonly certificate?: Certificate
  readonly trusting?: string
  readonly detail: string
}[] = [
  {
    title: 'of an unknown issuer',
    trusting: makeCa('Another CA').caPem,
    detail: 'The certificate was issued by an authority that this connection does not trust',
  },
  {
    title: 'for another host',
    certificate: { hosts: ['other.example.org'] },
    detail: 'The certificate is for another host name',
  },
  {
    title: 'that has expired',
    certificate: { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') },
    detail: 'The certificate has expired',
  },
  {
    title: 'that is not valid yet',
    certificate: { notBefore: new Date('2090-01-01'), notAfter: new Date('2091-01-01') },
    detail: 'The certificate is not valid yet',
  },
  { title: 'for clients', certificate: { client: true }, detail: 'The certificate cannot be used for this' },
]

for (const { title, certificate, trusting, detail } of certificates)
  test(`a certificate ${title} ends the call before anything is sent (claims: D12 D29 E12)`, async (t) => {
    const { http, asked } = await system(t, good, { ...(trusting && { caPem: trusting }) }, certificate)
    assert.deepEqual([await outcome(http.get('/x', Ok)), asked.length], [['upstream-untrusted', detail], 0])
  })

test('without a bundle the public authorities are trusted, and ours is not', async (t) => {
  const { origin } = await system(t, good)
  const { caPem: _, ...options } = clientOptions(origin, {})
  const client = makeHttp(options)
  t.after(client.close)
  assert.deepEqual(await outcome(client.forCall().get('/x', Ok)), [
    'upstream-untrusted',
    'The certificate was issued by an authority that this connection does not trust',
  ])
})

// What a server behind the port says that speaks plain http only, and so could read whatever is sent in clear text.
const plainServers = {
  'refuses what it cannot read': 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n',
  'sends to http': 'HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1/x\r\ncontent-length: 0\r\n\r\n',
  'answers at once as if asked':
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}',
}

for (const [title, reply] of Object.entries(plainServers))
  test(`a server that speaks plain http only and ${title} gets not one byte of a request in clear text (claims: D12 D28 E12)`, async (t) => {
    const connections: Uint8Array[][] = []
    const server = createTcpServer((socket) => {
      const received: Uint8Array[] = []
      connections.push(received)
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        received.push(Buffer.from(chunk))
        socket.write(reply)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const client = makeHttp(clientOptions(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, {}))
    t.after(client.close)
    const refused = ['upstream-untrusted', 'No TLS connection could be agreed (TLS 1.2 or newer is needed)']
    const http = client.forCall({ requestId: 'req_planted' })
    assert.deepEqual(await outcome(http.get('/planted/path', Ok)), refused)
    assert.deepEqual(await outcome(http.send('POST', '/planted/path', Ok, { planted: 'body' })), refused)

    assert.ok(connections.length >= 2)
    for (const chunks of connections) {
      const bytes = Buffer.concat(chunks)
      assert.deepEqual([...new Set(recordTypes(bytes))], ['handshake'])
      assert.equal(/HTTP\/1|planted|authorization|GET \/|POST \//.test(bytes.toString('latin1')), false)
    }
  })

/** The kinds of the TLS records (RFC 8446 §5.1) that bytes are made of, to the last byte. */
function recordTypes(bytes: Buffer): string[] {
  const types: string[] = []
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    assert.equal(bytes[at + 1], 3, 'not a TLS record')
    const type = { 21: 'alert', 22: 'handshake' }[bytes[at] ?? 0]
    // Our goodbye to what is no TLS is an alert; it says nothing.
    if (type !== 'alert') types.push(type ?? `type ${bytes[at]}`)
  }
  return types
}

const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' })
const hex = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

test('the certificate is told with each new connection: both fingerprints, issuer, end (claims: D35)', async (t) => {
  const told: unknown[] = []
  const notAfter = new Date('2090-05-06T07:08:09.000Z')
  const onCertificate = (certificate: unknown) => void told.push(certificate)
  const { http, server, certPem } = await system(t, good, { onCertificate, limits: { concurrent: 1 } }, { notAfter })
  const { raw, publicKey } = new X509Certificate(certPem)
  await http.get('/x', Ok)
  await http.get('/x', Ok)
  server.closeAllConnections()
  await http.get('/x', Ok)

  const certificate = {
    fingerprint: hex(raw),
    keyFingerprint: hex(spki(publicKey)),
    issuer: 'CN=Atlas simulators CA',
    endsAt: notAfter,
  }
  assert.deepEqual(told, [certificate, certificate])
})

test('a pin on the certificate, or on its public key, lets exactly that one in; another server gets no request (claims: D12 D29 D35)', async (t) => {
  const told: unknown[] = []
  const onDistrust = (...distrust: unknown[]) => void told.push(distrust)
  const { origin, asked, certPem } = await system(t, good)
  const { raw, publicKey } = new X509Certificate(certPem)
  const fits = [hex(raw), hex(spki(publicKey))]
  for (const pin of fits) {
    const client = makeHttp(clientOptions(origin, { pin, onDistrust }))
    t.after(client.close)
    assert.deepEqual(await outcome(client.forCall().get('/x', Ok)), { ok: true })
  }
  assert.deepEqual([asked.length, told], [2, []])

  const other = await system(t, good, { pin: fits[0]!, onDistrust })
  const shown = hex(new X509Certificate(other.certPem).raw)
  const refused = ['upstream-untrusted', 'The certificate is not the one that this connection is pinned to']
  assert.deepEqual(await outcome(other.http.get('/x', Ok)), refused)
  assert.deepEqual(await outcome(other.http.send('POST', '/x', Ok, {})), refused)
  assert.equal(other.asked.length, 0)
  assert.deepEqual(
    told.map((distrust) => [(distrust as unknown[])[0], (distrust as { fingerprint: string }[])[1]?.fingerprint]),
    [
      ['other-pin', shown],
      ['other-pin', shown],
    ],
  )
})

test('nobody listening, and a name that does not resolve, are unreachable', async (t) => {
  const { origin, server } = await system(t, good)
  server.close()
  for (const [url, detail] of [
    [origin, 'The connected system refused the network connection'],
    ['https://no-such-host.invalid', 'The host name of the connected system does not resolve'],
  ] as const) {
    const client = makeHttp(clientOptions(url, {}))
    t.after(client.close)
    const [type, text] = (await outcome(client.forCall().get('/x', Ok))) as string[]
    assert.equal(type, 'upstream-unreachable')
    assert.ok(text?.startsWith(detail))
  }
})

test('a denied address stops the client from being made', () => {
  for (const url of ['https://127.0.0.1', 'https://169.254.169.254', 'http://10.0.0.1', 'https://[::1]'])
    assert.throws(() => makeHttp(clientOptions(url, { allowLoopback: false })), { type: 'invalid-input' }, url)
})

test('silence ends in upstream-timeout, an abort in cancelled', async (t) => {
  const { client, http } = await system(t, () => {}, { limits: { callMs: 60 } })
  assert.deepEqual(await outcome(http.get('/x', Ok)), [
    'upstream-timeout',
    'The connected system took too long to answer',
  ])

  const controller = new AbortController()
  const call = outcome(client.forCall({ signal: controller.signal }).get('/x', Ok))
  controller.abort()
  assert.deepEqual(await call, ['cancelled', undefined])
})

const slow = ['upstream-timeout', 'The connected system took too long to answer']

test('each phase has its own limit: connecting, the headers, silence inside the body', async (t) => {
  const mute = createTcpServer(() => {})
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.after(() => mute.close())
  const port = (mute.address() as AddressInfo).port
  const unanswered = makeHttp(clientOptions(`https://127.0.0.1:${port}`, { limits: { connectMs: 200 } }))
  t.after(unanswered.close)
  const headless = await system(t, () => {}, { limits: { headersMs: 200 } })
  const stuck = await system(t, (_request, response) => void response.writeHead(200).write('{'), {
    limits: { bodyMs: 200 },
  })

  const outcomes = [unanswered.forCall(), headless.http, stuck.http].map((http) => outcome(http.get('/x', Ok)))
  assert.deepEqual(await Promise.all(outcomes), [slow, slow, slow])
})

test('an abort ends the wait for Retry-After', async (t) => {
  const controller = new AbortController()
  const { client } = await system(t, (request, response, nth) => {
    says(429, { 'retry-after': '20' })(request, response, nth)
    setTimeout(() => controller.abort(), 20)
  })
  const started = Date.now()
  assert.deepEqual(await outcome(client.forCall({ signal: controller.signal }).get('/x', Ok)), ['cancelled', undefined])
  assert.ok(Date.now() - started < 5_000)
})

test('at most four requests are with the system at once', async (t) => {
  let now = 0
  let most = 0
  const { http, asked } = await system(t, (request, response, nth) => {
    most = Math.max(most, ++now)
    setTimeout(() => {
      now--
      good(request, response, nth)
    }, 20)
  })
  await Promise.all(Array.from({ length: 12 }, () => http.get('/x', Ok)))
  assert.deepEqual([most, asked.length], [4, 12])
})

test('after five failed calls in a row the system gets thirty seconds of rest, shared by all calls', async (t) => {
  const clock = fixedClock()
  let works = false
  const { client, asked } = await system(t, (...args) => (works ? good : says(500))(...args), { now: clock.now })
  for (let i = 0; i < 5; i++) await outcome(client.forCall().get('/x', Ok))

  const rest = ['upstream-busy', 'The connected system failed several times in a row and gets a short rest', 30]
  assert.deepEqual([await outcome(client.forCall().get('/x', Ok)), asked.length], [rest, 5])
  works = true
  clock.forward(30_000)
  assert.deepEqual([await outcome(client.forCall().get('/x', Ok)), asked.length], [{ ok: true }, 6])
})

test('refusals do not open the circuit', async (t) => {
  const { http, asked } = await system(t, says(403))
  for (let i = 0; i < 8; i++) await outcome(http.get('/x', Ok))
  assert.equal(asked.length, 8)
})

test('explain gives the sentence, unless it repeats the host or the credential', async (t) => {
  let sentence = 'Invalid v1 token'
  const { http } = await system(t, says(403, {}, { detail: 'raw body' }), { explain: () => sentence })
  assert.deepEqual(await outcome(http.get('/x', Ok)), ['upstream-denied', `${at(403)}: Invalid v1 token`])
  for (sentence of [`${token} is bad`, 'ask 127.0.0.1'])
    assert.deepEqual(await outcome(http.get('/x', Ok)), ['upstream-denied', at(403)])
  sentence = `two\r\nlines ${'x'.repeat(1000)}`
  const [, detail] = (await outcome(http.get('/x', Ok))) as string[]
  assert.equal(detail, `${at(403)}: two lines ${'x'.repeat(290)}`)
})

test('a credential that cannot be a header is refused without being shown', async (t) => {
  const { http, asked } = await system(t, good, {
    sign: async () => ({ headers: { authorization: 'Token a\r\nx: y' } }),
  })
  assert.deepEqual(
    [await outcome(http.get('/x', Ok)), asked.length],
    [['upstream-denied', 'The credential has characters that cannot be sent in a request header'], 0],
  )
})

test('the proxy of the environment is not used', async (t) => {
  process.env['HTTPS_PROXY'] = 'http://127.0.0.1:9'
  t.after(() => delete process.env['HTTPS_PROXY'])
  const { http } = await system(t, good)
  assert.deepEqual(await http.get('/x', Ok), { ok: true })
})
