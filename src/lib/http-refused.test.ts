import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { makeCa } from '../../simulators/lib/ca.ts'
import { Problem } from '../core/problem.ts'
import { makeHttp } from './http-client.ts'

// What follows when a system refuses the credential of a request: another is asked for, once.

const ca = makeCa()

/** A system that knows one token, refuses others in its own way, and counts what it was sent. */
async function world(t: TestContext, refuse: { status: number; body: object }) {
  const state = { good: 'second', current: 'first', asked: [] as string[], questions: 0 }
  const { certPem, keyPem } = ca.issue({ commonName: 'system', hosts: ['127.0.0.1'] })
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const token = request.headers.authorization ?? ''
    state.asked.push(`${request.method} ${token}`)
    const { status, body } = token === state.good ? { status: 200, body: { ok: true } } : refuse
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  /** What the vault says: whether another token is there by now, which is used from then on. */
  let there: string | Problem = 'first'
  const client = makeHttp({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caPem: ca.caPem,
    sign: async () => ({
      headers: { authorization: state.current },
      refused: async () => {
        state.questions++
        if (there instanceof Problem) throw there
        const isOther = there !== state.current
        state.current = there
        return isOther
      },
    }),
    explain: (_status, body) =>
      'denied' in (body as object) ? { type: 'upstream-denied', detail: 'The token is not known' } : undefined,
    allowLoopback: true,
    userAgent: 'atlas/test',
    now: () => new Date(),
    limits: { retryMs: 1 },
  })
  t.after(async () => {
    await client.close()
    server.closeAllConnections()
    server.close()
  })
  const keep = (value: string | Problem): void => {
    there = value
  }
  const send = async (method: 'GET' | 'POST'): Promise<string> => {
    try {
      const http = client.forCall()
      const Ok = z.object({ ok: z.literal(true) })
      await (method === 'GET' ? http.get('/', Ok) : http.send('POST', '/', Ok, {}))
      return 'ok'
    } catch (error) {
      return error instanceof Problem ? error.type : String(error)
    }
  }
  return { state, keep, send }
}

const refusals = [
  { title: '401', refuse: { status: 401, body: {} } },
  { title: '403', refuse: { status: 403, body: {} } },
  { title: 'a refusal in a good answer', refuse: { status: 200, body: { denied: true } } },
]

for (const { title, refuse } of refusals)
  for (const method of ['GET', 'POST'] as const)
    test(`${title}: a ${method} is sent once more with another credential, if there is one (claims: A36)`, async (t) => {
      const { state, keep, send } = await world(t, refuse)
      assert.deepEqual([await send(method), state.questions], ['upstream-denied', 1])
      assert.deepEqual(state.asked.splice(0), [`${method} first`])
      keep('second')
      assert.deepEqual([await send(method), state.questions], ['ok', 2])
      assert.deepEqual(state.asked, [`${method} first`, `${method} second`])
    })

test('a second refusal in one call is the end, whatever else there may be', async (t) => {
  const { state, keep, send } = await world(t, { status: 401, body: {} })
  state.good = 'third'
  keep('second')
  assert.deepEqual([await send('GET'), state.questions], ['upstream-denied', 1])
  assert.deepEqual(state.asked, ['GET first', 'GET second'])
})

test('when the other credential cannot be read, the call says that', async (t) => {
  const { state, keep, send } = await world(t, { status: 401, body: {} })
  keep(new Problem('secret-unavailable', 'vault://secret/atlas/lab#token: the vault is sealed'))
  assert.equal(await send('GET'), 'secret-unavailable')
  assert.deepEqual(state.asked, ['GET first'])
})

for (const status of [400, 404, 409, 500])
  test(`${status} says nothing of the credential, so no other is asked for`, async (t) => {
    const { state, send } = await world(t, { status, body: {} })
    await send('POST')
    assert.equal(state.questions, 0)
  })
