import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { BadKey, createKeyFile, parseRootKey, readKeyFile, rootKeyFingerprint } from './root-key.ts'

const bytes = Buffer.from('fbef3e0c7a1d5592c48831d0aa6f147e99035bd2f8ec6047b1257fce0d9ab643', 'hex')
const base64 = bytes.toString('base64')
const fernet = base64.replaceAll('+', '-').replaceAll('/', '_')

const accepted = {
  base64,
  'base64 without padding': base64.slice(0, 43),
  'base64url, the form of a Fernet key': fernet,
  'base64url without padding': bytes.toString('base64url'),
  hexadecimal: bytes.toString('hex'),
  'hexadecimal in capitals': bytes.toString('hex').toUpperCase(),
  'white space around it': ` \t${fernet}\r\n`,
}

for (const [title, text] of Object.entries(accepted))
  test(`a root key is accepted as ${title} (claims: A10)`, () => {
    assert.deepEqual(parseRootKey(text).export(), bytes)
  })

const form = 'The root key is not 32 bytes as base64 or base64url (43 or 44 characters) or as 64 hexadecimal digits'
const weak = (why: string) => `The root key is not random: ${why}. Make one with: openssl rand -base64 32`
const b64 = (content: Uint8Array | readonly number[]) => Buffer.from(content).toString('base64')
const count = (of: (i: number) => number) => b64(Array.from({ length: 32 }, (_, i) => of(i)))

const refused: readonly [string, string, string][] = [
  ['nothing', ' \n', 'The root key is empty'],
  ['31 bytes', b64(bytes.subarray(1)), form],
  ['33 bytes', b64(Buffer.concat([bytes, Buffer.from([1])])), form],
  ['63 hexadecimal digits', bytes.toString('hex').slice(1), form],
  ['both alphabets in one text', `+_${base64.slice(2)}`, form],
  ['spare bits that are set', `${base64.slice(0, 42)}N=`, form],
  ['too much padding', `${base64}=`, form],
  ['white space inside', `${base64.slice(0, 20)} ${base64.slice(20)}`, form],
  ['quotes around it', `"${base64}"`, form],
  ['a passphrase', 'correct horse battery staple', form],
  ['zeros', b64(Buffer.alloc(32)), weak('all bytes are equal')],
  ['64 equal digits', 'f'.repeat(64), weak('all bytes are equal')],
  ['a word again and again', 'changeme'.repeat(6).slice(0, 43).replace(/.$/, 'A'), weak('it has few different bytes')],
  ['15 different bytes', count((i) => (i * 77) % 15), weak('it has few different bytes')],
  ['16 bytes twice', b64(Buffer.concat([bytes.subarray(0, 16), bytes.subarray(0, 16)])), weak('it repeats itself')],
  ['counting up', count((i) => i), weak('its bytes follow a pattern')],
  ['counting down by threes', count((i) => (250 - 3 * i) & 255), weak('its bytes follow a pattern')],
  ['a sentence of 32 letters', b64(Buffer.from('A quick brown fox jumps over it!')), weak('it is text')],
  [
    'a sentence as base64 text',
    'thequickbrownfoxjumpsoverthelazydogandsleeps'.slice(0, 42).concat('w'),
    weak('it uses few of the possible characters'),
  ],
]

for (const [title, text, message] of refused)
  test(`a root key is refused: ${title} (claims: A10 C49)`, () => {
    assert.throws(() => parseRootKey(text), { name: 'BadKey', message })
  })

test('no refusal shows any part of the value (claims: A40)', () => {
  for (const [, text] of refused)
    if (text.trim().length > 16)
      assert.throws(
        () => parseRootKey(text),
        (error: Error) => [8, 12, 20].every((at) => !error.stack?.includes(text.slice(at, at + 8))),
      )
})

test('every random key is accepted in each form', () => {
  fc.assert(
    fc.property(fc.constantFrom('base64' as const, 'base64url' as const, 'hex' as const), (encoding) => {
      const random = randomBytes(32)
      return parseRootKey(random.toString(encoding)).export().equals(random)
    }),
    { numRuns: 5000 },
  )
})

test('a new key file is 0600, holds a Fernet-form key, and is read back (claims: A26 A40)', (t) => {
  const path = join(folder(t), 'root.key')

  const key = createKeyFile(path)

  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.match(readFileSync(path, 'utf8'), /^[\w-]{43}=\n$/)
  assert.equal(readKeyFile(path).equals(key), true)
})

test('a key file is never overwritten', (t) => {
  const path = join(folder(t), 'root.key')
  const key = createKeyFile(path)

  assert.throws(() => createKeyFile(path), { name: 'BadKey', message: /exists already/ })

  assert.equal(readKeyFile(path).equals(key), true)
})

test('a link in the place of a new key file is not followed', (t) => {
  const at = folder(t)
  symlinkSync(join(at, 'elsewhere'), join(at, 'root.key'))

  assert.throws(() => createKeyFile(join(at, 'root.key')), BadKey)
})

for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
  test(`a key file of mode ${mode.toString(8)} is refused, also behind a link (claims: A26)`, (t) => {
    const path = join(folder(t), 'root.key')
    createKeyFile(path)
    symlinkSync(path, `${path}.link`)
    chmodSync(path, mode)

    for (const name of [path, `${path}.link`])
      assert.throws(() => readKeyFile(name), { name: 'BadKey', message: /is open to others; run: chmod 600/ })
  })

test('a link to a closed key file is read', (t) => {
  const path = join(folder(t), 'root.key')
  const key = createKeyFile(path)
  symlinkSync(path, `${path}.link`)

  assert.equal(readKeyFile(`${path}.link`).equals(key), true)
})

test('a key file of another user is refused', { skip: process.getuid?.() !== 0 && 'needs root' }, (t) => {
  const path = join(folder(t), 'root.key')
  createKeyFile(path)
  chownSync(path, 12345, 12345)

  assert.throws(() => readKeyFile(path), { name: 'BadKey', message: /belongs to another user/ })
})

test('an empty, an overlong and a binary key file, a folder and a pipe are refused', (t) => {
  const at = folder(t)
  const file = (name: string, content: string | Buffer) => {
    writeFileSync(join(at, name), content, { mode: 0o600 })
    return join(at, name)
  }
  const pipe = join(at, 'pipe')
  execFileSync('mkfifo', ['-m', '600', pipe])

  for (const path of [file('empty', ''), file('long', `${base64}\n`.repeat(100)), file('raw', bytes), at, pipe])
    assert.throws(() => readKeyFile(path), BadKey)
})

test('the fingerprint names a key in 16 digits and differs from key to key', () => {
  assert.match(rootKeyFingerprint(parseRootKey(base64)), /^[0-9a-f]{16}$/)
  assert.equal(rootKeyFingerprint(parseRootKey(base64)), rootKeyFingerprint(parseRootKey(fernet)))
  assert.notEqual(
    rootKeyFingerprint(parseRootKey(base64)),
    rootKeyFingerprint(parseRootKey(randomBytes(32).toString('hex'))),
  )
})

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'atlas-key-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}
