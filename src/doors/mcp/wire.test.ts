import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDoors, tokens } from '../../testing/doors.ts'

// Raw messages: what the transport of either revision demands of a server (Streamable HTTP, 2026-07-28 and 2025-11-25).

const version = '2026-07-28'
const meta = (claimed = version) => ({
  'io.modelcontextprotocol/protocolVersion': claimed,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
})
type Options = {
  method?: string
  params?: object
  headers?: Record<string, string | undefined>
  id?: unknown
  token?: string
  body?: unknown
}

async function send(options: Options = {}) {
  const { method = 'tools/list', params = {}, headers = {}, token = tokens.viewer, body } = options
  const id = 'id' in options ? options.id : 1
  const doors = testDoors()
  const all = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': version,
    'mcp-method': method,
    ...headers,
  }
  const message = body ?? {
    jsonrpc: '2.0',
    ...(id !== undefined && { id }),
    method,
    params: { _meta: meta(), ...params },
  }
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >
  const payload = typeof message === 'string' ? message : JSON.stringify(message)
  const answer = await doors.app.inject({ method: 'POST', url: '/mcp', headers: given, payload })
  const json = answer.body.startsWith('{') ? answer.json() : undefined
  return { status: answer.statusCode, headers: answer.headers, body: answer.body, json, ...doors }
}

test('server/discover says what there is, and may be kept by nobody else', async () => {
  const { status, json } = await send({ method: 'server/discover' })
  assert.equal(status, 200)
  const { supportedVersions, capabilities, resultType, ttlMs, cacheScope, instructions, _meta } = json.result
  assert.deepEqual(
    [supportedVersions, capabilities, resultType, ttlMs, cacheScope],
    [['2026-07-28'], { tools: {}, resources: {} }, 'complete', 3_600_000, 'private'],
  )
  assert.match(instructions, /inventory_search/)
  assert.equal(_meta['io.modelcontextprotocol/serverInfo'].name, 'infrastructure-atlas')
})

test('every list and read carries caching hints, private to the principal', async () => {
  for (const [method, params] of [
    ['tools/list', {}],
    ['resources/list', {}],
    ['resources/templates/list', {}],
    ['resources/read', { uri: 'atlas://assets/a1' }],
  ] as const) {
    const { json } = await send({ method, params, headers: { 'mcp-name': 'uri' in params ? params.uri : undefined } })
    assert.deepEqual(
      [json.result.cacheScope, typeof json.result.ttlMs, json.result.resultType],
      ['private', 'number', 'complete'],
      method,
    )
  }
})

test('the tools of a principal, as they stand on the wire', async () => {
  const { json } = await send({ token: tokens.admin })
  const names: string[] = json.result.tools.map(({ name }: { name: string }) => name)
  assert.deepEqual(names, names.toSorted())
  assert.ok(!names.includes('vault.secrets.reveal') && names.includes('connections.connections.edit'))
  // It takes a credential, and a model must not be handed one.
  assert.ok(!names.includes('connections.connections.add'))
  for (const name of names) assert.match(name, /^[A-Za-z0-9_.-]{1,128}$/)
  const tool = (name: string) => json.result.tools.find((t: { name: string }) => t.name === name)
  assert.deepEqual(tool('inventory.assets.get'), {
    name: 'inventory.assets.get',
    title: 'Get an asset',
    description: 'One asset.',
    inputSchema: {
      type: 'object',
      properties: { asset: { type: 'string', description: 'Id of the asset.' } },
      required: ['asset'],
      additionalProperties: false,
    },
    outputSchema: {
      type: 'object',
      properties: { id: { type: 'string' }, name: { type: 'string' } },
      required: ['id', 'name'],
      additionalProperties: false,
    },
    annotations: {
      title: 'Get an asset',
      readOnlyHint: true,
      destructiveHint: false,
      idempotentHint: true,
      openWorldHint: false,
    },
  })
  const hints = (name: string) => {
    const { readOnlyHint, destructiveHint, idempotentHint } = tool(name).annotations
    return [readOnlyHint, destructiveHint, idempotentHint]
  }
  assert.deepEqual(hints('connections.connections.edit'), [false, false, false])
  assert.deepEqual(hints('connections.connections.remove'), [false, true, true])
})

test('who may do nothing sees an empty list', async () => {
  const { json } = await send({ token: tokens.nobody })
  assert.deepEqual(json.result.tools, [])
})

const call = { method: 'tools/call', params: { name: 'inventory.assets.search', arguments: {} } }
const ladder: [string, Options, number, number | undefined][] = [
  ['good', { ...call, headers: { 'mcp-name': 'inventory.assets.search' } }, 200, undefined],
  [
    'a Base64 name',
    { ...call, headers: { 'mcp-name': `=?base64?${btoa('inventory.assets.search')}?=` } },
    200,
    undefined,
  ],
  ['no version header', { headers: { 'mcp-protocol-version': undefined } }, 400, -32020],
  ['another version header', { headers: { 'mcp-protocol-version': '2025-11-25' } }, 400, -32020],
  ['no method header', { headers: { 'mcp-method': undefined } }, 400, -32020],
  ['another method header', { headers: { 'mcp-method': 'resources/list' } }, 400, -32020],
  ['no name header', call, 400, -32020],
  ['another name header', { ...call, headers: { 'mcp-name': 'inventory.assets.get' } }, 400, -32020],
  [
    'a version from the future',
    { params: { _meta: meta('2099-01-01') }, headers: { 'mcp-protocol-version': '2099-01-01' } },
    400,
    -32022,
  ],
  ['an unknown method', { method: 'tools/destroy' }, 404, -32601],
  ['a removed method', { method: 'ping' }, 404, -32601],
  ['prompts, which we do not have', { method: 'prompts/list' }, 404, -32601],
  ['no meta', { params: { _meta: undefined } }, 400, -32602],
  ['half JSON', { body: '{"jsonrpc":' }, 400, -32700],
  ['nothing', { body: '' }, 400, -32700],
  ['a batch', { body: [{ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta() } }] }, 400, -32600],
  ['a null id', { id: null }, 400, -32600],
]
for (const [name, options, status, code] of ladder)
  test(`2026-07-28: ${name} gives ${status} ${code ?? ''}`, async () => {
    const answer = await send(options)
    assert.deepEqual([answer.status, answer.json?.error?.code], [status, code], answer.body)
    if (code !== undefined) assert.deepEqual(answer.seen, [])
  })

test('a notification is accepted without a body', async () => {
  const { status, body } = await send({ method: 'notifications/cancelled', id: undefined, params: { requestId: 5 } })
  assert.deepEqual([status, body], [202, ''])
})

test('the answer to a call tells the limit, like REST', async () => {
  const { headers } = await send({ ...call, headers: { 'mcp-name': 'inventory.assets.search' } })
  assert.match(String(headers['ratelimit']), /^"default";r=\d+;t=9$/)
})

test('subscriptions end at once, because nothing here changes by itself', async () => {
  const { status, body } = await send({
    method: 'subscriptions/listen',
    params: { notifications: { toolsListChanged: true } },
  })
  assert.equal(status, 200)
  assert.match(body, /subscriptions\/acknowledged[\s\S]*"resultType":"complete"/)
})

const legacy = { 'mcp-protocol-version': undefined, 'mcp-method': undefined }
test('2025-11-25: initialize, then calls, each on its own', async () => {
  const hello = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '0' } }
  const init = await send({ headers: legacy, body: { jsonrpc: '2.0', id: 1, method: 'initialize', params: hello } })
  assert.equal(init.status, 200)
  assert.match(init.body, /"protocolVersion":"2025-11-25"/)
  assert.equal(init.headers['mcp-session-id'], undefined)
  assert.equal(init.headers['x-accel-buffering'], 'no')
  const list = await send({
    headers: { ...legacy, 'mcp-protocol-version': '2025-11-25' },
    body: { jsonrpc: '2.0', id: 2, method: 'tools/list' },
  })
  assert.match(list.body, /^event: message\ndata: \{.*inventory\.assets\.search/m)
})

test('no token, no message: 401 before the body is looked at', async () => {
  for (const body of ['{', JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })]) {
    const { status, headers } = await send({ headers: { authorization: undefined }, body })
    assert.equal(status, 401)
    assert.match(
      String(headers['www-authenticate']),
      /^Bearer resource_metadata="http:\/\/localhost:80\/\.well-known\/oauth-protected-resource\/mcp"$/,
    )
  }
})
