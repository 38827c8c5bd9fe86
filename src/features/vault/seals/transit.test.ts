import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type OpenBao, startOpenBao } from '../../../../simulators/openbao/start.ts'
import { Secret } from '../../../core/secret.ts'
import { makeOutbound } from '../../../lib/outbound.ts'
import { SealError } from './seal.ts'
import { unwrapRootKey, wrapRootKey } from './sealed-file.ts'
import { makeTransitSeal, type TransitSettings } from './transit.ts'

const key = createSecretKey(randomBytes(32))

async function started(t: TestContext) {
  const bao = await startOpenBao()
  const send = makeOutbound({ ca: bao.caPem })
  t.after(async () => {
    await send.close()
    await bao.stop()
  })
  const sealOf = (other: Partial<TransitSettings> = {}) =>
    makeTransitSeal({ send, url: bao.url, mount: 'transit', key: 'atlas', token: new Secret(bao.credential), ...other })
  return { bao, sealOf }
}

test('what Transit wrapped it unwraps, also after its key was rotated, and with a token that may do no more (claims: A40)', async (t) => {
  const { bao, sealOf } = await started(t)
  const sealed = await wrapRootKey(sealOf(), key)

  bao.transit.rotate('atlas')
  const renewed = await wrapRootKey(sealOf(), key)

  assert.equal(sealed.key, 'transit/atlas')
  assert.deepEqual([sealed.wrapped.slice(0, 9), renewed.wrapped.slice(0, 9)], ['vault:v1:', 'vault:v2:'])
  for (const one of [sealed, renewed]) assert.ok((await unwrapRootKey(sealOf(), one)).equals(key))
})

test('a key in a namespace is found there', async (t) => {
  const { bao, sealOf } = await started(t)
  const team = sealOf({ namespace: 'team', token: new Secret(bao.teamToken) })

  const sealed = await wrapRootKey(team, key)

  assert.equal(sealed.key, 'team/transit/atlas')
  assert.ok((await unwrapRootKey(team, sealed)).equals(key))
  await assert.rejects(
    makeTransitSeal({
      send: makeOutbound({ ca: bao.caPem }),
      url: bao.url,
      mount: 'transit',
      key: 'atlas',
      token: new Secret(bao.teamToken),
    }).unwrap(sealed.wrapped, {}),
    { reason: 'denied' },
  )
})

type Fact = readonly [
  what: string,
  reason: SealError['reason'],
  spoil: (bao: OpenBao) => void,
  other?: (bao: OpenBao) => Partial<TransitSettings>,
]

const facts: readonly Fact[] = [
  ['a seal of the provider itself', 'sealed', (bao) => bao.seal()],
  ['a token that was revoked', 'denied', (bao) => bao.tokens.revoke(bao.credential)],
  ['a made-up token', 'denied', () => {}, () => ({ token: new Secret('s.made-up') })],
  ['a key that is gone', 'no-such-key', (bao) => bao.transit.remove('atlas')],
  [
    'a mount that is not there',
    'no-such-key',
    () => {},
    (bao) => ({ mount: 'gone', token: new Secret(bao.rootToken) }),
  ],
  ['another key', 'wrong-ciphertext', () => {}, (bao) => ({ key: 'other', token: new Secret(bao.rootToken) })],
  [
    'a key version that it opens no more',
    'wrong-ciphertext',
    (bao) => {
      bao.transit.rotate('atlas')
      bao.transit.setMinDecryptionVersion('atlas', 2)
    },
  ],
  ['too many requests', 'busy', (bao) => bao.fault({ kind: '429' })],
  ['a fault of its own', 'unreachable', (bao) => bao.fault({ kind: '500' })],
  ['a connection that breaks', 'unreachable', (bao) => bao.fault({ kind: 'drop' })],
  ['a sign-in page instead', 'failed', (bao) => bao.fault({ kind: 'html' })],
  ['a redirect, which is not followed', 'failed', (bao) => bao.fault({ kind: 'redirect' })],
  ['half an answer', 'failed', (bao) => bao.fault({ kind: 'malformed' })],
  ['an answer without end', 'unreachable', (bao) => bao.fault({ kind: 'huge', ms: 2 })],
  ['a certificate of somebody else', 'untrusted', () => {}, () => ({ send: makeOutbound() })],
  ['an address where nobody listens', 'unreachable', () => {}, () => ({ url: 'https://127.0.0.1:1' })],
]

test('each way in which Transit does not unwrap has its own words, and none tells an address or a token', async (t) => {
  for (const [what, reason, spoil, other] of facts)
    await t.test(what, async (t) => {
      const { bao, sealOf } = await started(t)
      const wrapped = await sealOf().wrap(key.export(), { purpose: 'test' })
      spoil(bao)
      const asked = sealOf(other?.(bao)).unwrap(wrapped, { purpose: 'test' })
      const error = await asked.then(
        () => assert.fail('it was unwrapped'),
        (error: unknown) => error,
      )
      assert.ok(error instanceof SealError, String(error))
      assert.equal(error.reason, reason)
      assert.doesNotMatch(error.message, new RegExp(`127\\.0\\.0\\.1|${bao.credential}|s\\.made-up`))
    })
})

test('wrapped for one purpose, it does not open for another', async (t) => {
  const { sealOf } = await started(t)
  const wrapped = await sealOf().wrap(key.export(), { purpose: 'root-key', fingerprint: 'a' })

  for (const binding of [{}, { purpose: 'root-key' }, { purpose: 'root-key', fingerprint: 'b' }])
    await assert.rejects(sealOf().unwrap(wrapped, binding), { reason: 'wrong-ciphertext' })
})

test('a token with the policy of the documents can do nothing else', async (t) => {
  const { bao } = await started(t)
  const send = makeOutbound({ ca: bao.caPem })
  t.after(() => send.close())
  const status = async (method: 'GET' | 'POST', path: string) =>
    (
      await send({
        method,
        url: `${bao.url}/v1/${path}`,
        headers: { 'x-vault-token': bao.credential },
        body: method === 'POST' ? '{"plaintext":"AAAA"}' : '',
        timeoutMs: 5000,
      }).catch(() => ({ status: 0 }))
    ).status
  assert.deepEqual(
    [
      await status('POST', 'transit/encrypt/atlas'),
      await status('POST', 'transit/encrypt/other'),
      await status('POST', 'transit/encrypt/new'),
      await status('POST', 'transit/keys/atlas/rotate'),
    ],
    [200, 403, 403, 403],
  )
})
