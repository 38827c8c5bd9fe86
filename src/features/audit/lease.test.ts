import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Database, openPostgres } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { verifyConsistency } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { checkLog } from '../../testing/check-log.ts'
import { fixedClock, freshPostgres, freshPostgresUrl, testOnEach, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

const event = { code: 'action.started', action: 'inventory.assets.search' } as const
const openOn = (database: Database, now = () => new Date()) => openLog({ database, rootKey: testRootKey, now })

/** As if the holder of the lease had not been seen for a minute. */
const age = (database: Database) => sql`update audit_lease set seen = seen - 60000`.execute(database.db)

// A server's log without the server: appends for ever and prints each checkpoint that it signed or was given, and whether it signs.
const server = `
  import { writeSync } from 'node:fs'
  import { openPostgres } from '${new URL('../../lib/db/database.ts', import.meta.url)}'
  import { testRootKey } from '${new URL('../../testing/databases.ts', import.meta.url)}'
  import { openLog } from '${new URL('./log.ts', import.meta.url)}'
  const log = await openLog({ database: openPostgres({ url: process.argv[1], maxConnections: 3 }), rootKey: testRootKey, now: () => new Date() })
  await log.start({ version: 'test' })
  for (;;) {
    const { index } = await log.append({ code: 'action.started', action: 'inventory.assets.search' })
    const checkpoint = index % 20 === 0 ? await log.checkpoint() : undefined
    writeSync(1, JSON.stringify({ index, isSigner: log.isSigner(), checkpoint }) + '\\n')
  }
`
type Said = { index: number; isSigner: boolean; checkpoint?: string; at: number }

function startServer(t: TestContext, url: string) {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', server, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const said: Said[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => said.push({ ...JSON.parse(line), at: performance.now() }))
  const closed = new Promise<void>((resolve) => lines.once('close', resolve))
  return {
    said,
    kill: async () => {
      child.kill('SIGKILL')
      await closed
    },
  }
}

async function until(condition: () => boolean | Promise<boolean>, within: number, what: string): Promise<void> {
  const end = performance.now() + within
  while (!(await condition())) {
    assert.ok(performance.now() < end, what)
    await sleep(50)
  }
}

test('of two processes on one PostgreSQL both append, one signs, and the other signs within 10 s of a kill', async (t) => {
  const url = await freshPostgresUrl(t)
  const database = openPostgres({ url, maxConnections: 4 })
  t.after(() => database.close())
  await migrate(database, auditMigrations, () => new Date())
  const first = startServer(t, url)
  await until(() => first.said.some(({ isSigner, checkpoint }) => isSigner && checkpoint), 30_000, 'the first signs')
  const second = startServer(t, url)
  await until(
    () => second.said.filter(({ checkpoint }) => checkpoint).length >= 2,
    30_000,
    'the second gets checkpoints',
  )

  assert.ok(first.said.at(-1)?.isSigner && !second.said.some(({ isSigner }) => isSigner), 'the second does not sign')
  await first.kill()
  const killed = performance.now()
  await until(() => second.said.some(({ isSigner, checkpoint }) => isSigner && checkpoint), 30_000, 'the second signs')
  const took = second.said.find(({ isSigner }) => isSigner)!.at - killed
  assert.ok(took < 10_000, `it took ${Math.round(took)} ms`)
  await until(
    () => second.said.filter(({ isSigner, checkpoint }) => isSigner && checkpoint).length >= 3,
    30_000,
    'goes on',
  )
  const log = await openOn(database)
  const gaps = async () => (await log.search({ code: 'log.gap' })).items.length
  // It may sign one beat before it holds the other for ended.
  await until(async () => (await gaps()) > 0, 30_000, 'the survivor records the end of the other')
  await second.kill()

  const indexes = [...first.said, ...second.said].map(({ index }) => index)
  assert.equal(new Set(indexes).size, indexes.length, 'no index was given twice')
  const key = parseVkey(log.vkey)
  const texts = [...first.said, ...second.said].flatMap(({ checkpoint }) => (checkpoint ? [checkpoint] : []))
  const heads = texts.map((text) => parseCheckpoint(openNote(Buffer.from(text), key))).sort((a, b) => a.size - b.size)
  for (const [i, head] of heads.entries()) {
    const next = heads[i + 1] ?? head
    const proof = await log.proveConsistency(head.size, next.size)
    assert.ok(verifyConsistency(head.size, next.size, head.root, next.root, proof), `${head.size} to ${next.size}`)
  }
  assert.equal(await gaps(), 1, 'the survivor recorded the end of the other once')
  t.diagnostic(`took over in ${Math.round(took)} ms, ${heads.length} checkpoints, ${indexes.length} appends`)
  await log.close()
  await checkLog(database, testRootKey)
})

test('a process that slept through its lease signs nothing: the fence has moved on (PostgreSQL)', async (t) => {
  const database = await freshPostgres(t, auditMigrations)
  const [asleep, awake] = [await openOn(database), await openOn(database)]
  t.after(() => Promise.all([asleep.close(), awake.close()]))
  await asleep.append(event)
  await asleep.checkpoint()
  await age(database)
  await awake.append(event)
  const theirs = await awake.checkpoint()
  assert.deepEqual([asleep.isSigner(), awake.isSigner()], [true, true], 'the sleeper does not know yet')

  const given = await asleep.checkpoint()

  assert.deepEqual([given, asleep.isSigner(), awake.isSigner()], [theirs, false, true])
  const { rows } = await sql`select fence::int as fence from audit_lease`.execute(database.db)
  assert.deepEqual(rows, [{ fence: 2 }])
})

test('a process without the lease gets a checkpoint of what it appended from the one that has it (PostgreSQL)', async (t) => {
  const database = await freshPostgres(t, auditMigrations)
  const [signer, other] = [await openOn(database), await openOn(database)]
  t.after(() => Promise.all([signer.close(), other.close()]))
  await signer.checkpoint()
  for (let i = 0; i < 3; i++) await other.append(event)

  const { size } = parseCheckpoint(openNote(Buffer.from(await other.checkpoint()), parseVkey(other.vkey)))

  assert.deepEqual([size, other.isSigner()], [3, false])
  await signer.close()
  await other.append(event)
  assert.match(await other.checkpoint(), /\n4\n/)
  assert.equal(other.isSigner(), true, 'who closes gives the lease back')
})

testOnEach(
  'a start and a stop are entries, and a start that finds no stop records the gap',
  auditMigrations,
  async (db) => {
    const crashed = await openOn(db)
    await crashed.start({ version: '1' })
    await crashed.append(event)
    // A crash ends the beat and nothing else.
    await crashed.close()
    await sql`update audit_run set seen = seen - 60000`.execute(db.db)
    const next = await openOn(db)
    await next.start({ version: '2' })
    await next.stop()
    await next.close()
    const last = await openOn(db)
    await last.start({ version: '2' })

    const { items } = await last.search({})
    const codes = items.map(({ code }) => code).filter((code) => code !== 'log.signer-changed')
    assert.deepEqual(codes.reverse(), [
      'server.started',
      'action.started',
      'log.gap',
      'server.started',
      'server.stopped',
      'server.started',
    ])
    const gap = items.find(({ code }) => code === 'log.gap')
    assert.equal(gap?.outcome, 'crashed')
    await last.stop()
    await last.close()
  },
)

testOnEach(
  'a clock behind the newest entry signs nothing until it has caught up or somebody accepts it',
  auditMigrations,
  async (db) => {
    const clock = fixedClock()
    const log = await openOn(db, clock.now)
    await log.append(event)
    await log.checkpoint()
    clock.forward(3_600_000)
    await log.append(event)
    clock.forward(-3_600_000)

    await assert.rejects(log.checkpoint(), (error: Error) => /3600 s behind/.test(error.message))
    clock.forward(3_600_000 - 10_000)
    assert.match(await log.checkpoint(), /\n2\n/, 'ten seconds are two servers, not a clock that was set')
    clock.forward(-100_000)
    const { index } = await log.append(event)
    assert.equal(index, 2, 'what happens is recorded nevertheless')
    await assert.rejects(log.checkpoint(), { type: 'audit-unavailable' })
    await log.acceptClock()
    assert.match(await log.checkpoint(), /\n4\n/)
    await log.close()
  },
)
