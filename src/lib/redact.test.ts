import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Secret } from '../core/secret.ts'
import { makeRedactor } from './redact.ts'

const value = `pa"ss/wörd+&? §5=`
const bytes = Buffer.from(value)

function knowing(...values: readonly string[]) {
  const redactor = makeRedactor()
  for (const [i, known] of values.entries()) redactor.add(`s${i}`, known)
  return redactor
}

const forms: Record<string, string> = {
  plain: value,
  'JSON-escaped': `pa\\"ss/wörd+&? §5=`,
  'JSON-escaped twice': `pa\\\\\\"ss/wörd+&? §5=`,
  'JSON-escaped in ASCII': `pa\\"ss/w\\u00f6rd+&? \\u00a75=`,
  'JSON-escaped with slashes': `pa\\"ss\\/wörd+&? §5=`,
  'URL-encoded': 'pa%22ss%2Fw%C3%B6rd%2B%26%3F%20%C2%A75%3D',
  'URL-encoded in small letters': 'pa%22ss%2fw%c3%b6rd%2b%26%3f%20%c2%a75%3d',
  'URL-encoded by Python': 'pa%22ss/w%C3%B6rd%2B%26%3F%20%C2%A75%3D',
  'form-encoded': 'pa%22ss%2Fw%C3%B6rd%2B%26%3F+%C2%A75%3D',
  hexadecimal: bytes.toString('hex'),
  'hexadecimal in capitals': bytes.toString('hex').toUpperCase(),
  base64: bytes.toString('base64').replace(/=+$/, ''),
  base64url: bytes.toString('base64url'),
  'HTML-escaped': 'pa&quot;ss/wörd+&amp;? §5=',
  // As PowerShell and the Windows interfaces write text.
  'UTF-16 in base64, without its last byte': Buffer.from(value, 'utf16le')
    .subarray(0, -1)
    .toString('base64')
    .replace(/=+$/, ''),
  'UTF-16 in hexadecimal, without its last byte': Buffer.from(value, 'utf16le').toString('hex').slice(0, -2),
  'UTF-16 big-endian in base64url, without its first byte': Buffer.from(value, 'utf16le')
    .swap16()
    .subarray(1)
    .toString('base64url'),
  'UTF-16 read as UTF-8': 'p\0a\0"\0s\0s\0/\0w\0\ufffd\0r\0d\0+\0&\0?\0 \0\ufffd\x005\0=',
}

for (const [title, form] of Object.entries(forms))
  test(`a known value is found ${title}, wherever it stands (SEC-ENC-10, claims: D22)`, () => {
    const { redact } = knowing(value)

    assert.deepEqual(
      redact({
        a: form,
        b: [`before ${form} after ${form}`, 7, null, true],
        [`key ${form}`]: { deep: [{ deeper: form }] },
      }),
      {
        a: '[secret]',
        b: ['before [secret] after [secret]', 7, null, true],
        'key [secret]': { deep: [{ deeper: '[secret]' }] },
      },
    )
  })

const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const anySecret = fc
  .string({ unit: 'grapheme', minLength: 8, maxLength: 200 })
  .filter((text) => new Set(text).size > 12)

test('inside other base64 exactly the characters that hold a bit of the value go', () => {
  fc.assert(
    fc.property(
      anyBytes(9),
      anySecret,
      anyBytes(9),
      fc.constantFrom('base64' as const, 'base64url' as const),
      (before, secret, after, encoding) => {
        const inner = Buffer.from(secret)
        const text = Buffer.concat([before, inner, after]).toString(encoding)
        const from = Math.floor((before.length * 8) / 6)
        const to = Math.ceil(((before.length + inner.length) * 8) / 6)

        assert.equal(knowing(secret).redact(text), `${text.slice(0, from)}[secret]${text.slice(to)}`)
      },
    ),
  )
})

test('a value of any length and script is found in every form between other text', () => {
  fc.assert(
    fc.property(anySecret, (secret) => {
      const found = [
        secret,
        JSON.stringify(secret).slice(1, -1),
        encodeURIComponent(secret),
        new URLSearchParams({ s: secret }).toString().slice(2),
        Buffer.from(secret).toString('hex'),
      ]
      const { redact } = knowing(secret)
      // \u0001 is in no form, so that nothing else touches the value.
      assert.deepEqual(
        redact(found.map((form) => `\u0001${form}\u0001`)),
        found.map(() => '\u0001[secret]\u0001'),
      )
    }),
  )
})

test('text without a known value is the same object afterwards', () => {
  const output = { items: [{ name: 'srv-1', at: '2026-01-01T00:00:00Z', n: 12345678, none: null }], next: null }

  assert.equal(knowing('something else entirely').redact(output), output)
  assert.equal(makeRedactor().redact(output), output)
})

test('a long value is found in part, and a PEM key with other line ends', () => {
  const lines = Array.from({ length: 6 }, (_, i) =>
    Buffer.alloc(48, `line ${i} of a key that nobody may see`).toString('base64'),
  )
  const pem = ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
  const { redact } = knowing(pem)

  assert.equal(redact(pem.trim()), '[secret]')
  assert.equal(redact(JSON.stringify({ pem })), '{"pem":"[secret]"}')
  assert.equal(redact(`the second line is ${lines[1]}.`), 'the second line is [secret].')
  const windows = String(redact(pem.replaceAll('\n', '\r\n')))
  assert.deepEqual(
    lines.filter((line) => windows.includes(line.slice(8, 24))),
    [],
  )
})

test('a token read from a file is found without its line end', () => {
  assert.equal(knowing('abcdefgh12345678\n').redact('Bearer abcdefgh12345678'), 'Bearer [secret]')
})

test('values that contain each other, and values side by side, leave nothing of themselves', () => {
  const { redact } = knowing('abcdefgh', 'abcdefghijklmnop', 'klmnopqrstuv', 'ghijklmn-other')

  assert.equal(redact('<abcdefghijklmnop>'), '<[secret]>')
  assert.equal(redact('<abcdefghijklmnopqrstuv>'), '<[secret]>')
  assert.equal(redact('<abcdefghijklmnopq>'), '<[secret]q>')
  assert.equal(redact('<abcdefghabcdefgh>'), '<[secret]>')
})

test('a secret of digits is found in a number', () => {
  assert.deepEqual(knowing('9876543210').redact({ a: 9876543210, b: 98765432100n, c: 987654321 }), {
    a: '[secret]',
    b: '[secret]',
    c: 987654321,
  })
})

test('values too short or too uniform to be searched for are left alone', () => {
  for (const plain of ['', 'x', 'seven77', '--------', '00000000', 'abcabcabcabc'])
    assert.equal(knowing(plain).redact(`a ${plain} b`), `a ${plain} b`)
})

test('a value in a script that is not Latin is found in UTF-16 of either order', () => {
  const other = 'Пароль-Юг-2031'
  const little = Buffer.from(other, 'utf16le')
  const { redact } = knowing(other)

  for (const bytes of [little, Buffer.from(little).swap16()])
    for (const text of [bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '')])
      assert.equal(redact(`<${text}>`), '<[secret]>')
})

test('a forgotten value is not searched for, unless another name has the same one', () => {
  const redactor = makeRedactor()
  for (const name of ['sec_a/1', 'sec_a/2', 'sec_b/1'])
    redactor.add(name, name === 'sec_a/2' ? 'second value' : 'first value')

  redactor.forget('sec_a/')
  assert.equal(redactor.redact('first value, second value'), '[secret], second value')

  redactor.forget('sec_b/')
  assert.equal(redactor.redact('first value, second value'), 'first value, second value')

  redactor.add('sec_c/1', 'second value')
  assert.equal(redactor.redact('first value, second value'), 'first value, [secret]')
})

test('past the bound the values longest unused are forgotten, never the newest', () => {
  const redactor = makeRedactor({ maxForms: 100 })
  const nth = (i: number) => `value number ${i}`

  for (let i = 0; i < 50; i++) {
    redactor.add('kept', nth(1000))
    redactor.add(`s${i}`, nth(i))
  }

  assert.equal(redactor.redact(nth(1000)), '[secret]')
  assert.equal(redactor.redact(nth(49)), '[secret]')
  assert.equal(redactor.redact(nth(0)), nth(0))
})

test('a key named __proto__ stays a member and changes no prototype', () => {
  const output = knowing('the value').redact(JSON.parse('{"__proto__": {"admin": "the value"}}'))

  assert.equal(JSON.stringify(output), '{"__proto__":{"admin":"[secret]"}}')
  assert.equal(Object.getPrototypeOf(output), Object.prototype)
})

test('errors, instances, cycles and deep values end and are searched', () => {
  const { redact } = knowing('the value')
  const cycle: Record<string, unknown> = { text: 'the value' }
  cycle['self'] = [cycle, cycle]
  let deep: unknown = 'the value'
  for (let i = 0; i < 5000; i++) deep = [deep]
  const error = redact(new Error('saw the value', { cause: new Error('the value') })) as Record<string, unknown>

  assert.equal(JSON.stringify(error).includes('the value'), false)
  assert.equal(error['message'], 'saw [secret]')
  assert.deepEqual(redact(new URL('https://host/the%20value')), 'https://host/[secret]')
  assert.deepEqual(redact(new Secret('the value')), '[secret]')
  assert.deepEqual(redact(cycle), { text: '[secret]', self: ['[circular]', '[circular]'] })
  assert.equal(JSON.stringify(redact(deep)).includes('the value'), false)
})
