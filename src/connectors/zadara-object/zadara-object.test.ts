import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SyncBatch } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { parseXml } from '../../lib/xml.ts'
import { type Exchange, upstream } from '../../testing/upstream.ts'
import { explain } from './explain.ts'
import { zadaraObject } from './index.ts'
import { allowsEveryone, ObjectList } from './schema.ts'

const config = zadaraObject.config.parse({ url: 'https://objects.example.net', pageSize: 2, maxPagesPerBucket: 2 })
const folder = join(import.meta.dirname, 'fixtures')
const xml = (name: string) => parseXml(readFileSync(join(folder, name), 'utf8'))
const asked = (request: string, reply: unknown, region = 'us-east-1'): Exchange => ({
  request,
  requestHeaders: { 'x-atlas-region': region },
  reply,
})
const listed = (bucket: string, token = '') =>
  `GET /${bucket}?list-type=2&encoding-type=url&max-keys=2${token && `&continuation-token=${token}`}`
const buckets = asked('GET /', xml('buckets.xml'))
const denied = new Problem('upstream-denied')
const missing = new Problem('not-found')
const unknown = new Problem('method-not-allowed')

/** What the three buckets of buckets.xml answer, unless a case says otherwise. */
const parts: readonly Exchange[] = [
  asked('GET /logs?versioning=', xml('versioning-enabled.xml')),
  asked('GET /logs?policy=', 'policy-everyone.json'),
  asked(listed('logs'), xml('objects-first.xml')),
  asked(listed('logs', 'Yi50eHQ%3D'), xml('objects-last.xml')),
  asked('GET /Old_Web?versioning=', xml('versioning-off.xml')),
  asked('GET /Old_Web?policy=', missing),
  asked(listed('Old_Web'), xml('objects-first.xml')),
  asked(listed('Old_Web', 'Yi50eHQ%3D'), { ...xml('objects-first.xml'), children: moved('Yy50eHQ=') }),
  asked('GET /closed?versioning=', denied),
  asked('GET /closed?policy=', new Problem('invalid-input')),
  asked(listed('closed'), denied),
  buckets,
]

/** The first page with another token and nothing in it. */
function moved(token: string) {
  const kept = xml('objects-first.xml').children.filter(({ name }) => name !== 'Contents')
  return kept.map((child) => (child.name === 'NextContinuationToken' ? { ...child, text: token } : child))
}

async function run(t: TestContext, exchanges: readonly Exchange[], given: object = config) {
  const context = upstream(t, import.meta.dirname, exchanges, { config: given as typeof config })
  const batches: SyncBatch[] = []
  const steps = zadaraObject.sync?.(context)
  assert.ok(steps)
  for (;;) {
    const step = await steps.next()
    if (step.done) return { batches, observations: batches.flatMap((batch) => batch.observations ?? []) }
    batches.push(step.value)
  }
}

test('A sync adds up each bucket page by page, and says when it stopped before the end', async (t) => {
  const { batches, observations } = await run(t, [buckets, ...parts])

  assert.deepEqual(observations, JSON.parse(readFileSync(join(folder, 'observations.json'), 'utf8')))
  assert.deepEqual(
    batches.map(({ stage, total, full }) => [stage, total, full]),
    Array(3).fill(['buckets', 3, true]),
  )
})

test('What the object storage cannot do is asked once a run', async (t) => {
  const without = parts.filter(({ request }) => !request.includes('policy'))

  const { observations } = await run(t, [buckets, asked('GET /logs?policy=', unknown), ...without])

  assert.deepEqual(
    observations.map(({ attributes }) => attributes['policy']),
    ['unsupported', 'unsupported', 'unsupported'],
  )
})

test('A bucket deleted meanwhile is not reported, and no page is read when none is wanted', async (t) => {
  const { observations } = await run(
    t,
    [
      buckets,
      asked('GET /logs?versioning=', missing),
      asked('GET /Old_Web?versioning=', xml('versioning-off.xml')),
      asked('GET /Old_Web?policy=', missing),
      asked('GET /closed?versioning=', xml('versioning-off.xml')),
      asked('GET /closed?policy=', missing),
    ],
    { ...config, maxPagesPerBucket: 0 },
  )

  assert.deepEqual(
    observations.map(({ externalId, attributes }) => [externalId, attributes]),
    ['Old_Web', 'closed'].map((name) => [name, { owner: 'acc1:atlas', versioning: 'off', policy: 'none' }]),
  )
})

test('A storage without buckets reports that in one full batch', async (t) => {
  const { batches } = await run(t, [asked('GET /', xml('no-buckets.xml'))])

  assert.deepEqual(batches, [{ stage: 'buckets', total: 0, observations: [], full: true }])
})

test('Another document than the one asked for ends the sync instead of emptying the inventory (claims: D30)', async (t) => {
  for (const reply of [parseXml('<html><body/></html>'), xml('versioning-off.xml'), {}, null, 'text', []])
    await assert.rejects(run(t, [asked('GET /', reply)]), { type: 'upstream-invalid' })
  await assert.rejects(run(t, [buckets, asked('GET /logs?versioning=', new Problem('upstream-failed'))]), {
    type: 'upstream-failed',
  })
})

test('A page that leads nowhere or back to itself ends the sync', async (t) => {
  const children = xml('objects-first.xml').children.filter(({ name }) => name !== 'NextContinuationToken')
  const opening = parts.slice(0, 2)
  for (const pages of [
    [asked(listed('logs'), { ...xml('objects-first.xml'), children })],
    [
      asked(listed('logs'), xml('objects-first.xml')),
      asked(listed('logs', 'Yi50eHQ%3D'), { ...xml('objects-first.xml'), children }),
    ],
    [asked(listed('logs'), xml('objects-first.xml')), asked(listed('logs', 'Yi50eHQ%3D'), xml('objects-first.xml'))],
  ])
    await assert.rejects(run(t, [buckets, ...opening, ...pages]), { type: 'upstream-invalid' })
})

test('The check names the account, and clocks that differ', async (t) => {
  const checked = (date?: string) => {
    const given = { ...asked('GET /', xml('buckets.xml'), 'eu-1'), ...(date !== undefined && { headers: { date } }) }
    return zadaraObject.check(upstream(t, import.meta.dirname, [given], { config: { ...config, region: 'eu-1' } }))
  }
  const fine = { version: 'S3', account: 'acc1:atlas', warnings: [] }

  assert.deepEqual(await checked(), fine)
  assert.deepEqual(await checked(new Date().toUTCString()), fine)
  assert.match((await checked('Fri, 24 May 2013 00:00:00 GMT')).warnings?.[0] ?? '', /clocks .* differ/)
})

test('Keys are decoded only when the storage says that it encoded them', () => {
  const keysOf = (name: string) => {
    const { objects, prefixes } = ObjectList.parse(xml(name))
    return [...objects.map(({ key }) => key), ...prefixes]
  }
  assert.deepEqual(keysOf('objects-first.xml'), ['a b+c.txt', 'žluť/\u0001.txt', 'bad%zz/'])
  assert.deepEqual(keysOf('objects-last.xml'), ['c%41.txt', '2026/'])
})

test('Whether a policy opens a bucket to everyone', () => {
  const of = (...Statement: object[]) => allowsEveryone({ Statement } as never)
  const allow = { Effect: 'Allow', Action: 's3:GetObject' }
  assert.deepEqual(
    [
      of({ ...allow, Principal: '*' }),
      of({ ...allow, Principal: { AWS: '*' } }),
      of({ ...allow, Principal: { AWS: ['u1', '*'] } }),
      of({ ...allow, Principal: { AWS: ['u1'] } }),
      of({ ...allow, Effect: 'Deny', Principal: '*' }),
      of(allow),
      allowsEveryone({ Statement: { ...allow, Principal: '*' } }),
      allowsEveryone({ Statement: null }),
      allowsEveryone({}),
    ],
    [true, true, true, false, false, false, true, false, false],
  )
})

test('Settings take only https, a region of plain letters and keys that fit a header (claims: D11)', () => {
  const isTaken = (more: object) => zadaraObject.config.safeParse({ url: config.url, ...more }).success
  assert.deepEqual(
    [isTaken({}), isTaken({ url: 'http://objects.example.net' }), isTaken({ url: 'https://a:b@objects.example.net' })],
    [true, false, false],
  )
  for (const region of ['', 'a/b', 'a\r\nb', '<x>']) assert.equal(isTaken({ region }), false, region)
  for (const [accessKey, isGood] of [
    ['test:tester', true],
    ['a/b/c/d', false],
    ['a, b=c', false],
    ['é'.repeat(5), false],
  ] as const)
    assert.equal(zadaraObject.credential.safeParse({ accessKey, secretKey: 'secret-1' }).success, isGood, accessKey)
})

const said: readonly (readonly [string, string | undefined, RegExp | undefined])[] = [
  ['<Error><Code>SignatureDoesNotMatch</Code></Error>', 'upstream-denied', /secret key is wrong/],
  ['<Error><Code>InvalidAccessKeyId</Code></Error>', 'upstream-denied', /does not know this access key/],
  ['<Error><Code>AccessDenied</Code></Error>', 'upstream-denied', /denies/],
  ['<Error><Code>RequestTimeTooSkewed</Code></Error>', 'upstream-denied', /clocks/],
  [
    '<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-1</Region></Error>',
    'upstream-denied',
    /expects eu-1\. Set it/,
  ],
  [
    '<Error><Code>AuthorizationHeaderMalformed</Code><Region>x y.example</Region></Error>',
    'upstream-denied',
    /accept the region\. Set/,
  ],
  ['<Error><Code>NoSuchBucket</Code></Error>', 'not-found', /no such bucket/],
  ['<Error><Code>NotImplemented</Code></Error>', 'method-not-allowed', /cannot do this/],
  ['<Error><Code>SlowDown</Code></Error>', 'upstream-busy', /fewer requests/],
  [
    '<Error><Code>InternalError</Code><Message>on st1.corp.example</Message></Error>',
    'upstream-failed',
    /^The object storage failed: InternalError\.$/,
  ],
  ['<Error><Code>no &lt;code&gt;</Code></Error>', 'upstream-failed', /^The object storage failed\.$/],
  ['<Error/>', 'upstream-failed', /^The object storage failed\.$/],
  ['<Error><Code>__proto__</Code></Error>', 'upstream-failed', /^The object storage failed\.$/],
  ['<Error><Code>constructor</Code></Error>', 'upstream-failed', /^The object storage failed: constructor\.$/],
  ['<ListBucketResult/>', undefined, undefined],
]
for (const [body, type, detail] of said) {
  test(`Explained: ${body}`, () => {
    const fault = explain(400, parseXml(body))
    assert.equal(fault?.type, type)
    if (detail) assert.match(fault?.detail ?? '', detail)
  })
}

test('A body that is not XML explains nothing', () => {
  for (const body of [undefined, null, 'Bad gateway', { Error: 1 }, [], { children: 1 }])
    assert.equal(explain(502, body), undefined)
})
