import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client, type ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { testDoors, tokens } from '../../testing/doors.ts'

// The official client against a real listening server, in both revisions and through both transports.

const revisions = { '2026-07-28': { pin: '2026-07-28' }, '2025-11-25': 'legacy' } as const
type Revision = keyof typeof revisions

async function listening(t: TestContext, options: Parameters<typeof testDoors>[0] = {}) {
  const doors = testDoors(options)
  await doors.app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => doors.app.close())
  const { port } = doors.app.server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`

  const overHttp = (token: string) =>
    new StreamableHTTPClientTransport(new URL('/mcp', origin), {
      requestInit: { headers: { authorization: `Bearer ${token}` } },
    })
  const overStdio = (token: string) => {
    const bridge = fileURLToPath(new URL('./stdio.ts', import.meta.url))
    const script = `import { serveStdio } from ${JSON.stringify(bridge)}
      const { TEST_URL: url, TEST_TOKEN: token } = process.env
      await serveStdio({ url, token, input: process.stdin, output: process.stdout, note: (text) => console.error(text) })`
    const args = ['--input-type=module', '-e', script]
    return new StdioClientTransport({ command: process.execPath, args, env: { TEST_URL: origin, TEST_TOKEN: token } })
  }
  const connect = async (revision: Revision, transport: ReturnType<typeof overHttp> | ReturnType<typeof overStdio>) => {
    const client = new Client({ name: 'test', version: '0' }, { versionNegotiation: { mode: revisions[revision] } })
    t.after(() => client.close())
    await client.connect(transport)
    return client
  }
  return { ...doors, port, origin, overHttp, overStdio, connect }
}

const readTools = [
  'audit.log.read',
  'inventory.assets.get',
  'inventory.assets.search',
  'test.calls.break',
  'test.calls.wait',
]

for (const revision of Object.keys(revisions) as Revision[])
  for (const kind of ['overHttp', 'overStdio'] as const) {
    test(`${revision} ${kind}: a client lists its tools and finds a device, and the log holds both events`, async (t) => {
      const doors = await listening(t)
      const client = await doors.connect(revision, doors[kind](tokens.viewer))

      const { tools } = await client.listTools()
      const found = await client.callTool({ name: 'inventory.assets.search', arguments: { q: 'sw-01' } })

      assert.deepEqual(
        tools.map(({ name }) => name),
        readTools,
      )
      const output = { items: [{ id: 'ast_1', name: 'sw-01' }], next: null }
      assert.deepEqual(
        [found.structuredContent, found.content],
        [output, [{ type: 'text', text: JSON.stringify(output) }]],
      )
      assert.deepEqual(
        doors.events.map(({ code, door, action }) => [code, door, action]),
        [
          ['action.started', 'mcp', 'inventory.assets.search'],
          ['action.succeeded', 'mcp', 'inventory.assets.search'],
        ],
      )
    })

    test(`${revision} ${kind}: a problem is a result that a model can read`, async (t) => {
      const doors = await listening(t)
      const client = await doors.connect(revision, doors[kind](tokens.viewer))

      const missing = await client.callTool({ name: 'inventory.assets.get', arguments: { asset: 'missing' } })
      const wrong = await client.callTool({ name: 'inventory.assets.get', arguments: { asset: 7, id: 'canary' } })
      const bug = await client.callTool({ name: 'test.calls.break', arguments: {} })

      const problem = missing.structuredContent as Record<string, unknown>
      assert.deepEqual(
        [missing.isError, problem['type'], problem['detail']],
        [true, '/docs/problems#not-found', 'There is no such asset'],
      )
      assert.deepEqual(missing.content, [{ type: 'text', text: JSON.stringify(problem) }])
      assert.deepEqual(
        [wrong.isError, (wrong.structuredContent as Record<string, unknown>)['type']],
        [true, '/docs/problems#invalid-input'],
      )
      assert.deepEqual([bug.isError, /canary|select|srv/.test(JSON.stringify(bug))], [true, false])
    })

    test(`${revision} ${kind}: a tool that is not there, not permitted, or a reveal all give the same answer`, async (t) => {
      const doors = await listening(t)
      const answers: unknown[] = []
      for (const [token, name, given] of [
        [tokens.viewer, 'no.such.tool', {}],
        [tokens.viewer, 'connections.connections.edit', { connection: 'c', name: 'n' }],
        [tokens.viewer, 'connections.connections.edit', { wrong: 'n' }],
        [tokens.admin, 'connections.connections.add', { name: 'n' }],
        [tokens.viewer, 'vault.secrets.reveal', { secret: 's' }],
        [tokens.admin, 'vault.secrets.reveal', { secret: 's' }],
        [tokens.nobody, 'inventory.assets.search', {}],
      ] as const) {
        const client = await doors.connect(revision, doors[kind](token))
        answers.push(
          await client
            .callTool({ name, arguments: given })
            .catch((error: ProtocolError) => [error.code, error.message, error.data]),
        )
      }
      for (const answer of answers) assert.deepEqual(answer, answers[0])
      assert.ok(Array.isArray(answers[0]) && answers[0][0] === -32602)
      assert.deepEqual(doors.seen, [])
      // Every attempt is in the log all the same.
      assert.deepEqual(
        doors.events.map(({ outcome }) => outcome),
        ['not-found', 'denied', 'invalid-input', 'not-found', 'not-found', 'not-found', 'denied'],
      )
    })

    test(`${revision} ${kind}: a call that needs an approval says so, and runs once after it`, async (t) => {
      const doors = await listening(t)
      const client = await doors.connect(revision, doors[kind](tokens.admin))
      const remove = () => client.callTool({ name: 'connections.connections.remove', arguments: { connection: 'c1' } })

      const asked = await remove()
      doors.approveAll()
      const done = await remove()
      const again = await remove()

      assert.deepEqual([asked.isError, (asked.structuredContent as { pending: string }).pending], [true, 'apr_1'])
      assert.match(JSON.stringify(asked.content), /Nothing was done yet.*apr_1.*same arguments/)
      assert.deepEqual([done.isError, done.structuredContent], [undefined, { removed: true }])
      assert.equal(again.isError, true)
    })

    test(`${revision} ${kind}: an asset is a resource`, async (t) => {
      const doors = await listening(t)
      const client = await doors.connect(revision, doors[kind](tokens.viewer))

      const { resources } = await client.listResources()
      const { resourceTemplates } = await client.listResourceTemplates()
      const { contents } = await client.readResource({ uri: 'atlas://assets/ast_1' })

      assert.deepEqual(
        [resources, resourceTemplates.map(({ uriTemplate }) => uriTemplate)],
        [[], ['atlas://assets/{id}']],
      )
      const text = JSON.stringify({ id: 'ast_1', name: 'sw-01' })
      assert.deepEqual(contents, [{ uri: 'atlas://assets/ast_1', mimeType: 'application/json', text }])
      for (const uri of [
        'atlas://assets/missing',
        'atlas://assets/a/b',
        'atlas://other/1',
        'file:///etc/passwd',
        'atlas://assets/',
      ])
        await assert.rejects(client.readResource({ uri }), (error: ProtocolError) => error.code === -32602, uri)
      const stranger = await doors.connect(revision, doors[kind](tokens.nobody))
      assert.deepEqual((await stranger.listResourceTemplates()).resourceTemplates, [])
      await assert.rejects(
        stranger.readResource({ uri: 'atlas://assets/ast_1' }),
        (error: ProtocolError) => error.code === -32602,
      )
    })

    test(`${revision} ${kind}: a cancelled call ends on the server`, async (t) => {
      const doors = await listening(t)
      const client = await doors.connect(revision, doors[kind](tokens.viewer))
      const abort = new AbortController()
      const call = client.callTool({ name: 'test.calls.wait', arguments: {} }, { signal: abort.signal })
      call.catch(() => undefined)
      while (doors.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))

      abort.abort()

      await assert.rejects(call)
      for (let i = 0; i < 200 && doors.aborted.length === 0; i++)
        await new Promise((resolve) => setTimeout(resolve, 10))
      assert.equal(doors.aborted.length, 1)
    })

    test(`${revision} ${kind}: a wrong token opens nothing`, async (t) => {
      const doors = await listening(t)
      await assert.rejects(doors.connect(revision, doors[kind]('atl_other')))
    })
  }

test('a large result arrives whole', async (t) => {
  const doors = await listening(t)
  const client = await doors.connect('2026-07-28', doors.overHttp(tokens.viewer))
  const id = 'a'.repeat(200)
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      client.callTool({ name: 'inventory.assets.get', arguments: { asset: id.repeat(1000) } }),
    ),
  )
  for (const { structuredContent } of answers) assert.equal((structuredContent as { id: string }).id.length, 200_000)
})

test('a hundred clients with the same ids get their own answers (INC-4)', async (t) => {
  const doors = await listening(t)
  const call = async (canary: string, id: number, modern: boolean) => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const name = 'inventory.assets.search'
    const params = { name, arguments: { q: canary }, ...(modern && { _meta: meta }) }
    const answer = await fetch(`${doors.origin}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${tokens.viewer}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(modern && { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params }),
    })
    const text = await answer.text()
    const message = JSON.parse(text.startsWith('{') ? text : (/^data: (.+)$/m.exec(text)?.[1] ?? ''))
    assert.deepEqual([message.id, message.result.structuredContent.items[0].name], [id, canary])
  }
  const client = async (number: number) => {
    for (let id = 0; id < 5; id++) await call(`canary-${number}-${id}`, id, number % 2 === 0)
  }
  await Promise.all(Array.from({ length: 100 }, (_, number) => client(number)))
  assert.equal(doors.seen.length, 500)
})
