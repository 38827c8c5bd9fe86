import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { startSyslogReceiver } from '../../../../simulators/audit-receivers/syslog.ts'
import { makeCa } from '../../../../simulators/lib/ca.ts'
import { Secret } from '../../../core/secret.ts'
import { leafHash } from '../../../lib/merkle.ts'
import { freshSqlite, testOnEach } from '../../../testing/databases.ts'
import { appendMany, delivered, until, withSinks } from '../../../testing/sinks.ts'
import { catalogue, type EventCode } from '../catalogue.ts'
import { auditMigrations } from '../migrations.ts'

type Receiver = Awaited<ReturnType<typeof startSyslogReceiver>>

async function receiverOf(t: TestContext, options: Parameters<typeof startSyslogReceiver>[0] = {}): Promise<Receiver> {
  const receiver = await startSyslogReceiver(options)
  t.after(receiver.stop)
  return receiver
}

const to = ({ url, caPem }: Receiver, more: { cert?: string; key?: Secret } = {}) => ({
  syslog: { url, ca: caPem, enterprise: 32473, ...more },
})
const upTo = (size: number) => Array.from({ length: size }, (_, i) => i)
const indexes = (receiver: Receiver) => receiver.byIndex().map(({ index }) => index)

testOnEach(
  'the strict receiver takes each of a thousand random events, in order, with the exact leaf (AUD-6)',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    const codes = Object.keys(catalogue) as EventCode[]
    const noise = () => randomBytes(randomInt(1, 60)).toString(randomInt(2) === 0 ? 'latin1' : 'utf16le')
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      const append = () =>
        log.append({
          code: codes[randomInt(codes.length)] ?? 'action.started',
          principal: { id: noise(), kind: noise(), name: noise() },
          resource: { type: noise(), id: noise() },
          action: noise(),
          outcome: noise(),
          requestId: noise(),
          detail: { text: noise(), lines: 'a\r\nb\u2028— c' },
        })
      for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, append))
      await delivered(log)
      const { size } = await log.status()
      await until(() => receiver.messages.length >= size, 'the receiver has read them')

      assert.deepEqual([receiver.errors, indexes(receiver)], [[], upTo(size)])
      for (const { index, text, data, facility, appName } of receiver.messages) {
        const given = new Map(data.get('atlas@32473'))
        assert.deepEqual(
          [given.get('leafHash'), given.get('origin')],
          [leafHash(Buffer.from(text)).toString('base64'), log.origin],
        )
        assert.deepEqual([facility, appName, JSON.parse(text).seq], [13, 'infrastructure-atlas', index])
      }
    })
    assert.equal(receiver.messages.at(-1)?.msgId, 'server.stopped')
  },
)

testOnEach(
  'a syslog receiver whose connections break in the middle gets every entry in the end',
  auditMigrations,
  async (db, t) => {
    const receiver = await receiverOf(t)
    await withSinks(db, { sinks: to(receiver) }, async (log) => {
      for (let i = 0; i < 5; i++) {
        await appendMany(log, 200)
        await until(() => receiver.messages.length > 0, 'something has arrived')
        receiver.breakAll()
      }
      await delivered(log)
      const { size } = await log.status()
      await until(() => receiver.byIndex().length >= size, 'nothing is missing')
      assert.deepEqual(
        indexes(receiver).sort((a, b) => a - b),
        upTo((await log.status()).size),
      )
    })
    assert.deepEqual(
      receiver.errors.filter((error) => error !== 'the connection ended inside a frame'),
      [],
    )
  },
)

test('what was sent is sent again after a break, until the receiver has confirmed it by closing with us', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  const sinks = to(receiver)
  await withSinks(db, { sinks }, async (log) => {
    await appendMany(log, 20)
    await delivered(log)
    await until(() => receiver.messages.length >= 21, 'they have arrived')
    receiver.breakAll()
    await until(() => receiver.messages.length >= 42, 'they arrive again, because nobody confirmed them')
    await until(async () => (await log.search({ code: 'log.sink-failed' })).items.length === 1, 'the break is recorded')
  })
  // The stop has confirmed them, so the next run goes on behind them.
  const before = receiver.messages.length
  await withSinks(db, { sinks: { ...sinks, pace: { confirmMs: 1 } } }, async (log) => {
    await delivered(log)
    const connections = receiver.connections()
    await until(() => receiver.connections() > connections || receiver.messages.length > before, 'it goes on')
    await appendMany(log, 1)
    await delivered(log)
    await until(async () => receiver.byIndex().length >= (await log.status()).size, 'they have arrived')
  })
  const again = receiver.messages.slice(before).map(({ index }) => index)
  assert.equal(new Set(again).size, again.length, 'none came twice in the second run')
  assert.ok(Math.min(...again) > 21)
})

test('what was sent and never confirmed counts as not sent once the connection is lost', async (t) => {
  const receiver = await startSyslogReceiver()
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    await appendMany(log, 20)
    await delivered(log)
    assert.ok(((await log.status()).sinks[0]?.next ?? 0) >= 21)
    await receiver.stop()
    await until(async () => (await log.status()).sinks[0]?.next === 0, 'it begins again')
    assert.ok(((await log.status()).sinks[0]?.lagEntries ?? 0) >= 21)
  })
})

test('what a killed server had sent without a confirmation is sent again by the next one', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, (log) => appendMany(log, 20))
  // As a kill before the connection was closed would have left it.
  await sql`update audit_sink set confirmed = 5`.execute(db.db)
  const before = receiver.messages.length
  await withSinks(db, { sinks: to(receiver) }, delivered)
  assert.equal(receiver.messages[before]?.index, 5)
})

test('a receiver that takes connections and never reads blocks neither calls nor the stop', async (t) => {
  const receiver = await receiverOf(t)
  const db = await freshSqlite(t, auditMigrations)
  receiver.beDeaf()
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    // More than the buffers of a connection hold.
    for (let i = 0; i < 15; i++) await appendMany(log, 1_000)
    assert.ok((await log.status()).size > 15_000)
  })
})

test('a certificate of another authority, or for another name, is refused, and nothing is sent', async (t) => {
  const db = await freshSqlite(t, auditMigrations)
  const other = await receiverOf(t)
  const misnamed = await receiverOf(t, { hosts: ['other.example'] })
  const cases: [settings: ReturnType<typeof to>, says: RegExp][] = [
    [
      { syslog: { ...to(other).syslog, ca: makeCa().caPem } },
      /issued by an authority that this connection does not trust/,
    ],
    [{ syslog: { ...to(other).syslog, ca: '' } }, /issued by an authority|does not trust/],
    [to(misnamed), /is for another host name/],
  ]
  for (const [sinks, says] of cases) {
    await withSinks(db, { sinks }, async (log) => {
      await until(async () => (await log.status()).sinks[0]?.fault != null, 'it fails')
      assert.match((await log.status()).sinks[0]?.fault ?? '', says)
    })
  }
  assert.deepEqual([other.messages.length, misnamed.messages.length], [0, 0])
})

test('a receiver that asks for a certificate is shown the one of the settings', async (t) => {
  const ca = makeCa()
  const receiver = await receiverOf(t, { ca, clientCa: ca.caPem })
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, async (log) => {
    // It is refused each time, and not taken for well in between.
    await until(async () => ((await log.status()).sinks[0]?.failures ?? 0) >= 3, 'it is refused without one')
    assert.equal((await log.status()).sinks[0]?.next, 0)
  })
  assert.equal(receiver.messages.length, 0)
  const { certPem, keyPem } = ca.issue({ commonName: 'hub', client: true })
  await withSinks(db, { sinks: to(receiver, { cert: certPem, key: new Secret(keyPem) }) }, delivered)
  assert.deepEqual([...new Set(receiver.clients)], ['hub'])
  assert.ok(receiver.messages.length > 0)
})

test('on loopback syslog also goes over plain TCP', async (t) => {
  const receiver = await receiverOf(t, { isPlain: true })
  const db = await freshSqlite(t, auditMigrations)
  await withSinks(db, { sinks: to(receiver) }, delivered)
  assert.deepEqual([receiver.errors.length, receiver.messages.at(-1)?.msgId], [0, 'server.stopped'])
})
