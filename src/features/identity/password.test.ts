import assert from 'node:assert/strict'
import { argon2, createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Secret } from '../../core/secret.ts'
import { testRootKey } from '../../testing/databases.ts'
import { makeHashQueue } from './hash-queue.ts'
import { makeHasher } from './password.ts'

const cheap = { memory: 64, passes: 1, parallelism: 1 }
const right = new Secret('correct horse')

test('argon2id gives the tag of RFC 9106 §5.3', async () => {
  const tag = await promisify(argon2)('argon2id', {
    message: Buffer.alloc(32, 1),
    nonce: Buffer.alloc(16, 2),
    secret: Buffer.alloc(8, 3),
    associatedData: Buffer.alloc(12, 4),
    parallelism: 4,
    tagLength: 32,
    memory: 32,
    passes: 3,
  })
  assert.equal(tag.toString('hex'), '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659')
})

test('a hash is a PHC string with the agreed cost, a 16-byte salt and a 32-byte tag', async () => {
  const phc = await makeHasher({ rootKey: testRootKey }).hash(right)
  assert.match(phc, /^\$argon2id\$v=19\$m=19456,t=2,p=1,keyid=[A-Za-z0-9+/]{11}\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
})

test('the same password is hashed differently each time and always fits', async () => {
  const hasher = makeHasher({ rootKey: testRootKey, cost: cheap })
  const [a, b] = [await hasher.hash(right), await hasher.hash(right)]

  assert.notEqual(a, b)
  assert.equal(await hasher.verify(right, a), 'right')
  assert.equal(await hasher.verify(right, b), 'right')
})

test('a password fits in every Unicode spelling', async () => {
  const hasher = makeHasher({ rootKey: testRootKey, cost: cheap })
  const phc = await hasher.hash(new Secret('Ame\u0301lie ﬁnds ９ keys'))
  assert.equal(await hasher.verify(new Secret('Am\u00e9lie finds 9 keys'), phc), 'right')
})

test('a wrong password, a changed hash and another root key do not fit', async () => {
  const hasher = makeHasher({ rootKey: testRootKey, cost: cheap })
  const phc = await hasher.hash(right)
  const flipped = phc.replace(/.{2}$/, (end) => (end === 'AA' ? 'BA' : 'AA'))
  const cases: readonly [string, Secret, string | null | undefined][] = [
    ['wrong', new Secret('correct horsf'), phc],
    ['longer', new Secret('correct horse '), phc],
    ['empty', new Secret(''), phc],
    ['no hash', right, undefined],
    ['null hash', right, null],
    ['empty hash', right, ''],
    ['flipped tag', right, flipped],
    ['cut tag', right, phc.slice(0, -4)],
    ['no tag', right, phc.replace(/[^$]+$/, '')],
    ['cut salt', right, phc.replace(/\$[^$]{4}([^$]+\$[^$]+)$/, '$$$1')],
    ['other variant', right, phc.replace('argon2id', 'argon2i')],
    ['other version', right, phc.replace('v=19', 'v=16')],
    ['other cost', right, phc.replace('t=1', 't=2')],
    ['absurd memory', right, phc.replace('m=64', 'm=99999999999')],
    ['other key id', right, phc.replace(/keyid=[^$]+/, 'keyid=AAAAAAAAAAA')],
  ]
  for (const [name, password, stored] of cases) assert.equal(await hasher.verify(password, stored), 'wrong', name)

  const other = makeHasher({ rootKey: createSecretKey(Buffer.alloc(32, 8)), cost: cheap })
  assert.equal(await other.verify(right, phc), 'wrong')
})

test('the pepper is needed: the hash does not fit the bare password', async () => {
  const phc = await makeHasher({ rootKey: testRootKey, cost: cheap }).hash(right)
  const [salt = '', tag = ''] = phc.split('$').slice(-2)
  const bare = await promisify(argon2)('argon2id', {
    message: 'correct horse',
    nonce: Buffer.from(salt, 'base64'),
    parallelism: 1,
    tagLength: 32,
    memory: 64,
    passes: 1,
  })
  assert.notEqual(bare.toString('base64').replace('=', ''), tag)
})

test('a hash of another cost fits and is reported as outdated', async () => {
  const old = await makeHasher({ rootKey: testRootKey, cost: { ...cheap, memory: 32 } }).hash(right)
  const hasher = makeHasher({ rootKey: testRootKey, cost: cheap })
  assert.equal(await hasher.verify(right, old), 'outdated')
  assert.equal(await hasher.verify(new Secret('other'), old), 'wrong')
})

test('the hash queue runs so many at a time, lets so many wait, and turns the rest away', async () => {
  const run = makeHashQueue({ concurrency: 2, waiting: 3 })
  let running = 0
  let most = 0
  const job = () =>
    run(async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
    })

  const results = await Promise.allSettled(Array.from({ length: 10 }, job))

  assert.equal(most, 2)
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 5)
  for (const result of results)
    if (result.status === 'rejected')
      assert.deepEqual([result.reason.type, result.reason.retryAfterSeconds], ['rate-limited', 2])
  await Promise.all([job(), job()])
})

test('a job that fails gives its place back', async () => {
  const run = makeHashQueue({ concurrency: 1, waiting: 0 })
  await assert.rejects(run(() => Promise.reject(new Error('no'))))
  assert.equal(await run(async () => 'yes'), 'yes')
})
