import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { Problem } from '../../core/problem.ts'
import { type Database, openSqlite } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { newId } from '../../lib/ids.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { LogDamaged, makeHeads } from './head.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const ada = newId('usr')
const event: AuditEvent = {
  code: 'action.started',
  principal: { id: ada, kind: 'user', name: 'Ada Example' },
  detail: { remoteAddress: '192.0.2.7' },
}

const openOn = (database: Database, parts: { onFatal?: (error: Error) => void } = {}) =>
  openLog({ database, rootKey: testRootKey, now: fixedClock().now, ...parts })

/** Fails every write of an entry until it is dropped. */
async function breakTable(database: Database): Promise<() => Promise<void>> {
  const statements =
    database.dialect === 'sqlite'
      ? [
          `create trigger broken before insert on audit_payload begin select raise(abort, 'disk full'); end`,
          'drop trigger broken',
        ]
      : [
          `create function broken() returns trigger language plpgsql as $$ begin raise 'disk full'; end $$`,
          'create trigger broken before insert on audit_payload for each row execute function broken()',
          'drop trigger broken on audit_payload',
        ]
  for (const statement of statements.slice(0, -1)) await sql.raw(statement).execute(database.db)
  return async () => {
    await sql.raw(statements.at(-1)!).execute(database.db)
  }
}

/** Runs a statement inside the next transaction that writes an entry: what a second, unruly writer would do. */
async function onInsert(database: Database, statement: string): Promise<void> {
  const statements =
    database.dialect === 'sqlite'
      ? [`create trigger unruly after insert on audit_entry begin ${statement}; end`]
      : [
          `create function unruly() returns trigger language plpgsql as $$ begin ${statement}; return new; end $$`,
          'create trigger unruly after insert on audit_entry for each row execute function unruly()',
        ]
  for (const one of statements) await sql.raw(one).execute(database.db)
}

testOnEach(
  'a failed write refuses exactly its own appends, and appends go on when the database is back (AUD-1)',
  auditMigrations,
  async (db) => {
    const log = await openOn(db)
    await log.append(event)
    const repair = await breakTable(db)

    const outcomes = await Promise.allSettled([log.append(event), log.append(event)])
    await repair()
    const after = await Promise.all([log.append(event), log.append(event)])

    assert.deepEqual(
      outcomes.map((outcome) => outcome.status === 'rejected' && (outcome.reason as Problem).type),
      ['audit-unavailable', 'audit-unavailable'],
    )
    assert.deepEqual(after, [{ index: 1 }, { index: 2 }])
    assert.deepEqual(await checkLog(db, testRootKey), { size: 3 })
  },
)

testOnEach('a principal first seen in a failed write is known after the next (AUD-1)', auditMigrations, async (db) => {
  const log = await openOn(db)
  const repair = await breakTable(db)
  await assert.rejects(log.append(event), Problem)
  await repair()

  const { index } = await log.append(event)

  assert.deepEqual((await log.read(index)).record.principal?.id, ada)
  await checkLog(db, testRootKey)
})

testOnEach(
  'a log that does not extend what it signed is never signed again, and stops',
  auditMigrations,
  async (db) => {
    const fatal: Error[] = []
    const log = await openOn(db, { onFatal: (error) => fatal.push(error) })
    for (let i = 0; i < 4; i++) await log.append(event)
    await log.checkpoint()
    await sql`update audit_entry set hash = ${Buffer.alloc(32)} where idx = 1`.execute(db.db)
    await log.append(event)

    await assert.rejects(log.checkpoint(), LogDamaged)
    await assert.rejects(log.append(event), { type: 'audit-unavailable' })
    assert.deepEqual(
      fatal.map(({ message }) => message),
      ['the first 4 entries are not those that were signed'],
    )
  },
)

testOnEach('a head set back without the root key stops the log', auditMigrations, async (db) => {
  const fatal: Error[] = []
  const log = await openOn(db, { onFatal: (error) => fatal.push(error) })
  await log.append(event)
  await log.append(event)
  await sql`delete from audit_entry where idx = 1`.execute(db.db)
  await sql`update audit_head set size = 1, compact = (select hash from audit_entry where idx = 0)`.execute(db.db)

  await assert.rejects(log.append(event), { type: 'audit-unavailable' })
  await assert.rejects(openOn(db), LogDamaged)
  assert.deepEqual(
    fatal.map(({ message }) => message),
    ['the head of the log was changed from outside'],
  )
})

testOnEach('a head that another writer moved meanwhile is not overwritten', auditMigrations, async (db) => {
  const log = await openOn(db)
  await log.append(event)
  await onInsert(db, 'update audit_head set size = size + 1 where id = 1')

  await assert.rejects(log.append(event), (error: Problem) => {
    assert.deepEqual(
      [error.type, (error.cause as Error).message],
      ['audit-unavailable', 'another writer moved the head of the log'],
    )
    return true
  })
  await sql.raw(db.dialect === 'sqlite' ? 'drop trigger unruly' : 'drop trigger unruly on audit_entry').execute(db.db)
  assert.deepEqual(await log.append(event), { index: 1 })
  await checkLog(db, testRootKey)
})

testOnEach(
  'a log cut under a running server stops, and one cut below its checkpoint is never signed',
  auditMigrations,
  async (db) => {
    const fatal: Error[] = []
    const log = await openOn(db, { onFatal: (error) => fatal.push(error) })
    await log.append(event)
    const { rows } = await sql<{ compact: Buffer }>`select compact from audit_head`.execute(db.db)
    await log.append(event)
    const checkpoint = await log.checkpoint()
    // Somebody who has the root key, and so can make a head that fits.
    const head = makeHeads(testRootKey).write({ size: 1, edge: [rows[0]!.compact], checkpoint, rootKey: testRootKey })
    await sql`update audit_head set size = 1, compact = ${head.compact}, mac = ${head.mac}`.execute(db.db)
    await sql`delete from audit_entry where idx = 1`.execute(db.db)
    const reopened = await openOn(db, { onFatal: (error) => fatal.push(error) })

    await assert.rejects(log.append(event), { type: 'audit-unavailable' })
    await assert.rejects(reopened.checkpoint(), LogDamaged)
    assert.deepEqual(
      fatal.map(({ message }) => message),
      ['the log of 2 entries was cut to 1', 'the log of 2 entries was cut to 1'],
    )
  },
)

testOnEach('entries changed before they were ever signed are not signed', auditMigrations, async (db) => {
  const log = await openOn(db)
  await log.append(event)
  await log.append(event)
  await sql`update audit_entry set hash = ${Buffer.alloc(32)} where idx = 1`.execute(db.db)

  await assert.rejects(log.checkpoint(), /the stored hashes are not those of the head/)
  await assert.rejects(log.append(event), { type: 'audit-unavailable' })
})

test('a forgotten key is not left in the free pages or the write-ahead log of SQLite (AUD-5)', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-test-'))
  // Not encrypted, so that the test can look into the file.
  const database = openSqlite(join(folder, 'plain.db'))
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await migrate(database, auditMigrations, () => new Date())
  const log = await openOn(database)
  await log.append(event)
  const { rows } = await sql<{
    box: Buffer
  }>`select box from audit_subject union all select box from audit_payload`.execute(database.db)
  const found = () => {
    const bytes = Buffer.concat(['plain.db', 'plain.db-wal'].map((name) => readFileSync(join(folder, name))))
    return rows.map(({ box }) => bytes.includes(box))
  }

  assert.deepEqual(found(), [true, true])
  await log.forget(ada)
  assert.deepEqual(found(), [false, false])
})
