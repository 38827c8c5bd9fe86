import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { migrate } from '../../lib/db/migrate.ts'
import { newId } from '../../lib/ids.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuditEvent } from './event.ts'
import { followAction } from './follow.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const [ada, bob, agent] = [newId('usr'), newId('usr'), newId('agt')]
const connection = newId('con')
const base: AuditEvent = { code: 'action.started', principal: { id: ada, kind: 'user', name: 'Ada' } }
const never = new AbortController().signal

testOnEach('following answers what comes, oldest first, and not the following itself', auditMigrations, async (db) => {
  const log = await openLog({ database: db, rootKey: testRootKey, now: fixedClock().now })
  for (let i = 0; i < 3; i++) await log.append(base)
  const waiting = log.follow({}, 25, never)
  await log.append({ ...base, action: followAction })
  await log.append({ ...base, action: 'x.thing.do' })

  const first = await waiting
  assert.deepEqual([first.items.map(({ index }) => index), first.next], [[4], 4])
  assert.deepEqual(await log.follow({ after: 4 }, 0, never), { items: [], next: 4 })
  const all = await log.follow({ after: -1, principal: ada }, 0, never)
  assert.deepEqual(
    all.items.map(({ index }) => index),
    [0, 1, 2, 4],
  )
  const gone = new AbortController()
  const left = log.follow({ after: 4 }, 25, gone.signal)
  gone.abort()
  await assert.rejects(left, { name: 'AbortError' })
})

testOnEach(
  'everything that somebody touched: itself and through an agent, each thing and action once',
  auditMigrations,
  async (db) => {
    const clock = fixedClock()
    const log = await openLog({ database: db, rootKey: testRootKey, now: clock.now })
    const resource = { type: 'connection', id: connection }
    const call = async (event: AuditEvent) => {
      await log.append(event)
      await log.append({ ...event, code: 'action.succeeded', outcome: 'ok' })
      clock.forward(1000)
    }
    await call({ ...base, action: 'connections.connections.edit', resource })
    await call({ ...base, action: 'connections.connections.edit', resource })
    await call({ ...base, action: 'identity.users.get', resource: { type: 'user', id: bob } })
    await call({ ...base, principal: { id: agent, kind: 'agent', onBehalfOf: ada }, action: 'x.thing.do', resource })
    await call({ ...base, principal: { id: bob, kind: 'user' }, action: 'x.thing.do', resource })
    await log.append({
      ...base,
      code: 'action.failed',
      outcome: 'denied',
      action: 'vault.secrets.get',
      resource: { type: 'secret', id: '*' },
    })

    assert.deepEqual(
      (await log.touched(ada)).map(({ resource: on, action, entries, succeeded, failed }) => [
        on.type,
        on.id,
        action,
        entries,
        succeeded,
        failed,
      ]),
      [
        ['secret', '*', 'vault.secrets.get', 1, 0, 1],
        ['connection', connection, 'x.thing.do', 2, 1, 0],
        ['user', bob, 'identity.users.get', 2, 1, 0],
        ['connection', connection, 'connections.connections.edit', 4, 2, 0],
      ],
    )
    const [edits] = (await log.touched(ada)).slice(-1)
    assert.deepEqual([edits?.first, edits?.last], ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z'])
    assert.deepEqual(await log.touched(newId('usr')), [])
  },
)

testOnEach(
  'entries from before the column of on whose behalf get it from their leaves',
  auditMigrations,
  async (db) => {
    const log = await openLog({ database: db, rootKey: testRootKey, now: fixedClock().now })
    await log.append({ ...base, principal: { id: agent, kind: 'agent', onBehalfOf: ada } })
    await log.append(base)
    await sql`drop index audit_entry_behalf`.execute(db.db)
    await sql`alter table audit_entry drop column behalf`.execute(db.db)
    await sql`delete from migration where id = 103`.execute(db.db)

    await migrate(db, auditMigrations, () => new Date())

    assert.deepEqual(
      (await log.search({ onBehalfOf: ada })).items.map(({ index }) => index),
      [0],
    )
    await checkLog(db, testRootKey)
  },
)

testOnEach('each search and the list of touched things walk an index', auditMigrations, async (db) => {
  const log = await openLog({ database: db, rootKey: testRootKey, now: fixedClock().now })
  await log.append({ ...base, action: 'x.thing.do', resource: { type: 'connection', id: connection }, outcome: 'ok' })
  if (db.dialect !== 'sqlite') return
  for (const where of [
    'subject = 1',
    'behalf = 1',
    'action = 1',
    'code = 1',
    'outcome = 1',
    'resource_id in (1)',
    '(subject = 1 or behalf = 1)',
  ]) {
    const { rows } = await sql<{
      detail: string
    }>`explain query plan select idx from audit_entry where ${sql.raw(where)} and idx < 9 order by idx desc limit 5`.execute(
      db.db,
    )
    const plan = rows.map(({ detail }) => detail).join('; ')
    assert.match(plan, /USING (COVERING )?INDEX audit_entry_/, `${where}: ${plan}`)
  }
})
