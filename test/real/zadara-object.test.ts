import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { encode, regionHeader } from '../../src/connectors/zadara-object/authenticate.ts'
import { zadaraObject } from '../../src/connectors/zadara-object/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'

// Against a real OpenStack Swift with its S3 middleware, or any other S3 with buckets in the path. It makes two buckets of its
// own and removes them again.

const { S3_URL, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION = 'us-east-1', S3_CA } = process.env
const isThere = S3_URL && S3_ACCESS_KEY && S3_SECRET_KEY && S3_CA
const skip = isThere ? false : 'S3_URL, S3_ACCESS_KEY, S3_SECRET_KEY and S3_CA name no object storage'

const keys = ['a b+c.txt', "quotes'(1)*!~.txt", 'percent%2e%2e.txt', 'x&y=<z>@:;,$.txt', 'žluť/kůň.txt']

function reach(t: TestContext, config: object = {}, credential: object = {}) {
  return connectTo(t, zadaraObject, {
    config: { url: S3_URL, region: S3_REGION, pageSize: 2, ...config },
    credential: { accessKey: S3_ACCESS_KEY ?? '', secretKey: S3_SECRET_KEY ?? '', ...credential },
    caPem: readFileSync(S3_CA ?? '', 'utf8'),
  })
}
type Reached = ReturnType<typeof reach>

async function call({ context }: Reached, name: string, input: object) {
  const action = zadaraObject.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const { config, http, signal } = context
  const given: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  const run = handlerOf(action).run(action.input.parse({ connection: 's3', ...input }), given)
  return action.output.parse(await run) as Record<string, unknown>
}

/** What someone else does with the storage meanwhile. */
function change({ http }: Reached, method: 'PUT' | 'DELETE', path: string, body?: string) {
  const headers = { [regionHeader]: S3_REGION }
  return http.exchange({ method, path, headers, as: 'text', ...(body !== undefined && { body }) }, z.unknown())
}

const contentOf = (key: string) => `content of ${key}`
const pathOf = (bucket: string, key: string) => `/${bucket}/${key.split('/').map(encode).join('/')}`

test('A real object storage: check, sync, a change, sync again, objects with odd keys, a write', {
  skip,
}, async (t) => {
  const connected = reach(t)
  const bucket = `atlas-${randomUUID().slice(0, 8)}`
  const versioned = `${bucket}-v`
  assert.equal((await connected.check()).version, 'S3')
  try {
    await sizesAreSeen(connected, bucket)
    await oddKeysAreRead(connected, bucket)
    await versioningIsSet(connected, versioned)
  } finally {
    for (const key of keys) await change(connected, 'DELETE', pathOf(bucket, key))
    for (const name of [bucket, versioned]) await change(connected, 'DELETE', `/${name}`)
  }
  assert.ok((await connected.sync()).observations.every(({ name }) => name !== bucket && name !== versioned))
})

async function sizesAreSeen(connected: Reached, bucket: string): Promise<void> {
  const sizeOf = async () => {
    const { observations, batches } = await connected.sync()
    assert.ok(batches.every(({ full }) => full))
    const { objectCount, sizeBytes, isSizeComplete } =
      observations.find(({ name }) => name === bucket)?.attributes ?? {}
    return { objectCount, sizeBytes, isSizeComplete }
  }
  assert.deepEqual(await call(connected, 'objects.bucket.create', { bucket }), { bucket, created: true })
  assert.deepEqual(await call(connected, 'objects.bucket.create', { bucket }), { bucket, created: false })
  assert.deepEqual(await sizeOf(), { objectCount: 0, sizeBytes: 0, isSizeComplete: true })

  for (const key of keys) await change(connected, 'PUT', pathOf(bucket, key), contentOf(key))

  const sizeBytes = keys.reduce((sum, key) => sum + Buffer.byteLength(contentOf(key)), 0)
  assert.deepEqual(await sizeOf(), { objectCount: keys.length, sizeBytes, isSizeComplete: true })
}

async function oddKeysAreRead(connected: Reached, bucket: string): Promise<void> {
  const keysOf = ({ items }: Record<string, unknown>) => (items as { key: string }[]).map(({ key }) => key)
  for (const key of keys) {
    assert.deepEqual(keysOf(await call(connected, 'objects.objects.list', { bucket, prefix: key })), [key])
    const { sizeBytes } = await call(connected, 'objects.object.stat', { bucket, key })
    assert.equal(sizeBytes, Buffer.byteLength(contentOf(key)))
  }
  const first = await call(connected, 'objects.objects.list', { bucket, limit: 3 })
  const last = await call(connected, 'objects.objects.list', { bucket, limit: 3, cursor: first['next'] })
  assert.deepEqual([...keysOf(first), ...keysOf(last)].sort(), keys.toSorted())
  assert.equal(last['next'], null)
}

async function versioningIsSet(connected: Reached, bucket: string): Promise<void> {
  await call(connected, 'objects.bucket.create', { bucket })
  const set = (state: string) => call(connected, 'objects.versioning.set', { bucket, state })
  assert.deepEqual(await set('enabled'), { bucket, state: 'enabled', previousState: 'off', changed: true })
  assert.equal((await set('enabled'))['changed'], false)
  assert.equal((await set('suspended'))['previousState'], 'enabled')
}

test('A real object storage refuses a wrong secret and a wrong region with what to do', { skip }, async (t) => {
  await assert.rejects(reach(t, {}, { secretKey: 'not-the-secret' }).check(), {
    type: 'upstream-denied',
    message: /secret key is wrong/,
  })
  await assert.rejects(reach(t, { region: 'nowhere-1' }).check(), {
    type: 'upstream-denied',
    message: new RegExp(`expects ${S3_REGION}\\. Set it`),
  })
})

test('A real object storage refuses bodies with checksums behind them', { skip }, async (t) => {
  const { http } = reach(t)
  const headers = { [regionHeader]: S3_REGION, 'content-encoding': 'aws-chunked' }

  await assert.rejects(
    http.exchange({ method: 'PUT', path: '/atlas-no/x', body: 'hi', headers, as: 'text' }, z.unknown()),
    {
      type: 'method-not-allowed',
    },
  )
})
