import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type Aws, startAws } from '../../../../simulators/aws/start.ts'
import { Secret } from '../../../core/secret.ts'
import { makeOutbound } from '../../../lib/outbound.ts'
import type { AwsKeys } from '../../../lib/sigv4.ts'
import { type KmsSettings, makeKmsSeal } from './aws-kms.ts'
import { SealError } from './seal.ts'
import { unwrapRootKey, wrapRootKey } from './sealed-file.ts'

const key = createSecretKey(randomBytes(32))
type User = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
const keysOf = ({ accessKeyId, secretAccessKey, sessionToken }: User): AwsKeys => ({
  accessKeyId,
  secretAccessKey: new Secret(secretAccessKey),
  ...(sessionToken !== undefined && { sessionToken: new Secret(sessionToken) }),
})

async function started(t: TestContext) {
  const aws = await startAws()
  const send = makeOutbound({ ca: aws.caPem })
  t.after(async () => {
    await send.close()
    await aws.stop()
  })
  const sealOf = (other: Partial<KmsSettings> = {}) =>
    makeKmsSeal({
      send,
      endpoint: aws.url,
      region: aws.region,
      key: 'alias/atlas',
      keys: keysOf(aws.credential),
      now: () => new Date(),
      ...other,
    })
  return { aws, sealOf }
}

test('what KMS wrapped it unwraps, by alias, id and ARN, with keys and with a session (claims: A40)', async (t) => {
  const { aws, sealOf } = await started(t)
  const session = aws.makeUser('session', ['kms:*'], 'a session token')
  const names = ['alias/atlas', aws.keys.atlas, `arn:aws:kms:${aws.region}:${aws.account}:key/${aws.keys.atlas}`]
  for (const name of names)
    for (const user of [aws.credential, session]) {
      const seal = sealOf({ key: name, keys: keysOf(user) })
      const sealed = await wrapRootKey(seal, key)
      assert.equal(sealed.key, name)
      assert.ok((await unwrapRootKey(seal, sealed)).equals(key))
    }
})

type Fact = readonly [
  what: string,
  reason: SealError['reason'],
  spoil: (aws: Aws) => void,
  other?: (aws: Aws) => Partial<KmsSettings>,
]

const facts: readonly Fact[] = [
  ['keys that were taken away', 'denied', (aws) => aws.revoke(aws.credential)],
  [
    'a wrong secret key',
    'denied',
    () => {},
    (aws) => ({ keys: keysOf({ ...aws.credential, secretAccessKey: 'x'.repeat(40) }) }),
  ],
  [
    'a user who may only encrypt',
    'denied',
    () => {},
    (aws) => ({ keys: keysOf(aws.makeUser('ada', ['kms:Encrypt'])) }),
  ],
  ['a clock that is an hour late', 'denied', () => {}, () => ({ now: () => new Date(Date.now() - 3_600_000) })],
  ['another region', 'denied', () => {}, () => ({ region: 'us-east-1' })],
  ['a key that is not there', 'no-such-key', () => {}, () => ({ key: 'alias/gone' })],
  ['a disabled key', 'key-disabled', (aws) => aws.kms.setState('alias/atlas', 'Disabled')],
  ['a key about to be deleted', 'key-disabled', (aws) => aws.kms.setState('alias/atlas', 'PendingDeletion')],
  ['another key', 'wrong-ciphertext', () => {}, () => ({ key: 'alias/other' })],
  ['too many requests', 'busy', (aws) => aws.fault({ kind: 'throttled' })],
  ['a fault of its own', 'unreachable', (aws) => aws.fault({ kind: '500' })],
  ['a connection that breaks', 'unreachable', (aws) => aws.fault({ kind: 'drop' })],
  ['half an answer', 'failed', (aws) => aws.fault({ kind: 'malformed' })],
  ['a certificate of somebody else', 'untrusted', () => {}, () => ({ send: makeOutbound() })],
]

test('each way in which KMS does not unwrap has its own words, and none tells an address or a key', async (t) => {
  for (const [what, reason, spoil, other] of facts)
    await t.test(what, async (t) => {
      const { aws, sealOf } = await started(t)
      const wrapped = await sealOf().wrap(key.export(), { purpose: 'test' })
      spoil(aws)
      const asked = sealOf(other?.(aws)).unwrap(wrapped, { purpose: 'test' })
      const error = await asked.then(
        () => assert.fail('it was unwrapped'),
        (error: unknown) => error,
      )
      assert.ok(error instanceof SealError, String(error))
      assert.equal(error.reason, reason)
      for (const secret of ['127.0.0.1', aws.credential.secretAccessKey, aws.credential.accessKeyId])
        assert.ok(!error.message.includes(secret), error.message)
    })
})

test('wrapped in one context, it does not open in another, and an edited ciphertext does not open', async (t) => {
  const { sealOf } = await started(t)
  const wrapped = await sealOf().wrap(key.export(), { purpose: 'root-key', fingerprint: 'a' })

  for (const binding of [{}, { purpose: 'root-key' }, { purpose: 'root-key', fingerprint: 'b' }])
    await assert.rejects(sealOf().unwrap(wrapped, binding), { reason: 'wrong-ciphertext' })
  const bytes = Buffer.from(wrapped, 'base64')
  bytes[60] = (bytes[60] ?? 0) ^ 1
  await assert.rejects(sealOf().unwrap(bytes.toString('base64'), { purpose: 'root-key', fingerprint: 'a' }), {
    reason: 'wrong-ciphertext',
  })
})

test('without another address it goes to the region’s own, China with its own domain', async () => {
  const asked: string[] = []
  for (const region of ['eu-central-1', 'cn-north-1'])
    await makeKmsSeal({
      send: async ({ url }) => {
        asked.push(url)
        return { status: 500, headers: {}, body: Buffer.from('') }
      },
      region,
      key: 'alias/atlas',
      keys: keysOf({ accessKeyId: 'AKIA', secretAccessKey: 'secret' }),
      now: () => new Date(),
    })
      .wrap(Buffer.alloc(32), {})
      .catch(() => {})
  assert.deepEqual(asked, ['https://kms.eu-central-1.amazonaws.com/', 'https://kms.cn-north-1.amazonaws.com.cn/'])
})
