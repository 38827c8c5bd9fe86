import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { cosign, formatCosignerVkey } from '../../lib/cosignature.ts'
import { leafHash, verifyInclusion } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { parsePolicy } from '../../lib/tlog-policy.ts'
import { fixedClock, freshSqlite, testOnEach, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'
import { verifyProof } from './verify.ts'

// The log's side (lib/) and the verifier share no code, so each of these tests holds one against the other.

const witnesses = ['ed25519', 'ml-dsa-44', 'ed25519'].map((kind, i) => {
  const { privateKey, publicKey } = generateKeyPairSync(kind as 'ed25519')
  const name = `witness.example/w${i}`
  return { name, privateKey, vkey: formatCosignerVkey(name, publicKey) }
})
const [w0, w1, w2] = witnesses as [(typeof witnesses)[0], (typeof witnesses)[0], (typeof witnesses)[0]]
const known = witnesses.map(({ vkey }, i) => `witness w${i} ${vkey}\n`).join('')

async function proofs(t: Parameters<typeof freshSqlite>[0], size: number) {
  const database = await freshSqlite(t, auditMigrations)
  const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now, origin: 'atlas.example/log' })
  await Promise.all(Array.from({ length: size }, () => log.append({ code: 'server.started' })))
  return log
}

/** The proof with these witnesses' lines on its checkpoint. */
function cosigned(proof: string, by: readonly { name: string; privateKey: (typeof w0)['privateKey'] }[]): Buffer {
  const note = proof.slice(proof.indexOf('\n\n') + 2)
  const text = note.slice(0, note.indexOf('\n\n') + 1)
  return Buffer.from(proof + by.map(({ name, privateKey }) => cosign(text, name, privateKey, 1_790_000_000)).join(''))
}

testOnEach(
  'every entry of a log has a proof that verifies, and leads to the same root in the program',
  auditMigrations,
  async (database) => {
    const log = await openLog({ database, rootKey: testRootKey, now: fixedClock().now })
    for (const size of [1, 2, 3, 7, 256, 300]) {
      const missing = size - log.size()
      await Promise.all(Array.from({ length: missing }, () => log.append({ code: 'server.started' })))
      for (const index of new Set([0, 1, size >> 1, size - 2, size - 1].filter((i) => i >= 0 && i < size))) {
        const verdict = verifyProof(Buffer.from(await log.proofOf(index)), log.vkey)
        assert.ok(verdict.ok, `entry ${index} of ${size}: ${JSON.stringify(verdict)}`)
        assert.deepEqual([verdict.index, verdict.size, JSON.parse(verdict.entry).seq], [index, size, index])
        const head = parseCheckpoint(openNote(Buffer.from(await log.checkpoint()), parseVkey(log.vkey)))
        const path = await log.proveInclusion(index, size)
        assert.ok(verifyInclusion(leafHash(Buffer.from(verdict.entry)), index, size, path, head.root))
      }
    }
    await assert.rejects(log.proofOf(300), { type: 'not-found' })
  },
)

test('a proof with any one byte changed does not verify', async (t) => {
  const log = await proofs(t, 11)
  const proof = Buffer.from(await log.proofOf(6))
  const accepted: string[] = []
  for (const at of proof.keys())
    for (const mask of [1, 0x20, 0x80]) {
      const bad = Buffer.from(proof)
      bad[at] = bad[at]! ^ mask
      const verdict = verifyProof(bad, log.vkey)
      if (verdict.ok) accepted.push(`byte ${at} of ${proof.toString('latin1', at - 5, at + 5)}`)
    }
  assert.deepEqual(accepted, [])
})

test('a proof of another index, with a hash more or less, without its entry, or under another key is refused', async (t) => {
  const log = await proofs(t, 11)
  const text = await log.proofOf(6)
  const lines = text.split('\n')
  const cases: [string, string, string][] = [
    ['another index', text.replace('index 6', 'index 5'), 'proof'],
    ['beyond the tree', text.replace('index 6', 'index 11'), 'index'],
    ['a leading zero', text.replace('index 6', 'index 06'), 'proof'],
    ['a hash less', lines.toSpliced(3, 1).join('\n'), 'proof'],
    ['a hash more', lines.toSpliced(3, 0, lines[3] as string).join('\n'), 'proof'],
    ['no entry', lines.toSpliced(1, 1).join('\n'), 'proof'],
    ['no checkpoint', lines.slice(0, 8).join('\n'), 'proof'],
    ['nothing', '', 'proof'],
  ]
  for (const [what, bad, place] of cases) {
    const verdict = verifyProof(Buffer.from(bad), log.vkey)
    assert.ok(!verdict.ok && verdict.place === place, `${what}: ${JSON.stringify(verdict)}`)
  }
  const other = await proofs(t, 11)
  assert.deepEqual(verifyProof(Buffer.from(text), other.vkey), {
    ok: false,
    place: 'checkpoint',
    reason: 'is not signed by the key',
  })
})

test('a policy is met by the witnesses that it requires, of both kinds of key, and by no others', async (t) => {
  const log = await proofs(t, 5)
  const proof = await log.proofOf(2)
  const two = `${known}group two 2 w0 w1 w2\nquorum two\n`
  const both = `# ours\nlog ${log.vkey} https://atlas.example\n${known}group any any w0 w1\ngroup all all any w2\nquorum all\n`
  const cases: [string, string, (typeof witnesses)[0][], string[] | undefined][] = [
    ['none is needed', `${known}quorum none\n`, [], []],
    ['one named', `${known}quorum w1\n`, [w1], ['w1']],
    ['the other', `${known}quorum w1\n`, [w0, w2], undefined],
    ['two of three', two, [w0, w1], ['w0', 'w1']],
    ['one of three', two, [w1], undefined],
    ['groups of groups', both, [w1, w2], ['w1', 'w2']],
    ['one group is not met', both, [w0, w1], undefined],
  ]
  for (const [what, policy, by, names] of cases) {
    const verdict = verifyProof(cosigned(proof, by), log.vkey, policy)
    assert.deepEqual(verdict.ok ? verdict.witnesses : undefined, names, `${what}: ${JSON.stringify(verdict)}`)
    assert.equal(
      parsePolicy(policy).isMet(new Set(by.map((one) => `w${witnesses.indexOf(one)}`))),
      names !== undefined,
      `${what}, in the program`,
    )
  }
})

test('a cosignature of another checkpoint or another name, or a changed one, is refused', async (t) => {
  const log = await proofs(t, 5)
  const [proof, policy] = [await log.proofOf(2), `${known}quorum none\n`]
  await log.append({ code: 'server.started' })
  const later = await log.proofOf(2)
  for (const one of witnesses) {
    const line = cosigned(later, [one]).toString().slice(later.length)
    const verdict = verifyProof(Buffer.from(proof + line), log.vkey, policy)
    assert.ok(!verdict.ok && /cosignature of/.test(verdict.reason), one.name)
  }
  const verdict = verifyProof(cosigned(proof, [{ ...w1, name: w0.name }]), log.vkey, `${known}quorum w0\n`)
  assert.ok(!verdict.ok && /lacks cosignatures/.test(verdict.reason))
})

test('a policy that is not one is refused by both readers', async (t) => {
  const log = await proofs(t, 1)
  const proof = Buffer.from(await log.proofOf(0))
  const bad: Record<string, string> = {
    'no quorum': known,
    'two quorums': `${known}quorum w0\nquorum w1\n`,
    'an unknown name': `${known}quorum w9\n`,
    'a group before its members': `group g any w0\n${known}quorum g\n`,
    'too high a threshold': `${known}group g 4 w0 w1 w2\nquorum g\n`,
    'a threshold of nothing': `${known}group g 0 w0\nquorum g\n`,
    'a member of two groups': `${known}group g any w0\ngroup h any w0 w1\nquorum h\n`,
    'the same key twice': `${known}witness again ${w0.vkey}\nquorum w0\n`,
    'a log as a witness': `witness w ${log.vkey}\nquorum w\n`,
    'an unknown word': `${known}trust w0\nquorum w0\n`,
    'a name twice': `${known}group w0 any w1\nquorum w0\n`,
    'the name none': `witness none ${w0.vkey}\nquorum none\n`,
  }
  for (const [what, policy] of Object.entries(bad)) {
    const verdict = verifyProof(proof, log.vkey, policy)
    assert.ok(!verdict.ok && verdict.place.startsWith('policy'), `${what}: ${JSON.stringify(verdict)}`)
    assert.throws(() => parsePolicy(policy), { name: 'NoteError' }, what)
  }
  const foreign = `log ${(await proofs(t, 1)).vkey}\nquorum none\n`
  const verdict = verifyProof(proof, log.vkey, foreign)
  assert.ok(!verdict.ok && /does not name this log/.test(verdict.reason))
})
