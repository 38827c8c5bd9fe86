import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { Secret } from '../../core/secret.ts'
import { type Database, openSqlite } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { newId } from '../../lib/ids.ts'
import { parsePolicy } from '../../lib/tlog-policy.ts'
import { agedLog, call, readEvent } from '../../testing/aged-log.ts'
import { checkLog } from '../../testing/check-log.ts'
import { testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { declaredBy } from './pruned.ts'
import { dayMs } from './retention-policy.ts'
import { makeSinkRecord } from './store-sinks.ts'

async function stored(database: Database, table: 'audit_entry' | 'audit_payload'): Promise<number[]> {
  const { rows } = await sql<{ idx: number }>`select idx from ${sql.table(table)} order by idx`.execute(database.db)
  return rows.map(({ idx }) => Number(idx))
}

testOnEach(
  'full tiles that are older than the policy keeps are deleted, an entry says so first, and the rest verifies (claims: B16 E19 E53)',
  auditMigrations,
  async (database) => {
    const { log, clock } = await agedLog(database, { entries: 365 })
    const before = await log.retention.status()

    assert.deepEqual(await log.retention.apply(call), { minimum: 512, entries: 512, details: 0, more: false })

    assert.deepEqual(before.due, { minimum: 512, entries: 512, details: {} })
    for (const table of ['audit_entry', 'audit_payload'] as const)
      assert.equal((await stored(database, table))[0], 512, table)
    const { record } = await log.read(700)
    assert.deepEqual(
      [record.code, record.pruned, record.requestId],
      ['log.pruned', { minimum: 512, details: {}, keep: { entries: 365 } }, call.requestId],
    )
    const after = await log.retention.status()
    assert.deepEqual(
      [after.first, after.declared?.index, after.declared?.at, after.due.entries],
      [512, 700, clock.now().toISOString(), 0],
    )
    assert.deepEqual(await checkLog(database, testRootKey), { size: 701 })
  },
)

testOnEach(
  'everything is kept unless the operator says otherwise, and nothing is written about it',
  auditMigrations,
  async (database) => {
    const { log, clock } = await agedLog(database, {})
    clock.forward(40_000 * dayMs)

    assert.equal(await log.retention.isDue(), false)
    assert.deepEqual(await log.retention.apply(call), { minimum: 0, entries: 0, details: 0, more: false })
    assert.deepEqual([(await stored(database, 'audit_entry')).length, log.size()], [700, 700])
  },
)

testOnEach(
  'an entry that is not old enough keeps its whole tile and everything behind it, also when the clock was once ahead',
  auditMigrations,
  async (database) => {
    const { log, clock, add } = await agedLog(database, { entries: 365 }, { old: 300, young: 0 })
    await add(600)
    clock.forward(364 * dayMs)
    assert.equal((await log.retention.apply(call)).minimum, 256)
    clock.forward(dayMs + 1)
    assert.equal((await log.retention.apply(call)).minimum, 768)

    // Entries that a clock wrote ten years ahead are old when somebody has said that the clock of today is right.
    const past = clock.now()
    clock.forward(3650 * dayMs)
    await add(256)
    clock.forward(-3650 * dayMs)
    await log.acceptClock()
    await add(600)
    clock.forward(366 * dayMs)
    await add(1)
    assert.ok((await log.retention.apply(call)).minimum >= 1536, past.toISOString())
    await checkLog(database, testRootKey)
  },
)

testOnEach(
  'retention is applied once a day, by the server that signs, one run at a time',
  auditMigrations,
  async (database) => {
    const { log, clock, add } = await agedLog(database, { entries: 365 })
    assert.equal(await log.retention.isDue(), true)
    const [first, second] = await Promise.allSettled([log.retention.apply(call), log.retention.apply(call)])
    assert.deepEqual([first.status, second.status], ['fulfilled', 'rejected'])
    assert.equal(await log.retention.isDue(), false)

    await add(400)
    clock.forward(400 * dayMs)
    assert.equal(await log.retention.isDue(), true)
    if (database.dialect === 'sqlite') return
    const other = await openLog({ database, rootKey: testRootKey, now: clock.now, keep: { entries: 365 } })
    assert.equal(await other.retention.isDue(), false)
    await assert.rejects(other.retention.apply(call), { type: 'conflict', detail: /Another server signs the log/ })
    await other.close()
  },
)

testOnEach('who lags behind keeps what it has not seen (claims: E19)', auditMigrations, async (database) => {
  const aged = await agedLog(database, {})
  await aged.log.close()
  const url = 'http://127.0.0.1:9/hook'
  const begin = (next: number) => makeSinkRecord(database).begin('webhook', hash('sha256', url, 'base64url'), next)
  const log = await openLog({
    database,
    rootKey: testRootKey,
    now: aged.clock.now,
    keep: { entries: 365, read: 30 },
    sinks: { webhook: { url, secrets: [new Secret(`whsec_${Buffer.alloc(24, 1).toString('base64')}`)] } },
  })
  await log.checkpoint()

  const begun = await log.retention.status()
  assert.deepEqual([begun.due.minimum, begun.heldBy], [0, 'the sink webhook'])
  await begin(511)
  const { due, heldBy } = await log.retention.status()
  assert.deepEqual([due.minimum, heldBy], [256, 'the sink webhook'])
  await log.retention.apply(call)
  assert.deepEqual(
    [(await stored(database, 'audit_entry'))[0], (await stored(database, 'audit_payload'))[0]],
    [256, 256],
  )
  await begin(600)
  await log.retention.apply(call)
  assert.equal((await stored(database, 'audit_entry'))[0], 512)
})

testOnEach(
  'who asks for what was pruned is told so, with the policy and the entry that says it',
  auditMigrations,
  async (database) => {
    const { log, clock } = await agedLog(database, { entries: 365 })
    await log.retention.apply(call)
    const at = clock.now().toISOString()
    const gone = { minimum: 512, at, entry: 700, keep: { entries: 365 } }

    await assert.rejects(log.read(511), {
      type: 'gone',
      detail: `Entry 511 was deleted by retention, which keeps entries for 365 days; entry 700 of ${at} says so`,
    })
    await assert.rejects(log.proofOf(0), { type: 'gone' })
    await assert.rejects(log.read(701), { type: 'not-found' })
    assert.equal((await log.read(512)).record.personal, 'read')
    const page = await log.search({ limit: 150 })
    assert.deepEqual([page.next, page.gone], ['551', undefined])
    assert.deepEqual((await log.search({ limit: 150, cursor: '551' })).gone, gone)
    assert.deepEqual(await log.search({ principal: 'nobody' }), { items: [], next: null, gone })
    for (const tile of ['tile/0/001', 'tile/entries/001', 'tile/0/001.p/5'])
      assert.equal(await log.tile(tile), undefined, tile)
    for (const tile of ['tile/0/002.p/5', 'tile/entries/002.p/5', 'tile/1/000.p/2'])
      assert.ok(await log.tile(tile), tile)
  },
)

const events: AuditEvent[] = [
  readEvent,
  { ...readEvent, access: 'write' },
  { code: 'login.failed', outcome: 'denied', detail: { username: 'Ada', remoteAddress: '192.0.2.9' } },
  { code: 'server.started', resource: { type: 'run', id: newId('run') }, detail: { version: '1' } },
]

testOnEach(
  'the sealed details of a class go when the class is not kept longer; their entries, and all other details, stay (claims: E19 E20)',
  auditMigrations,
  async (database) => {
    const { log } = await agedLog(database, { read: 90, 'sign-in': 200, write: 730 }, { events })
    const leaf = (await log.read(0)).leaf
    const { due } = await log.retention.status()

    const applied = await log.retention.apply(call)

    // Of 512 old entries in full tiles a quarter is of each class.
    assert.deepEqual(due, { minimum: 0, entries: 0, details: { read: 128, 'sign-in': 128 } })
    assert.deepEqual(applied, { minimum: 0, entries: 0, details: 256, more: false })
    const personal = await Promise.all(
      [0, 1, 2, 3, 512, 514, 600].map(async (i) => (await log.read(i)).record.personal),
    )
    assert.deepEqual(personal, ['pruned', 'read', 'pruned', 'read', 'read', 'read', 'read'])
    const { record } = await log.read(0)
    assert.deepEqual(
      [record.detail, record.action, record.principal?.id],
      [undefined, 'inventory.assets.search', readEvent.principal?.id],
    )
    assert.deepEqual((await log.read(0)).leaf, leaf)
    assert.deepEqual((await log.read(700)).record.pruned, {
      minimum: 0,
      details: { read: 512, 'sign-in': 512 },
      keep: { read: 90, 'sign-in': 200, write: 730 },
    })
    await checkLog(database, testRootKey)

    // Each class goes by itself: a missing detail of another, or of a younger entry, is a fault that names its place.
    for (const [index, why] of [
      [1, 'a write'],
      [3, 'the system'],
      [512, 'a read that is not old enough'],
    ] as const) {
      const { rows } = await sql<{
        salt: Buffer
        box: Buffer
      }>`select salt, box from audit_payload where idx = ${index}`.execute(database.db)
      await sql`delete from audit_payload where idx = ${index}`.execute(database.db)
      assert.deepEqual(
        await log.verify(),
        { ok: false, place: `audit_payload ${index}`, reason: 'the payload is missing' },
        why,
      )
      await sql`insert into audit_payload (idx, salt, box) values (${index}, ${rows[0]?.salt}, ${rows[0]?.box})`.execute(
        database.db,
      )
    }
    assert.ok((await log.verify()).ok)
  },
)

testOnEach(
  'what was declared stays declared: later runs and another policy go on from it, and forgetting adds to it',
  auditMigrations,
  async (database) => {
    const { log, clock } = await agedLog(database, { read: 90 }, { events })
    await log.retention.apply(call)
    await log.close()
    const writes = await openLog({ database, rootKey: testRootKey, now: clock.now, keep: { write: 30 } })
    await writes.checkpoint()
    await writes.retention.apply(call)
    assert.deepEqual((await writes.read(701)).record.pruned?.details, { read: 512, write: 512 })
    assert.equal((await writes.read(0)).record.personal, 'pruned')
    await checkLog(database, testRootKey)
    await writes.close()
    const other = await openLog({ database, rootKey: testRootKey, now: clock.now, keep: { entries: 365, write: 30 } })
    await other.checkpoint()
    clock.forward(31 * dayMs)
    await other.append(readEvent)

    const applied = await other.retention.apply(call)

    assert.deepEqual([applied.minimum, (await stored(database, 'audit_entry'))[0]], [512, 512])
    await checkLog(database, testRootKey)
    await other.forget(readEvent.principal?.id ?? '')
    assert.equal((await other.read(512)).record.personal, 'forgotten')
    await checkLog(database, testRootKey)
    clock.forward(400 * dayMs)
    await other.retention.apply(call)
    await checkLog(database, testRootKey)
  },
)

testOnEach(
  'the tie between a pseudonym and a principal of whom no entry is left goes with the next run',
  auditMigrations,
  async (database) => {
    const grace: AuditEvent = { ...readEvent, principal: { id: newId('usr'), kind: 'user', name: 'Grace' } }
    const agent = { id: newId('agt'), kind: 'agent', name: 'Bot', onBehalfOf: newId('usr') }
    const asked: AuditEvent = { ...readEvent, principal: agent }
    const edited: AuditEvent = { ...readEvent, resource: { type: 'user', id: newId('usr') } }
    const { log, clock } = await agedLog(database, { entries: 365 }, { old: 512, young: 0, events: [grace] })
    for (const event of [asked, edited]) await log.append(event)
    const principals = async () => {
      const { rows } = await sql<{ id: string }>`select principal_id as id from audit_subject`.execute(database.db)
      return rows.map(({ id }) => id).sort()
    }
    const others = [agent.id, agent.onBehalfOf, readEvent.principal?.id, edited.resource?.id]
    await log.retention.apply(call)
    assert.deepEqual(await principals(), [...others, grace.principal?.id].sort())

    await Promise.all(Array.from({ length: 256 }, () => log.append(asked)))
    clock.forward(366 * dayMs)
    for (const event of [asked, edited]) await log.append(event)
    await log.retention.apply(call)

    assert.deepEqual(await principals(), others.sort())
    const { index } = await log.append(grace)
    assert.equal((await log.read(index)).record.principal?.id, grace.principal?.id)
    await checkLog(database, testRootKey)
  },
)

const witness = 'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv'
/** A witness that never answers. */
const policy = parsePolicy(`witness w ${witness} https://127.0.0.1:1\nquorum w\n`)

/** What the record holds when the witnesses have cosigned a checkpoint: under a size that no later round writes over. */
async function cosigned(database: Database, checkpoint: string): Promise<void> {
  const size = Number(checkpoint.split('\n')[1]) + 1_000_000
  await sql`delete from audit_cosigned`.execute(database.db)
  await sql`insert into audit_cosigned (size, checkpoint, is_met) values (${size}, ${checkpoint}, 1)`.execute(
    database.db,
  )
}

testOnEach(
  'nothing goes that the witnesses have not cosigned, nor what one of them must still be shown',
  auditMigrations,
  async (database) => {
    const { log: alone, clock } = await agedLog(database, { entries: 365 })
    const early = await alone.checkpoint()
    const ended = new AbortController()
    ended.abort()
    await alone.retention.apply({ ...call, signal: ended.signal })
    const checkpoint = await alone.checkpoint()
    await alone.close()
    const parts = { database, rootKey: testRootKey, now: clock.now, policy }
    const log = await openLog({ ...parts, keep: { entries: 365 } })
    await log.checkpoint()

    // They have cosigned nothing, and then a checkpoint of before the entry that says what goes.
    for (const note of [undefined, early]) {
      if (note !== undefined) await cosigned(database, note)
      const waiting = await log.retention.apply(call)
      assert.deepEqual(
        [waiting.entries, waiting.waiting, (await stored(database, 'audit_entry'))[0]],
        [0, 'Entry 700 says what goes, but the witnesses have not cosigned it yet', 0],
      )
    }
    assert.equal(await log.retention.isDue(), false, 'and not asked for again at once')

    await cosigned(database, checkpoint)
    assert.equal((await log.retention.apply(call)).entries, 512)

    // Two tiles more are old, and the witness has seen one of them.
    clock.forward(366 * dayMs)
    await Promise.all(Array.from({ length: 400 }, () => log.append({ code: 'server.started' })))
    clock.forward(366 * dayMs)
    await log.append({ code: 'server.started' })
    await log.checkpoint().catch(() => {})
    const { rows } = await sql<{ checkpoint: string }>`select checkpoint from audit_head`.execute(database.db)
    await cosigned(database, rows[0]?.checkpoint ?? '')
    await sql`update audit_witness set size = 800 where name = 'w'`.execute(database.db)
    const { due, heldBy } = await log.retention.status()
    assert.deepEqual([due.minimum, heldBy], [768, 'the witness w'])
    await log.close()
  },
)

test('what retention deletes is not left in the free pages or the write-ahead log of SQLite', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-test-'))
  // Not encrypted, so that the test can look into the file.
  const database = openSqlite(join(folder, 'plain.db'))
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await migrate(database, auditMigrations, () => new Date())
  const { log, clock, add } = await agedLog(database, { entries: 720, read: 30 })
  const { rows } = await sql<{ salt: Buffer; leaf: Buffer }>`
    select salt, leaf from audit_payload p join audit_entry e on e.idx = p.idx where e.idx in (3, 300)`.execute(
    database.db,
  )
  const found = (what: 'salt' | 'leaf') => {
    const bytes = Buffer.concat(['plain.db', 'plain.db-wal'].map((name) => readFileSync(join(folder, name))))
    return rows.map((row) => bytes.includes(row[what]))
  }

  assert.deepEqual(
    [found('salt'), found('leaf')],
    [
      [true, true],
      [true, true],
    ],
  )
  await log.retention.apply(call)
  assert.deepEqual(
    [found('salt'), found('leaf')],
    [
      [false, false],
      [true, true],
    ],
  )
  clock.forward(366 * dayMs)
  await add(1)
  await log.retention.apply(call)
  assert.deepEqual(found('leaf'), [false, false])
})

test('an entry that speaks of what comes after it, or in another form, declares nothing', () => {
  const leaf = { code: 'log.pruned', seq: 600, at: 'x', pruned: { minimum: 512, details: { read: 256 }, keep: {} } }
  const others = [
    { ...leaf, seq: 511 },
    { ...leaf, seq: 255, pruned: { ...leaf.pruned, minimum: 0 } },
    { ...leaf, code: 'log.gap' },
    { ...leaf, pruned: { ...leaf.pruned, minimum: -256 } },
    { ...leaf, pruned: { ...leaf.pruned, minimum: 512.5 } },
    { ...leaf, pruned: { ...leaf.pruned, details: { 'the reads': 256 } } },
  ]

  assert.deepEqual(declaredBy(leaf), { ...leaf.pruned, index: 600, at: 'x' })
  for (const other of others) assert.equal(declaredBy(other as typeof leaf), undefined, JSON.stringify(other))
})
