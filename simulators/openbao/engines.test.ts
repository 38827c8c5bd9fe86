import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { makeOutbound } from '../../src/lib/outbound.ts'
import { startOpenBao } from './start.ts'

// What the key-value and database engines answer, as the published API documents say it.

async function world(t: TestContext) {
  const bao = await startOpenBao()
  const send = makeOutbound({ ca: bao.caPem })
  t.after(bao.stop)
  const ask = async (method: 'GET' | 'POST' | 'PUT', path: string, body?: object, token = bao.rootToken) => {
    const answer = await send({
      url: `${bao.url}/v1/${path}`,
      method,
      headers: { 'x-vault-token': token },
      ...(body && { body: JSON.stringify(body) }),
      timeoutMs: 5000,
    })
    const text = answer.body.toString()
    return { status: answer.status, ...(text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)) } as Answer
  }
  return { bao, ask }
}

type Answer = {
  readonly status: number
  readonly errors?: readonly string[]
  readonly lease_id?: string
  readonly lease_duration?: number
  readonly renewable?: boolean
  readonly data?: { readonly data?: unknown; readonly metadata?: Record<string, unknown> } & Record<string, unknown>
  readonly auth?: Record<string, unknown>
}

test('key-value version 2: versions are written, read, deleted, restored and destroyed', async (t) => {
  const { ask } = await world(t)
  const read = async (version = '') => {
    const { status, data, errors } = await ask('GET', `secret/data/a/b${version}`)
    const { version: number, destroyed, deletion_time: deleted } = data?.metadata ?? {}
    return [status, data?.data, number, destroyed, deleted === undefined ? errors : deleted !== '']
  }
  assert.deepEqual(await read(), [404, undefined, undefined, undefined, []])
  const first = await ask('POST', 'secret/data/a/b', { data: { token: 'one' } })
  assert.deepEqual([first.status, first.data?.['version'], first.data?.['deletion_time']], [200, 1, ''])
  assert.equal((await ask('PUT', 'secret/data/a/b', { options: { cas: 0 }, data: {} })).status, 400)
  assert.equal((await ask('PUT', 'secret/data/a/b', { options: { cas: 1 }, data: { token: 'two' } })).status, 200)
  assert.deepEqual(await read(), [200, { token: 'two' }, 2, false, false])
  assert.deepEqual(await read('?version=1'), [200, { token: 'one' }, 1, false, false])
  assert.deepEqual(await read('?version=3'), [404, undefined, undefined, undefined, []])
  // What was deleted or destroyed is not found, and its metadata says why.
  assert.equal((await ask('POST', 'secret/delete/a/b', { versions: [2] })).status, 204)
  assert.deepEqual(await read(), [404, null, 2, false, true])
  assert.equal((await ask('POST', 'secret/undelete/a/b', { versions: [2] })).status, 204)
  assert.deepEqual(await read(), [200, { token: 'two' }, 2, false, false])
  assert.equal((await ask('PUT', 'secret/destroy/a/b', { versions: [1] })).status, 204)
  assert.deepEqual(await read('?version=1'), [404, null, 1, true, false])
  const { data } = await ask('GET', 'secret/metadata/a/b')
  assert.deepEqual([data?.['current_version'], Object.keys(data?.['versions'] ?? {})], [2, ['1', '2']])
})

test('a lease lives until it ends, is revoked, or its token ends; it is renewed up to its longest life', async (t) => {
  const { bao, ask } = await world(t)
  Object.assign(bao.database.rules, { ttlMs: 600_000, maxTtlMs: 900_000 })
  const rules = [{ path: 'database/creds/*', capabilities: ['read'] as const }]
  const token = bao.tokens.make({ rules, ttlMs: 7_200_000 })
  const take = () => ask('GET', 'database/creds/atlas', undefined, token)
  const renew = (id: string | undefined) => ask('PUT', 'sys/leases/renew', { lease_id: id, increment: 600 }, token)
  const { status, lease_id: id, lease_duration, renewable, data } = await take()
  assert.deepEqual([status, lease_duration, renewable], [200, 600, true])
  const lives = () => bao.database.accepts(String(data?.['username']), String(data?.['password']))
  assert.ok(lives() && id?.startsWith('database/creds/atlas/'))
  bao.forward(400_000)
  const { lease_duration: left, data: none } = await renew(id)
  assert.ok(left !== undefined && left > 480 && left <= 500, String(left))
  assert.equal(none, null)
  bao.forward(510_000)
  assert.deepEqual([lives(), (await renew(id)).errors], [false, ['lease not found']])

  const look = (of: string | undefined) => ask('PUT', 'sys/leases/lookup', { lease_id: of }, token)
  assert.deepEqual((await look(id)).errors, ['invalid lease'])
  const second = await take()
  assert.equal((await look(second.lease_id)).data?.['renewable'], true)
  assert.equal((await ask('PUT', 'sys/leases/revoke', { lease_id: second.lease_id }, token)).status, 403)
  assert.equal((await ask('PUT', 'sys/leases/revoke', { lease_id: second.lease_id })).status, 204)
  assert.equal((await renew(second.lease_id)).status, 400)
  bao.database.rules.renewable = false
  assert.deepEqual((await renew((await take()).lease_id)).errors, ['lease is not renewable'])
  assert.equal(bao.leases.standing().length, 1)
  bao.tokens.revoke(token)
  assert.deepEqual(bao.leases.standing(), [])
})

test('a token tells how long it lives and renews itself up to its longest life', async (t) => {
  const { bao, ask } = await world(t)
  const token = bao.tokens.make({ rules: [], ttlMs: 600_000, maxTtlMs: 900_000 })
  const look = async (of = token) => {
    const { data } = await ask('GET', 'auth/token/lookup-self', undefined, of)
    return [Math.ceil(Number(data?.['ttl']) / 100) * 100, data?.['renewable']]
  }
  assert.deepEqual(
    [await look(), await look(bao.rootToken)],
    [
      [600, true],
      [0, false],
    ],
  )
  bao.forward(500_000)
  const { auth } = await ask('PUT', 'auth/token/renew-self', {}, token)
  assert.deepEqual([Math.ceil(Number(auth?.['lease_duration']) / 100), auth?.['renewable']], [4, true])
  assert.deepEqual((await ask('PUT', 'auth/token/renew-self', {})).errors, ['lease is not renewable'])
  bao.forward(410_000)
  assert.deepEqual((await ask('GET', 'auth/token/lookup-self', undefined, token)).errors, ['permission denied'])
})
