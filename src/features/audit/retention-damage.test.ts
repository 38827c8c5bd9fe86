import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { leafHash } from '../../lib/merkle.ts'
import { agedLog, call, readEvent } from '../../testing/aged-log.ts'
import { checkLog } from '../../testing/check-log.ts'
import { freshSqlite, testOnEach, testRootKey } from '../../testing/databases.ts'
import { makeHeads } from './head.ts'
import { auditMigrations } from './migrations.ts'
import { type HeadRow, headOf } from './store.ts'
import { describeVerdict, verifyExport, verifyProof } from './verify.ts'
import { verifyLog } from './verify-log.ts'

const zeros = Buffer.alloc(32)

/** 800 old entries and 300 young ones, of which 0–767 are pruned by entry 1100. */
async function pruned(database: Database) {
  const aged = await agedLog(database, { entries: 365 }, { old: 800, young: 300 })
  assert.equal((await aged.log.retention.apply(call)).minimum, 768)
  await aged.log.checkpoint()
  return aged
}

const first = async (database: Database) =>
  Number((await sql<{ idx: number }>`select min(idx) as idx from audit_entry`.execute(database.db)).rows[0]?.idx)

/** The entry that declares the pruning, saying that more was pruned. */
async function raised(database: Database): Promise<Buffer> {
  const { rows } = await sql<{ leaf: Buffer }>`select leaf from audit_entry where idx = 1100`.execute(database.db)
  const leaf = String(rows[0]?.leaf)
  assert.match(leaf, /"minimum":768/)
  return Buffer.from(leaf.replace('"minimum":768', '"minimum":1024'))
}

type Tamper = [string, (database: Database) => Promise<unknown>, string, string]

const tampers: Tamper[] = [
  [
    'one entry more than the log declares',
    (d) => sql`delete from audit_entry where idx = 768`.execute(d.db),
    'audit_entry 768',
    'the entry is missing',
  ],
  [
    'one tile more than the log declares',
    async (d) => {
      await sql`delete from audit_payload where idx < 1024`.execute(d.db)
      await sql`delete from audit_entry where idx < 1024`.execute(d.db)
    },
    'audit_entry 768',
    'the entry is missing, and no entry says that retention deleted it',
  ],
  [
    'a tile more, with the entry changed to say so',
    async (d) => {
      const leaf = await raised(d)
      await sql`update audit_entry set leaf = ${leaf} where idx = 1100`.execute(d.db)
      await sql`delete from audit_payload where idx < 1024`.execute(d.db)
      await sql`delete from audit_entry where idx < 1024`.execute(d.db)
    },
    'audit_entry 1100',
    'the leaf does not have the hash that is stored beside it',
  ],
  [
    'a tile more, with the entry changed to say so and a hash to match',
    async (d) => {
      const leaf = await raised(d)
      await sql`update audit_entry set leaf = ${leaf}, hash = ${leafHash(leaf)} where idx = 1100`.execute(d.db)
      await sql`delete from audit_payload where idx < 1024`.execute(d.db)
      await sql`delete from audit_entry where idx < 1024`.execute(d.db)
    },
    'audit_entry 0–1100',
    'these are not the entries that were signed',
  ],
  [
    'the hash of a pruned tile that was deleted',
    (d) => sql`delete from audit_node where level = 1 and idx = 1`.execute(d.db),
    'audit_node 1/1',
    'the hash is missing',
  ],
  [
    'the hash of a pruned tile that was changed',
    (d) => sql`update audit_node set hash = ${zeros} where level = 1 and idx = 2`.execute(d.db),
    'audit_entry 0–1100',
    'these are not the entries that were signed',
  ],
  [
    'a payload of a pruned entry that was put back',
    (d) => sql`insert into audit_payload (idx, salt, box) values (5, ${zeros}, ${zeros})`.execute(d.db),
    'audit_payload 5',
    'a payload belongs to no entry',
  ],
  [
    'an entry put where there is none any more',
    (d) =>
      sql`insert into audit_entry (idx, at, code, leaf, hash) values (512, 'x', 'x', ${zeros}, ${zeros})`.execute(d.db),
    'audit_entry 512',
    'the leaf does not have the hash that is stored beside it',
  ],
  [
    'an entry above the minimum that was deleted',
    (d) => sql`delete from audit_entry where idx = 900`.execute(d.db),
    'audit_entry 900',
    'the entry is missing',
  ],
  [
    'a checkpoint that was removed by somebody who has the root key',
    async (d) => {
      const { rows } = await sql<HeadRow>`select size, compact, checkpoint, mac from audit_head`.execute(d.db)
      const heads = makeHeads(testRootKey)
      const { mac } = heads.write({ ...heads.read(headOf(rows[0] as HeadRow)), checkpoint: null })
      await sql`update audit_head set checkpoint = null, mac = ${mac}`.execute(d.db)
    },
    'audit_entry 0',
    'the entry is missing, and was never signed',
  ],
  [
    'a checkpoint that was removed',
    (d) => sql`update audit_head set checkpoint = null`.execute(d.db),
    'audit_head',
    'the head of the log was changed from outside',
  ],
]

testOnEach(
  'every change of a pruned log is found and named, and nothing is pruned quietly (claims: E19)',
  auditMigrations,
  async (database) => {
    await pruned(database)
    const whole = await verifyLog({ database, rootKey: testRootKey })
    assert.deepEqual([whole.ok, whole.ok && whole.minimum], [true, 768])

    for (const [what, tamper, place, reason] of tampers) {
      const restore = await snapshot(database)
      await tamper(database)
      assert.deepEqual(await verifyLog({ database, rootKey: testRootKey }), { ok: false, place, reason }, what)
      await restore()
    }
    assert.deepEqual(await verifyLog({ database, rootKey: testRootKey }), whole)
  },
)

testOnEach(
  'a row that is not in the signed tree makes retention delete nothing, and neither do entries that were changed',
  auditMigrations,
  async (database) => {
    const { log, clock, add } = await pruned(database)
    const leaf = await raised(database)
    const genuine = await snapshot(database)
    await sql`update audit_entry set leaf = ${leaf} where idx = 1100`.execute(database.db)

    await assert.rejects(log.retention.apply(call), /entry 1100, which says what retention deletes, is not the one/)
    assert.equal(await first(database), 768)

    await genuine()
    await add(100)
    clock.forward(400 * 86_400_000)
    await sql`update audit_entry set leaf = ${Buffer.from('{}')} where idx = 770`.execute(database.db)
    await assert.rejects(log.retention.apply(call), /the entries 768–1023 are not those that were signed/)
    assert.equal(await first(database), 768)
  },
)

testOnEach(
  'wherever a run ends, the log verifies, and the next run completes it',
  auditMigrations,
  async (database) => {
    const aged = await agedLog(database, { entries: 365 }, { old: 800 })
    const ended = new AbortController()
    ended.abort()

    // The entry is written and signed, and nothing is deleted yet.
    const declared = await aged.log.retention.apply({ ...call, signal: ended.signal })
    assert.deepEqual([declared.entries, declared.more, await first(database)], [0, true, 0])
    await checkLog(database, testRootKey)
    // One tile is gone, and the process with it.
    await sql`delete from audit_payload where idx < 256`.execute(database.db)
    await sql`delete from audit_entry where idx < 256`.execute(database.db)
    await checkLog(database, testRootKey)
    const again = await aged.open()
    if (database.dialect === 'postgres') await aged.log.close()
    await again.checkpoint()

    assert.ok(await again.retention.isDue())
    assert.deepEqual(await again.retention.apply(call), { minimum: 768, entries: 512, details: 0, more: false })
    assert.equal(await again.retention.isDue(), false)
    const { rows } = await sql<{ n: number }>`select count(*) as n from audit_entry where code = 'log.pruned'`.execute(
      database.db,
    )
    assert.equal(Number(rows[0]?.n), 1, 'it was said once')
    await checkLog(database, testRootKey)
  },
)

testOnEach('verifying and appending go on while entries are deleted', auditMigrations, async (database) => {
  const { log, add } = await agedLog(database, { entries: 365 }, { old: 4000 })
  let isOver = false
  const verdicts: unknown[] = []
  const verifying = (async () => {
    while (!isOver) verdicts.push((await log.verify()).ok)
  })()
  const appending = (async () => {
    for (let i = 0; i < 20; i++) await add(5)
  })()

  const applied = await log.retention.apply(call)
  isOver = true
  await Promise.all([verifying, appending])

  assert.equal(applied.entries, 3840)
  assert.ok(verdicts.length > 0 && verdicts.every((ok) => ok === true), JSON.stringify(verdicts))
  await checkLog(database, testRootKey)
})

testOnEach(
  'a forgetting while the log is verified is no fault, and hides no other detail that is missing',
  auditMigrations,
  async (database) => {
    const grace = { ...readEvent, principal: { id: newId('usr'), kind: 'user', name: 'Grace' } }
    const { log } = await agedLog(database, {}, { old: 3000, young: 0, events: [readEvent, grace] })

    const [verdict] = await Promise.all([log.verify(), log.forget(readEvent.principal?.id ?? '')])

    assert.equal(verdict.ok, true, JSON.stringify(verdict))
    await sql`delete from audit_payload where idx = 501`.execute(database.db)
    assert.deepEqual(await log.verify(), {
      ok: false,
      place: 'audit_payload 501',
      reason: 'the payload is missing',
    })
  },
)

async function exportsOf(t: TestContext) {
  const database = await freshSqlite(t, auditMigrations)
  const parent = mkdtempSync(join(tmpdir(), 'atlas-export-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const aged = await agedLog(database, { entries: 365 }, { old: 800, young: 300 })
  await aged.log.exportTo(join(parent, 'before'))
  const proof = Buffer.from(await aged.log.proofOf(5))
  await aged.log.retention.apply(call)
  await aged.log.exportTo(join(parent, 'after'))
  return { parent, proof, folder: join(parent, 'after'), ...aged }
}

test('an export and a proof of before the pruning still verify, and an export of after says what is missing and which entry says so', async (t) => {
  const { parent, proof, log, folder, clock } = await exportsOf(t)
  const before = verifyExport(join(parent, 'before'), log.vkey)
  const after = verifyExport(folder, log.vkey)
  const old = verifyProof(proof, log.vkey)

  assert.ok(before.ok && before.pruned === undefined && before.size === 1100, JSON.stringify(before))
  assert.ok(old.ok && old.index === 5, JSON.stringify(old))
  assert.ok(after.ok, JSON.stringify(after))
  assert.deepEqual([after.size, after.pruned], [1101, { minimum: 768, entry: 1100, at: clock.now().toISOString() }])
  assert.match(
    describeVerdict(after),
    /\n {2}entries 0–767 were pruned by retention \(entry 1100 of 2025-02-04T00:00:00.000Z says so\)\n/,
  )
})

test('an export that lacks more than its log declares does not verify, and the place is named (AUD-2)', async (t) => {
  const { parent, folder, log } = await exportsOf(t)
  const remove = (...paths: string[]) => {
    const kept = paths.map((path) => readFileSync(join(folder, path)))
    for (const path of paths) rmSync(join(folder, path))
    return () => {
      for (const [i, path] of paths.entries()) writeFileSync(join(folder, path), kept[i] as Buffer)
    }
  }
  const cases: [paths: string[], place: string, reason: string][] = [
    [['tile/entries/003', 'tile/0/003'], 'tile/entries/003', 'is missing, and no entry says that it was pruned'],
    [['tile/entries/003'], 'tile/entries/003', 'is missing'],
    [['tile/0/003'], 'tile/0/003', 'is missing'],
    [['tile/1/000.p/4'], 'tile/1/000.p/4', 'is missing'],
    [['tile/entries/003', 'tile/0/003', 'tile/entries/004.p/77', 'tile/0/004.p/77'], 'tile/entries/000', 'is missing'],
  ]
  for (const [paths, place, reason] of cases) {
    const restore = remove(...paths)
    assert.deepEqual(verifyExport(folder, log.vkey), { ok: false, place, reason }, paths.join(' '))
    restore()
  }

  // The hash of a pruned tile, and the entry that speaks of it.
  const node = join(folder, 'tile/1/000.p/4')
  const hashes = readFileSync(node)
  writeFileSync(node, Buffer.concat([zeros, hashes.subarray(32)]))
  assert.equal((verifyExport(folder) as { place: string }).place, 'checkpoint')
  writeFileSync(node, hashes)
  const bundle = join(folder, 'tile/entries/004.p/77')
  const entries = readFileSync(bundle)
  writeFileSync(bundle, Buffer.from(entries.toString('latin1').replace('"minimum":768', '"minimum":512'), 'latin1'))
  assert.deepEqual((verifyExport(folder) as { place: string }).place, 'tile/entries/004.p/77 entry 76 (index 1100)')
  writeFileSync(bundle, entries)
  // An export of before cannot be passed off as pruned: none of its entries says so.
  for (const path of ['tile/entries/000', 'tile/0/000']) rmSync(join(parent, 'before', path))
  assert.deepEqual(verifyExport(join(parent, 'before'), log.vkey), {
    ok: false,
    place: 'tile/entries/000',
    reason: 'is missing, and no entry says that it was pruned',
  })
  assert.ok(verifyExport(folder, log.vkey).ok)
})

/** Copies the log's tables aside; the answer puts them back. */
async function snapshot(database: Database): Promise<() => Promise<void>> {
  const tables = ['audit_head', 'audit_entry', 'audit_payload', 'audit_node']
  for (const table of tables) await sql.raw(`create table kept_${table} as select * from ${table}`).execute(database.db)
  return async () => {
    for (const table of tables) {
      await sql.raw(`delete from ${table}`).execute(database.db)
      await sql.raw(`insert into ${table} select * from kept_${table}`).execute(database.db)
      await sql.raw(`drop table kept_${table}`).execute(database.db)
    }
  }
}

testOnEach(
  'who can write the table cannot make young entries old and have them deleted (claims: E19)',
  auditMigrations,
  async (database) => {
    const { log, clock, add } = await agedLog(database, { entries: 365, read: 30 }, { old: 0, young: 1000 })
    const old = '2000-01-01T00:00:00.000Z'
    const changes = [
      [
        sql`update audit_entry set at = ${old} where idx < 1000`,
        sql`update audit_entry set at = ${clock.now().toISOString()}`,
      ],
      [
        sql`update audit_entry set at = ${old}, code = 'log.clock-accepted' where idx = 900`,
        sql`update audit_entry set at = ${clock.now().toISOString()}, code = 'action.succeeded' where idx = 900`,
      ],
    ] as const
    for (const [change, undo] of changes) {
      await change.execute(database.db)
      await assert.rejects(log.retention.apply(call), { name: 'LogDamaged', message: /changed from outside/ })
      await undo.execute(database.db)
      assert.equal(await first(database), 0)
      assert.equal((await log.retention.status()).declared, undefined, 'no entry says that anything goes')
    }
    // What is old by its leaves goes as before.
    clock.forward(400 * 86_400_000)
    await add(1)
    await log.checkpoint()
    assert.equal((await log.retention.apply(call)).minimum, 768)
    await checkLog(database, testRootKey)
  },
)
