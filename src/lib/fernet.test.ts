import assert from 'node:assert/strict'
import { createCipheriv, createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { FernetError, fernetKey, openFernet } from './fernet.ts'

// The key, time, IV and message of the published vector (fernet/spec, generate and verify), and each way of the published
// invalid ones to be wrong, made here.
const keyText = 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='
const published = 'gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=='
const key = fernetKey(Buffer.from(keyText, 'base64url'))
const made = Date.parse('1985-10-26T01:20:00-07:00') / 1000
const iv = Buffer.from(Array.from({ length: 16 }, (_, i) => i))
const age = { ttl: 60, now: new Date('1985-10-26T01:20:01-07:00') }

type Token = { at?: number; iv?: Buffer; cut?: number; version?: number; padded?: boolean }

function sealed(
  text: string,
  { at = made, iv: nonce = iv, cut = 0, version = 0x80, padded = true }: Token = {},
): Buffer {
  const cipher = createCipheriv('aes-128-cbc', key.encryption, nonce).setAutoPadding(padded)
  const body = Buffer.concat([cipher.update(text), cipher.final()])
  const head = Buffer.alloc(9)
  head[0] = version
  head.writeBigUInt64BE(BigInt(at), 1)
  const signed = Buffer.concat([head, nonce, body.subarray(0, body.length - cut)])
  return Buffer.concat([signed, createHmac('sha256', key.signing).update(signed).digest()])
}

/** Base64url with its padding, as Fernet writes it. */
const text = (bytes: Buffer) => bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_')
const flipped = (bytes: Buffer, at: number) => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

test('the published token opens, and is what its inputs give (SEC-ENC-8, claims: A39)', () => {
  assert.equal(text(sealed('hello')), published)
  assert.equal(openFernet(key, published, age).toString(), 'hello')
  assert.equal(openFernet(key, published).toString(), 'hello')
})

const invalid: Readonly<Record<string, string>> = {
  'a wrong MAC': text(flipped(sealed('hello'), sealed('hello').length - 1)),
  'another IV than was signed': text(flipped(sealed('hello'), 12)),
  'too short': text(sealed('hello').subarray(0, 40)),
  empty: '',
  'no base64': `%%%%${published.slice(4)}`,
  'characters in between': `*${published}`,
  'the alphabet that is not url-safe': published.replace('_', '/'),
  'something after the padding': `${published}trailing`,
  'no padding': published.replace(/=+$/, ''),
  'a body that is no whole number of blocks': text(sealed('hello world, this is longer', { cut: 5 })),
  'wrong padding': text(sealed('0123456789abcdef', { padded: false })),
  'another version': text(sealed('hello', { version: 0x81 })),
  'too old': text(sealed('hello', { at: made - 61 })),
  'from the future': text(sealed('hello', { at: made + 62 })),
}
for (const [title, token] of Object.entries(invalid))
  test(`refused: ${title} (SEC-ENC-8)`, () => {
    assert.throws(() => openFernet(key, token, age), FernetError)
  })

test('any flipped bit is refused, and another key opens nothing', () => {
  const token = sealed('hello')
  for (let at = 0; at < token.length; at++) assert.throws(() => openFernet(key, text(flipped(token, at))), FernetError)
  assert.throws(() => openFernet(fernetKey(randomBytes(32)), published), FernetError)
  assert.throws(() => fernetKey(randomBytes(31)), FernetError)
})

test('an hour of a stored secret does not count without a time to live', () => {
  assert.equal(openFernet(key, text(sealed('hello', { at: 1 }))).toString(), 'hello')
})
