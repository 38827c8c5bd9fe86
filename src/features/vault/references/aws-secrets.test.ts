import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Aws, startAws } from '../../../../simulators/aws/start.ts'
import { movableClock } from '../../../../simulators/lib/server.ts'
import { Problem } from '../../../core/problem.ts'
import { Secret } from '../../../core/secret.ts'
import { makeOutbound } from '../../../lib/outbound.ts'
import { makeAwsSource } from './aws-secrets.ts'
import { keepMs, makeReferences } from './resolver.ts'

// awssm:// against simulated Secrets Manager over real https, which checks every signature.

const value = 'the-token-0123456789'
type User = Pick<Aws['credential'], 'accessKeyId' | 'secretAccessKey' | 'sessionToken'>

async function world(t: TestContext) {
  const clock = movableClock()
  const aws = await startAws({ clock })
  t.after(aws.stop)
  const usual: User = aws.makeUser('reader', ['secretsmanager:GetSecretValue'])
  aws.secrets.put('atlas/lab', { text: JSON.stringify({ token: value, port: 443, 'a b': 'x' }) })
  aws.secrets.put('atlas/plain', { text: value })
  aws.secrets.put('atlas/bytes', { binary: 'AAECAw==' })
  aws.secrets.put('exact', { text: value })
  aws.secrets.put('other', { text: value })
  function open({ user = usual, region = aws.region, ca = aws.caPem } = {}) {
    const source = makeAwsSource({
      send: makeOutbound({ ca }),
      keys: () => ({
        accessKeyId: user.accessKeyId,
        secretAccessKey: new Secret(user.secretAccessKey),
        sessionToken: user.sessionToken === undefined ? undefined : new Secret(user.sessionToken),
      }),
      region,
      endpoint: aws.url,
      names: ['atlas/', 'exact'],
      now: clock.now,
    })
    const references = makeReferences({ sources: { awssm: source }, now: clock.now })
    t.after(references.close)
    return references
  }
  return { aws, clock, usual, open }
}

async function answerOf(references: ReturnType<typeof makeReferences>, text: string): Promise<string> {
  try {
    return (await references.read(`awssm://${text}`)).value.reveal()
  } catch (error) {
    assert.ok(error instanceof Problem && error.type === 'secret-unavailable', String(error))
    return error.message.replace(`awssm://${text}: `, '')
  }
}

const notAllowed = 'the name is not among those in ATLAS_REFERENCE_AWS_NAMES'
type World = Awaited<ReturnType<typeof world>>
const readings: readonly {
  title: string
  reads: string
  gets: string
  before?: (aws: Aws) => unknown
  options?: (w: World) => Parameters<World['open']>[0]
}[] = [
  { title: 'a member of a secret that is a JSON object', reads: 'atlas/lab#token', gets: value },
  { title: 'a whole secret', reads: 'atlas/plain', gets: value },
  { title: 'a name that is allowed exactly', reads: 'exact', gets: value },
  { title: 'a member that is not there', reads: 'atlas/lab#tokens', gets: 'there is no such key' },
  { title: 'a member by an inherited name', reads: 'atlas/lab#constructor', gets: 'there is no such key' },
  { title: 'a number', reads: 'atlas/lab#port', gets: 'what is there is not text' },
  { title: 'a member of what is no object', reads: 'atlas/plain#token', gets: 'what is there is not a JSON object' },
  { title: 'bytes', reads: 'atlas/bytes', gets: 'what is there is not text' },
  { title: 'a member of bytes', reads: 'atlas/bytes#token', gets: 'what is there is not text' },
  { title: 'a name that does not exist', reads: 'atlas/nothing', gets: 'there is no secret with this name' },
  {
    title: 'a secret that is to be deleted',
    before: ({ secrets }) => secrets.remove('atlas/plain'),
    reads: 'atlas/plain',
    gets: 'the secret is marked for deletion',
  },
  { title: 'a name that is not allowed', reads: 'other', gets: notAllowed },
  { title: 'a name that only begins like an exact one', reads: 'exact2', gets: notAllowed },
  { title: 'a name that only begins like an allowed folder', reads: 'atlas', gets: notAllowed },
  {
    title: 'with a key that may not',
    options: ({ aws }) => ({ user: aws.credential }),
    reads: 'atlas/lab#token',
    gets: 'AWS Secrets Manager refuses it: the access key may not read this secret',
  },
  {
    title: 'with a key that is unknown',
    options: ({ usual }) => ({ user: { ...usual, accessKeyId: 'AKIA0000000000000000' } }),
    reads: 'atlas/lab#token',
    gets: 'AWS Secrets Manager does not know the access key',
  },
  {
    title: 'with another secret key',
    options: ({ usual }) => ({ user: { ...usual, secretAccessKey: 'x'.repeat(40) } }),
    reads: 'atlas/lab#token',
    gets: 'AWS Secrets Manager does not accept the signature: check the secret access key and the clock',
  },
  {
    title: 'with the keys of a session',
    options: ({ aws }) => ({ user: aws.makeUser('session', ['secretsmanager:*'], 'a-session-token') }),
    reads: 'atlas/lab#token',
    gets: value,
  },
  {
    title: 'while it limits requests',
    before: ({ fault }) => fault({ kind: 'throttled' }),
    reads: 'atlas/lab#token',
    gets: 'AWS Secrets Manager is busy',
  },
  {
    title: 'while it fails',
    before: ({ fault }) => fault({ kind: 'status', status: 500 }),
    reads: 'atlas/lab#token',
    gets: 'AWS Secrets Manager failed (500)',
  },
]

for (const { title, reads, gets, before, options } of readings)
  test(`awssm://: ${title} (claims: C33)`, async (t) => {
    const w = await world(t)
    before?.(w.aws)
    assert.equal(await answerOf(w.open(options?.(w)), reads), gets)
  })

test('awssm://: a new current version is seen after a minute, with its age (claims: C33 A36)', async (t) => {
  const { aws, clock, open } = await world(t)
  const references = open()
  assert.equal(await answerOf(references, 'atlas/plain'), value)
  clock.forward(keepMs)
  aws.secrets.put('atlas/plain', { text: 'the next' })
  const made = clock.now().getTime()
  assert.equal(await answerOf(references, 'atlas/plain'), 'the next')
  const { changedAt = '' } = await references.read('awssm://atlas/plain')
  assert.ok(Math.abs(Date.parse(changedAt) - made) < 5_000, changedAt)
})

test('awssm://: a certificate of another authority is not trusted', async (t) => {
  const { open } = await world(t)
  const other = await startAws()
  t.after(other.stop)
  const says = await answerOf(open({ ca: other.caPem }), 'exact')
  assert.equal(says, 'AWS Secrets Manager has a certificate that is not trusted')
})
