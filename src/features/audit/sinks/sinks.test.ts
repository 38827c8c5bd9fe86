import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { startSyslogReceiver } from '../../../../simulators/audit-receivers/syslog.ts'
import { startWebhookReceiver } from '../../../../simulators/audit-receivers/webhook.ts'
import { Secret } from '../../../core/secret.ts'
import { freshPostgres, freshSqlite, testOnEach, testRootKey } from '../../../testing/databases.ts'
import { appendMany, delivered, until, withSinks } from '../../../testing/sinks.ts'
import { type AuditLog, openLog } from '../log.ts'
import { auditMigrations } from '../migrations.ts'
import type { SinkSettings } from './sinks.ts'

type Receiver = Awaited<ReturnType<typeof startWebhookReceiver>>

async function receiverOf(t: TestContext): Promise<Receiver> {
  const receiver = await startWebhookReceiver()
  t.after(receiver.stop)
  return receiver
}

const to = ({ url, caPem, secrets }: Receiver): SinkSettings => ({
  webhook: { url, ca: caPem, secrets: secrets.map((secret) => new Secret(secret)) },
})
const upTo = (size: number) => Array.from({ length: size }, (_, i) => i)
const indexes = (receiver: Receiver) => receiver.entries().map(({ index }) => index)
const first = async (log: AuditLog) => (await log.status()).sinks[0]!
const codes = async (log: AuditLog, code: string) => (await log.search({ code })).items

testOnEach(
  'an outage is one entry and its end another, however often it is tried, and reporting it causes no more',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    receiver.faults.plan({ kind: '500', count: 1_000_000 })
    let ahead = 0
    const now = () => new Date(Date.now() + ahead)
    await withSinks(db, { sinks: to(receiver), now }, async (log) => {
      await until(async () => (await first(log)).failures >= 5, 'it has failed five times')
      const { size } = await log.status()
      // Also not every hour of a long one.
      ahead = 3_700_000
      receiver.clock.forward(ahead)
      await until(async () => (await first(log)).failures >= 15, 'it has failed fifteen times')

      assert.equal((await log.status()).size, size, 'the log does not grow by it')
      const [failed, ...others] = await codes(log, 'log.sink-failed')
      assert.deepEqual([failed?.outcome, others], ['upstream-failed', []])
      assert.deepEqual(failed?.resource, { type: 'sink', id: 'webhook' })
      receiver.faults.planned.splice(0)
      await until(async () => (await codes(log, 'log.sink-recovered')).length === 1, 'the end is recorded')
      await delivered(log)
      const whole = (await log.status()).size
      await sleep(200)
      assert.equal((await log.status()).size, whole, 'a delivery is not itself an event')
    })
  },
)

test('a line that comes and goes makes two entries an hour', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  let ahead = 0
  const now = () => new Date(Date.now() + ahead)
  await withSinks(db, { sinks: to(receiver), now }, async (log) => {
    const flap = async () => {
      await delivered(log)
      receiver.faults.plan({ kind: '500', count: 2 })
      await appendMany(log, 1)
      await until(() => receiver.faults.planned.length === 0, 'it has failed')
      await delivered(log)
    }
    for (let i = 0; i < 6; i++) await flap()
    await until(async () => (await codes(log, 'log.sink-recovered')).length === 1, 'the first end is recorded')
    assert.equal((await codes(log, 'log.sink-failed')).length, 1)

    ahead = 3_700_000
    receiver.clock.forward(ahead)
    for (let i = 0; i < 3; i++) await flap()
    await until(async () => (await codes(log, 'log.sink-recovered')).length === 2, 'the next hour has its own')
    assert.equal((await codes(log, 'log.sink-failed')).length, 2)
  })
})

testOnEach(
  'a new sink begins at the first entry, or with what comes from now on; one with another address is a new one',
  auditMigrations,
  async (db, t) => {
    const [one, two, three] = [await receiverOf(t), await receiverOf(t), await receiverOf(t)]
    await withSinks(db, { sinks: {} }, (log) => appendMany(log, 5))
    await withSinks(db, { sinks: to(one) }, delivered)
    await withSinks(db, { sinks: to(two) }, delivered)
    await withSinks(db, { sinks: { ...to(three), begin: 'now' } }, async (log) => {
      await until(async () => (await first(log)).next > 0, 'it has begun')
      await appendMany(log, 1)
      await delivered(log)
      const { size } = await log.status()

      assert.equal(indexes(one)[0], 0)
      assert.equal(indexes(two)[0], 0)
      assert.ok((indexes(three)[0] ?? 0) > Math.max(...indexes(two)) && indexes(three).at(-1) === size - 1)
    })
  },
)

testOnEach(
  'an entry that was changed in the database is not delivered as what was logged',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    await withSinks(db, { sinks: {} }, (log) => appendMany(log, 5))
    const forged = Buffer.from('{"at":"2026-11-26T04:05:06.789Z","code":"forged","seq":3,"v":1}')
    await sql`update audit_entry set leaf = ${forged} where idx = 3`.execute(db.db)
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      await until(async () => (await first(log)).fault !== null, 'it is noticed')
      assert.match((await first(log)).fault ?? '', /not the one that was logged: atlas audit verify$/)
      assert.deepEqual((await log.search({ limit: 1 })).items.length, 1, 'the log goes on')
    })
    assert.deepEqual(receiver.deliveries, [])
  },
)

test('a receiver that never answers blocks neither calls nor the stop', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  receiver.faults.plan({ kind: 'hang', count: 1_000_000 })
  // Without a limit the stop would wait for the fifteen seconds of one request, and for every one that follows.
  const ended = withSinks(db, { sinks: { ...to(receiver), pace: { stopMs: 50 } } }, async (log) => {
    await appendMany(log, 100)
    assert.equal((await first(log)).next, 0)
  })
  const late = sleep(10_000, 'late', { ref: false })
  assert.notEqual(await Promise.race([ended, late]), 'late')
})

test('one sink that is down does not hold up another', async (t) => {
  const [down, up] = [await receiverOf(t), await startSyslogReceiver()]
  t.after(up.stop)
  const db = await freshSqlite(t, auditMigrations)
  down.faults.plan({ kind: 'hang', count: 1_000_000 })
  const syslog = { url: up.url, ca: up.caPem, enterprise: 32_473 }
  await withSinks(db, { sinks: { ...to(down), syslog, pace: { stopMs: 50 } } }, async (log) => {
    await appendMany(log, 50)
    await until(async () => (await first(log)).lagEntries === 0, 'the other one gets everything')
    assert.deepEqual(
      (await log.status()).sinks.map(({ name, next }) => [name, next > 50]),
      [
        ['syslog', true],
        ['webhook', false],
      ],
    )
  })
})

test('of two processes on one PostgreSQL only the one that signs delivers', async (t) => {
  const [receiver, elsewhere] = [await receiverOf(t), await startSyslogReceiver()]
  t.after(elsewhere.stop)
  const db = await freshPostgres(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, async (signer) => {
    await delivered(signer)
    // The other one would deliver elsewhere, so that it can be told apart.
    const syslog = { url: elsewhere.url, ca: elsewhere.caPem, enterprise: 32_473 }
    await withSinks(db, { sinks: { syslog } }, async (other) => {
      await appendMany(other, 20)
      await delivered(signer)
      await sleep(500)
      assert.deepEqual([signer.isSigner(), other.isSigner()], [true, false])
    })
    assert.deepEqual([elsewhere.connections(), indexes(receiver).length >= 21], [0, true])
  })
})

testOnEach(
  'a position that another process moves counts, also while something is under way',
  auditMigrations,
  async (db, t) => {
    const [receiver, lines] = [await receiverOf(t), await startSyslogReceiver()]
    t.after(lines.stop)
    const syslog = { url: lines.url, ca: lines.caPem, enterprise: 32_473 }
    receiver.faults.plan({ kind: 'slow', ms: 1_000 })
    await withSinks(db, { sinks: {} }, (log) => appendMany(log, 20))
    await withSinks(db, { sinks: { ...to(receiver), syslog } }, async (log) => {
      await until(() => receiver.faults.planned.length === 0, 'the first message is under way')
      await until(async () => (await first(log)).lagEntries === 0, 'syslog has got everything')
      await sql`update audit_sink set next = 7, confirmed = 7`.execute(db.db)

      await until(() => receiver.deliveries.some(({ entries }) => entries[0]?.index === 7), 'the webhook goes on there')
      await until(() => lines.messages.filter(({ index }) => index === 7).length === 2, 'syslog goes on there')
      await delivered(log)
      assert.deepEqual(indexes(receiver), upTo((await log.status()).size))
    })
  },
)

testOnEach('retention keeps what a sink has not got yet', auditMigrations, async (db, t) => {
  const receiver = await receiverOf(t)
  await withSinks(db, { sinks: {} }, (log) => appendMany(log, 600))
  receiver.faults.plan({ kind: '503', count: 1_000_000 })
  const ahead = 400 * 86_400_000
  receiver.clock.forward(ahead)
  const now = () => new Date(Date.now() + ahead)
  await withSinks(db, { sinks: to(receiver), now, keep: { entries: 365 } }, async (log) => {
    const apply = () => log.retention.apply({ requestId: 'req_prune', signal: new AbortController().signal })
    await until(() => log.isSigner(), 'it signs')
    await until(async () => (await first(log)).failures > 0, 'the sink fails')
    assert.equal((await apply()).minimum, 0)
    assert.equal((await log.retention.status()).heldBy, 'the sink webhook')

    receiver.faults.planned.splice(0)
    await delivered(log)
    assert.equal((await apply()).minimum, 512)
  })
})

test('a log that was opened and never started delivers nothing', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  const log = await openLog({ database: db, rootKey: testRootKey, now: () => new Date(), sinks: to(receiver) })
  await appendMany(log, 5)
  await log.stop()
  await log.close()
  assert.deepEqual(receiver.deliveries, [])
})

test('an address, a secret and what an error says of them are in no status, event or fault', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  const token = 'planted-token-in-the-path'
  const { webhook } = to(receiver)
  const nowhere = { ...webhook!, url: `https://planted.invalid/${token}` }
  const untrusted = { ...webhook!, url: `${receiver.url}/${token}`, ca: undefined }
  for (const settings of [nowhere, untrusted]) {
    const faults: unknown[] = []
    await withSinks(db, { sinks: { webhook: settings }, onFault: (fault) => faults.push(fault) }, async (log) => {
      await until(async () => (await first(log)).fault !== null, 'it fails')
      await until(async () => (await codes(log, 'log.sink-failed')).length > 0, 'it is recorded')
      const { rows } = await sql`select * from audit_sink`.execute(db.db)
      const said = [await log.status(), await log.search({ limit: 200 }), rows, faults.map(String), faults]
      const text = JSON.stringify(said) + faults.map((fault) => (fault as Error).stack).join()
      for (const planted of [token, 'planted.invalid', ...receiver.secrets, receiver.origin])
        assert.equal(text.includes(planted), false, `${planted} in ${text}`)
    })
  }
})

test('what is delivered are the leaves, never what is sealed', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    await log.append({
      code: 'login.failed',
      principal: { id: 'usr_planted', kind: 'user', name: 'planted-name' },
      detail: { username: 'planted-name', remoteAddress: '203.0.113.77' },
    })
    await delivered(log)
    const text = receiver.deliveries.map(({ body }) => body).join()
    assert.match(text, /login\.failed/)
    assert.deepEqual(/planted|203\.0\.113\.77/.exec(text), null)
    assert.deepEqual(indexes(receiver), upTo((await log.status()).size))
  })
})

testOnEach('a position ahead of the log is told, and delivers nothing', auditMigrations, async (db, t) => {
  const receiver = await receiverOf(t)
  await withSinks(db, { sinks: {} }, (log) => appendMany(log, 5))
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    await delivered(log)
    // Who can write the table would have the receiver hear of nothing any more.
    await sql`update audit_sink set next = 1000000, confirmed = 1000000`.execute(db.db)
    await appendMany(log, 5)
    await until(async () => (await first(log)).fault !== null, 'it is noticed')
    assert.match((await first(log)).fault ?? '', /stands behind the end of the log/)
    await until(async () => (await codes(log, 'log.sink-failed')).length === 1, 'it is recorded')
  })
})
