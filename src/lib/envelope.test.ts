import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { deriveKey, EnvelopeError, keyId, open, seal } from './envelope.ts'

const key = createSecretKey(Buffer.alloc(32, 1))
const row = ['atlas', 'secret_version', 'sec_1', '1', 'value']
const text = Buffer.from('a value worth keeping')

function reasonOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof EnvelopeError ? error.reason : String(error)
  }
  return 'opened'
}

test('what is sealed for a row opens for that row (claims: B9)', () => {
  assert.deepEqual(open(key, seal(key, text, row), row), text)
})

test('a box moved to another row, field or version does not open (SEC-ENC-1)', () => {
  const box = seal(key, text, row)
  const elsewhere = [
    ['atlas', 'secret_version', 'sec_2', '1', 'value'],
    ['atlas', 'secret_version', 'sec_1', '2', 'value'],
    ['atlas', 'secret_version', 'sec_1', '1', 'valu', 'e'],
    ['atlas', 'secret_version', 'sec_11', '', 'value'],
    [],
  ]
  assert.deepEqual(
    elsewhere.map((aad) => reasonOf(() => open(key, box, aad))),
    elsewhere.map(() => 'integrity'),
  )
})

test('a box with any one byte changed does not open (SEC-ENC-2)', () => {
  const box = seal(key, text, row)
  const reasons = [...box.keys()].map((i) => {
    const bad = Buffer.from(box)
    bad[i] = bad[i]! ^ 1
    return reasonOf(() => open(key, bad, row))
  })
  assert.deepEqual(
    reasons,
    [...box.keys()].map((i) => (i >= 4 && i < 12 ? 'unknown-key' : 'integrity')),
  )
})

test('a box with a shortened tag does not open (SEC-ENC-3)', () => {
  const box = seal(key, text, row)
  assert.deepEqual(
    [1, 4, 8, 12, 16, box.length].map((cut) => reasonOf(() => open(key, box.subarray(0, box.length - cut), row))),
    Array(6).fill('integrity'),
  )
})

test('another key is told apart from damage', () => {
  const other = createSecretKey(Buffer.alloc(32, 2))
  assert.equal(
    reasonOf(() => open(other, seal(key, text, row), row)),
    'unknown-key',
  )
})

test('derived keys differ by purpose and never equal their parent', () => {
  const ids = [key, deriveKey(key, 'a'), deriveKey(key, 'b')].map((k) => keyId(k).toString('hex'))
  assert.equal(new Set(ids).size, 3)
})
