import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyConsistency, verifyInclusion } from './merkle.ts'
import vectors from './vectors/merkle-proofs.json' with { type: 'json' }

// The published proofs, and each of them changed in the ways in which its publisher changes it for the cases that must fail.

const bytes = (text: string) => Buffer.from(text, 'base64')
const garbage = Buffer.alloc(32, 0xa5)

/** The proof with one hash changed, cut, empty, and with hashes before and behind it. */
function changedProofs(proof: readonly Buffer[], roots: readonly Buffer[]): (readonly Buffer[])[] {
  const flipped = proof.map((_hash, at) =>
    proof.map((hash, i) => (i === at ? Buffer.from(hash.map((byte, j) => (j === 0 ? byte ^ 16 : byte))) : hash)),
  )
  const longer = [Buffer.alloc(0), garbage, ...roots].flatMap((one) => [
    [one, ...proof],
    [...proof, one],
  ])
  return [...flipped, ...longer, ...(proof.length > 0 ? [proof.slice(0, -1), []] : [])]
}

test('the published inclusion proofs verify, and none of them changed in any of the published ways (AUD-2)', () => {
  let refused = 0
  for (const { leafIdx: index, treeSize: size, ...texts } of vectors.inclusion) {
    const [leaf, root, proof] = [bytes(texts.leafHash), bytes(texts.root), texts.proof.map(bytes)]
    assert.ok(verifyInclusion(leaf, index, size, proof, root), `${index} of ${size}`)
    const wrong: Parameters<typeof verifyInclusion>[] = [
      ...changedProofs(proof, [root, leaf]).map(
        (other): Parameters<typeof verifyInclusion> => [leaf, index, size, other, root],
      ),
      ...[index - 1, index + 1, index ^ 2, size].map(
        (at): Parameters<typeof verifyInclusion> => [leaf, at, size, proof, root],
      ),
      ...[size * 2, Math.floor(size / 2), 0].map(
        (of): Parameters<typeof verifyInclusion> => [leaf, index, of, proof, root],
      ),
      [garbage, index, size, proof, root],
      [leaf, index, size, proof, garbage],
      [leaf, index, size, proof, Buffer.alloc(0)],
    ]
    for (const one of wrong) assert.ok(!verifyInclusion(...one), JSON.stringify(one.slice(1, 3)))
    refused += wrong.length
  }
  assert.ok(vectors.inclusion.length === 5 && refused > 80, `${refused}`)
})

test('the published consistency proofs verify, and none of them changed in any of the published ways (AUD-2)', () => {
  let refused = 0
  for (const { size1, size2, ...texts } of vectors.consistency) {
    const [root1, root2, proof] = [bytes(texts.root1), bytes(texts.root2), texts.proof.map(bytes)]
    assert.ok(verifyConsistency(size1, size2, root1, root2, proof), `${size1} to ${size2}`)
    type Args = Parameters<typeof verifyConsistency>
    const wrong: Args[] = [
      ...changedProofs(proof, [root1, root2]).map((other): Args => [size1, size2, root1, root2, other]),
      ...[size1 - 1, size1 + 1, size1 ^ 2].map((of): Args => [of, size2, root1, root2, proof]),
      ...[size2 * 2, Math.floor(size2 / 2)].map((of): Args => [size1, of, root1, root2, proof]),
      [size1, size2, garbage, root2, proof],
      [size1, size2, root1, garbage, proof],
      ...(size1 < size2 ? [[size1, size2, root2, root1, proof] as Args] : []),
    ]
    for (const one of wrong) assert.ok(!verifyConsistency(...one), JSON.stringify([one[0], one[1]]))
    refused += wrong.length
  }
  assert.ok(vectors.consistency.length === 5 && refused > 70, `${refused}`)
})
