import assert from 'node:assert/strict'
import type { LookupAddress, lookup } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { AddressRefused, makeConnector } from './http-connect.ts'

/** A listener that nothing may reach, and a resolver that always leads somewhere. */
async function canary(t: TestContext) {
  let hits = 0
  const server = createServer((socket) => {
    hits++
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const port = String((server.address() as AddressInfo).port)
  return { port, hits: () => hits }
}

function answering(...addresses: readonly string[]): typeof lookup {
  const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return ((_host: string, _options: object, done: (error: null, found: LookupAddress[]) => void) =>
    done(null, found)) as unknown as typeof lookup
}

function connect(hostname: string, port: string, resolve: typeof lookup, allowLoopback = false): Promise<unknown> {
  const connector = makeConnector({ rule: { allowLoopback }, timeoutMs: 2000, resolve })
  return new Promise((settle) => {
    connector({ hostname, host: hostname, protocol: 'https:', port }, (error, socket) => {
      socket?.destroy()
      settle(error ?? 'connected')
    })
  })
}

const hostile: readonly (readonly string[])[] = [
  ['127.0.0.1'],
  ['::1'],
  ['::ffff:127.0.0.1'],
  ['10.0.0.1', '127.0.0.1'],
  ['127.0.0.1', '10.0.0.1'],
  ['169.254.169.254'],
  ['fd00:ec2::254'],
  ['0.0.0.0'],
  [],
]

for (const addresses of hostile)
  test(`a name that resolves to [${addresses}] is not connected to`, async (t) => {
    const { port, hits } = await canary(t)
    assert.ok((await connect('rebind.example.org', port, answering(...addresses))) instanceof AddressRefused)
    assert.equal(hits(), 0)
  })

test('a literal is judged although it is never resolved', async (t) => {
  const { port, hits } = await canary(t)
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0'])
    assert.ok((await connect(host, port, answering('10.0.0.1'))) instanceof AddressRefused, host)
  assert.equal(hits(), 0)
})

test('with loopback allowed the same name is connected to', async (t) => {
  const { port, hits } = await canary(t)
  const result = await connect('local.example.org', port, answering('127.0.0.1'), true)
  assert.ok(result instanceof Error && !(result instanceof AddressRefused))
  assert.equal(hits(), 1)
})
