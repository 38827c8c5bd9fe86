import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foldUsername, usernameFault } from './username.ts'

const same: readonly [string, readonly string[]][] = [
  ['ada', ['ada', 'ADA', ' Ada ', '\tada\n', 'ａｄａ', '\u00a0ada\u3000', 'ᴬda']],
  ['strasse', ['straße', 'STRASSE', 'Straẞe', 'ſtrasse']],
  ['é', ['é', 'e\u0301', 'É', 'E\u0301']],
  ['οδος', ['ΟΔΟΣ', 'οδος', 'οδοσ']],
  ['file', ['ﬁle', 'FILE']],
  ['k', ['K', '\u212a']],
]

test('every spelling of a username is the same user', () => {
  for (const [folded, spellings] of same)
    for (const spelling of spellings) assert.equal(foldUsername(spelling), folded, JSON.stringify(spelling))
})

const rule = 'must start with a letter or digit and hold only letters, digits and . _ @ + -'
const faults: readonly [string, string | undefined][] = [
  ['ada', undefined],
  ['ada.lovelace+ops@example.org', undefined],
  ['жанна', undefined],
  ['阿达', undefined],
  ['a'.repeat(64), undefined],
  ['a'.repeat(65), 'must be at most 64 characters'],
  ['', rule],
  ['-ada', rule],
  ['ada lovelace', rule],
  ['ada\u200b', rule],
  ['ada\u034f', rule],
  ['ada\ufe0f', rule],
  ['ada\u202e', rule],
  ['ada\u0000', rule],
  ['a/b', rule],
  ["ada' or 1=1", rule],
  ['аda', 'must not mix Latin with Cyrillic or Greek letters'],
  ['adminο', 'must not mix Latin with Cyrillic or Greek letters'],
  ['bootstrap', 'is reserved'],
  ['system', 'is reserved'],
  ['usr_06f3k2000000000000000000', 'is reserved'],
]

test('a username that could pose as another is refused with its rule', () => {
  for (const [name, fault] of faults) assert.equal(usernameFault(foldUsername(name)), fault, JSON.stringify(name))
})
