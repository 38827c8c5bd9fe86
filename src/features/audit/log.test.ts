import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import { type Database, openPostgres, UnknownKey } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { newId } from '../../lib/ids.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, freshPostgresUrl, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const ada = newId('usr')
const event: AuditEvent = {
  code: 'action.started',
  principal: { id: ada, kind: 'user', name: 'Ada Example', tokenId: newId('tok') },
  door: 'http',
  action: 'inventory.assets.search',
  access: 'read',
  resource: { type: 'inventory', id: '*' },
  detail: { remoteAddress: '192.0.2.7' },
}

const openOn = (database: Database, parts: { origin?: string } = {}) =>
  openLog({ database, rootKey: testRootKey, now: fixedClock().now, ...parts })

/** The database, counting the log's transactions. */
function counting(database: Database) {
  const count = { transactions: 0 }
  const counted: Database = {
    ...database,
    exclusive: (name, run) => {
      count.transactions += 1
      return database.exclusive(name, run)
    },
  }
  return { count, counted }
}

testOnEach('appends made together share one transaction and get their places in order', auditMigrations, async (db) => {
  const { count, counted } = counting(db)
  const log = await openOn(counted)
  count.transactions = 0

  const places = await Promise.all(Array.from({ length: 300 }, () => log.append(event)))

  assert.deepEqual(
    places.map(({ index }) => index),
    Array.from({ length: 300 }, (_, i) => i),
  )
  assert.equal(count.transactions, 1)
  assert.equal(log.size(), 300)
  assert.deepEqual(await checkLog(db, testRootKey), { size: 300 })
})

testOnEach('appends made while a transaction runs share the next one', auditMigrations, async (db) => {
  const { count, counted } = counting(db)
  const log = await openOn(counted)
  count.transactions = 0
  const first = log.append(event)
  await new Promise((resolve) => setImmediate(resolve))
  const later = Array.from({ length: 50 }, () => log.append(event))

  assert.deepEqual(await first, { index: 0 })
  assert.equal((await later.at(-1)!).index, 50)
  assert.ok(count.transactions <= 2, `${count.transactions} transactions`)
})

testOnEach('more than one batch at once is split without losing the order', auditMigrations, async (db) => {
  const log = await openOn(db)
  const places = await Promise.all(Array.from({ length: 2500 }, () => log.append({ code: 'server.started' })))

  assert.deepEqual(
    places.map(({ index }) => index),
    Array.from({ length: 2500 }, (_, i) => i),
  )
  await checkLog(db, testRootKey)
})

testOnEach('an append resolves only when another connection could read it', auditMigrations, async (db) => {
  const log = await openOn(db)
  const { index } = await log.append(event)
  const reopened = await openOn(db)

  assert.equal((await reopened.read(index)).record.code, 'action.started')
  assert.deepEqual(
    [reopened.vkey, reopened.fingerprint, reopened.origin, reopened.size()],
    [log.vkey, log.fingerprint, log.origin, 1],
  )
})

testOnEach('an event with a bad code is a bug of its caller alone', auditMigrations, async (db) => {
  const log = await openOn(db)
  const outcomes = await Promise.allSettled([
    log.append(event),
    log.append({ code: 'Free Text\n' as 'server.started' }),
    log.append(event),
  ])

  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
})

testOnEach('closing writes what is waiting and takes nothing more', auditMigrations, async (db) => {
  const log = await openOn(db)
  const waiting = Array.from({ length: 20 }, () => log.append(event))
  await log.close()

  assert.equal((await Promise.all(waiting)).length, 20)
  await assert.rejects(log.append(event), { type: 'audit-unavailable' })
  await checkLog(db, testRootKey)
})

testOnEach('two openings of one log write one history', auditMigrations, async (db) => {
  const logs = [await openOn(db), await openOn(db)]
  const places = await Promise.all(Array.from({ length: 200 }, (_, i) => logs[i % 2]!.append(event)))

  assert.deepEqual(
    places.map(({ index }) => index).sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, i) => i),
  )
  assert.equal(await logs[0]!.checkpoint(), await logs[1]!.checkpoint())
  await checkLog(db, testRootKey)
})

test('two processes on one PostgreSQL never fork the log', async (t) => {
  const url = await freshPostgresUrl(t)
  const databases = [openPostgres({ url }), openPostgres({ url })]
  t.after(() => Promise.all(databases.map((database) => database.close())))
  await migrate(databases[0]!, auditMigrations, () => new Date())
  const logs = await Promise.all(databases.map((database) => openOn(database)))
  const checkpoints: string[] = []
  const indexes: number[] = []

  await Promise.all(
    Array.from({ length: 20 }, async (_, lane) => {
      const log = logs[lane % 2]!
      for (let i = 0; i < 20; i++) {
        indexes.push((await log.append({ ...event, principal: { id: newId('usr'), kind: 'user' } })).index)
        if (i % 5 === lane % 5) checkpoints.push(await log.checkpoint())
      }
    }),
  )

  assert.deepEqual(
    indexes.sort((a, b) => a - b),
    Array.from({ length: 400 }, (_, i) => i),
  )
  const key = parseVkey(logs[0]!.vkey)
  const heads = checkpoints
    .map((text) => parseCheckpoint(openNote(Buffer.from(text), key)))
    .sort((a, b) => a.size - b.size)
  for (const [i, head] of heads.entries()) {
    const next = heads[i + 1]
    if (next)
      assert.ok(
        verifyConsistency(
          head.size,
          next.size,
          head.root,
          next.root,
          await logs[0]!.proveConsistency(head.size, next.size),
        ),
      )
  }
  await checkLog(databases[0]!, testRootKey)
})

testOnEach(
  'proofs lead from each entry to the checkpoint, and from each checkpoint to the next',
  auditMigrations,
  async (db) => {
    const log = await openOn(db)
    const heads = []
    for (const count of [1, 4, 250, 2, 300]) {
      await Promise.all(Array.from({ length: count }, () => log.append({ code: 'server.started' })))
      heads.push(parseCheckpoint(openNote(Buffer.from(await log.checkpoint()), parseVkey(log.vkey))))
    }
    const last = heads.at(-1)!

    assert.equal(last.size, 557)
    for (const index of [0, 1, 4, 255, 256, 300, 511, 512, 556]) {
      const { leaf } = await log.read(index)
      const proof = await log.proveInclusion(index, last.size)
      assert.ok(verifyInclusion(leafHash(leaf), index, last.size, proof, last.root), `entry ${index}`)
    }
    for (const head of heads) {
      const proof = await log.proveConsistency(head.size, last.size)
      assert.ok(verifyConsistency(head.size, last.size, head.root, last.root, proof), `size ${head.size}`)
    }
  },
)

testOnEach('the empty log has a checkpoint, and a checkpoint is signed once per size', auditMigrations, async (db) => {
  const log = await openOn(db)
  const empty = await log.checkpoint()
  assert.match(empty, /\n0\n47DEQpj8HBSa\+\/TImW\+5JCeuQeRkm5NMpJWZG3hSuFU=\n/)
  assert.equal(await log.checkpoint(), empty)
  await log.append(event)
  assert.notEqual(await log.checkpoint(), empty)
  assert.deepEqual(await checkLog(db, testRootKey), { size: 1 })
})

testOnEach('another root key or another origin is refused', auditMigrations, async (db) => {
  const log = await openOn(db, { origin: 'atlas.example/log' })
  const other = createSecretKey(Buffer.alloc(32, 9))

  assert.match(log.vkey, /^atlas\.example\/log\+/)
  await assert.rejects(openLog({ database: db, rootKey: other, now: fixedClock().now }), UnknownKey)
  await assert.rejects(openOn(db, { origin: 'another.example/log' }), /cannot be changed/)
  await assert.rejects(openOn(db, { origin: 'with space' }), /origin/)
  assert.equal((await openOn(db)).vkey, log.vkey)
})

testOnEach('the private key is not in the database in the clear', auditMigrations, async (db) => {
  await openOn(db)
  const { rows } = await sql<{ box: Buffer }>`select box from audit_key`.execute(db.db)

  // A PKCS#8 Ed25519 key begins with these bytes.
  assert.equal(rows[0]!.box.indexOf(Buffer.from('302e020100300506032b6570', 'hex')), -1)
})

testOnEach('search finds by every filter, newest first, page by page', auditMigrations, async (db) => {
  const clock = fixedClock()
  const log = await openLog({ database: db, rootKey: testRootKey, now: clock.now })
  const bob = newId('usr')
  const connection = newId('con')
  const events: AuditEvent[] = [
    event,
    { ...event, code: 'action.failed', outcome: 'denied' },
    { ...event, principal: { id: bob, kind: 'user' }, resource: { type: 'connection', id: connection } },
    { ...event, action: 'identity.users.get', resource: { type: 'user', id: bob } },
    { code: 'server.stopped' },
    { code: 'action.started', principal: { id: newId('agt'), kind: 'agent', onBehalfOf: bob }, action: 'x.thing.do' },
  ]
  for (const one of events) {
    await log.append(one)
    clock.forward(1000)
  }
  const indexes = async (query: Parameters<typeof log.search>[0]) =>
    (await log.search(query)).items.map(({ index }) => index)

  const cases: [Parameters<typeof log.search>[0], number[]][] = [
    [{}, [5, 4, 3, 2, 1, 0]],
    [{ principal: ada }, [3, 1, 0]],
    [{ principal: bob }, [2]],
    [{ principal: newId('usr') }, []],
    [{ code: 'action.failed' }, [1]],
    [{ outcome: 'denied' }, [1]],
    [{ action: 'identity.users.get' }, [3]],
    [{ resource: 'connection' }, [2]],
    [{ resource: `connection/${connection}` }, [2]],
    [{ resource: `user/${bob}` }, [3]],
    [{ resource: 'inventory/*' }, [1, 0]],
    [{ from: '2026-01-01T00:00:02Z' }, [5, 4, 3, 2]],
    [{ to: '2026-01-01T00:00:02Z' }, [1, 0]],
    [{ principal: ada, code: 'action.started', from: '2026-01-01T00:00:01.000Z' }, [3]],
    [{ onBehalfOf: bob }, [5]],
    [{ onBehalfOf: ada }, []],
    [{ after: 1 }, [2, 3, 4, 5]],
    [{ after: 1, notAction: 'identity.users.get' }, [2, 4, 5]],
    [{ after: 5 }, []],
  ]
  for (const [query, found] of cases) assert.deepEqual(await indexes(query), found, JSON.stringify(query))
  const first = await log.search({ limit: 2 })
  const second = await log.search({ limit: 3, cursor: first.next! })
  assert.deepEqual([first.next, second.next, second.items.map(({ index }) => index)], ['4', '1', [3, 2, 1]])
})

testOnEach('a read event is the event that was recorded', auditMigrations, async (db) => {
  const log = await openOn(db)
  const whole: AuditEvent = {
    ...event,
    principal: { ...event.principal!, onBehalfOf: newId('usr') },
    requestId: newId('req'),
    resource: { type: 'asset', id: 'srv-ada.example.org' },
    outcome: 'ok',
    decision: { effect: 'permit', policies: ['viewer-read'], version: '3' },
    inputHash: 'aGFzaA==',
    approval: newId('apr'),
    detail: { remoteAddress: '192.0.2.7', input: { q: 'Ada' } },
  }
  const { index } = await log.append(whole)
  const { principal, ...rest } = whole
  const { onBehalfOf, ...person } = principal!

  assert.deepEqual((await log.read(index)).record, {
    index: 0,
    at: '2026-01-01T00:00:00.000Z',
    principal: person,
    onBehalfOf,
    ...rest,
    personal: 'read',
  })
  await assert.rejects(log.read(1), { type: 'not-found' })
})
