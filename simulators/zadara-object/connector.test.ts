import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { zadaraObject } from '../../src/connectors/zadara-object/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { oddKeys } from './buckets.ts'
import { type ObjectOptions, type ObjectStorage, startObjectStorage } from './start.ts'

// The connector, the real HTTP client and the simulated object storage, over TLS. Every request's signature is checked there.

const truth = makeCompany({ devices: 48, vms: 60, now: new Date('2026-11-20T12:00:00Z') })
const vms = [...truth.vms('backup')].length
const names = ['empty', 'legal-hold', 'log-archive', 'odd-names', 'public-web', 'terraform-state', 'vm-backups']

type Options = {
  readonly config?: object
  readonly credential?: Readonly<Record<string, string>>
  readonly limits?: Partial<HttpLimits>
  readonly caPem?: string
  readonly now?: () => Date
}

async function start(t: TestContext, options: ObjectOptions = {}) {
  const storage = await startObjectStorage({ truth, ...options })
  t.after(storage.stop)
  return storage
}

function reach(t: TestContext, storage: ObjectStorage, { config, ...more }: Options = {}) {
  const { credential, caPem } = storage
  return connectTo(t, zadaraObject, { credential, caPem, config: { ...storage.config, ...config }, ...more })
}

type Reached = ReturnType<typeof reach>

async function call({ context }: Reached, name: string, input: object) {
  const action = zadaraObject.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const { success, data } = action.input.safeParse({ connection: 's3', ...input })
  if (!success) throw new Problem('invalid-input')
  const { config, http, signal } = context
  const given: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(data, given)) as Record<string, unknown>
}

const sent = (storage: ObjectStorage) =>
  storage.requests.map(({ method, path, query }) => `${method} ${path}${query && `?${query}`}`)

test('Each action has its access and its route', () => {
  assert.deepEqual(
    zadaraObject.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['objects.buckets.list', 'read', 'GET', '/connections/{connection}/objects/buckets'],
      ['objects.objects.list', 'read', 'GET', '/connections/{connection}/objects/buckets/{bucket}/objects'],
      ['objects.object.stat', 'read', 'GET', '/connections/{connection}/objects/buckets/{bucket}/object'],
      ['objects.policy.get', 'read', 'GET', '/connections/{connection}/objects/buckets/{bucket}/policy'],
      ['objects.versioning.set', 'write', 'POST', '/connections/{connection}/objects/buckets/{bucket}/versioning'],
      ['objects.bucket.create', 'write', 'POST', '/connections/{connection}/objects/buckets'],
    ],
  )
})

test('The check tells whose key it is', async (t) => {
  const { check } = reach(t, await start(t))

  assert.deepEqual(await check(), { version: 'S3', account: 'atlas', warnings: [] })
})

test('A full sync reports each bucket once, with its size over many pages', async (t) => {
  const storage = await start(t)
  const { sync } = reach(t, storage, { config: { pageSize: 100, maxPagesPerBucket: 30 } })

  const { observations, batches, cursor } = await sync()

  assert.deepEqual(
    observations.map(({ externalId }) => externalId),
    names,
  )
  const seen = Object.fromEntries(observations.map(({ name, attributes }) => [name, attributes]))
  const whole = (name: string) => {
    const { count, size } = storage.sizeOf(name) ?? {}
    return { owner: 'atlas', objectCount: count, sizeBytes: size, isSizeComplete: true }
  }
  assert.equal(storage.sizeOf('vm-backups')?.count, vms * 3)
  assert.equal(storage.sizeOf('log-archive')?.count, 2500)
  assert.deepEqual(seen, {
    empty: { ...whole('empty'), versioning: 'suspended', policy: 'none' },
    'legal-hold': { owner: 'atlas', versioning: 'not readable', policy: 'not readable', isReadable: false },
    'log-archive': { ...whole('log-archive'), versioning: 'off', policy: 'none' },
    'odd-names': { ...whole('odd-names'), versioning: 'off', policy: 'none' },
    'public-web': { ...whole('public-web'), versioning: 'off', policy: 'set', allowsEveryone: true },
    'terraform-state': { ...whole('terraform-state'), versioning: 'enabled', policy: 'set', allowsEveryone: false },
    'vm-backups': { ...whole('vm-backups'), versioning: 'enabled', policy: 'none' },
  })
  assert.deepEqual(observations[0]?.facts, { createdAt: '2026-01-19T12:00:00.000Z' })
  assert.ok(batches.every(({ full, total }) => full && total === names.length))
  assert.deepEqual(cursor, {})
  assert.ok(storage.requests.every(({ method }) => method === 'GET'))
  assert.equal(storage.requests.filter(({ path, items }) => path === '/log-archive' && items !== undefined).length, 25)
})

test('A size that was not read to its end says so', async (t) => {
  const { sync } = reach(t, await start(t), { config: { pageSize: 100, maxPagesPerBucket: 3 } })

  const { observations } = await sync()

  const { objectCount, isSizeComplete } = observations.find(({ name }) => name === 'log-archive')?.attributes ?? {}
  assert.deepEqual([objectCount, isSizeComplete], [300, false])
})

test('The next sync reads everything again and shows what changed', async (t) => {
  const storage = await start(t)
  const { sync } = reach(t, storage)
  const first = await sync()
  storage.put('empty', 'first.txt', 12)
  storage.remove('public-web', 'page-003')
  storage.setPolicy('public-web', undefined)
  storage.removeBucket('log-archive')

  const second = await sync(first.cursor)

  const before = new Map(first.observations.map((one) => [one.externalId, JSON.stringify(one)]))
  const changed = second.observations.filter((one) => before.get(one.externalId) !== JSON.stringify(one))
  assert.deepEqual(
    changed.map(({ name, attributes }) => [name, attributes['objectCount'], attributes['policy']]),
    [
      ['empty', 1, 'none'],
      ['public-web', 24, 'none'],
    ],
  )
  assert.equal(second.observations.length, names.length - 1)
  assert.ok(second.batches.every(({ full }) => full))
})

test('A storage without policies answers 501 once, and the circuit breaker stays closed', async (t) => {
  const storage = await start(t, { hasPolicies: false })
  const { sync } = reach(t, storage, { limits: { breakerFailures: 2 } })

  const { observations } = await sync()

  assert.deepEqual([...new Set(observations.map(({ attributes }) => attributes['policy']))], ['unsupported'])
  assert.equal(storage.requests.filter(({ status }) => status === 501).length, 1)
})

test('Odd keys are listed as they are, page by page, and by prefix and folder', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage)
  const keys: string[] = []
  for (let cursor: unknown; cursor !== null; ) {
    const page = await call(connected, 'objects.objects.list', {
      bucket: 'odd-names',
      limit: 3,
      ...(cursor !== undefined && { cursor }),
    })
    keys.push(...(page['items'] as { key: string }[]).map(({ key }) => key))
    cursor = page['next']
  }
  assert.deepEqual(keys, oddKeys.toSorted())

  for (const key of oddKeys) {
    const { items } = await call(connected, 'objects.objects.list', { bucket: 'odd-names', prefix: key })
    assert.deepEqual(
      (items as { key: string }[]).map((item) => item.key),
      [key],
    )
  }
  const { folders } = await call(connected, 'objects.objects.list', { bucket: 'odd-names', folders: 'true' })
  assert.deepEqual(folders, ['../', 'a/', 'percent/', 'žluť/'])
})

test('Buckets are listed by name, page by page', async (t) => {
  const connected = reach(t, await start(t))

  const first = await call(connected, 'objects.buckets.list', { limit: 4 })
  const last = await call(connected, 'objects.buckets.list', { limit: 4, cursor: first['next'] })

  const of = ({ items }: Record<string, unknown>) => (items as { name: string }[]).map(({ name }) => name)
  assert.deepEqual([...of(first), ...of(last)], names)
  assert.deepEqual([first['next'], first['total'], last['next']], ['odd-names', 7, null])
})

const sendable = ['a b+c.txt', 'percent%2e%2e.txt', "quotes'(1)*!.txt", 'tilde~and%.txt', 'x&y=<z>.txt', 'žluť/kůň.txt']
for (const key of oddKeys) {
  test(`The object ${JSON.stringify(key)} is read, or refused before a request is made (claims: D16)`, async (t) => {
    const storage = await start(t)
    const reading = call(reach(t, storage), 'objects.object.stat', { bucket: 'odd-names', key })

    if (!sendable.includes(key)) {
      await assert.rejects(reading, { type: 'invalid-input', message: /Atlas sends no path with/ })
      assert.deepEqual(storage.requests, [])
      return
    }
    const found = await reading
    assert.deepEqual([found['key'], found['contentType'], found['versionId']], [key, 'application/octet-stream', null])
    const listed = await call(reach(t, storage), 'objects.objects.list', { bucket: 'odd-names', prefix: key })
    const [{ sizeBytes, etag } = {} as { sizeBytes?: number; etag?: string }] = listed['items'] as {
      sizeBytes: number
      etag: string
    }[]
    assert.deepEqual([found['sizeBytes'], found['etag']], [sizeBytes, etag])
  })
}

test('The request lines that arrive hold every odd key encoded (claims: D16)', async (t) => {
  const storage = await start(t)
  for (const key of sendable) await call(reach(t, storage), 'objects.object.stat', { bucket: 'odd-names', key })

  assert.deepEqual(sent(storage), [
    'HEAD /odd-names/a%20b%2Bc.txt',
    'HEAD /odd-names/percent%252e%252e.txt',
    'HEAD /odd-names/quotes%27%281%29%2A%21.txt',
    'HEAD /odd-names/tilde~and%25.txt',
    'HEAD /odd-names/x%26y%3D%3Cz%3E.txt',
    'HEAD /odd-names/%C5%BElu%C5%A5/k%C5%AF%C5%88.txt',
  ])
})

test('Policies are read; a bucket without one, and no bucket, are told apart', async (t) => {
  const connected = reach(t, await start(t))

  const { policy } = await call(connected, 'objects.policy.get', { bucket: 'public-web' })
  assert.equal((policy as { Version: string }).Version, '2012-10-17')
  assert.deepEqual(await call(connected, 'objects.policy.get', { bucket: 'empty' }), { bucket: 'empty', policy: null })
  await assert.rejects(call(connected, 'objects.policy.get', { bucket: 'no-such' }), { type: 'not-found' })
  await assert.rejects(call(connected, 'objects.policy.get', { bucket: 'legal-hold' }), { type: 'upstream-denied' })
})

test('Versioning is switched and a bucket is created once, however often that is asked', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage, { credential: storage.writeCredential })
  const set = (state: string) => call(connected, 'objects.versioning.set', { bucket: 'log-archive', state })

  assert.deepEqual(await set('enabled'), {
    bucket: 'log-archive',
    state: 'enabled',
    previousState: 'off',
    changed: true,
  })
  assert.deepEqual(await set('enabled'), {
    bucket: 'log-archive',
    state: 'enabled',
    previousState: 'enabled',
    changed: false,
  })
  assert.equal((await set('suspended'))['previousState'], 'enabled')
  assert.deepEqual(await call(connected, 'objects.bucket.create', { bucket: 'new-one' }), {
    bucket: 'new-one',
    created: true,
  })
  assert.deepEqual(await call(connected, 'objects.bucket.create', { bucket: 'new-one' }), {
    bucket: 'new-one',
    created: false,
  })
  assert.deepEqual(
    sent(storage).filter((line) => line.startsWith('PUT')),
    ['PUT /log-archive?versioning=', 'PUT /log-archive?versioning=', 'PUT /new-one'],
  )
})

test('A bucket in another region is created there', async (t) => {
  const storage = await start(t, { region: 'eu-7' })
  const connected = reach(t, storage, { credential: storage.writeCredential })

  assert.deepEqual(await call(connected, 'objects.bucket.create', { bucket: 'new-one' }), {
    bucket: 'new-one',
    created: true,
  })
})

test('A key that may only read changes nothing', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage)

  await assert.rejects(call(connected, 'objects.versioning.set', { bucket: 'empty', state: 'enabled' }), {
    type: 'upstream-denied',
  })
  await assert.rejects(call(connected, 'objects.bucket.create', { bucket: 'new-one' }), { type: 'upstream-denied' })
  assert.equal(storage.buckets.has('new-one'), false)
})

test('Each way that a signature is refused has its own sentence', async (t) => {
  const storage = await start(t, { region: 'eu-7' })
  const { credential } = storage
  const cases: readonly (readonly [Options, RegExp])[] = [
    [{ config: { region: 'us-east-1' } }, /expects eu-7\. Set it as the connection's region/],
    [{ credential: { ...credential, secretKey: 'wrong-secret' } }, /secret key is wrong/],
    [{ credential: { ...credential, accessKey: 'unknown' } }, /does not know this access key/],
    [{ now: () => new Date(Date.now() - 16 * 60_000) }, /clocks .* differ/],
  ]
  for (const [options, message] of cases)
    await assert.rejects(reach(t, storage, options).check(), { type: 'upstream-denied', message })
  await assert.doesNotReject(reach(t, storage, { now: () => new Date(Date.now() - 14 * 60_000) }).check())
})

test('Checksums behind the body are refused by the storage, and the connector never sends them', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage, { credential: storage.writeCredential })
  const put = (headers: Record<string, string>) =>
    connected.http.exchange({ method: 'PUT', path: '/empty/x', body: 'hi', headers, as: 'text' }, z.unknown())

  await assert.rejects(put({ 'content-encoding': 'aws-chunked' }), { type: 'method-not-allowed' })
  await assert.rejects(put({ 'x-amz-decoded-content-length': '2' }), { type: 'method-not-allowed' })
  await put({})
  assert.equal(storage.sizeOf('empty')?.count, 1)
})

const faults = [
  { fault: { kind: 'slow-down', count: 9 }, type: 'upstream-busy', says: /fewer requests/ },
  { fault: { kind: 'odd-error' }, type: 'upstream-failed', says: /^The object storage failed: InternalError\.$/ },
  { fault: { kind: 'same-token', count: 9 }, type: 'upstream-invalid', says: /another page without saying where/ },
  { fault: { kind: 'no-token', count: 9 }, type: 'upstream-invalid', says: /another page without saying where/ },
  { fault: { kind: '500' }, type: 'upstream-failed', says: /answered 500/ },
  { fault: { kind: '503', count: 9 }, type: 'upstream-busy', says: /answered 503/ },
  { fault: { kind: '429', count: 9, retryAfter: 3600 }, type: 'upstream-busy', says: /answered 429/ },
  { fault: { kind: 'malformed' }, type: 'upstream-invalid', says: /not valid XML/ },
  { fault: { kind: 'html' }, type: 'upstream-invalid', says: /not/ },
  { fault: { kind: 'redirect' }, type: 'upstream-invalid', says: /redirected/ },
  { fault: { kind: 'reset', count: 9 }, type: 'upstream-unreachable', says: /broke/ },
  { fault: { kind: 'hang', count: 9 }, type: 'upstream-timeout', says: /too long/ },
] as const
for (const { fault, type, says } of faults) {
  test(`A sync ends in ${type} on ${fault.kind} (claims: D30)`, async (t) => {
    const storage = await start(t)
    const { sync } = reach(t, storage, { config: { pageSize: 500 }, limits: { headersMs: 300 } })
    storage.fault({ path: '/log-archive', ...fault })

    await assert.rejects(sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|corp\.example|https?:/)
      return true
    })
  })
}

test('A key that is revoked ends the sync, though a closed bucket does not', async (t) => {
  const storage = await start(t)
  const { context } = reach(t, storage)
  const steps = zadaraObject.sync?.({
    ...context,
    config: zadaraObject.config.parse(storage.config),
    now: () => truth.now,
  })
  assert.ok(steps)
  const seen: (string | undefined)[] = []
  const reading = async () => {
    for await (const { observations = [] } of steps) {
      seen.push(observations[0]?.name)
      if (seen.length === 3) storage.revoke()
    }
  }

  await assert.rejects(reading(), { type: 'upstream-denied', message: /does not know this access key/ })
  assert.deepEqual(seen, ['empty', 'legal-hold', 'log-archive'])
})

for (const fault of [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'slow-down', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'slow', ms: 50 },
]) {
  test(`A sync gets over ${fault.kind} and misses nothing`, async (t) => {
    const storage = await start(t)
    const { sync } = reach(t, storage)
    storage.fault({ path: '/log-archive', ...fault })

    const { observations } = await sync()

    assert.equal(observations.find(({ name }) => name === 'log-archive')?.attributes['objectCount'], 2500)
    assert.deepEqual(storage.faults.planned, [])
  })
}

test('A storage whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const storage = await start(t)
  const other = await start(t)

  await assert.rejects(reach(t, storage, { caPem: other.caPem }).check(), { type: 'upstream-untrusted' })
  assert.deepEqual(storage.requests, [])
})

test('A hostile bucket name is refused before a request is made (claims: D16)', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage, { credential: storage.writeCredential })
  for (const bucket of [
    '..',
    '../x',
    'a/../b',
    'a?x=1',
    'a#x',
    'a%2e%2e',
    'a\r\nhost: evil',
    'a..b',
    'a b',
    '',
    '-ab',
    'ab.',
  ])
    for (const [name, input] of [
      ['objects.objects.list', {}],
      ['objects.object.stat', { key: 'x' }],
      ['objects.policy.get', {}],
      ['objects.versioning.set', { state: 'enabled' }],
      ['objects.bucket.create', {}],
    ] as const)
      await assert.rejects(
        call(connected, name, { bucket, ...input }),
        { type: 'invalid-input' },
        `${name} ${JSON.stringify(bucket)}`,
      )
  for (const bucket of ['10.0.0.1', 'Upper', 'under_score', 'a.-b', 'ab'])
    await assert.rejects(call(connected, 'objects.bucket.create', { bucket }), { type: 'invalid-input' }, bucket)

  assert.deepEqual(storage.requests, [])
})

test('A hostile prefix, key or cursor arrives encoded (claims: D16)', async (t) => {
  const storage = await start(t)
  const connected = reach(t, storage)
  const hostile = '../x?versioning&prefix=#\r\nhost: evil %2e%2e'
  await call(connected, 'objects.objects.list', { bucket: 'empty', prefix: hostile, cursor: hostile })
  await assert.rejects(call(connected, 'objects.object.stat', { bucket: 'empty', key: hostile }), {
    type: 'invalid-input',
  })
  for (const key of ['a\ud800', '', 'x'.repeat(1025)])
    await assert.rejects(call(connected, 'objects.object.stat', { bucket: 'empty', key }), { type: 'invalid-input' })

  const value = new URLSearchParams({ v: hostile }).toString().slice(2)
  assert.deepEqual(sent(storage), [
    `GET /empty?list-type=2&encoding-type=url&max-keys=100&prefix=${value}&continuation-token=${value}`,
  ])
})
