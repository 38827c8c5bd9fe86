import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDoors, tokens } from '../../testing/doors.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const json = { 'content-type': 'application/json' }

const contentTypes: [string | string[] | undefined, number][] = [
  ['application/json', 200],
  ['application/json; charset=utf-8', 200],
  ['application/json;charset=UTF-8', 200],
  ['Application/JSON; charset="utf-8"', 200],
  [undefined, 415],
  ['', 415],
  ['text/plain', 415],
  ['application/x-www-form-urlencoded', 415],
  ['multipart/form-data; boundary=x', 415],
  ['application/json\ta', 415],
  ['application/json\t; charset=utf-8', 415],
  ['application/json; charset=utf-16', 415],
  ['application/json; charset=utf-8; charset=utf-16', 415],
  ['application/json; charset=utf-8; boundary=x', 415],
  ['application/json, text/plain', 415],
  ['text/plain, application/json', 415],
  ['text/plain; application/json', 415],
  ['application/jsonp', 415],
  ['application/json5', 415],
  ['application/problem+json', 415],
  ['application/vnd.api+json', 415],
  ['*/*', 415],
  ['application/*', 415],
  ['json', 415],
  [['application/json', 'text/plain'], 415],
  [['application/json', 'application/json'], 415],
]
for (const [type, status] of contentTypes)
  test(`a body of type ${JSON.stringify(type)} gives ${status} (INC-14, INC-17)`, async () => {
    const { app, seen } = testDoors()
    for (const url of ['/api/v1/connections', '/mcp']) {
      const headers = { ...bearer(tokens.admin), ...(type !== undefined && { 'content-type': type }) } as Record<
        string,
        string
      >
      const answer = await app.inject({ method: 'POST', url, headers, payload: Buffer.from('{"name":"n"}') })
      if (status !== 200)
        assert.deepEqual([answer.statusCode, answer.json().type], [415, '/docs/problems#unsupported-media-type'], url)
      else assert.notEqual(answer.statusCode, 415, url)
    }
    assert.equal(seen.length, status === 200 ? 1 : 0)
  })

const nested = (depth: number) => `{"name":"n","config":{"a":${'['.repeat(depth - 2)}${']'.repeat(depth - 2)}}}`
const keys = (count: number) =>
  `{"name":"n","config":{${Array.from({ length: count - 2 }, (_, i) => `"k${i}":1`).join()}}}`
const bodies: [string, string | Buffer, number][] = [
  ['no JSON', 'name=n', 400],
  ['half JSON', '{"name":', 400],
  ['JSON and more', '{"name":"n"}{}', 400],
  ['an array', '[{"name":"n"}]', 400],
  ['null', 'null', 400],
  ['a text', '"name"', 400],
  ['nothing', '', 400],
  ['a byte order mark', '\ufeff{"name":"n"}', 400],
  ['bytes that are not UTF-8', Buffer.from([...Buffer.from('{"name":"'), 0xff, 0xfe, ...Buffer.from('"}')]), 400],
  ['32 levels', nested(32), 200],
  ['33 levels', nested(33), 400],
  ['100,000 levels', '['.repeat(100_000), 400],
  ['brackets inside a string', `{"name":"${'['.repeat(40)}\\"${'{'.repeat(40)}"}`, 200],
  ['10,000 keys', keys(10_000), 200],
  ['10,001 keys', keys(10_001), 400],
  ['colons inside a string', `{"name":"${':'.repeat(20_000)}"}`, 200],
  ['exactly 1 MiB', `{"name":"${'a'.repeat(1_048_576 - 11)}"}`, 200],
  ['one byte over 1 MiB', `{"name":"${'a'.repeat(1_048_576 - 10)}"}`, 413],
]
for (const [name, payload, status] of bodies)
  test(`a body of ${name} gives ${status}`, async () => {
    const { app } = testDoors()
    const headers = { ...json, ...bearer(tokens.admin) }
    const answer = await app.inject({ method: 'POST', url: '/api/v1/connections', headers, payload })
    assert.equal(answer.statusCode, status, answer.body.slice(0, 200))
    assert.ok(answer.body.length < 1_000)
    // A stranger makes us read nothing, whatever it sends.
    assert.equal(
      (await app.inject({ method: 'POST', url: '/api/v1/connections', headers: json, payload })).statusCode,
      401,
    )
  })

test('a compressed body is refused', async () => {
  const { app } = testDoors()
  const headers = { ...json, ...bearer(tokens.admin), 'content-encoding': 'gzip' }
  const answer = await app.inject({ method: 'POST', url: '/api/v1/connections', headers, payload: '{"name":"n"}' })
  assert.equal(answer.statusCode, 415)
})

test('a body that hides its length is cut off at the limit', async (t) => {
  const { app } = testDoors()
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  const address = app.server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const body = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 20; i++) controller.enqueue(Buffer.alloc(100_000, 32))
      controller.close()
    },
  })
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/connections`, {
    method: 'POST',
    headers: { ...json, ...bearer(tokens.admin) },
    body,
    duplex: 'half',
  } as RequestInit)
  assert.equal(answer.status, 413)
  assert.equal(answer.headers.get('connection'), 'close')
  await answer.body?.cancel()
})
