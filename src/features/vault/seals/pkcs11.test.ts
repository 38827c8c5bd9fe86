import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Secret } from '../../../core/secret.ts'
import { makeSoftHsm, noSoftHsm, type SoftHsm } from '../../../testing/softhsm.ts'
import { makePkcs11Seal, type Pkcs11Settings } from './pkcs11.ts'
import { SealError } from './seal.ts'
import { unwrapRootKey, wrapRootKey } from './sealed-file.ts'

const key = createSecretKey(randomBytes(32))

function started(t: TestContext) {
  const hsm = makeSoftHsm(t)
  const sealOf = (other: Partial<Pkcs11Settings> = {}) =>
    makePkcs11Seal({
      ...{ module: hsm.module, token: 'atlas', key: 'root', pin: new Secret(hsm.pin), ...other },
      environment: { PATH: process.env['PATH'] ?? '', ...hsm.env },
    })
  return { hsm, sealOf }
}

test('what the token wrapped it unwraps, and its key cannot be taken out (SEC-ENC-9, claims: A40)', {
  skip: noSoftHsm,
}, async (t) => {
  const { hsm, sealOf } = started(t)

  const sealed = await wrapRootKey(sealOf(), key)

  assert.equal(sealed.key, 'atlas/root')
  assert.ok((await unwrapRootKey(sealOf(), sealed)).equals(key))
  const listed = hsm.tool('--list-objects', '--type', 'secrkey')
  assert.match(listed, /Access: .*sensitive/)
  assert.match(listed, /never extractable/)
  assert.ok(!Buffer.from(sealed.wrapped.split(':')[1] ?? '', 'base64').includes(key.export()))
})

type Fact = readonly [
  what: string,
  reason: SealError['reason'],
  spoil: (hsm: SoftHsm) => void,
  other?: Partial<Pkcs11Settings>,
]

const facts: readonly Fact[] = [
  ['a library that is not there', 'unreachable', () => {}, { module: '/usr/lib/no-such-module.so' }],
  ['a file that is no library', 'unreachable', () => {}, { module: '/etc/passwd' }],
  ['a library that is not PKCS#11', 'unreachable', () => {}, { module: 'libc.so.6' }],
  ['a token that was taken out', 'unreachable', (hsm) => hsm.remove()],
  ['a token of another name', 'unreachable', () => {}, { token: 'elsewhere' }],
  ['two tokens of one name', 'unreachable', (hsm) => hsm.makeToken('atlas')],
  ['a slot that is not there', 'unreachable', () => {}, { token: undefined, slot: 4711 }],
  ['a wrong PIN', 'wrong-pin', () => {}, { pin: new Secret('not-the-pin') }],
  ['a key of another name', 'no-such-key', () => {}, { key: 'elsewhere' }],
  ['two keys of one name', 'unsafe-key', (hsm) => hsm.makeKey('root')],
  ['a key that can leave the token', 'unsafe-key', (hsm) => hsm.makeKey('loose', '--extractable'), { key: 'loose' }],
  ['a key that the token would show', 'unsafe-key', (hsm) => hsm.makePlainKey('open'), { key: 'open' }],
  ['a key of 128 bits', 'unsafe-key', (hsm) => hsm.makeShortKey('short'), { key: 'short' }],
  ['another key of the token', 'wrong-ciphertext', (hsm) => hsm.makeKey('other'), { key: 'other' }],
]

test('each way in which a token does not unwrap has its own words, and none tells the PIN', {
  skip: noSoftHsm,
}, async (t) => {
  for (const [what, reason, spoil, other] of facts)
    await t.test(what, async (t) => {
      const { hsm, sealOf } = started(t)
      const wrapped = await sealOf().wrap(key.export(), { purpose: 'test' })
      spoil(hsm)
      const asked = sealOf(other).unwrap(wrapped, { purpose: 'test' })
      const error = await asked.then(
        () => assert.fail('it was unwrapped'),
        (error: unknown) => error,
      )
      assert.ok(error instanceof SealError, String(error))
      assert.equal(error.reason, reason)
      assert.ok(!error.message.includes(hsm.pin))
    })
})

test('wrapped for one purpose, it does not open for another, nor after an edit', { skip: noSoftHsm }, async (t) => {
  const { sealOf } = started(t)
  const binding = { purpose: 'root-key', fingerprint: 'a' }
  const wrapped = await sealOf().wrap(key.export(), binding)
  const [nonce = '', box = ''] = wrapped.split(':')
  const edited = Buffer.from(box, 'base64')
  edited[3] = (edited[3] ?? 0) ^ 1

  for (const [text, bound] of [
    [wrapped, { purpose: 'root-key', fingerprint: 'b' }],
    [`${nonce}:${edited.toString('base64')}`, binding],
    [`${nonce}:${box.slice(0, 12)}`, binding],
    [`AAAA:${box}`, binding],
    ['nonsense', binding],
  ] as const)
    await assert.rejects(sealOf().unwrap(text, bound), { reason: 'wrong-ciphertext' })
})

test('the PIN is in nobody’s arguments while the token is used', { skip: noSoftHsm }, async (t) => {
  const { hsm, sealOf } = started(t)
  const lines = new Set<string>()
  const look = setInterval(() => {
    for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
      try {
        lines.add(readFileSync(`/proc/${id}/cmdline`, 'utf8'))
      } catch {
        // It ended meanwhile.
      }
  }, 10)

  await sealOf().wrap(key.export(), {})

  clearInterval(look)
  assert.ok([...lines].some((line) => line.includes('pkcs11-process')))
  assert.ok(![...lines].some((line) => line.includes(hsm.pin)))
})
