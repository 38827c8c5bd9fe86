import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatToken, hashToken, newSecretText, newToken, readToken, tokenPattern } from './token-format.ts'

const fixed = formatToken('0123456789', Buffer.alloc(32, 0xff))

test('a token has the documented form, so that scanners find it in any text (claims: B6)', () => {
  const { text, lookup } = newToken()

  assert.equal(fixed, 'atl_0123456789_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_3U0E5K')
  assert.match(text, new RegExp(`^${tokenPattern}$`))
  assert.deepEqual(readToken(text), { lookup })
  assert.equal(new RegExp(tokenPattern).exec(`curl -H "Authorization: Bearer ${text}" https://…`)?.[0], text)
})

test('a token with any one character changed is refused by its checksum alone', () => {
  for (let i = 4; i < fixed.length; i++) {
    if (fixed[i] === '_') continue
    const changed = fixed.slice(0, i) + (fixed[i] === 'a' ? 'b' : 'a') + fixed.slice(i + 1)
    assert.equal(readToken(changed), 'checksum', `character ${i}`)
  }
})

const malformed = [
  '',
  'atl_',
  'atl_0123456789',
  fixed.slice(0, -1),
  `${fixed}0`,
  ` ${fixed}`,
  `${fixed}\n`,
  fixed.replace('atl_', 'ATL_'),
  fixed.replace('atl_', 'hub_'),
  fixed.replaceAll('_', '-'),
  'x'.repeat(100_000),
]

test('what has not the form of a token is refused without a database', () => {
  for (const text of malformed) assert.equal(readToken(text), 'malformed', JSON.stringify(text.slice(0, 80)))
})

test('two parts exchanged between two tokens make no token', () => {
  const [a, b] = [newToken().text, newToken().text]
  assert.equal(readToken(a.slice(0, 15) + b.slice(15)), 'checksum')
})

test('ten thousand tokens and secrets are all different and use all characters evenly (claims: D24)', () => {
  const tokens = Array.from({ length: 5_000 }, () => newToken())
  const secrets = Array.from({ length: 5_000 }, () => newSecretText())

  assert.equal(new Set(tokens.map(({ text }) => text)).size, 5_000)
  assert.equal(new Set(tokens.map(({ lookup }) => lookup)).size, 5_000)
  assert.equal(new Set(secrets).size, 5_000)
  const counts = new Map<string, number>()
  // Without the first character: 2²⁵⁶ is not a power of 62, so it never takes the highest values evenly.
  for (const text of secrets) for (const c of text.slice(1)) counts.set(c, (counts.get(c) ?? 0) + 1)
  const expected = (5_000 * 42) / 62
  assert.equal(counts.size, 62)
  for (const [c, count] of counts) assert.ok(Math.abs(count - expected) < 7 * Math.sqrt(expected), `${c}: ${count}`)
})

test('the stored hash is SHA-256 of the whole token', () => {
  assert.equal(hashToken('abc').toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})
