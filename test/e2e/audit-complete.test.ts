import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newFolder, startAtlas } from '../../src/testing/server.ts'

type Operation = { 'x-atlas-action'?: string; operationId?: string }
type Event = {
  index: number
  code: string
  requestId?: string
  outcome?: string
  principal?: { id?: string }
  detail?: { count: number }
}

const paths = [
  '/livez',
  '/readyz',
  '/health',
  '/docs/problems',
  '/setup',
  '/api/v1/openapi.json',
  '/nowhere',
  '/api/v1/nowhere',
]
const logFiles = ['/audit/checkpoint', '/audit/vkey', '/audit/tile/0/000', '/audit/tile/entries/000.p/1']

test('every route of the API as every role, and MCP, leaves exactly the events of its outcome, and nothing else leaves any (AUD-4)', async (t) => {
  const folder = newFolder(t)
  const atlas = await startAtlas(t, { folder })
  const tokens = new Map<string, string>()
  for (const role of ['admin', 'operator', 'developer', 'viewer', 'auditor'])
    tokens.set(role, (await atlas.api<{ token: string }>('POST', '/tokens', { name: role, agent: role, role })).token)
  const { paths: api } = (
    await atlas.ask<{ paths: Record<string, Record<string, Operation>> }>('GET', '/api/v1/openapi.json', {
      token: undefined,
    })
  ).body
  const calls = Object.entries(api)
    .flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => ['get', 'post', 'put', 'patch', 'delete'].includes(method))
        .map((method) => ({
          method: method.toUpperCase(),
          path: `/api/v1${path}`.replace('/api/v1/api/v1', '/api/v1').replaceAll(/\{\w+\}/g, 'x1'),
        })),
    )
    .filter(({ path }) => !/\/(login|setup|openapi\.json)$/.test(path))
  assert.ok(calls.length > 60, `${calls.length} routes`)

  const made = new Map<string, { status: number; what: string; role: string }>()
  for (const [role, token] of tokens)
    for (const { method, path } of calls) {
      const answer = await atlas.ask(method, path, { token, ...(method !== 'GET' && { body: {} }) })
      made.set(answer.headers.get('x-request-id') ?? '', { status: answer.status, what: `${method} ${path}`, role })
    }
  const silent = new Set<string>()
  for (const path of paths)
    silent.add((await atlas.ask('GET', path, { token: undefined })).headers.get('x-request-id') ?? '')
  for (const path of logFiles) silent.add((await atlas.ask('GET', path)).headers.get('x-request-id') ?? '')
  const mcp = async (method: string, params: object) => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
    }
    const headers = {
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...('name' in params && { 'mcp-name': String(params.name) }),
    }
    const answer = await atlas.ask('POST', '/mcp', {
      token: tokens.get('viewer'),
      headers,
      body: { jsonrpc: '2.0', id: 1, method, params: { _meta, ...params } },
    })
    return { id: answer.headers.get('x-request-id') ?? '', answer }
  }
  silent.add((await mcp('tools/list', {})).id)
  silent.add((await mcp('server/discover', {})).id)
  const called = await mcp('tools/call', { name: 'identity.principal.get', arguments: {} })
  await atlas.stop()

  const again = await startAtlas(t, { folder })
  const events: Event[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await again.api<{ items: Event[]; next: string | null }>(
      'GET',
      `/audit/events?limit=200${cursor ? `&cursor=${cursor}` : ''}`,
    )
    events.push(...page.items)
    if (page.next === null) break
    cursor = page.next
  }
  const codes = Map.groupBy(events.toReversed(), ({ requestId }) => requestId ?? '')
  const wrong: string[] = []
  let counted = 0
  for (const [id, { status, what, role }] of made) {
    const found = (codes.get(id) ?? []).map(({ code }) => code).join(' ')
    const fits =
      status === 202
        ? ['action.asked']
        : status < 300
          ? ['action.started action.succeeded']
          : ['action.failed', 'action.started action.failed']
    if (found === '' && status >= 400 && status !== 500) counted += 1
    else if (!fits.includes(found)) wrong.push(`${what} as ${role} answered ${status} and left "${found}"`)
  }
  assert.deepEqual(wrong, [])
  const summaries = events.filter(({ code }) => code === 'action.refused-again')
  const details = await Promise.all(
    summaries.map(({ index }) =>
      again.api<Event>('GET', `/audit/events/${index}`).then(({ detail }) => detail?.count ?? 0),
    ),
  )
  assert.equal(
    details.reduce((sum, count) => sum + count, 0),
    counted,
    'each refused call is written or counted',
  )
  assert.deepEqual(
    [...silent].filter((id) => codes.has(id)),
    [],
  )
  assert.deepEqual(
    codes.get(called.id)?.map(({ code }) => code),
    ['action.started', 'action.succeeded'],
    called.answer.text,
  )
  t.diagnostic(
    `${made.size} calls, ${events.length} events, ${counted} refused calls counted in ${summaries.length} entries`,
  )
})
