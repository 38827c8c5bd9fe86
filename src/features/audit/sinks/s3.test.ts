import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startLockedBucket } from '../../../../simulators/audit-receivers/s3.ts'
import { startWebhookReceiver } from '../../../../simulators/audit-receivers/webhook.ts'
import { Secret } from '../../../core/secret.ts'
import { freshSqlite, testOnEach } from '../../../testing/databases.ts'
import { appendMany, delivered, until, withSinks } from '../../../testing/sinks.ts'
import { assemble } from '../assemble.ts'
import { auditMigrations } from '../migrations.ts'
import { tilePath, tilesOf } from '../tiles.ts'
import { type Verdict, verifyExport } from '../verify.ts'
import { fullTiles, partialTiles } from './s3.ts'
import type { SinkSettings } from './sinks.ts'

type Bucket = Awaited<ReturnType<typeof startLockedBucket>>

async function bucketOf(t: TestContext, options: Parameters<typeof startLockedBucket>[0] = {}): Promise<Bucket> {
  const bucket = await startLockedBucket(options)
  t.after(bucket.stop)
  return bucket
}

function to({ url, caPem, region, credential }: Bucket, tailMs = 1): SinkSettings {
  const secretAccessKey = new Secret(credential.secretAccessKey)
  const where = { bucket: url, prefix: 'hub/', region, ca: caPem, ...credential, secretAccessKey }
  return { s3: { ...where, lockMode: 'COMPLIANCE', lockDays: 30 }, pace: { tailMs } }
}

const sizesIn = (bucket: Bucket) =>
  [...bucket.objects.keys()].flatMap((key) => (key.startsWith('hub/checkpoints/') ? [Number(key.slice(16))] : []))

/** What an auditor does: downloads everything, makes an export of it and verifies that with the key that he trusts. */
async function verifyBucket(t: TestContext, bucket: Bucket, vkey: string): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bucket-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [key, { body }] of bucket.objects) {
    mkdirSync(dirname(join(folder, key)), { recursive: true })
    writeFileSync(join(folder, key), body)
  }
  await assemble(join(folder, 'hub'), join(folder, 'export'), vkey)
  return verifyExport(join(folder, 'export'), vkey)
}

test('full tiles written step by step, and the partial ones at the end, are the files of a log of that size', () => {
  for (const size of [1, 255, 256, 257, 70_000, 256 ** 2, 256 ** 2 + 1, 17_000_000]) {
    const steps = [0, ...Array.from({ length: 5 }, () => randomInt(Math.floor(size / 256) + 1)), Math.floor(size / 256)]
    steps.sort((a, b) => a - b)
    const full = steps.slice(1).flatMap((last, i) => [...fullTiles(steps[i] ?? 0, last)])

    const paths = [...full, ...partialTiles(size)].map(tilePath)

    assert.deepEqual(paths.sort(), [...tilesOf(size)].map(tilePath).sort(), `${size}, ${steps}`)
  }
})

testOnEach(
  'a bucket with object lock gets the log as files that verify offline, each locked, none overwritten',
  auditMigrations,
  async (db, t) => {
    const bucket = await bucketOf(t)
    const started = Date.now()
    await withSinks(db, { sinks: to(bucket) }, async (log) => {
      for (const count of [3, 700, 1, 300]) {
        await appendMany(log, count)
        await delivered(log)
      }
      const verdict = await verifyBucket(t, bucket, log.vkey)
      assert.ok(verdict.ok, JSON.stringify(verdict))
      assert.equal(verdict.size, (await log.status()).size)
    })
    const [vkey, stopped] = await withSinks(db, { sinks: {} }, async (log) => {
      const { items } = await log.search({ code: 'server.stopped' })
      return [log.vkey, items[0]?.index]
    })
    const verdict = await verifyBucket(t, bucket, vkey)
    assert.ok(verdict.ok && verdict.size === (stopped ?? 0) + 1, `with the end of the run: ${JSON.stringify(verdict)}`)
    for (const [key, { mode, retainUntil }] of bucket.objects) {
      const days = (Date.parse(String(retainUntil)) - started) / 86_400_000
      assert.ok(mode === 'COMPLIANCE' && days >= 30 && days < 30.1, `${key} ${mode} ${retainUntil}`)
    }
    // A partial tile of an upper level stays the same over many sizes: it is there already, and is left.
    assert.ok(bucket.refused.every((code) => code === 'PreconditionFailed'))
  },
)

test('of a log whose beginning was pruned a new bucket gets what is left, which verifies; others begin there too', async (t) => {
  const [bucket, webhook] = [await bucketOf(t), await startWebhookReceiver()]
  t.after(webhook.stop)
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: {} }, (log) => appendMany(log, 900))
  const ahead = 400 * 86_400_000
  const now = () => new Date(Date.now() + ahead)
  for (const { clock } of [bucket, webhook]) clock.forward(ahead)
  const secrets = webhook.secrets.map((secret) => new Secret(secret))
  const sinks = { ...to(bucket), webhook: { url: webhook.url, ca: webhook.caPem, secrets } }
  await withSinks(db, { sinks: {}, now, keep: { entries: 365 } }, async (log) => {
    const signal = new AbortController().signal
    assert.equal((await log.retention.apply({ requestId: 'req_prune', signal })).minimum, 768)
  })
  const vkey = await withSinks(db, { sinks, now }, async (log) => {
    await delivered(log)
    return log.vkey
  })

  const verdict = await verifyBucket(t, bucket, vkey)
  assert.ok(verdict.ok && verdict.pruned?.minimum === 768, JSON.stringify(verdict))
  assert.equal(webhook.entries()[0]?.index, 768)
})

test('full bundles go at once, the end of the log at its own pace and at a stop', async (t) => {
  const bucket = await bucketOf(t)
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(bucket, 3_600_000) }, async (log) => {
    await until(() => sizesIn(bucket).length === 1, 'the first end')
    await appendMany(log, 600)
    await until(async () => (await log.status()).sinks[0]?.next === 512, 'the full bundles')
    assert.ok(bucket.objects.has('hub/tile/entries/001'))
    const [sink] = (await log.status()).sinks
    assert.deepEqual(sizesIn(bucket), [1])
    // Until nothing is under way: the stop itself must see to the rest.
    await sleep(500)
    assert.ok((sink?.lagEntries ?? 0) > 0)
  })
  assert.deepEqual(sizesIn(bucket), [1, 602])
})

test('object storage that fails in the middle gets the rest, and finds what it has already', async (t) => {
  const bucket = await bucketOf(t)
  const db = await freshSqlite(t, auditMigrations)
  // Some are written, and the answer is lost.
  for (let i = 0; i < 4; i++)
    bucket.faults.plan({ kind: i % 2 === 0 ? 'reset' : '503', count: 2, path: '/atlas-audit/hub' })
  await withSinks(db, { sinks: to(bucket) }, async (log) => {
    await appendMany(log, 1_000)
    await until(
      async () => (await log.search({ code: 'log.sink-recovered' })).items.length > 0,
      'it has failed and recovered',
    )
    await delivered(log)
    const verdict = await verifyBucket(t, bucket, log.vkey)
    assert.ok(verdict.ok, JSON.stringify(verdict))
  })
  assert.ok(bucket.refused.includes('PreconditionFailed'))
})

test('object storage that refuses one object is not asked for all the others', async (t) => {
  const bucket = await bucketOf(t)
  const db = await freshSqlite(t, auditMigrations)
  bucket.faults.plan({ kind: '500', count: 1_000_000, path: '/atlas-audit/hub' })
  await withSinks(db, { sinks: {} }, (log) => appendMany(log, 2_000))
  const sinks = { ...to(bucket), pace: { tailMs: 1, retryMs: 600_000, longestRetryMs: 600_000 } }
  await withSinks(db, { sinks }, async (log) => {
    await until(async () => (await log.status()).sinks[0]?.failures === 1, 'it fails')
    assert.equal(bucket.requests.filter(({ method }) => method === 'PUT').length, 4)
  })
})

test('a bucket without object lock gets nothing, and it is said', async (t) => {
  const bucket = await bucketOf(t, { isLocked: false })
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(bucket) }, async (log) => {
    await until(async () => (await log.status()).sinks[0]?.fault != null, 'it fails')
    assert.equal((await log.status()).sinks[0]?.fault, 'The bucket is missing or has no object lock')
  })
  assert.equal(bucket.objects.size, 0)
})

test('objects of another log under the same prefix are not taken for ours, and not overwritten', async (t) => {
  const bucket = await bucketOf(t)
  const db = await freshSqlite(t, auditMigrations)
  bucket.plant('hub/tile/entries/000', 'something else')
  await withSinks(db, { sinks: to(bucket) }, async (log) => {
    await appendMany(log, 300)
    await until(async () => (await log.status()).sinks[0]?.fault != null, 'it fails')
    assert.match(
      (await log.status()).sinks[0]?.fault ?? '',
      /another tile under this name: is it that of another log\?$/,
    )
  })
  assert.equal(bucket.objects.get('hub/tile/entries/000')?.body.toString(), 'something else')
})

test('wrong keys and a wrong region are refused, and neither is shown', async (t) => {
  const bucket = await bucketOf(t)
  const db = await freshSqlite(t, auditMigrations)
  const good = to(bucket)
  const cases: [settings: Partial<NonNullable<SinkSettings['s3']>>, says: RegExp][] = [
    [{ secretAccessKey: new Secret('wrong-secret-key') }, /answered 403 SignatureDoesNotMatch$/],
    [{ region: 'us-east-1' }, /answered 400 AuthorizationHeaderMalformed$/],
  ]
  for (const [more, says] of cases) {
    const sinks = { ...good, s3: { ...good.s3!, ...more } }
    await withSinks(db, { sinks }, async (log) => {
      await until(async () => says.test((await log.status()).sinks[0]?.fault ?? ''), String(says))
    })
  }
})
