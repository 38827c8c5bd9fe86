import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { makeCa } from '../../../simulators/lib/ca.ts'
import { CliError, makeClient } from './client.ts'

async function listen(t: TestContext, server: Pick<Server, 'listen' | 'close' | 'address'> & NodeJS.EventEmitter) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => void server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function failure(url: string): Promise<string> {
  const error = await makeClient({ url, env: { ATLAS_TOKEN: 'x' } })
    .get('/me')
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
  assert.ok(error instanceof CliError)
  return error.message
}

const answering = (status: number, headers: Record<string, string>, body: string) =>
  createServer((_request, response) => response.writeHead(status, headers).end(body))

test('a server that cannot be reached is explained in one sentence with what to do', async (t) => {
  const pair = makeCa('Own CA').issue({ commonName: 'localhost', hosts: ['127.0.0.1'] })
  const plain = await listen(t, answering(200, {}, '{}'))
  const secure = await listen(t, createSecureServer({ cert: pair.certPem, key: pair.keyPem }))
  const closing = createServer()
  const closed = await listen(t, closing)
  await new Promise((resolve) => closing.close(resolve))

  const cases: [string, RegExp][] = [
    [`http://${closed}`, /^Nothing answers at .*npm start.*export ATLAS_URL/],
    [`https://${plain}`, /does not speak https there.*use http:\/\//],
    [`http://${secure}`, /does not speak http there.*Use https:\/\//],
    [`https://${secure}`, /not from an authority that this machine knows.*NODE_EXTRA_CA_CERTS/],
    ['https://atlas.invalid', /no machine of this name/],
  ]
  for (const [url, says] of cases) assert.match(await failure(url), says)
})

test('what answers and is not Atlas is said to be so', async (t) => {
  const page = { 'content-type': 'text/html' }
  const urls = await Promise.all([
    listen(t, answering(404, page, '<h1>no</h1>')),
    listen(t, answering(200, page, '<h1>hello</h1>')),
    listen(t, answering(302, { location: 'https://login.example.org/' }, '')),
  ])
  for (const url of urls) assert.match(await failure(`http://${url}`), /not like Atlas|not Atlas itself/)
})

test('a call that waits for a yes is never taken for one that was carried out', async (t) => {
  const url = `http://${await listen(t, answering(202, { 'content-type': 'application/json' }, '{"pending":"apr_1","detail":"…"}'))}`
  const client = makeClient({ url, env: { ATLAS_TOKEN: 'x' } })

  for (const call of [() => client.send('POST', '/vault/keys', {}), () => client.get('/me'), () => client.bytes('/x')])
    await assert.rejects(call, (error: CliError) => {
      assert.match(error.message, /^Nothing was done yet: .*atlas approvals approve apr_1/)
      assert.equal(error.exitCode, 1)
      return true
    })
})

test('faults of the input are said by the names of the fields', async (t) => {
  const errors = [
    { field: '/role', rule: 'is not a role' },
    { field: '/name', rule: 'is needed' },
  ]
  const problem = JSON.stringify({ title: 'The input does not match', detail: '/role: …', errors, requestId: 'req_1' })
  const url = await listen(t, answering(400, { 'content-type': 'application/problem+json' }, problem))
  assert.equal(await failure(`http://${url}`), 'role: is not a role; name: is needed (request req_1)')
})
