import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { cosignedAt, parseCosignerVkey } from '../../lib/cosignature.ts'
import type { Database } from '../../lib/db/database.ts'
import { leafHash, makeCompactRange } from '../../lib/merkle.ts'
import { formatCheckpoint, formatVkey, parseNote, parseVkey, signNote } from '../../lib/signed-note.ts'
import { parsePolicy } from '../../lib/tlog-policy.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { startWitness } from '../../witness.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { verifyExport, verifyProof } from './verify.ts'
import { makeWitness } from './witness.ts'
import { openWitnessKeys, openWitnessStore, vkeysOf } from './witness-store.ts'

const event = { code: 'server.started' } as const

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-witness-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A witness that is asked without a network, its keys and everything that was sent to it. */
async function witnessOf(t: TestContext, vkey: string) {
  const folder = newFolder(t)
  const keys = await openWitnessKeys(folder)
  const name = 'witness.example/w'
  const open = () =>
    makeWitness({ logs: [parseVkey(vkey)], name, keys, store: openWitnessStore(folder), now: fixedClock().now })
  return { folder, name, vkeys: vkeysOf(name, keys), open }
}

const [ed, pq] = ['w', 'pq']

/** A log with a real witness over HTTP, and the log's policy. */
async function witnessed(t: TestContext, database: Database) {
  const plain = await openLog({ database, rootKey: testRootKey, now: () => new Date(), origin: 'atlas.example/log' })
  await plain.close()
  const folder = newFolder(t)
  const { writeFileSync } = await import('node:fs')
  writeFileSync(join(folder, 'logs.policy'), `log ${plain.vkey}\nquorum none\n`)
  const options = {
    folder: join(folder, 'w'),
    name: 'witness.example/w',
    policy: join(folder, 'logs.policy'),
    host: '127.0.0.1',
    port: 0,
  }
  const witness = await startWitness(options)
  t.after(witness.close)
  const [first, second] = witness.vkeys
  const policy = `log ${plain.vkey}\nwitness ${ed} ${first} ${witness.url}\nwitness ${pq} ${second} ${witness.url}\ngroup both all ${ed} ${pq}\nquorum both\n`
  const open = () => openLog({ database, rootKey: testRootKey, now: () => new Date(), policy: parsePolicy(policy) })
  return { witness, policy, open, folder, vkey: plain.vkey }
}

testOnEach(
  'checkpoints, proofs and exports carry the cosignatures of both kinds, and verify under the policy',
  auditMigrations,
  async (db, t) => {
    const { open, policy, folder, vkey, witness } = await witnessed(t, db)
    const log = await open()
    t.after(() => log.close())
    for (const count of [1, 4, 300]) {
      await Promise.all(Array.from({ length: count }, () => log.append(event)))
      const { text, signatures } = parseNote(Buffer.from(await log.checkpoint()))
      assert.equal(signatures.length, 3)
      for (const cosigner of witness.vkeys)
        assert.ok(signatures.some((line) => cosignedAt(text, line, parseCosignerVkey(cosigner)) !== undefined))
    }
    const proof = verifyProof(Buffer.from(await log.proofOf(200)), vkey, policy)
    assert.ok(proof.ok, JSON.stringify(proof))
    assert.deepEqual(proof.witnesses, [ed, pq])
    await log.exportTo(join(folder, 'export'))
    const verdict = verifyExport(join(folder, 'export'), undefined, policy)
    assert.ok(verdict.ok && verdict.witnesses.length === 2 && !verdict.keyFromFolder, JSON.stringify(verdict))
    assert.deepEqual(
      (await log.status()).witnesses.map(({ name, size, fault }) => [name, size, fault]),
      [
        [pq, 305, null],
        [ed, 305, null],
      ],
    )
  },
)

testOnEach(
  'a log put back to yesterday is contradicted by its witness, says so, and goes on recording (AUD-2)',
  auditMigrations,
  async (db, t) => {
    const { open } = await witnessed(t, db)
    const log = await open()
    await log.append(event)
    await log.append(event)
    await log.checkpoint()
    const tables = ['audit_entry', 'audit_head', 'audit_node', 'audit_payload', 'audit_cosigned', 'audit_witness']
    for (const table of tables)
      await sql.raw(`create table yesterday_${table} as select * from ${table}`).execute(db.db)
    for (let i = 0; i < 5; i++) await log.append(event)
    await log.checkpoint()
    await log.close()
    for (const table of tables) {
      await sql.raw(`delete from ${table}`).execute(db.db)
      await sql.raw(`insert into ${table} select * from yesterday_${table}`).execute(db.db)
    }

    const back = await open()
    t.after(() => back.close())
    assert.equal((await back.verify()).ok, true, 'the log itself cannot know')
    await back.append(event)
    await back.checkpoint()

    const { items } = await back.search({ code: 'log.witness-contradicts' })
    assert.equal(items.length, 1)
    const [status] = (await back.status()).witnesses
    assert.match(status?.fault ?? '', /cosigned 7 entries, and this log has 3: was the database put back\?/)
    await back.append(event)
  },
)

testOnEach(
  'a witness that is away or answers nonsense stops nothing, and is asked again',
  auditMigrations,
  async (db, t) => {
    const { open, witness, policy } = await witnessed(t, db)
    const log = await open()
    t.after(() => log.close())
    await log.append(event)
    const cosigned = await log.checkpoint()
    await witness.close()
    await log.append(event)

    assert.equal(await log.checkpoint(), cosigned, 'readers get the newest that meets the policy')
    const proof = verifyProof(Buffer.from(await log.proofOf(1)), log.vkey)
    assert.ok(proof.ok && proof.size === 2, 'an entry above it is proved by the log alone')
    assert.ok(!verifyProof(Buffer.from(await log.proofOf(1)), log.vkey, policy).ok)
    assert.match((await log.status()).witnesses[0]?.fault ?? '', /ECONNREFUSED/)
  },
)

test('a witness answers each request as the protocol says', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const origin = 'log.example/a'
  const { open, vkeys } = await witnessOf(t, formatVkey(origin, publicKey))
  const leaves = Array.from({ length: 9 }, () => leafHash(randomBytes(8)))
  const rootOf = (hashes: readonly Buffer[]) => {
    const range = makeCompactRange()
    for (const hash of hashes) range.append(hash)
    return range.root()
  }
  const note = (size: number, root = rootOf(leaves.slice(0, size)), name = origin, key = privateKey) =>
    signNote(formatCheckpoint({ origin: name, size, root }), origin, key)
  const other = generateKeyPairSync('ed25519').privateKey
  const { consistencyPath } = await import('../../lib/merkle.ts')
  const proof = (from: number, to: number) =>
    consistencyPath(from, to)
      .map(({ start, end }) => `${rootOf(leaves.slice(start, end)).toString('base64')}\n`)
      .join('')
  const ask = async (old: number | string, hashes: string, text: string) =>
    open().addCheckpoint(Buffer.from(`old ${old}\n${hashes}\n${text}`))

  // Each line is asked of the state that the lines before left. The witness is opened anew each time: it knows only its disk.
  const steps: [string, () => ReturnType<typeof ask>, number, string?][] = [
    ['a first checkpoint', () => ask(0, '', note(3)), 200],
    ['the same again', () => ask(3, '', note(3)), 200],
    ['growth', () => ask(3, proof(3, 7), note(7)), 200],
    ['growth from a size that it does not have', () => ask(3, proof(3, 8), note(8)), 409, '7\n'],
    ['no old size known', () => ask(0, '', note(8)), 409, '7\n'],
    ['a smaller checkpoint', () => ask(7, '', note(3)), 400],
    ['a rolled back log that knows the size', () => ask(3, '', note(3)), 409, '7\n'],
    ['another log of the same size', () => ask(7, '', note(7, leafHash(Buffer.from('x')))), 422],
    ['growth without a proof', () => ask(7, '', note(9)), 422],
    ['growth with a wrong proof', () => ask(7, proof(3, 9), note(9)), 422],
    ['another history', () => ask(7, proof(7, 9), note(9, leafHash(Buffer.from('x')))), 422],
    ['an unknown log', () => ask(0, '', note(3, undefined, 'log.example/b')), 404],
    ['a log that did not sign', () => ask(7, proof(7, 9), note(9, undefined, origin, other)), 403],
    ['no old line', () => open().addCheckpoint(Buffer.from(`\n${note(9)}`)), 400],
    ['a leading zero', () => ask('07', proof(7, 9), note(9)), 400],
    ['more than 63 hashes', () => ask(7, proof(7, 9).repeat(40), note(9)), 400],
    ['nothing', () => open().addCheckpoint(Buffer.alloc(0)), 400],
    ['growth after all that', () => ask(7, proof(7, 9), note(9)), 200],
  ]
  for (const [what, run, status, body] of steps) {
    const answer = await run()
    assert.equal(answer.status, status, `${what}: ${answer.body}`)
    if (body !== undefined) assert.deepEqual([answer.contentType, answer.body], ['text/x.tlog.size', body], what)
    if (status === 200) {
      assert.match(answer.body, /^(— witness\.example\/w \S+\n){2}$/)
      assert.equal(vkeys.length, 2)
    }
  }
})

test('of two checkpoints asked for at once a witness cosigns one: it compares and keeps in one step', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { open, folder } = await witnessOf(t, formatVkey('log.example/a', publicKey))
  const witness = open()
  const forks = Array.from({ length: 8 }, () =>
    signNote(
      formatCheckpoint({ origin: 'log.example/a', size: 1, root: randomBytes(32) }),
      'log.example/a',
      privateKey,
    ),
  )

  const answers = await Promise.all(forks.map((note) => witness.addCheckpoint(Buffer.from(`old 0\n\n${note}`))))

  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array.from({ length: 7 }, () => 409)])
  assert.equal(readdirSync(folder).filter((name) => name.endsWith('.checkpoint')).length, 1)
})
