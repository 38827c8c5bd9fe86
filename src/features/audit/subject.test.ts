import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const ada = newId('usr')
const grace = newId('usr')
const personal = ['Ada Example', 'ada@example.org', '192.0.2.7', 'srv-of-ada', ada]

const eventOf = (id: string, name: string): AuditEvent => ({
  code: 'action.started',
  principal: { id, kind: 'user', name },
  action: 'identity.users.edit',
  resource: { type: 'user', id },
  detail: { remoteAddress: '192.0.2.7', input: { email: `${name.split(' ')[0]!.toLowerCase()}@example.org` } },
})

const tables = ['audit_key', 'audit_head', 'audit_entry', 'audit_payload', 'audit_node', 'audit_subject']

/** Everything that the log's tables hold, as one text; bytes as latin1. */
async function dump(database: Database, only = tables): Promise<string> {
  const parts: string[] = []
  for (const table of only) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(database.db)
    for (const row of rows)
      for (const value of Object.values(row))
        parts.push(Buffer.isBuffer(value) ? value.toString('latin1') : String(value))
  }
  return parts.join('\n')
}

testOnEach('leaves, tiles and payload boxes hold no personal data (AUD-5)', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await log.append(eventOf(ada, 'Ada Example'))
  await log.append({ ...eventOf(ada, 'Ada Example'), resource: { type: 'asset', id: 'srv-of-ada' } })
  const folder = mkdtempSync(join(tmpdir(), 'atlas-log-'))
  await log.exportTo(join(folder, 'x'))
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  const exported = files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1')).join('\n')
  rmSync(folder, { recursive: true })
  const stored = await dump(
    database,
    tables.filter((table) => table !== 'audit_subject'),
  )

  for (const text of personal) assert.deepEqual([stored.includes(text), exported.includes(text)], [false, false], text)
})

testOnEach('two events with the same detail have different commitments', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await Promise.all([log.append(eventOf(ada, 'Ada Example')), log.append(eventOf(ada, 'Ada Example'))])
  const commits = await Promise.all(
    [0, 1].map(async (index) => JSON.parse((await log.read(index)).leaf.toString()).payloadCommit),
  )

  assert.equal(new Set(commits).size, 2)
})

testOnEach(
  'a forgotten principal is gone from the database while the tree and every other entry stay (AUD-5)',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    for (const [id, name] of [
      [ada, 'Ada Example'],
      [grace, 'Grace Sample'],
      [ada, 'Ada Example'],
    ] as const)
      await log.append(eventOf(id, name))
    const before = [await log.read(0), await log.read(1)]
    const pseudonym = JSON.parse(before[0]!.leaf.toString()).subject
    await log.checkpoint()

    assert.deepEqual(await log.forget(ada), { index: 3, details: 0 })

    const all = await dump(database)
    for (const text of personal) assert.ok(!all.includes(text), text)
    assert.deepEqual(await log.search({ principal: ada }), { items: [], next: null })
    const after = await log.read(0)
    assert.deepEqual(
      [after.record.personal, after.record.detail, after.record.principal?.id],
      ['forgotten', undefined, pseudonym],
    )
    assert.deepEqual(after.leaf, before[0]!.leaf)
    assert.deepEqual(await log.read(1), before[1])
    assert.deepEqual((await log.read(3)).record.resource, { type: 'subject', id: pseudonym })
    assert.deepEqual(await checkLog(database, testRootKey), { size: 4 })
  },
)

testOnEach('after being forgotten a principal gets another pseudonym', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  const other = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await other.append(eventOf(ada, 'Ada Example'))
  await log.append(eventOf(ada, 'Ada Example'))
  // What was appended before the forgetting is forgotten; what comes after is not. The other opening had the key cached.
  const [before] = await Promise.all([log.append(eventOf(ada, 'Ada Example')), log.forget(ada)])
  const later = await log.append(eventOf(ada, 'Ada Example'))
  const elsewhere = await other.append(eventOf(ada, 'Ada Example'))

  assert.deepEqual(
    [(await log.read(before.index)).record.personal, (await log.read(later.index)).record.personal],
    ['forgotten', 'read'],
  )
  assert.equal((await log.read(elsewhere.index)).record.principal?.id, ada)
  await assert.rejects(log.forget(newId('usr')), { type: 'not-found' })
  await checkLog(database, testRootKey)
})

testOnEach(
  'forgetting in the middle of a stream parts it exactly at its own entry',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    await log.append(eventOf(ada, 'Ada Example'))
    const forgotten: number[] = []
    let running = true
    const lanes = Array.from({ length: 10 }, async () => {
      while (running) await log.append(eventOf(ada, 'Ada Example'))
    })
    for (let i = 0; i < 5; i++) {
      await log.append(eventOf(ada, 'Ada Example'))
      forgotten.push((await log.forget(ada)).index)
    }
    running = false
    await Promise.all(lanes)

    const last = forgotten.at(-1)!
    for (let index = 0; index < log.size(); index++) {
      const { record } = await log.read(index)
      const expected = forgotten.includes(index) ? 'none' : index < last ? 'forgotten' : 'read'
      assert.equal(record.personal, expected, `entry ${index}, forgotten at ${forgotten.join()}`)
    }
    await checkLog(database, testRootKey)
  },
)

testOnEach('events of nobody who signed in can be forgotten as well', auditMigrations, async (database) => {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  await log.append({ code: 'login.failed', detail: { remoteAddress: '192.0.2.7', username: 'Ada Example' } })
  await log.append({ code: 'server.started' })
  await log.forget('')

  assert.deepEqual([(await log.read(0)).record.personal, (await log.read(1)).record.personal], ['forgotten', 'none'])
  await checkLog(database, testRootKey)
})

testOnEach(
  'what others said of a forgotten principal goes too, by id and by text in any case, and the log says of which entries (AUD-5)',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    const admin = { id: grace, kind: 'user', name: 'Grace Sample' }
    const said = (detail: object): AuditEvent => ({ code: 'action.started', principal: admin, detail: { ...detail } })
    await log.append(eventOf(ada, 'Ada Example'))
    await log.append(said({ input: { username: 'ada "the first"', role: 'viewer' } }))
    await log.append(said({ input: { user: ada } }))
    await log.append(said({ input: { username: 'adam' } }))
    await log.append({ code: 'login.failed', detail: { username: 'ADA@EXAMPLE.ORG', remoteAddress: '192.0.2.7' } })
    await log.append({ code: 'login.failed', detail: { username: 'bob', remoteAddress: '192.0.2.8' } })
    const leaves = await Promise.all([0, 1, 2, 3, 4, 5].map(async (i) => (await log.read(i)).leaf))

    assert.deepEqual(await log.forget(ada, ['Ada "The First"', 'ada@example.org', '192.0.2.7']), {
      index: 6,
      details: 3,
    })

    const records = await Promise.all([0, 1, 2, 3, 4, 5, 6].map(async (i) => (await log.read(i)).record))
    assert.deepEqual(
      records.map((record) => record.personal),
      ['forgotten', 'forgotten', 'forgotten', 'read', 'forgotten', 'read', 'none'],
    )
    assert.deepEqual(records[6]?.erased, [1, 2, 4])
    assert.deepEqual(await Promise.all([0, 1, 2, 3, 4, 5].map(async (i) => (await log.read(i)).leaf)), leaves)
    await checkLog(database, testRootKey)
    // Excused are the entries that it names, and no other.
    await sql`delete from audit_payload where idx = 3`.execute(database.db)
    assert.deepEqual(await log.verify(), { ok: false, place: 'audit_payload 3', reason: 'the payload is missing' })
  },
)

testOnEach(
  'a person of whom thousands of details of others speak is forgotten in several entries',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    await log.append(eventOf(ada, 'Ada Example'))
    await Promise.all(
      Array.from({ length: 3100 }, () =>
        log.append({ ...eventOf(grace, 'Grace Sample'), detail: { input: { user: ada } } }),
      ),
    )

    assert.deepEqual(await log.forget(ada), { index: 3101, details: 3100 })
    assert.equal(log.size(), 3103)
    await checkLog(database, testRootKey)
  },
)
