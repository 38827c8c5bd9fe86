import assert from 'node:assert/strict'
import { createHmac, createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { z } from 'zod'
import { Secret, SecretValue } from '../../core/secret.ts'
import { testRootKey } from '../../testing/databases.ts'
import { makeHashInput } from './hash-input.ts'

const hashSecret = (secret: Secret) => createHmac('sha256', 'a test key').update(secret.reveal()).digest('hex')
const hashInput = makeHashInput({ rootKey: testRootKey, hashSecret })
const base = { connection: 'con_1', device: 7, tags: ['a', 'b'], note: null, nested: { b: 1, a: true } }
const hash = hashInput('lab.journal.add', base)

// Computed by hand with another implementation: HKDF-SHA-256, then HMAC-SHA-256 over the canonical JSON.
test('the hash of a known call stays what it was, or no open approval would survive an update', () => {
  assert.equal(hash, '019e742760bdf1d0cca55ec56aaac0a8014277853b581b55bc8a0887a0ef2a88')
})

const same: [string, unknown][] = [
  [
    'members in another order',
    { nested: { a: true, b: 1 }, note: null, tags: ['a', 'b'], device: 7, connection: 'con_1' },
  ],
  ['an absent member', { ...base, more: undefined }],
  ['a number written otherwise', { ...base, device: 7.0 }],
]
for (const [name, input] of same)
  test(`the hash is the same for ${name}`, () => {
    assert.equal(hashInput('lab.journal.add', input), hash)
  })

const others: [string, string, unknown][] = [
  ['another action', 'lab.journal.edit', base],
  ['a changed value', 'lab.journal.add', { ...base, device: 8 }],
  ['a text instead of a number', 'lab.journal.add', { ...base, device: '7' }],
  ['a changed nested value', 'lab.journal.add', { ...base, nested: { a: false, b: 1 } }],
  ['a list in another order', 'lab.journal.add', { ...base, tags: ['b', 'a'] }],
  ['a member more', 'lab.journal.add', { ...base, more: 1 }],
  ['a member less', 'lab.journal.add', { connection: 'con_1' }],
  ['null instead of nothing', 'lab.journal.add', { ...base, more: null }],
  ['another Unicode form', 'lab.journal.add', { ...base, connection: 'con_1\u0301' }],
  [
    'a member called __proto__',
    'lab.journal.add',
    JSON.parse(JSON.stringify(base).replace('{', '{"__proto__":{"x":1},')),
  ],
]
for (const [name, action, input] of others)
  test(`the hash is another for ${name}`, () => {
    assert.notEqual(hashInput(action, input), hash)
  })

test('an edit of the connection changes the hash', () => {
  const of = (revision: number) => hashInput('lab.journal.add', base, revision)

  assert.equal(new Set([hash, of(1), of(2), of(2)]).size, 3)
})

test('a changed secret changes the hash, an equal one does not, and the word [secret] is not a secret', () => {
  const parse = (secret: string) => z.strictObject({ secret: SecretValue }).parse({ secret })
  const [first, again, other, plain] = [parse('one'), parse('one'), parse('two'), { secret: '[secret]' }].map((input) =>
    hashInput('vault.secrets.put', input),
  )

  assert.deepEqual([first === again, first === other, first === plain], [true, false, false])
  const printed = hashInput('vault.secrets.put', { secret: { '\u0000secret': hashSecret(new Secret('other')) } })
  assert.notEqual(printed, first)
})

test('the hash needs the root key, so a short input cannot be guessed from it', () => {
  const other = makeHashInput({ rootKey: createSecretKey(Buffer.alloc(32, 8)), hashSecret })

  assert.notEqual(other('lab.journal.add', base), hash)
})

const inexact: [string, unknown][] = [
  ['a Map', new Map([['a', 1]])],
  ['a Set', new Set([1])],
  ['bytes', Buffer.from('a')],
  ['a URL', new URL('https://example.test')],
  ['a bigint', 1n],
  ['a function', () => 1],
  ['NaN', Number.NaN],
  ['a lone surrogate', '\ud800'],
  ['a hole in a list', [undefined]],
]
for (const [name, value] of inexact)
  test(`${name} in an input is refused, not hashed as something it is not`, () => {
    assert.throws(() => hashInput('lab.journal.add', { value }), TypeError)
  })

test('two times that differ give two hashes', () => {
  const [one, two] = [0, 1].map((at) => hashInput('lab.journal.add', { at: new Date(at) }))

  assert.notEqual(one, two)
})
