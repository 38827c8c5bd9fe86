import { randomBytes } from 'node:crypto'

/** One share of a secret: the value of each byte's polynomial at `x`. Fewer than the threshold of them say nothing of the secret. */
export type Share = { readonly x: number; readonly y: Buffer }

/**
 * Splits a secret so that any `threshold` of `count` shares give it back (Shamir, over GF(2^8) with the polynomial of AES,
 * each byte by itself). Threshold 2 to count, count up to 255.
 */
export function split(secret: Uint8Array, { threshold, count }: { threshold: number; count: number }): Share[] {
  if (!(Number.isInteger(threshold) && Number.isInteger(count) && 2 <= threshold && threshold <= count && count <= 255))
    throw new RangeError('At least 2 shares must be needed, and at most as many as there are, up to 255')
  const coefficients = randomBytes((threshold - 1) * secret.length)
  try {
    return Array.from({ length: count }, (_, i) => ({ x: i + 1, y: shareAt(i + 1, secret, coefficients) }))
  } finally {
    coefficients.fill(0)
  }
}

/**
 * The secret of these shares, by Lagrange's formula at 0. Wrong or too few shares give wrong bytes: whoever calls must be able
 * to tell. The caller zeroes what it gets. Throws `RangeError` for shares that cannot belong together.
 */
export function combine(shares: readonly Share[]): Buffer {
  const length = shares[0]?.y.length ?? 0
  const xs = new Set(shares.map(({ x }) => x))
  if (shares.length < 2 || length === 0 || xs.size !== shares.length || xs.has(0))
    throw new RangeError('At least two different shares are needed')
  if (shares.some(({ y }) => y.length !== length)) throw new RangeError('The shares are of different secrets')
  const secret = Buffer.alloc(length)
  for (const { x, y } of shares) {
    const weight = weightOf(x, xs)
    for (const [at, byte] of y.entries()) secret[at] = (secret[at] ?? 0) ^ multiply(byte, weight)
  }
  return secret
}

function shareAt(x: number, secret: Uint8Array, coefficients: Buffer): Buffer {
  const y = Buffer.alloc(secret.length)
  const degree = coefficients.length / secret.length
  for (const [at, byte] of secret.entries()) {
    let value = 0
    for (let power = degree - 1; power >= 0; power--)
      value = multiply(value ^ (coefficients[power * secret.length + at] ?? 0), x)
    y[at] = value ^ byte
  }
  return y
}

function weightOf(x: number, xs: ReadonlySet<number>): number {
  let weight = 1
  for (const other of xs) if (other !== x) weight = multiply(weight, multiply(other, inverse(other ^ x)))
  return weight
}

/** The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 §4.2). Neither tables nor branches: time says nothing of the factors. */
export function multiply(a: number, b: number): number {
  let [product, shifted] = [0, a]
  for (let bit = 0; bit < 8; bit++) {
    product ^= -((b >> bit) & 1) & shifted
    shifted = (shifted << 1) ^ (-((shifted >> 7) & 1) & 0x11b)
  }
  return product & 0xff
}

/** a^254, which is 1/a; 0 for 0. */
export function inverse(a: number): number {
  let [result, power] = [1, a]
  for (let bit = 1; bit < 8; bit++) {
    power = multiply(power, power)
    result = multiply(result, power)
  }
  return result
}
