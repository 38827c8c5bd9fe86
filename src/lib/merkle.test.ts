import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  consistencyPath,
  emptyRoot,
  foldNodes,
  inclusionPath,
  leafHash,
  makeCompactRange,
  nodeHash,
  nodesOf,
  type Span,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'

// transparency-dev/merkle, rfc6962_test.go
const hashVectors: [string, Buffer, string][] = [
  ['the empty tree', emptyRoot, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['the empty leaf', leafHash(Buffer.alloc(0)), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
  ['a leaf', leafHash(Buffer.from('L123456')), '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56'],
  [
    'a node',
    nodeHash(Buffer.from('N123'), Buffer.from('N456')),
    'aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb',
  ],
]

// The Certificate Transparency reference tree, and its root at every size.
const referenceLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex')))
const referenceRoots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const leaves = Array.from({ length: 71 }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)))

/** MTH as RFC 6962 §2.1 writes it: the slow truth that the fast code is held against. */
function treeHash(list: readonly Buffer[]): Buffer {
  if (list.length === 0) return emptyRoot
  const [only] = list
  if (list.length === 1 && only) return only
  const split = 2 ** (Math.ceil(Math.log2(list.length)) - 1)
  return nodeHash(treeHash(list.slice(0, split)), treeHash(list.slice(split)))
}

const rootOf = (size: number) => treeHash(leaves.slice(0, size))
const hashesOf = (path: Span[]) => path.map(({ start, end }) => Buffer.from(treeHash(leaves.slice(start, end))))

test('leaf, node and empty hashes are the published ones', () => {
  for (const [what, computed, published] of hashVectors) assert.equal(computed.toString('hex'), published, what)
})

test('the reference tree of eight leaves has the published root at every size', () => {
  const range = makeCompactRange()
  const roots = [range.root()]
  for (const leaf of referenceLeaves) {
    range.append(leaf)
    roots.push(range.root())
  }

  assert.deepEqual(
    roots.map((root) => root.toString('hex')),
    referenceRoots,
  )
  assert.equal(roots[8]!.toString('base64'), 'XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=')
})

test('a compact range gives the root and every complete node, from any size on', () => {
  for (let start = 0; start <= 70; start++) {
    const edge = nodesOf({ start: 0, end: start }).map(({ level, index }) =>
      treeHash(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
    )
    const range = makeCompactRange(start, edge)
    for (const leaf of leaves.slice(start, 70))
      range.append(leaf, ({ level, index }, hash) =>
        assert.deepEqual(hash, treeHash(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))),
      )
    assert.deepEqual([range.size(), range.root()], [70, rootOf(70)])
  }
})

test('a compact range refuses hashes that are not the edge of its size', () => {
  for (const [size, count] of [
    [0, 1],
    [3, 1],
    [4, 2],
    [7, 4],
    [-1, 0],
    [1.5, 1],
  ])
    assert.throws(() => makeCompactRange(size, leaves.slice(0, count)), RangeError)
  assert.throws(() => makeCompactRange(1, [Buffer.alloc(31)]), RangeError)
})

test('any span is folded from its complete nodes', () => {
  for (let size = 0; size <= 70; size++) {
    const nodes = nodesOf({ start: 0, end: size }).map(({ level, index }) =>
      treeHash(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
    )
    assert.deepEqual(foldNodes(nodes), rootOf(size))
  }
})

test('every inclusion proof up to 70 leaves verifies, and no other leaf, index, size or root does', () => {
  for (let size = 1; size <= 70; size++)
    for (let index = 0; index < size; index++) {
      const proof = hashesOf(inclusionPath(index, size))
      const [leaf, root] = [leaves[index]!, rootOf(size)]
      assert.ok(verifyInclusion(leaf, index, size, proof, root), `${index} of ${size}`)
      assert.ok(!verifyInclusion(leaves[(index + 1) % 70]!, index, size, proof, root))
      assert.ok(!verifyInclusion(leaf, index, size, proof, rootOf(size - 1)))
      assert.ok(!verifyInclusion(leaf, index + 1, size, proof, root))
      assert.ok(!verifyInclusion(leaf, index, size, [...proof, root], root))
      if (proof.length > 0) assert.ok(!verifyInclusion(leaf, index, size, proof.slice(1), root))
      if (proof.length > 0) assert.ok(!verifyInclusion(leaf, index, size, proof.slice(0, -1), root))
    }
})

test('every consistency proof up to 70 leaves verifies, and no other size, root or length does', () => {
  for (let newer = 0; newer <= 70; newer++)
    for (let older = 0; older <= newer; older++) {
      const proof = hashesOf(consistencyPath(older, newer))
      const [before, after] = [rootOf(older), rootOf(newer)]
      assert.ok(verifyConsistency(older, newer, before, after, proof), `${older} to ${newer}`)
      assert.ok(!verifyConsistency(older, newer, leaves[0]!.subarray(0, 31), after, proof))
      assert.ok(!verifyConsistency(older, newer, before, after, [...proof, after]))
      assert.ok(!verifyConsistency(older, newer, rootOf(older + 1), after, proof))
      if (older > 0) assert.ok(!verifyConsistency(older, newer, before, rootOf(newer + 1), proof))
      if (proof.length > 0) assert.ok(!verifyConsistency(older, newer, before, after, proof.slice(1)))
      if (proof.length > 0) assert.ok(!verifyConsistency(older, newer, before, after, proof.slice(0, -1)))
      if (older < newer && older > 0) assert.ok(!verifyConsistency(newer, older, after, before, proof))
    }
})

test('a proof with any one bit changed is rejected', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 70 }), fc.nat(), fc.nat(), fc.nat(255), (size, a, b, bit) => {
      const index = a % size
      const inclusion = hashesOf(inclusionPath(index, size))
      const consistency = hashesOf(consistencyPath(1 + (a % (size - 1)), size))
      for (const proof of [inclusion, consistency]) {
        const hash = proof[b % proof.length]!
        hash[bit >> 3] = hash[bit >> 3]! ^ (1 << (bit & 7))
      }
      assert.ok(!verifyInclusion(leaves[index]!, index, size, inclusion, rootOf(size)))
      assert.ok(!verifyConsistency(1 + (a % (size - 1)), size, rootOf(1 + (a % (size - 1))), rootOf(size), consistency))
    }),
    { numRuns: 500 },
  )
})

test('a proof of the wrong length is rejected even where its hashes lead to the root', () => {
  const [a, b, c, d] = leaves as [Buffer, Buffer, Buffer, Buffer]
  const ab = nodeHash(a, b)

  // One step too few for three leaves; one too many for one leaf.
  assert.ok(!verifyInclusion(a, 0, 3, [b], ab))
  assert.ok(!verifyInclusion(a, 0, 1, [b], nodeHash(b, a)))
  assert.ok(!verifyConsistency(1, 3, a, ab, [b]))
  assert.ok(!verifyConsistency(2, 3, nodeHash(d, nodeHash(c, ab)), nodeHash(d, nodeHash(c, ab)), [c, d]))
  assert.ok(
    !verifyConsistency(3, 4, nodeHash(b, nodeHash(c, a)), nodeHash(b, nodeHash(c, nodeHash(a, d))), [a, d, c, b]),
  )
})

test('a proof of what cannot be is a RangeError', () => {
  for (const run of [
    () => inclusionPath(0, 0),
    () => inclusionPath(5, 5),
    () => inclusionPath(-1, 5),
    () => inclusionPath(0.5, 5),
    () => consistencyPath(6, 5),
    () => consistencyPath(-1, 5),
  ])
    assert.throws(run, RangeError)
})
