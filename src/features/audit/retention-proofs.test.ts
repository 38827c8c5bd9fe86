import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { makeCompactRange, verifyConsistency, verifyInclusion } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { agedLog, call, readEvent } from '../../testing/aged-log.ts'
import { testOnEach } from '../../testing/databases.ts'
import { auditMigrations } from './migrations.ts'
import { verifyExport, verifyProof } from './verify.ts'

/** The same numbers at each run: a failure can be looked at again. */
function numbers(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
}

async function hashesOf(database: Database, from = 0): Promise<Buffer[]> {
  const { rows } = await sql<{ hash: Buffer }>`select hash from audit_entry where idx >= ${from} order by idx`.execute(
    database.db,
  )
  return rows.map(({ hash }) => hash)
}

/** The root of each size from `from` on, from all the leaves: the truth that proofs are held against. */
function rootsOf(leaves: readonly Buffer[]): Buffer[] {
  const range = makeCompactRange()
  const after = (leaf: Buffer) => {
    range.append(leaf)
    return range.root()
  }
  return [range.root(), ...leaves.map(after)]
}

/** A log whose first `old` entries are too old, pruned: with all leaf hashes that it ever had. */
async function prunedLog(database: Database, old: number, young: number, events = [readEvent]) {
  const { log } = await agedLog(database, { entries: 365 }, { old, young, events })
  const before = await hashesOf(database)
  const { minimum } = await log.retention.apply(call)
  const leaves = [...before, ...(await hashesOf(database, before.length))]
  return { log, minimum, leaves, roots: rootsOf(leaves) }
}

type Pruned = Awaited<ReturnType<typeof prunedLog>>

async function checkInclusion({ log, leaves, roots }: Pruned, index: number, size: number): Promise<void> {
  const proof = await log.proveInclusion(index, size)
  const [leaf, root] = [leaves[index] as Buffer, roots[size] as Buffer]
  assert.ok(verifyInclusion(leaf, index, size, proof, root), `entry ${index} in the tree of ${size}`)
}

async function checkConsistency({ log, roots }: Pruned, older: number, newer: number): Promise<void> {
  const proof = await log.proveConsistency(older, newer)
  const [from, to] = [roots[older] as Buffer, roots[newer] as Buffer]
  assert.ok(verifyConsistency(older, newer, from, to, proof), `from ${older} to ${newer}`)
}

const shapes: [old: number, young: number][] = [
  [256, 0],
  [257, 1],
  [511, 1],
  [512, 255],
  [513, 256],
  [767, 258],
  [1024, 3],
]

for (const [i, [old, young]] of shapes.entries())
  testOnEach(
    `after pruning a log of ${old} old and ${young} young entries each entry that is left and each pair of sizes prove themselves (claims: E19)`,
    auditMigrations,
    async (database) => {
      const pruned = await prunedLog(database, old, young)
      const { log, minimum, leaves } = pruned
      const draw = numbers(i + 1)
      const size = leaves.length

      assert.equal(minimum, Math.floor(old / 256) * 256)
      for (let index = minimum; index < size; index++) {
        await checkInclusion(pruned, index, size)
        await checkInclusion(pruned, index, index + 1 + draw(size - index))
      }
      for (let pair = 0; pair < 150; pair++) {
        const older = minimum + draw(size - minimum + 1)
        await checkConsistency(pruned, older, older + draw(size - older + 1))
      }
      for (const index of [minimum, size - 1]) {
        const verdict = verifyProof(Buffer.from(await log.proofOf(index)), log.vkey)
        assert.ok(verdict.ok && verdict.index === index, JSON.stringify(verdict))
      }
      await assert.rejects(log.proofOf(minimum - 1), { type: 'gone' })
    },
  )

testOnEach(
  'a log of three levels, pruned beyond its first 65,536 entries, proves what is left and verifies offline',
  auditMigrations,
  async (database, t) => {
    const pruned = await prunedLog(database, 66_000, 4_000, [{ code: 'server.started' }])
    const { log, minimum, leaves, roots } = pruned
    const draw = numbers(7)
    const size = leaves.length
    const parent = mkdtempSync(join(tmpdir(), 'atlas-export-'))
    t.after(() => rmSync(parent, { recursive: true, force: true }))

    assert.deepEqual([minimum, size], [65_792, 70_001])
    for (let i = 0; i < 300; i++) {
      const index = minimum + draw(size - minimum)
      await checkInclusion(pruned, index, index + 1 + draw(size - index))
      const older = minimum + draw(size - minimum + 1)
      await checkConsistency(pruned, older, older + draw(size - older + 1))
    }
    const signed = parseCheckpoint(openNote(Buffer.from(await log.checkpoint()), parseVkey(log.vkey)))
    assert.deepEqual([signed.size, signed.root], [size, roots[size]])
    const online = await log.verify()
    await log.exportTo(join(parent, 'x'))
    const offline = verifyExport(join(parent, 'x'), log.vkey)
    assert.ok(online.ok && online.minimum === minimum, JSON.stringify(online))
    await sql`update audit_node set hash = ${Buffer.alloc(32)} where level = 2`.execute(database.db)
    assert.deepEqual(await log.verify(), {
      ok: false,
      place: 'audit_node 2/0',
      reason: 'the hash is not that of the entries 0–65535',
    })
    assert.ok(offline.ok && offline.pruned?.minimum === minimum, JSON.stringify(offline))
  },
)
