import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { makeCa } from '../../../simulators/lib/ca.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach } from '../../testing/databases.ts'
import {
  credentialOf,
  issueToy,
  makeToyRoom,
  startToy,
  toyCa,
  toyMigrations,
  toyToken,
} from '../../testing/toy-system.ts'
import { connectionActions } from './actions.ts'
import type { ConnectionEvent } from './parts.ts'
import { makeConnectionStore } from './store.ts'
import { makeTlsWatch } from './tls.ts'

// What a person in between could change about a connection is seen, recorded, and shown.

const ends = (day: string) => new Date(`2090-01-${day}T00:00:00.000Z`)
const hour = 3_600_000

function certificateOf(issued: { certPem: string }) {
  const { raw, publicKey, validTo } = new X509Certificate(issued.certPem)
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const key = digest(publicKey.export({ type: 'spki', format: 'der' }))
  const shown = { fingerprint: digest(raw), issuer: 'CN=Toy CA', endsAt: new Date(validTo).toISOString() }
  return { ...shown, key, shown }
}

/** A room with one connection, `Toy 1`, to a toy system that shows `first`. `events` is what the audit log was told. */
async function open(t: TestContext, database: Database, more: { certificatePin?: string } = {}) {
  const first = issueToy({ notAfter: ends('01') })
  const system = await startToy(t)
  system.show(first)
  const events: ConnectionEvent[] = []
  const audit = { isDown: false }
  const clock = fixedClock()
  const onEvent = async (event: ConnectionEvent) => {
    if (audit.isDown) throw new Error('audit is down')
    events.push(event)
  }
  const room = await makeToyRoom(t, database, { onEvent, now: clock.now })
  const { connections } = room
  const credential = () => credentialOf(connections, { token: toyToken })
  const { id } = await connections.add({
    connector: 'toy',
    name: 'Toy 1',
    config: { url: system.url },
    credential: credential(),
    caCertificate: toyCa,
    ...more,
  })
  const check = async () => (await connections.check(id)).problem?.type ?? 'ok'
  return { ...room, id, first, system, events, audit, clock, onEvent, check, credential }
}

testOnEach(
  'another certificate is recorded with what was and what is, and shown (claims: D12 D35)',
  toyMigrations,
  async (database, t) => {
    const { connections, id, first, system, events, clock, check } = await open(t, database)
    const was = certificateOf(first)
    assert.equal(await check(), 'ok')
    assert.equal(await check(), 'ok')
    assert.deepEqual(events, [])
    assert.deepEqual((await connections.get(id)).certificate, { ...was.shown, changedAt: null })

    const second = issueToy({ notAfter: ends('02') })
    const is = certificateOf(second)
    system.show(second)
    clock.forward(60_000)
    assert.equal(await check(), 'ok')
    assert.equal(await check(), 'ok')

    assert.deepEqual(events, [
      {
        code: 'connection.certificate-changed',
        resource: { type: 'connection', id },
        detail: { before: was.shown, after: is.shown },
      },
    ])
    const { certificate, tlsFailure } = await connections.get(id)
    assert.deepEqual([certificate, tlsFailure], [{ ...is.shown, changedAt: '2026-01-01T00:01:00.000Z' }, null])
    const [witness] = await connections.witnesses()
    assert.equal(witness?.certificateExpiresAt, is.endsAt)
  },
)

testOnEach(
  'a system that shows two certificates by turns is told once an hour for each, also by two processes at once',
  toyMigrations,
  async (database, t) => {
    const { connections, id, first, system, events, clock, check, onEvent } = await open(t, database)
    const other = (await makeToyRoom(t, database, { onEvent, now: clock.now })).connections
    const second = issueToy({ notAfter: ends('02') })
    await check()
    for (const shown of [second, first, second, first, second]) {
      system.show(shown)
      await Promise.all([connections.check(id), other.check(id)])
    }
    const told = () => events.map(({ detail }) => (detail['after'] as { fingerprint: string }).fingerprint)
    const [one, two] = [certificateOf(first).fingerprint, certificateOf(second).fingerprint]
    assert.deepEqual(told(), [two, one])
    clock.forward(hour)
    system.show(first)
    await check()
    assert.deepEqual(told(), [two, one, one])
  },
)

const refusals = [
  { reason: 'other-host', certificate: issueToy({ hosts: ['other.example.org'] }) },
  { reason: 'expired', certificate: issueToy({ notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') }) },
  { reason: 'unknown-authority', certificate: makeCa('Another CA').issue({ commonName: 'toy', hosts: ['127.0.0.1'] }) },
]

testOnEach(
  'a certificate that is refused is recorded once for each reason and hour, and shown; nothing is sent (claims: D12 D35)',
  toyMigrations,
  async (database, t) => {
    const { connections, id, first, system, events, clock, check, onEvent } = await open(t, database)
    const other = (await makeToyRoom(t, database, { onEvent, now: clock.now })).connections
    for (const { reason, certificate } of refusals) {
      system.show(certificate)
      for (let i = 0; i < 2; i++) {
        assert.equal(await check(), 'upstream-untrusted', reason)
        await other.check(id)
      }
      assert.deepEqual((await connections.get(id)).tlsFailure, { at: clock.now().toISOString(), reason })
    }
    assert.equal(system.requests, 0)
    const failed = (reason: string) => ({
      code: 'connection.tls-failed',
      resource: { type: 'connection', id },
      outcome: 'upstream-untrusted',
      detail: { reason },
    })
    const expected = refusals.map(({ reason }) => failed(reason))
    assert.deepEqual(events, expected)

    clock.forward(hour)
    await check()
    assert.deepEqual(events, [...expected, failed('unknown-authority')])
    system.show(first)
    assert.equal(await check(), 'ok')
    assert.equal((await connections.get(id)).tlsFailure?.reason, 'unknown-authority')
  },
)

testOnEach(
  'a pinned connection sends nothing to another certificate, records it, and goes on when the key is the pinned one (claims: D29 D35)',
  toyMigrations,
  async (database, t) => {
    const pinned = issueToy({ notAfter: ends('03') })
    const { connections, id, first, system, events, check, credential } = await open(t, database, {
      certificatePin: certificateOf(pinned).key,
    })
    assert.equal(await check(), 'upstream-untrusted')
    assert.equal(await check(), 'upstream-untrusted')
    assert.equal(system.requests, 0)
    const { fingerprint, key: keyFingerprint, issuer } = certificateOf(first)
    assert.deepEqual(JSON.parse(JSON.stringify(events)), [
      {
        code: 'connection.pin-mismatch',
        resource: { type: 'connection', id },
        outcome: 'upstream-untrusted',
        detail: {
          pinned: certificateOf(pinned).key,
          shown: { fingerprint, keyFingerprint, issuer, endsAt: ends('01').toISOString() },
        },
      },
    ])
    const { certificate, tlsFailure, certificatePin } = await connections.get(id)
    assert.deepEqual([certificate, tlsFailure?.reason, certificatePin], [null, 'other-pin', certificateOf(pinned).key])

    system.show(pinned)
    assert.equal(await check(), 'ok')
    await connections.edit(id, { certificatePin: certificateOf(pinned).fingerprint, credential: credential() })
    assert.equal(await check(), 'ok')
  },
)

testOnEach(
  'who adds a pin gives nothing; who changes or removes one gives the credential again',
  toyMigrations,
  async (database, t) => {
    const { connections, id, first, check, credential } = await open(t, database)
    const pin = certificateOf(first).fingerprint
    assert.equal((await connections.edit(id, { certificatePin: pin })).certificatePin, pin)
    assert.equal(await check(), 'ok')
    for (const certificatePin of [null, 'a'.repeat(64)])
      await assert.rejects(
        connections.edit(id, { certificatePin }),
        (error) => error instanceof Problem && error.faults?.[0]?.field === '/credential/token',
      )
    const edited = await connections.edit(id, { certificatePin: null, credential: credential() })
    assert.equal(edited.certificatePin, null)
    assert.equal(await check(), 'ok')
  },
)

testOnEach(
  'an event that the audit log could not take is recorded at the next chance',
  toyMigrations,
  async (database, t) => {
    const { system, events, audit, check } = await open(t, database)
    await check()
    audit.isDown = true
    system.show(issueToy({ notAfter: ends('02') }))
    assert.equal(await check(), 'ok')
    system.show(issueToy({ notAfter: ends('03'), hosts: ['other.example.org'] }))
    assert.equal(await check(), 'upstream-untrusted')
    audit.isDown = false
    assert.deepEqual(events, [])
    assert.equal(await check(), 'upstream-untrusted')
    system.show(issueToy({ notAfter: ends('04') }))
    assert.equal(await check(), 'ok')
    assert.deepEqual(
      events.map(({ code }) => code),
      ['connection.tls-failed', 'connection.certificate-changed'],
    )
  },
)

testOnEach('another url begins anew: its certificate has not changed', toyMigrations, async (database, t) => {
  const { connections, id, events, clock, onEvent, check, credential } = await open(t, database)
  await check()
  const store = makeConnectionStore(database)
  const stale = (await store.find(id))!
  const moved = await startToy(t)
  const { certificate } = await connections.edit(id, { config: { url: moved.url }, credential: credential() })
  assert.equal(certificate, null)
  // A socket to the older address that opens late says nothing about the new one.
  const late = makeTlsWatch({ store, now: clock.now, onEvent, log: { info() {}, warn() {}, error() {} } })
  late.listeners(stale).onCertificate({ fingerprint: 'a', keyFingerprint: 'b', issuer: 'c', endsAt: ends('09') })
  late.listeners(stale).onDistrust('expired')
  await late.settle()
  assert.equal(await check(), 'ok')
  assert.deepEqual(events, [])
  assert.notEqual((await connections.get(id)).certificate, null)
})

testOnEach(
  'a system that speaks plain http only is recorded, and got nothing of the credential (claims: D28 D35)',
  toyMigrations,
  async (database, t) => {
    const { connections, id, events, credential } = await open(t, database)
    const received: Uint8Array[] = []
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        received.push(Buffer.from(bytes))
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    t.after(() => server.close())
    const { port } = server.address() as { port: number }
    await connections.edit(id, { config: { url: `https://127.0.0.1:${port}` }, credential: credential() })
    assert.equal((await connections.check(id)).problem?.type, 'upstream-untrusted')
    const text = Buffer.concat(received).toString('latin1')
    assert.deepEqual([text.charCodeAt(0), text.includes(toyToken), text.includes('GET ')], [0x16, false, false])
    assert.deepEqual(
      events.map(({ code, detail }) => [code, detail]),
      [['connection.tls-failed', { reason: 'no-tls' }]],
    )
  },
)

testOnEach('changes at the same moment each see what the one before left', toyMigrations, async (database, t) => {
  const { id } = await open(t, database)
  const store = makeConnectionStore(database)
  const names = ['a', 'b', 'c', 'd']
  const change = (name: string) =>
    store.changeTls(id, 1, (tls) => ({ ...tls, told: { ...tls.told, [name]: '2026-01-01T00:00:00.000Z' } }))
  await Promise.all(names.map(change))
  const { tls } = (await store.find(id))!
  assert.deepEqual(Object.keys(JSON.parse(tls).told).sort(), names)
})

testOnEach('a pin is 64 hex digits in any spelling, and stored in one', toyMigrations, async (database, t) => {
  const { connections } = await open(t, database)
  const actions = connectionActions({ connections, mayRefer: () => {} })
  const edit = actions.find(({ name }) => name === 'connections.connections.edit')
  const parse = (certificatePin: string) =>
    (edit?.input.safeParse({ connection: 'x', certificatePin }).data as { certificatePin?: string })?.certificatePin
  const hex = '0f'.repeat(32)
  const spelled = [hex, hex.toUpperCase(), hex.match(/../g)?.join(':') ?? ''].map(parse)
  assert.deepEqual(spelled, [hex, hex, hex])
  for (const bad of ['', hex.slice(2), `${hex}00`, `${hex.slice(2)}zz`, ` ${hex}`]) assert.equal(parse(bad), undefined)
})
