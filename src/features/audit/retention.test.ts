import assert from 'node:assert/strict'
import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { dayMs, type Keep } from './retention-policy.ts'

const event: AuditEvent = {
  code: 'action.succeeded',
  principal: { id: newId('usr'), kind: 'user', name: 'Ada' },
  action: 'inventory.assets.search',
  access: 'read',
  outcome: 'ok',
}
const call = { requestId: newId('req'), signal: new AbortController().signal }

/** A log of `old` entries, and after 400 days of `young` ones. */
async function aged(database: Database, keep: Keep, { old = 600, young = 100 } = {}) {
  const clock = fixedClock()
  const log = await openLog({ database, rootKey: testRootKey, now: clock.now, keep })
  const add = (count: number) => Promise.all(Array.from({ length: count }, () => log.append(event)))
  await add(old)
  clock.forward(400 * dayMs)
  await add(young)
  // On PostgreSQL this takes the right to sign, without which nothing is deleted.
  await log.checkpoint()
  return { log, clock, add }
}

const stored = async (database: Database, table: string) =>
  (await sql<{ idx: number }>`select idx from ${sql.table(table)} order by idx`.execute(database.db)).rows.map(
    ({ idx }) => Number(idx),
  )

testOnEach(
  'full tiles that are older than the policy keeps are deleted, an entry says so first, and the rest verifies (claims: E19 E53)',
  auditMigrations,
  async (database) => {
    const { log } = await aged(database, { entries: 365 })

    const applied = await log.retention.apply(call)

    assert.deepEqual(applied, { minimum: 512, entries: 512, details: 0, more: false })
    assert.deepEqual(
      [(await stored(database, 'audit_entry'))[0], (await stored(database, 'audit_payload'))[0]],
      [512, 512],
    )
    const { record } = await log.read(700)
    assert.deepEqual(
      [record.code, record.pruned, record.requestId],
      ['log.pruned', { minimum: 512, details: {}, keep: { entries: 365 } }, call.requestId],
    )
    const verdict = await log.verify()
    assert.ok(verdict.ok, JSON.stringify(verdict))
    assert.deepEqual([verdict.minimum, verdict.size], [512, 701])
    assert.deepEqual(await checkLog(database, testRootKey), { size: 701 })
  },
)
