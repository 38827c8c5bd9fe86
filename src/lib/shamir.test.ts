import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { combine, inverse, multiply, type Share, split } from './shamir.ts'

// FIPS 197 §4.2 and §4.2.1.
for (const [a, b, product] of [
  [0x57, 0x83, 0xc1],
  [0x57, 0x13, 0xfe],
  [0x57, 0x02, 0xae],
  [0x57, 0x04, 0x47],
  [0x57, 0x08, 0x8e],
  [0x57, 0x10, 0x07],
  [0x53, 0xca, 0x01],
] as const)
  test(`in GF(2^8) ${a.toString(16)} times ${b.toString(16)} is ${product.toString(16)}`, () => {
    assert.equal(multiply(a, b), product)
    assert.equal(multiply(b, a), product)
  })

test('every byte but 0 has its inverse, and multiplying is what polynomials modulo 0x11b give', () => {
  for (let a = 0; a < 256; a++) {
    if (a > 0) assert.equal(multiply(a, inverse(a)), 1)
    for (let b = 0; b < 256; b++) assert.equal(multiply(a, b), slowly(a, b))
  }
})

/** The definition: multiply the polynomials, then divide. */
function slowly(a: number, b: number): number {
  let product = 0
  for (let bit = 0; bit < 8; bit++) if (b & (1 << bit)) product ^= a << bit
  for (let bit = 15; bit >= 8; bit--) if (product & (1 << bit)) product ^= 0x11b << (bit - 8)
  return product
}

test('shares that were computed by hand give the secret back', () => {
  // f(x) = 0x2a + 0x05·x, so f(1) = 0x2f, f(2) = 0x20, f(3) = 0x25.
  const at = (x: number, byte: number): Share => ({ x, y: Buffer.from([byte]) })
  for (const shares of [
    [at(1, 0x2f), at(2, 0x20)],
    [at(3, 0x25), at(1, 0x2f)],
    [at(2, 0x20), at(3, 0x25)],
  ])
    assert.deepEqual(combine(shares), Buffer.from([0x2a]))
})

test('any threshold of the shares, in any order, gives the secret; fewer do not', () => {
  const secret = randomBytes(32)
  for (const [threshold, count] of [
    [2, 2],
    [2, 3],
    [3, 5],
    [5, 5],
    [4, 255],
  ] as const) {
    const shares = split(secret, { threshold, count })
    assert.deepEqual([shares.length, new Set(shares.map(({ x }) => x)).size], [count, count])
    for (let round = 0; round < 20; round++) {
      const some = [...shares].sort(() => randomBytes(1).readInt8()).slice(0, threshold)
      assert.deepEqual(combine(some), secret)
      if (threshold > 2) assert.notDeepEqual(combine(some.slice(1)), secret)
    }
    assert.deepEqual(combine(shares), secret)
  }
})

test('fewer shares than the threshold fit every secret alike', () => {
  // With f of degree 1 and one known share, each of the 256 secrets has exactly one polynomial: 2,560 splits show no bias.
  const seen = new Set<number>()
  for (let i = 0; i < 2560; i++) seen.add(split(Buffer.from([7]), { threshold: 2, count: 2 })[0]?.y[0] ?? -1)
  assert.ok(seen.size > 250, String(seen.size))
})

test('what cannot be split or put together is refused', () => {
  const share = (x: number, length = 2): Share => ({ x, y: Buffer.alloc(length) })
  for (const [threshold, count] of [
    [1, 3],
    [4, 3],
    [2, 256],
    [2.5, 3],
    [Number.NaN, 3],
  ] as const)
    assert.throws(() => split(Buffer.alloc(2), { threshold, count }), RangeError)
  for (const shares of [[], [share(1)], [share(1), share(1)], [share(0), share(1)], [share(1), share(2, 3)]])
    assert.throws(() => combine(shares), RangeError)
})
