import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { newWebhookSecret, startWebhookReceiver } from '../../../../simulators/audit-receivers/webhook.ts'
import { Secret } from '../../../core/secret.ts'
import { leafHash } from '../../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../../lib/signed-note.ts'
import { freshSqlite, testOnEach } from '../../../testing/databases.ts'
import { appendMany, delivered, until, withSinks } from '../../../testing/sinks.ts'
import { auditMigrations } from '../migrations.ts'
import { signature } from './webhook.ts'

type Receiver = Awaited<ReturnType<typeof startWebhookReceiver>>

async function receiverOf(t: TestContext, options: Parameters<typeof startWebhookReceiver>[0] = {}): Promise<Receiver> {
  const receiver = await startWebhookReceiver(options)
  t.after(receiver.stop)
  return receiver
}

const to = ({ url, caPem, secrets }: Receiver) => ({
  webhook: { url, ca: caPem, secrets: secrets.map((secret) => new Secret(secret)) },
})
const indexes = (receiver: Receiver) => receiver.entries().map(({ index }) => index)
const upTo = (size: number) => Array.from({ length: size }, (_, i) => i)

test('the signature is that of the published example of Standard Webhooks', () => {
  const secret = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')

  const given = signature(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}')

  assert.equal(given, 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

testOnEach(
  'a webhook gets every entry once, in order, with its exact bytes and a checkpoint over it',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      for (const count of [600, 3, 3, 3]) {
        await appendMany(log, count)
        await delivered(log)
      }

      const { size } = await log.status()
      const got = receiver.deliveries.flatMap(({ entries }) => entries)
      assert.deepEqual(
        got.map(({ index }) => index),
        upTo(size),
      )
      for (const { index, leaf, leafHash: given } of got) {
        assert.equal((JSON.parse(leaf) as { seq: number }).seq, index)
        assert.equal(leafHash(Buffer.from(leaf)).toString('base64'), given)
      }
      for (const { origin, checkpoint, entries } of receiver.deliveries) {
        assert.equal(origin, log.origin)
        const signed = parseCheckpoint(openNote(Buffer.from(checkpoint), parseVkey(log.vkey)))
        assert.ok(signed.size > (entries.at(-1)?.index ?? Number.POSITIVE_INFINITY), 'the checkpoint covers the batch')
      }
      assert.deepEqual(receiver.refused, [])
    })
    const last = JSON.parse(receiver.entries().at(-1)?.leaf ?? '{}') as { code: string }
    assert.equal(last.code, 'server.stopped', 'the end of the run is delivered, too')
  },
)

testOnEach(
  'a webhook that is down stops nothing; its cursor stands, and when it comes up it gets everything in order',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      await appendMany(log, 10)
      await delivered(log)
      const { next } = (await log.status()).sinks[0]!
      const before = receiver.deliveries.length
      receiver.faults.plan({ kind: '503', count: 1_000_000 })
      await appendMany(log, 300)
      await until(async () => ((await log.status()).sinks[0]?.failures ?? 0) > 2, 'it has failed three times')

      const [down] = (await log.status()).sinks
      assert.deepEqual([down?.next, down?.fault], [next, 'The receiver answered 503'])
      assert.ok((down?.lagEntries ?? 0) >= 300 && receiver.deliveries.length === before)
      receiver.faults.planned.splice(0)
      await delivered(log)
      const [up] = (await log.status()).sinks
      assert.deepEqual([up?.fault, up?.failures, up?.failingSince], [null, 0, null])
      await until(async () => (await log.search({ code: 'log.sink-recovered' })).items.length > 0, 'it is recorded')
      await delivered(log)
      assert.deepEqual(indexes(receiver), upTo((await log.status()).size))
    })
  },
)

test('a message keeps its id and its body until it is taken, and gets a new time with each try', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  // Taken, but the answer is lost on the way: the sender cannot know.
  receiver.faults.plan({ kind: 'reset', count: 3 })
  let seconds = 0
  const now = () => new Date(Date.now() + 1000 * seconds++)
  await withSinks(db, { sinks: to(receiver), now }, async (log) => {
    await until(() => receiver.deliveries.length >= 2, 'it is sent again')
    await appendMany(log, 3)
    await delivered(log)

    const [first, second] = receiver.deliveries
    assert.deepEqual([second?.id, second?.body], [first?.id, first?.body])
    assert.ok((second?.time ?? 0) > (first?.time ?? 0))
    assert.deepEqual(indexes(receiver), upTo((await log.status()).size))
  })
})

test('a message has at most 256 entries and a bounded length', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  const policies = Array.from({ length: 32 }, (_, i) => `policy-${i}-${'x'.repeat(50)}`)
  const long = { code: 'action.started', decision: { effect: 'permit', policies, version: '1' } } as const
  await withSinks(db, { sinks: {} }, async (log) => {
    await Promise.all(Array.from({ length: 300 }, () => log.append(long)))
    await appendMany(log, 600)
  })
  await withSinks(db, { sinks: to(receiver) }, delivered)
  for (const { entries } of receiver.deliveries) {
    const bytes = entries.reduce((sum, { leaf }) => sum + leaf.length, 0)
    assert.ok(entries.length <= 256 && bytes <= 262_144, `${entries.length} entries, ${bytes} bytes`)
  }
  assert.ok(receiver.deliveries.length >= 5)
})

test('only a 2xx is delivered, and no redirect is followed', async (t) => {
  for (const fault of ['redirect', '301', '400', '404', '429', '502']) {
    const [receiver, db] = [await receiverOf(t), await freshSqlite(t, auditMigrations)]
    receiver.faults.plan({ kind: fault, count: 1_000_000 })
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      await until(async () => ((await log.status()).sinks[0]?.failures ?? 0) > 0, 'it fails')
      const [sink] = (await log.status()).sinks
      assert.deepEqual([sink?.next, sink?.fault], [0, `The receiver answered ${fault === 'redirect' ? 302 : fault}`])
    })
  }
})

test('two secrets sign, so that a receiver that knows one of them takes the message', async (t) => {
  const [old, next] = [newWebhookSecret(), newWebhookSecret()]
  for (const known of [old, next]) {
    const receiver = await receiverOf(t, { secrets: [known] })
    const db = await freshSqlite(t, auditMigrations)
    const sinks = { webhook: { ...to(receiver).webhook, secrets: [new Secret(next), new Secret(old)] } }
    await withSinks(db, { sinks }, delivered)
    assert.deepEqual(receiver.refused, [])
  }
})

test('a receiver that says 410 gets nothing any more until its address changes, and that is recorded', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  receiver.faults.plan({ kind: '410' })
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    await until(async () => (await log.status()).sinks[0]?.isStopped === true, 'it is stopped')
    await until(async () => (await log.search({ code: 'log.sink-failed' })).items.length === 1, 'it is recorded')
    await appendMany(log, 5)
  })
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    await appendMany(log, 5)
    const [sink] = (await log.status()).sinks
    assert.deepEqual([sink?.isStopped, sink?.next, receiver.deliveries.length], [true, 0, 0])
  })
  const moved = { webhook: { ...to(receiver).webhook, url: receiver.url.replace('127.0.0.1', 'localhost') } }
  await withSinks(db, { sinks: moved }, async (log) => {
    await delivered(log)
    assert.deepEqual(indexes(receiver), upTo((await log.status()).size))
  })
})
