import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startOpenBao } from '../../../../simulators/openbao/start.ts'
import { Problem } from '../../../core/problem.ts'
import { Secret } from '../../../core/secret.ts'
import { makeOutbound } from '../../../lib/outbound.ts'
import { makeOpenBaoSource } from './openbao.ts'
import { idleMs } from './openbao-leases.ts'
import { keepMs, makeReferences } from './resolver.ts'

// vault:// against a simulated OpenBao over real https. Both go by one clock, which stands still until it is moved.

const value = 'nbt_0123456789.abcdefghijklmnop'
const minute = 60_000

type Options = {
  readonly token?: string | (() => Secret)
  readonly namespace?: string
  readonly url?: string
  readonly ca?: string
}

async function world(t: TestContext) {
  let at = Date.now()
  const clock = {
    now: () => new Date(at),
    forward: (ms: number) => {
      at += ms
    },
  }
  const bao = await startOpenBao({ clock })
  t.after(bao.stop)
  const rules = [
    { path: 'secret/data/atlas/*', capabilities: ['read'] as const },
    { path: 'nested/kv/data/*', capabilities: ['read'] as const },
    { path: 'database/creds/atlas', capabilities: ['read'] as const },
    { path: 'sys/leases/revoke', capabilities: ['update'] as const },
  ]
  const usual = bao.tokens.make({ rules, ttlMs: 60 * minute })
  function open({ token = usual, namespace, url = bao.url, ca = bao.caPem }: Options = {}) {
    const source = makeOpenBaoSource({
      send: makeOutbound({ ca }),
      url,
      namespace,
      token: typeof token === 'string' ? () => new Secret(token) : token,
      kv: ['secret/atlas/', 'secret/exact', 'nested/kv:x/', 'database/static/'],
      leases: ['database/creds/atlas', 'secret/leased'],
      now: clock.now,
    })
    const references = makeReferences({ sources: { vault: source }, now: clock.now })
    t.after(references.close)
    const read = async (text: string): Promise<string> => {
      try {
        return (await references.read(`vault://${text}`)).value.reveal()
      } catch (error) {
        assert.ok(error instanceof Problem && error.type === 'secret-unavailable', String(error))
        assert.ok(!error.message.includes(new URL(bao.url).port), 'the address is not shown')
        return error.message.replace(`vault://${text}: `, '')
      }
    }
    return { references, read }
  }
  const asked = () => bao.requests.splice(0).map(({ method, path }) => `${method} ${path.slice('/v1/'.length)}`)
  return { bao, clock, rules, usual, open, asked }
}

const notAllowed = 'the path is not among those in ATLAS_REFERENCE_VAULT_KV or ATLAS_REFERENCE_VAULT_LEASES'
const refused = 'the vault refuses it: the token of Atlas has ended, or its policy does not allow this path'

type World = Awaited<ReturnType<typeof world>>
const readings: readonly {
  title: string
  reads: string
  gets: string
  before?: (w: World) => unknown
  options?: (w: World) => Options
}[] = [
  { title: 'a field of a secret', reads: 'secret/atlas/lab#token', gets: value },
  { title: 'an earlier version', reads: 'secret/atlas/lab?version=1#token', gets: 'the first token' },
  {
    title: 'a mount of several segments',
    before: ({ bao }) => bao.nestedKv.put('x/y', { token: value }),
    reads: 'nested/kv/x/y#token',
    gets: value,
  },
  {
    title: 'a secret of a namespace',
    before: ({ bao }) => bao.teamKv.put('atlas/lab', { token: 'the team token' }),
    options: ({ bao, rules }) => ({ namespace: 'team', token: bao.tokens.make({ namespace: 'team', rules }) }),
    reads: 'secret/atlas/lab#token',
    gets: 'the team token',
  },
  { title: 'a field that is not there', reads: 'secret/atlas/lab#tokens', gets: 'there is no such field' },
  { title: 'a field by an inherited name', reads: 'secret/atlas/lab#constructor', gets: 'there is no such field' },
  { title: 'a number', reads: 'secret/atlas/lab#port', gets: 'what is there is not text' },
  { title: 'an empty text', reads: 'secret/atlas/lab#empty', gets: 'the value is empty' },
  { title: 'a text that is too long', reads: 'secret/atlas/lab#long', gets: 'the value is longer than 16 KiB' },
  {
    title: 'an answer that is huge',
    before: ({ bao }) => bao.kv.put('atlas/huge', { token: value, rest: 'x'.repeat(1_100_000) }),
    reads: 'secret/atlas/huge#token',
    gets: 'the vault does not give a usable answer',
  },
  { title: 'a path with nothing', reads: 'secret/atlas/nothing#token', gets: 'there is nothing at this path' },
  {
    title: 'a version that never was',
    reads: 'secret/atlas/lab?version=9#token',
    gets: 'there is nothing at this path',
  },
  {
    title: 'a deleted version',
    before: ({ bao }) => bao.kv.delete('atlas/lab'),
    reads: 'secret/atlas/lab#token',
    gets: 'this version was deleted',
  },
  {
    title: 'a destroyed version',
    before: ({ bao }) => bao.kv.destroy('atlas/lab', 1),
    reads: 'secret/atlas/lab?version=1#token',
    gets: 'this version was destroyed',
  },
  { title: 'a path that is not allowed', reads: 'secret/other/lab#token', gets: notAllowed },
  { title: 'a path that only begins like an allowed one', reads: 'secret/atlas-2/lab#token', gets: notAllowed },
  { title: 'a path below an exact one', reads: 'secret/exact/lab#token', gets: notAllowed },
  { title: 'another path of the engine behind a colon', reads: 'nested/kv/z#token', gets: notAllowed },
  { title: 'another path of the server itself', reads: 'sys/raw/core#value', gets: notAllowed },
  {
    title: 'a version of a lease',
    reads: 'database/creds/atlas?version=1#password',
    gets: 'a leased value has no versions',
  },
  { title: 'a path that the policy does not allow', reads: 'secret/exact#token', gets: refused },
  { title: 'an engine of another kind', reads: 'database/static/x#y', gets: refused },
  {
    title: 'a secret that is stored, where a lease is expected',
    options: ({ bao }) => ({ token: bao.rootToken }),
    reads: 'secret/leased#x',
    gets: 'there is nothing at this path',
  },
  {
    title: 'with a token that is unknown',
    options: () => ({ token: 's.unknown' }),
    reads: 'secret/atlas/lab#token',
    gets: refused,
  },
  {
    title: 'while it is sealed',
    before: ({ bao }) => bao.seal(),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault is sealed or under maintenance',
  },
  {
    title: 'while it limits requests',
    before: ({ bao }) => bao.fault({ kind: '429' }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault is busy',
  },
  {
    title: 'while it fails',
    before: ({ bao }) => bao.fault({ kind: 'status', status: 500 }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault failed (500)',
  },
  {
    title: 'while it sends people elsewhere',
    before: ({ bao }) => bao.fault({ kind: 'status', status: 307 }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault redirects elsewhere, which is not followed; give the address of the server that answers',
  },
  {
    title: 'while something else answers',
    before: ({ bao }) => bao.fault({ kind: 'html' }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault does not give a usable answer',
  },
  {
    title: 'while it breaks connections',
    before: ({ bao }) => bao.fault({ kind: 'drop' }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault cannot be reached',
  },
  {
    title: 'when nobody is there',
    options: () => ({ url: 'https://127.0.0.1:1' }),
    reads: 'secret/atlas/lab#token',
    gets: 'the vault cannot be reached',
  },
]

for (const { title, reads, gets, before, options } of readings)
  test(`vault://: ${title} (claims: C33)`, async (t) => {
    const w = await world(t)
    w.bao.kv.put('atlas/lab', { token: 'the first token' })
    w.bao.kv.put('atlas/lab', { token: value, port: 443, empty: '', long: 'x'.repeat(16_385) })
    w.bao.kv.put('exact', { token: value })
    await before?.(w)
    assert.equal(await w.open(options?.(w)).read(reads), gets)
  })

test('vault://: a certificate of another authority is not trusted, and no token is sent', async (t) => {
  const w = await world(t)
  const other = await startOpenBao()
  t.after(other.stop)
  const { read } = w.open({ url: other.url })
  assert.equal(await read('secret/atlas/lab#token'), 'the vault has a certificate that is not trusted')
  assert.deepEqual(other.requests, [])
})

test('vault://: a value that was changed there is seen after a minute, with its age (claims: A36)', async (t) => {
  const { bao, clock, open } = await world(t)
  const { read, references } = open()
  bao.kv.put('atlas/lab', { token: 'one' })
  const first = clock.now().toISOString()
  assert.equal(await read('secret/atlas/lab#token'), 'one')
  clock.forward(10 * minute)
  bao.kv.put('atlas/lab', { token: 'two' })
  assert.equal(await read('secret/atlas/lab#token'), 'two')
  const { changedAt } = await references.read('vault://secret/atlas/lab#token')
  assert.deepEqual([changedAt], [clock.now().toISOString()])
  assert.equal((await references.read('vault://secret/atlas/lab?version=1#token')).changedAt, first)
})

test('vault://: the token is renewed before it ends, as long as that is possible (claims: C33)', async (t) => {
  const { bao, clock, rules, open, asked } = await world(t)
  bao.kv.put('atlas/lab', { token: value })
  const token = bao.tokens.make({ rules, ttlMs: 30 * minute, maxTtlMs: 70 * minute })
  const { references, read } = open({ token })
  await references.tend()
  assert.deepEqual(asked(), ['GET auth/token/lookup-self', 'PUT auth/token/renew-self'])
  clock.forward(20 * minute - 1)
  await references.tend()
  assert.deepEqual(asked(), [])
  clock.forward(1)
  await references.tend()
  assert.deepEqual(asked(), ['PUT auth/token/renew-self'])
  // Twice its first time, and it still reads.
  clock.forward(20 * minute)
  await references.tend()
  assert.equal(await read('secret/atlas/lab#token'), value)
  clock.forward(31 * minute)
  await assert.rejects(references.tend(), /refuses it/)
  assert.equal(await read('secret/atlas/lab#token'), refused)
})

test('vault://: another token in its place is used at once and kept alive like the first', async (t) => {
  const { bao, clock, rules, open, asked } = await world(t)
  bao.kv.put('atlas/lab', { token: value })
  let token = bao.rootToken
  const { references, read } = open({ token: () => new Secret(token) })
  await references.tend()
  bao.tokens.revoke(token)
  assert.equal(await read('secret/atlas/lab#token'), refused)
  token = bao.tokens.make({ rules, ttlMs: 30 * minute })
  assert.equal(await read('secret/atlas/lab#token'), value)
  asked()
  await references.tend()
  clock.forward(20 * minute)
  await references.tend()
  const [look, renew] = ['GET auth/token/lookup-self', 'PUT auth/token/renew-self']
  assert.deepEqual(asked(), [look, renew, renew])
})

test('vault://: a token that ends or cannot be renewed is not asked for again and again', async (t) => {
  const { bao, clock, rules, open, asked } = await world(t)
  for (const token of [bao.rootToken, bao.tokens.make({ rules, ttlMs: 60 * minute, renewable: false })]) {
    const { references } = open({ token })
    await references.tend()
    clock.forward(30 * minute)
    await references.tend()
    assert.deepEqual(asked(), ['GET auth/token/lookup-self'])
  }
})

const password = 'database/creds/atlas#password'
const username = 'database/creds/atlas#username'
const creds = 'GET database/creds/atlas'

/** Without what is asked for the sake of the token. */
const ofLeases = (all: readonly string[]) => all.filter((one) => !one.includes('auth/token'))

test('vault://: user name and password are of one lease, which is renewed while it is used (claims: C33)', async (t) => {
  const { bao, clock, open, asked } = await world(t)
  bao.database.rules.ttlMs = 30 * minute
  const { references, read } = open()
  const both = () => Promise.all([read(username), read(password)])
  const [user, secret] = await both()
  assert.ok(bao.database.accepts(user, secret))
  assert.deepEqual(asked(), [creds])
  for (let i = 0; i < 6; i++) {
    clock.forward(10 * minute)
    await references.tend()
    assert.deepEqual(await both(), [user, secret])
  }
  assert.ok(bao.database.accepts(user, secret), 'an hour later')
  assert.deepEqual(ofLeases(asked()), Array(3).fill('PUT sys/leases/renew'))
  assert.equal(bao.leases.standing().length, 1)
})

test('vault://: when a lease can live no longer, the next one is used in time', async (t) => {
  const { bao, clock, open, asked } = await world(t)
  Object.assign(bao.database.rules, { ttlMs: 10 * minute, maxTtlMs: 12 * minute })
  const { references, read } = open()
  const [user, secret] = [await read(username), await read(password)]
  clock.forward(7 * minute)
  await references.tend()
  clock.forward(5 * minute - 30_000 - 1)
  assert.equal(await read(password), secret)
  clock.forward(1)
  const next = [await read(username), await read(password)] as const
  assert.notEqual(next[1], secret)
  assert.ok(bao.database.accepts(...next))
  // A request that is under way with the one before may end well.
  assert.ok(bao.database.accepts(user, secret))
  assert.deepEqual(ofLeases(asked()), [creds, 'PUT sys/leases/renew', creds])
})

test('vault://: a lease that was revoked there is replaced when the system refuses it', async (t) => {
  const { bao, clock, open } = await world(t)
  const { references, read } = open()
  const [user, secret] = [await read(username), await read(password)]
  for (const id of bao.leases.standing()) bao.leases.revoke(id)
  clock.forward(10_000)
  assert.equal(await references.hasChanged(`vault://${password}`, new Secret(secret)), true)
  assert.ok(!bao.database.accepts(user, secret))
  assert.ok(bao.database.accepts(await read(username), await read(password)))
})

test('vault://: a lease that still stands is not given up when a system refuses something', async (t) => {
  const { bao, clock, open, asked } = await world(t)
  const { references, read } = open()
  const secret = await read(password)
  clock.forward(10_000)
  assert.equal(await references.hasChanged(`vault://${password}`, new Secret(secret)), false)
  assert.deepEqual([await read(password), bao.leases.standing().length], [secret, 1])
  assert.deepEqual(ofLeases(asked()), [creds, 'PUT sys/leases/lookup'])
})

test('vault://: a lease that cannot be renewed is not', async (t) => {
  const { bao, clock, open, asked } = await world(t)
  Object.assign(bao.database.rules, { ttlMs: 10 * minute, renewable: false })
  const { references, read } = open()
  await read(password)
  clock.forward(8 * minute)
  await references.tend()
  assert.deepEqual(ofLeases(asked()), [creds])
})

test('vault://: a lease that nobody uses is given back, and all are at the end (claims: C33)', async (t) => {
  const { bao, clock, open, asked } = await world(t)
  const { references, read } = open()
  await read(password)
  clock.forward(idleMs - 1)
  await references.tend()
  assert.equal(bao.leases.standing().length, 1)
  clock.forward(1)
  await references.tend()
  assert.deepEqual([bao.leases.standing(), ofLeases(asked())], [[], [creds, 'PUT sys/leases/revoke']])
  await read(password)
  assert.equal(bao.leases.standing().length, 1)
  await references.close()
  assert.deepEqual(bao.leases.standing(), [])
})

test('vault://: a vault that is away for a while costs no lease, and comes back', async (t) => {
  const { bao, clock, open } = await world(t)
  bao.database.rules.ttlMs = 30 * minute
  const { references, read } = open()
  const secret = await read(password)
  clock.forward(20 * minute)
  await read(password)
  bao.seal()
  await assert.rejects(references.tend(), /sealed/)
  clock.forward(keepMs)
  assert.equal(await read(password), secret, 'a lease that is held is used to its end')
  bao.unseal()
  await references.tend()
  clock.forward(20 * minute)
  assert.equal(await read(password), secret)
})
