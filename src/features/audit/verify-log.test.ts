import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { UnknownKey } from '../../lib/db/database.ts'
import { leafHash, makeCompactRange } from '../../lib/merkle.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { makeHeads } from './head.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { verifyLog } from './verify-log.ts'

const zeros = Buffer.alloc(32)

async function leafAt(database: Database, index: number): Promise<Buffer> {
  const { rows } = await sql<{ leaf: Buffer }>`select leaf from audit_entry where idx = ${index}`.execute(database.db)
  return rows[0]!.leaf
}

type Tamper = [string, (database: Database) => Promise<unknown>, string, string]

// AUD-2. The log has 600 entries and was signed at 400 and at 600.
const tampers: Tamper[] = [
  [
    'an edited entry',
    async (d) => sql`update audit_entry set leaf = ${Buffer.from('{}')} where idx = 300`.execute(d.db),
    'audit_entry 300',
    'the leaf does not have the hash that is stored beside it',
  ],
  [
    'an edited entry with a hash to match',
    async (d) => {
      const leaf = Buffer.from((await leafAt(d, 550)).toString().replace('"denied"', '"ok"'))
      await sql`update audit_entry set leaf = ${leaf}, hash = ${leafHash(leaf)}, outcome = 'ok' where idx = 550`.execute(
        d.db,
      )
    },
    'audit_entry 0–599',
    'these are not the entries that were signed',
  ],
  [
    'an edited entry in a full tile with a hash to match',
    async (d) => {
      const leaf = Buffer.from((await leafAt(d, 5)).toString().replace('"denied"', '"ok"'))
      await sql`update audit_entry set leaf = ${leaf}, hash = ${leafHash(leaf)}, outcome = 'ok' where idx = 5`.execute(
        d.db,
      )
    },
    'audit_node 1/0',
    'the hash is not that of the entries 0–255',
  ],
  [
    'a deleted entry',
    (d) => sql`delete from audit_entry where idx = 7`.execute(d.db),
    'audit_entry 7',
    'the entry is missing',
  ],
  [
    'a truncated tail',
    (d) => sql`delete from audit_entry where idx >= 590`.execute(d.db),
    'audit_entry 590',
    'the entry is missing',
  ],
  [
    'a truncated tail with the head set back',
    async (d) => {
      await sql`delete from audit_entry where idx >= 512`.execute(d.db)
      await sql`update audit_head set size = 512`.execute(d.db)
    },
    'audit_head',
    'the head of the log was changed from outside',
  ],
  [
    'a truncated tail with the head set back by somebody who has the root key',
    async (d) => {
      await sql`delete from audit_entry where idx >= 500`.execute(d.db)
      await sql`delete from audit_payload where idx >= 500`.execute(d.db)
      const range = makeCompactRange()
      for (let i = 0; i < 500; i++) range.append(leafHash(await leafAt(d, i)))
      const { rows } = await sql<{ checkpoint: string }>`select checkpoint from audit_head`.execute(d.db)
      const head = makeHeads(testRootKey).write({
        size: 500,
        edge: range.hashes(),
        checkpoint: rows[0]!.checkpoint,
        rootKey: testRootKey,
      })
      await sql`update audit_head set size = 500, compact = ${head.compact}, mac = ${head.mac}`.execute(d.db)
    },
    'audit_entry 500',
    'the log had 600 entries when it was last signed',
  ],
  [
    'two entries that changed places',
    async (d) => {
      const [a, b] = [await leafAt(d, 10), await leafAt(d, 11)]
      await sql`update audit_entry set leaf = ${b}, hash = ${leafHash(b)} where idx = 10`.execute(d.db)
      await sql`update audit_entry set leaf = ${a}, hash = ${leafHash(a)} where idx = 11`.execute(d.db)
    },
    'audit_entry 10',
    'the entry was written as number 11',
  ],
  [
    'an entry added behind the head',
    (d) =>
      sql`insert into audit_entry (idx, at, code, leaf, hash) values (600, 'x', 'x', ${zeros}, ${zeros})`.execute(d.db),
    'audit_entry 600',
    'the table does not end where the head does',
  ],
  [
    'an entry before the first',
    (d) =>
      sql`insert into audit_entry (idx, at, code, leaf, hash) values (-1, 'x', 'x', ${zeros}, ${zeros})`.execute(d.db),
    'audit_entry -1',
    'an entry stands before the beginning of the log',
  ],
  [
    'a payload of no entry',
    (d) => sql`insert into audit_payload (idx, salt, box) values (600, ${zeros}, ${zeros})`.execute(d.db),
    'audit_payload 600',
    'a payload belongs to no entry',
  ],
  [
    'a head with another edge by somebody who has the root key',
    async (d) => {
      // 600 entries are the subtrees of 512, 64, 16 and 8.
      const head = makeHeads(testRootKey).write({
        size: 600,
        edge: [zeros, zeros, zeros, zeros],
        checkpoint: null,
        rootKey: testRootKey,
      })
      await sql`update audit_head set compact = ${head.compact}, checkpoint = null, mac = ${head.mac}`.execute(d.db)
    },
    'audit_head',
    'the head does not belong to the stored entries',
  ],
  [
    'a search column that hides an entry',
    (d) => sql`update audit_entry set outcome = 'ok' where idx = 9`.execute(d.db),
    'audit_entry 9',
    'the column outcome differs from the leaf',
  ],
  [
    'an entry moved to another subject',
    (d) => sql`update audit_entry set subject = null where idx = 9`.execute(d.db),
    'audit_entry 9',
    'the column subject differs from the leaf',
  ],
  [
    'a hash that was changed',
    (d) => sql`update audit_entry set hash = ${zeros} where idx = 599`.execute(d.db),
    'audit_entry 599',
    'the leaf does not have the hash that is stored beside it',
  ],
  [
    'an edited payload',
    (d) => sql`update audit_payload set box = ${zeros} where idx = 3`.execute(d.db),
    'audit_payload 3',
    'the payload is not the one that the entry commits to',
  ],
  [
    'another salt',
    (d) => sql`update audit_payload set salt = ${zeros} where idx = 4`.execute(d.db),
    'audit_payload 4',
    'the payload is not the one that the entry commits to',
  ],
  [
    'a deleted payload',
    (d) => sql`delete from audit_payload where idx = 8`.execute(d.db),
    'audit_payload 8',
    'the payload is missing',
  ],
  [
    'an unrecorded erasure',
    async (d) => {
      await sql`delete from audit_payload`.execute(d.db)
      await sql`delete from audit_subject`.execute(d.db)
    },
    'audit_payload 0',
    'the payload is missing',
  ],
  [
    'a pseudonym given to somebody else',
    (d) => sql`update audit_subject set principal_id = 'mallory' where principal_id = 'ada'`.execute(d.db),
    'audit_subject',
    'the key does not open',
  ],
  [
    'a tile hash that was changed',
    (d) => sql`update audit_node set hash = ${zeros} where idx = 1`.execute(d.db),
    'audit_node 1/1',
    'the hash is not that of the entries 256–511',
  ],
  [
    'a tile hash that was deleted',
    (d) => sql`delete from audit_node where idx = 0`.execute(d.db),
    'audit_node 1/0',
    'the hash is missing',
  ],
  [
    'a tile hash too many',
    (d) => sql`insert into audit_node (level, idx, hash) values (2, 0, ${zeros})`.execute(d.db),
    'audit_node 2',
    'there are hashes of no tile',
  ],
  [
    'a head that was deleted',
    (d) => sql`delete from audit_head`.execute(d.db),
    'audit_head',
    'the head of the log is missing',
  ],
  [
    'a checkpoint that was removed',
    (d) => sql`update audit_head set checkpoint = null`.execute(d.db),
    'audit_head',
    'the head of the log was changed from outside',
  ],
  [
    'another verifier key',
    (d) =>
      sql`update audit_key set vkey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'`.execute(
        d.db,
      ),
    'audit_head',
    'the stored verifier key is not that of the log',
  ],
  [
    'a key that was removed',
    (d) => sql`delete from audit_key`.execute(d.db),
    'audit_key',
    'the log has no signing key: it was never opened, or its key was removed',
  ],
]

async function fill(database: Database) {
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
  const add = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        log.append({
          code: 'action.failed',
          principal: { id: 'ada', kind: 'user', name: 'Ada' },
          action: 'inventory.assets.search',
          outcome: 'denied',
        }),
      ),
    )
  await add(400)
  const early = await log.checkpoint()
  await add(200)
  return { log, early, late: await log.checkpoint() }
}

testOnEach(
  'every change of the stored log is found and named (AUD-2, claims: C25)',
  auditMigrations,
  async (database) => {
    await fill(database)
    const whole = await verifyLog({ database, rootKey: testRootKey })
    assert.deepEqual([whole.ok, whole.ok && whole.size, whole.ok && whole.signedSize], [true, 600, 600])

    for (const [what, tamper, place, reason] of tampers) {
      const restore = await snapshot(database)
      await tamper(database)
      const verdict = await verifyLog({ database, rootKey: testRootKey })
      assert.ok(!verdict.ok, what)
      const placed = place === 'audit_subject' ? verdict.place.split(' ')[0] : verdict.place
      assert.deepEqual([placed, verdict.reason], [place, reason], what)
      await restore()
    }
    assert.deepEqual(await verifyLog({ database, rootKey: testRootKey }), whole)
  },
)

testOnEach('an older checkpoint put back does not hide a later one', auditMigrations, async (database) => {
  const { early } = await fill(database)
  await sql`update audit_head set checkpoint = ${early}`.execute(database.db)

  assert.deepEqual(await verifyLog({ database, rootKey: testRootKey }), {
    ok: false,
    place: 'audit_head',
    reason: 'the head of the log was changed from outside',
  })
})

testOnEach('a forgotten key that is put back is found', auditMigrations, async (database) => {
  const { log } = await fill(database)
  const { rows } = await sql<{ id: string; box: Buffer }>`select id, box from audit_subject`.execute(database.db)
  const { id, box } = rows[0]!
  await log.forget('ada')
  await sql`insert into audit_subject (id, principal_id, box) values (${id}, 'ada', ${box})`.execute(database.db)

  assert.deepEqual(await verifyLog({ database, rootKey: testRootKey }), {
    ok: false,
    place: `audit_subject ${id}`,
    reason: 'the subject was forgotten but its key is here',
  })
})

testOnEach('verifying under another root key says so', auditMigrations, async (database) => {
  await fill(database)
  await assert.rejects(verifyLog({ database, rootKey: createSecretKey(Buffer.alloc(32, 3)) }), UnknownKey)
})

testOnEach('verifying goes on while events are appended, and can be stopped', auditMigrations, async (database) => {
  const { log } = await fill(database)
  const [verdict] = await Promise.all([
    log.verify(),
    (async () => {
      for (let i = 0; i < 30; i++) await log.append({ code: 'server.started' })
    })(),
  ])
  const stopped = new AbortController()
  stopped.abort()

  assert.ok(verdict.ok && verdict.size >= 600, JSON.stringify(verdict))
  await assert.rejects(log.verify(stopped.signal), { name: 'AbortError' })
})

/** Copies the log's tables aside; the answer puts them back. */
async function snapshot(database: Database): Promise<() => Promise<void>> {
  const tables = ['audit_key', 'audit_head', 'audit_entry', 'audit_payload', 'audit_node', 'audit_subject']
  for (const table of tables) await sql.raw(`create table kept_${table} as select * from ${table}`).execute(database.db)
  return async () => {
    for (const table of tables) {
      await sql.raw(`delete from ${table}`).execute(database.db)
      await sql.raw(`insert into ${table} select * from kept_${table}`).execute(database.db)
      await sql.raw(`drop table kept_${table}`).execute(database.db)
    }
  }
}
