import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Secret } from '../../core/secret.ts'
import { commonWords } from './common-words.ts'
import { passwordFault, tokenTextFault } from './password-policy.ts'

const short = 'must have at least 15 characters; a few unrelated words do well'
const long = 'must have at most 128 characters'
const guessable = 'is too easy to guess: it is made of common words, names, repeats or sequences'

const passwords: readonly [string, string | undefined][] = [
  ['purple lamp quickly eats gravel', undefined],
  ['k3#fZp!0vQ9sL2x', undefined],
  ['onderweg naar het tuinhek', undefined],
  ['смешной трактор ест лимон', undefined],
  ['🦊🐸🌵🚜🍋🎻🧊🪁🛶🧦🪵🐙🦔🫐🧵', undefined],
  ['839201847362514', undefined],
  ['xvq bnr tkl wzp fjm', undefined],
  ['short', short],
  ['12345678901234', short],
  ['🦊'.repeat(14), short],
  ['x7Q!'.repeat(33), long],
  ['aaaaaaaaaaaaaaa', guessable],
  ['123456789012345', guessable],
  ['987654321987654321', guessable],
  ['qwertyuiopasdfghjkl', guessable],
  ['1qaz2wsx3edc4rfv', guessable],
  ['abcdefghijklmnopq', guessable],
  ['passwordpassword', guessable],
  ['Password123456789', guessable],
  ['P@ssw0rd!P@ssw0rd!', guessable],
  ['pa55w0rdpa55w0rd', guessable],
  ['Winter2026Winter2026!', guessable],
  ['MyCompanyPassword1', guessable],
  ['Welcome-to-Atlas-2026!', guessable],
  ['infrastructure-atlas', guessable],
  ['administrator2026', guessable],
  ['changeme-changeme', guessable],
  ['letmeinletmein!!', guessable],
  ['iloveyouiloveyou', guessable],
  ['xk7pqxk7pqxk7pqxk7pq', guessable],
  ['correcthorsebatterystaple', guessable],
  ['ＰＡＳＳＷＯＲＤＰＡＳＳＷＯＲＤ', guessable],
  ['grace.hopper.grace.hopper', guessable],
  ['Hopper-Grace-2026', guessable],
]

test('a password counts by its length and by how it is guessed, never by kinds of characters (claims: A11)', () => {
  for (const [password, fault] of passwords)
    assert.equal(passwordFault(new Secret(password), ['grace.hopper', 'Grace Hopper']), fault, password)
})

test('the length is counted after NFKC', () => {
  assert.equal(passwordFault(new Secret('e\u0301'.repeat(14))), short)
})

test('every common word, padded, repeated, spelled in leet or capitals, is refused (claims: A11)', () => {
  assert.ok(commonWords.size >= 500, String(commonWords.size))
  const leet = (word: string) =>
    word.replaceAll('a', '4').replaceAll('e', '3').replaceAll('o', '0').replaceAll('s', '5')
  let turn = 0
  for (const word of commonWords) {
    const variants = [
      word.repeat(Math.ceil(15 / word.length)),
      `${word}1234567890123`,
      `${word.toUpperCase()}2026${word}!`.padEnd(15, '!'),
      `${leet(word)}${leet(word)}`.padEnd(15, '1'),
      `Atlas-${word}-2026`.padEnd(15, '0'),
    ]
    const variant = variants[turn++ % variants.length]!
    assert.equal(passwordFault(new Secret(variant)), guessable, variant)
  }
})

const weak = [
  'changeme',
  'changemechangemechangeme',
  'secret',
  'your-secret-token-here',
  'your-secret-token-here-please',
  'atlas-api-token-change-me-now',
  'correct-horse-battery-staple',
  'purple-lamp-quickly-eats-gravel',
  '00000000000000000000000000000000',
  '12345678901234567890123456789012',
  'deadbeefdeadbeefdeadbeefdeadbeef',
  '0123456789abcdef0123456789abcdef',
  'abcdefghijklmnopqrstuvwxyz012345',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  'Password1Password1Password1Password1',
  'SuperSecretToken1234567890',
  'test-token-test-token-test-1',
  '8f3a1c9e7b2d4f60',
  'x9Kq2LmP7vRt4WzY1bN',
  'development-token-2026-07-28',
  'qwertyuiopasdfghjklzxcvbnm123456',
  'with spaces 8Jq2xLmP7vRt4WzY1bN9',
  'ünïcödé8Jq2xLmP7vRt4WzY1bN9kk',
]

test('weak API tokens are refused in plain words (claims: A7 C48)', () => {
  for (const text of weak) assert.notEqual(tokenTextFault(text), undefined, text)
  assert.equal(
    tokenTextFault('changeme'),
    'is too weak: it must hold at least 128 random bits, for example the output of `openssl rand -base64 32`',
  )
})

test('random API tokens are accepted in the usual encodings', () => {
  for (let i = 0; i < 300; i++)
    for (const text of [
      randomBytes(32).toString('base64'),
      randomBytes(32).toString('hex'),
      randomBytes(24).toString('base64url'),
      randomBytes(64).toString('base64url'),
    ])
      assert.equal(tokenTextFault(text), undefined, text)
})
