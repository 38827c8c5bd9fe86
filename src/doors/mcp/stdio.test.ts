import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { serveStdio } from './stdio.ts'

type Seen = { url: string; headers: Record<string, string>; body: string; signal: AbortSignal }

/** The bridge over a server that answers as told, and what went over both sides. */
function bridge(answer: (seen: Seen) => Response | Promise<Response>, graceMs = 30_000) {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const seen: Seen[] = []
  const notes: string[] = []
  const fetch = (async (url: URL, init: { headers: Record<string, string>; body: string; signal: AbortSignal }) => {
    const request = { url: String(url), headers: init.headers, body: init.body, signal: init.signal }
    seen.push(request)
    return answer(request)
  }) as typeof globalThis.fetch
  const ended = serveStdio({
    url: 'https://atlas.example.org',
    token: 'atl_x',
    input,
    output,
    note: (text) => notes.push(text),
    fetch,
    graceMs,
  })
  let written = ''
  output.on('data', (chunk) => {
    written += chunk
  })
  const lines = () =>
    written
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  return { input, output, seen, notes, ended, lines }
}
const json = (value: unknown, status = 200) => Response.json(value, { status })
const modern = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }

test('a message goes out with the headers that repeat it, and its answer comes back as one line', async () => {
  const { input, output, seen, lines } = bridge(() => json({ jsonrpc: '2.0', id: 1, result: { text: 'a\u2028b\nc' } }))
  const message = {
    jsonrpc: '2.0',
    id: 1,
    method: 'resources/read',
    params: { uri: 'atlas://assets/ä\u2028', _meta: modern },
  }

  input.write(`${JSON.stringify(message)}\n`)
  await once(output, 'data')

  assert.deepEqual(lines(), [{ jsonrpc: '2.0', id: 1, result: { text: 'a\u2028b\nc' } }])
  assert.equal(seen[0]?.url, 'https://atlas.example.org/mcp')
  assert.deepEqual(JSON.parse(seen[0]?.body ?? ''), message)
  assert.deepEqual(seen[0]?.headers, {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'resources/read',
    'mcp-name': `=?base64?${Buffer.from('atlas://assets/ä\u2028').toString('base64')}?=`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    authorization: 'Bearer atl_x',
  })
})

test('a body cannot write headers', async () => {
  const { input, output, seen } = bridge(() => json({ jsonrpc: '2.0', id: 1, result: {} }))
  const params = {
    name: 'x\r\nauthorization: Bearer other',
    _meta: { 'io.modelcontextprotocol/protocolVersion': 'a\r\nb: c' },
  }
  input.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call\r\nd: e', params })}\n`)
  await once(output, 'data')
  const headers = new Headers(seen[0]?.headers)
  assert.equal(headers.get('authorization'), 'Bearer atl_x')
  assert.deepEqual([headers.get('b'), headers.get('d')], [null, null])
})

test('a message may arrive in pieces, and several in one', async () => {
  const { input, output, seen, lines } = bridge(({ body }) =>
    json({ jsonrpc: '2.0', id: JSON.parse(body).id, result: {} }),
  )
  const text = [1, 2, 3]
    .map((id) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params: { _meta: modern, ü: 'ü' } }))
    .join('\n')
  const bytes = Buffer.from(`${text}\n\n  \n`)
  for (const byte of bytes) input.write(Buffer.from([byte]))
  while (lines().length < 3) await once(output, 'data')
  assert.deepEqual(
    seen.map(({ body }) => JSON.parse(body).params['ü']),
    ['ü', 'ü', 'ü'],
  )
})

test('events become lines, whatever their pieces', async () => {
  const events =
    ': hello\n\nid: 1\ndata: \n\nevent: message\ndata: {"jsonrpc":"2.0",\ndata: "method":"notifications/progress"}\n\ndata:{"jsonrpc":"2.0","id":1,"result":{"ä":1}}\r\n\r\n'
  const body = new ReadableStream({
    start(controller) {
      for (const byte of Buffer.from(events)) controller.enqueue(new Uint8Array([byte]))
      controller.close()
    },
  })
  const { input, output, lines } = bridge(
    () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
  )
  input.write('{"jsonrpc":"2.0","id":1,"method":"tools/call"}\n')
  while (lines().length < 2) await once(output, 'data')
  assert.deepEqual(lines(), [
    { jsonrpc: '2.0', method: 'notifications/progress' },
    { jsonrpc: '2.0', id: 1, result: { ä: 1 } },
  ])
})

test('the agreed revision goes with the later messages of a 2025 client', async () => {
  const { input, output, seen } = bridge(({ body }) =>
    body.includes('initialize"')
      ? json({ jsonrpc: '2.0', id: 1, result: { protocolVersion: '2025-11-25' } })
      : json({ jsonrpc: '2.0', id: 2, result: {} }),
  )
  input.write('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n')
  await once(output, 'data')
  input.write('{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n')
  await once(output, 'data')
  assert.deepEqual(
    seen.map(({ headers }) => headers['mcp-protocol-version']),
    [undefined, '2025-11-25'],
  )
})

const refusals: [string, () => Response | Promise<Response>, object][] = [
  [
    'a problem',
    () =>
      new Response('{"title":"t","detail":"The token is not valid"}', {
        status: 401,
        headers: { 'content-type': 'application/problem+json' },
      }),
    {
      code: -32603,
      message: 'The Atlas server refused (401): The token is not valid',
      data: { title: 't', detail: 'The token is not valid' },
    },
  ],
  [
    'a page',
    () => new Response('<html>', { status: 502, headers: { 'content-type': 'text/html' } }),
    { code: -32603, message: 'The Atlas server refused (502): no reason given' },
  ],
  [
    'no server',
    () => Promise.reject(new Error('ECONNREFUSED')),
    { code: -32603, message: 'The Atlas server cannot be reached' },
  ],
]
for (const [name, answer, error] of refusals)
  test(`${name} instead of an answer ends the request and not the bridge`, async () => {
    const { input, output, lines } = bridge(answer)
    for (const id of [1, 'two']) {
      input.write(`${JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list' })}\n`)
      await once(output, 'data')
    }
    assert.deepEqual(
      lines(),
      [1, 'two'].map((id) => ({ jsonrpc: '2.0', id, error })),
    )
  })

test('what is no message is answered and not sent on', async () => {
  const { input, output, seen, lines } = bridge(() => json({}))
  for (const line of ['{', '[]', '7', 'null', '{"id":{}}', '{"id":null,"method":"x"}', '{"method":7}'])
    input.write(`${line}\n`)
  while (lines().length < 7) await once(output, 'data')
  assert.deepEqual(new Set(lines().map(({ error }) => error.code)), new Set([-32700]))
  assert.deepEqual(seen, [])
})

test('a notification that fails is noted beside the protocol', async () => {
  const { input, notes, lines, ended } = bridge(() => Promise.reject(new Error('ECONNREFUSED')))
  input.end('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
  await ended
  await new Promise(setImmediate)
  assert.deepEqual([lines(), notes], [[], ['The server cannot be reached: ECONNREFUSED']])
})

test('what was asked before the input ended is answered before the bridge ends', async () => {
  const { input, lines, ended } = bridge(async ({ body }) => {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
    return json({ jsonrpc: '2.0', id: JSON.parse(body).id, result: {} })
  })
  input.end([1, 2].map((id) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list' })).join('\n'))
  await ended
  assert.deepEqual(
    lines().map(({ id }) => id),
    [1, 2],
  )
})

test('what comes with `initialize` in one piece carries the agreed revision too', async () => {
  const { input, seen, ended } = bridge(async ({ body }) => {
    await new Promise(setImmediate)
    return json({ jsonrpc: '2.0', id: JSON.parse(body).id, result: { protocolVersion: '2025-11-25' } })
  })
  input.end(
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n',
  )
  await ended
  assert.deepEqual(
    seen.map(({ headers }) => headers['mcp-protocol-version']),
    [undefined, '2025-11-25'],
  )
})

test('a call that goes on after the end of the input is cancelled when the grace is over', async () => {
  const { input, seen, ended } = bridge(
    ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    20,
  )
  input.write('{"jsonrpc":"2.0","id":1,"method":"tools/call"}\n')
  while (seen.length === 0) await new Promise(setImmediate)
  input.end()
  const alive = setInterval(() => {}, 1000)
  await ended
  clearInterval(alive)
  assert.equal(seen[0]?.signal.aborted, true)
})

test('a line without an end is not collected for ever', async () => {
  const { input, ended } = bridge(() => json({}))
  const chunk = Buffer.alloc(1_048_576, 97)
  for (let i = 0; i < 11; i++) input.write(chunk)
  await assert.rejects(ended, /longer than 10 MiB/)
})
