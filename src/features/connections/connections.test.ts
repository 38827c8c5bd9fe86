import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { z } from 'zod'
import { makeCa } from '../../../simulators/lib/ca.ts'
import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { freshSqlite, testOnEach } from '../../testing/databases.ts'
import { credentialOf, makeToyRoom, startToy, toyCa, toyMigrations, toyToken } from '../../testing/toy-system.ts'

const good = { connector: 'toy', name: 'Toy 1', config: { url: 'https://toy.example.org' } }

/** The faults of a refused input, or the problem's type. */
async function refusal(run: Promise<unknown>): Promise<unknown> {
  try {
    await run
    return 'done'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return error.faults?.map(({ field, rule }) => `${field}: ${rule}`) ?? [error.type, error.detail]
  }
}

type Change = { config?: object; credential?: Record<string, string>; [field: string]: unknown }
const refused: readonly { readonly title: string; readonly change: Change; readonly gets: unknown }[] = [
  { title: 'an unknown connector', change: { connector: 'tay' }, gets: ['/connector: must be one of toy'] },
  {
    title: 'no url',
    change: { config: {} },
    gets: ['/config/url: Invalid input: expected string, received undefined'],
  },
  {
    title: 'plain http',
    change: { config: { url: 'http://toy.example.org' } },
    gets: ['/config/url: must start with https://'],
  },
  {
    title: 'a metadata address',
    change: { config: { url: 'https://169.254.169.254' } },
    gets: ['/config/url: must not be a loopback, link-local, metadata, multicast or unspecified address'],
  },
  {
    title: 'a password in the url',
    change: { config: { url: 'https://a:planted@toy.example.org' } },
    gets: ['/config/url: must not hold a user name or password'],
  },
  {
    title: 'an unknown setting',
    change: { config: { ...good.config, colour: 'red' } },
    gets: ['/config: Unrecognized key: "colour"'],
  },
  {
    title: 'a setting that is too short',
    change: { config: { ...good.config, site: 'x' } },
    gets: ['/config/site: Too small: expected string to have >=2 characters'],
  },
  {
    title: 'no credential',
    change: { credential: {} },
    gets: ['/credential/token: Invalid input: expected string, received undefined'],
  },
  {
    title: 'a credential that breaks its rule',
    change: { credential: { token: 'short' } },
    gets: ['/credential/token: Too small: expected string to have >=8 characters'],
  },
  {
    title: 'an unknown credential field',
    change: { credential: { token: toyToken, password: 'planted-word' } },
    gets: ['/credential: Unrecognized key: "password"'],
  },
  ...['often', '* * * * * *', '61 * * * *', '0 0 30 2 *', ''].map((schedule) => ({
    title: `the schedule "${schedule}"`,
    change: { schedule },
    gets: ['/schedule: must be five cron fields (minute hour day month weekday, UTC), or null for never'],
  })),
  {
    title: 'a private key for a certificate',
    change: { caCertificate: makeCa().issue({ commonName: 'x' }).keyPem },
    gets: ['/caCertificate: must be certificates in PEM form, and nothing else'],
  },
  {
    title: 'a private key behind a certificate',
    change: { caCertificate: toyCa + makeCa().issue({ commonName: 'x' }).keyPem },
    gets: ['/caCertificate: must be certificates in PEM form, and nothing else'],
  },
  {
    title: 'a damaged certificate',
    change: { caCertificate: toyCa.replace(/M[A-Za-z]{2}/, 'AAA') },
    gets: ['/caCertificate: holds a certificate that cannot be read'],
  },
  {
    title: 'several faults at once',
    change: { config: { url: 'ftp://x' }, credential: { token: 'x' }, schedule: 'x' },
    gets: [
      '/config/url: must start with https://',
      '/credential/token: Too small: expected string to have >=8 characters',
      '/schedule: must be five cron fields (minute hour day month weekday, UTC), or null for never',
    ],
  },
]

test('a connection with a fault is refused, the field and the rule are named, and no secret is left behind (claims: D25)', async (t) => {
  const { connections, vault } = await makeToyRoom(t, await freshSqlite(t, toyMigrations), { allowLoopback: false })
  for (const { title, change, gets } of refused) {
    const credential = credentialOf(connections, change.credential ?? { token: toyToken })
    assert.deepEqual(await refusal(connections.add({ ...good, ...change, credential } as never)), gets, title)
  }
  assert.deepEqual((await vault.list({ limit: 10 })).items, [])
  assert.deepEqual(await connections.list(), [])
})

testOnEach(
  'a connection is added, shown without its credential, found by id and name',
  toyMigrations,
  async (database, t) => {
    const { connections, vault, clock } = await makeToyRoom(t, database)
    const at = clock.now().toISOString()
    const added = await connections.add({
      ...good,
      credential: credentialOf(connections, { token: toyToken }),
      caCertificate: toyCa,
    })

    assert.deepEqual(added, {
      id: added.id,
      connector: 'toy',
      name: 'Toy 1',
      config: good.config,
      credential: ['token'],
      hasCaCertificate: true,
      certificatePin: null,
      schedule: '*/15 * * * *',
      allowWrites: false,
      state: 'new',
      problem: null,
      lastCheck: null,
      lastSyncedAt: null,
      certificate: null,
      tlsFailure: null,
      activeSync: null,
      createdAt: at,
      updatedAt: at,
    })
    assert.deepEqual(await connections.list(), [added])
    assert.deepEqual(await Promise.all([added.id, 'Toy 1', 'TOY 1'].map(connections.resolve)), Array(3).fill(added.id))
    assert.deepEqual(await refusal(connections.resolve('toy')), ['not-found', 'There is no such connection'])
    const { items } = await vault.list({ limit: 10 })
    assert.deepEqual(
      items.map(({ name, owner, version }) => [name, owner, version]),
      [['token', added.id, 1]],
    )
  },
)

testOnEach(
  'a name is used once, in any letter case, also when two are added at the same time',
  toyMigrations,
  async (database, t) => {
    const { connections, vault } = await makeToyRoom(t, database)
    const add = (name: string) =>
      refusal(connections.add({ ...good, name, credential: credentialOf(connections, { token: toyToken }) }))
    const taken = ['conflict', 'Another connection has this name']

    const results = await Promise.all(['Same', 'same', 'SAME'].map(add))
    assert.deepEqual(results.filter((result) => result === 'done').length, 1)
    assert.deepEqual(
      results.filter((result) => result !== 'done'),
      [taken, taken],
    )
    assert.equal((await vault.list({ limit: 10 })).items.length, 1)
    assert.equal(await add('Other'), 'done')
    assert.deepEqual(await refusal(connections.edit('Other', { name: 'sAmE' })), taken)
  },
)

testOnEach(
  'an edit keeps what it does not name, and a new credential value is a new version',
  toyMigrations,
  async (database, t) => {
    const { connections, vault, clock } = await makeToyRoom(t, database)
    const credential = credentialOf(connections, { token: toyToken })
    const added = await connections.add({ ...good, config: { ...good.config, site: 'ams1' }, credential })
    clock.forward(1000)

    const edited = await connections.edit('Toy 1', {
      name: 'Toy 2',
      config: { site: 'ber1' },
      credential: credentialOf(connections, { token: 'another-token', second: 'second-value' }),
      schedule: null,
    })
    assert.deepEqual(edited, {
      ...added,
      name: 'Toy 2',
      config: { ...good.config, site: 'ber1' },
      credential: ['second', 'token'],
      schedule: null,
      updatedAt: clock.now().toISOString(),
    })
    const { items } = await vault.list({ limit: 10 })
    assert.deepEqual(items.map(({ kind, version }) => `${kind} ${version}`).sort(), ['second 1', 'token 2'])
    assert.deepEqual(await refusal(connections.edit('Toy 2', { config: { url: 'https://127.0.0.1/%2e%2e/' } })), [
      '/credential/token: must be given again when the url, the CA certificate or the pin changes',
      '/credential/second: must be given again when the url, the CA certificate or the pin changes',
    ])
  },
)

test('a stored credential never goes to a new origin: whoever moves the url gives the credential again', async (t) => {
  const first = await startToy(t)
  const second = await startToy(t)
  second.token = 'token-of-the-second'
  const { connections, vault } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  const credential = credentialOf(connections, { token: toyToken })
  await connections.add({ ...good, config: { url: first.url }, credential, caCertificate: toyCa })

  assert.deepEqual(await refusal(connections.edit('Toy 1', { config: { url: second.url } })), [
    '/credential/token: must be given again when the url, the CA certificate or the pin changes',
  ])
  await connections.edit('Toy 1', {
    config: { url: second.url },
    credential: credentialOf(connections, { token: second.token }),
  })
  assert.equal((await connections.check('Toy 1')).ok, true)
  const { items } = await vault.list({ limit: 10 })
  assert.deepEqual(
    items.map(({ version }) => version),
    [1],
  )
})

test('two edits at the same time do not lose one another', async (t) => {
  const { connections } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  await connections.add({ ...good, credential: credentialOf(connections, { token: toyToken }) })

  const results = await Promise.all(
    ['ams1', 'ber1'].map((site) => refusal(connections.edit('Toy 1', { config: { site } }))),
  )
  assert.deepEqual(results.sort(), [['conflict', 'The connection was changed by somebody else meanwhile'], 'done'])
})

testOnEach('removing a connection destroys its secrets and forgets its assets', toyMigrations, async (database, t) => {
  const system = await startToy(t)
  system.items = [{ id: 1, name: 'one' }]
  const { connections, vault, inventory } = await makeToyRoom(t, database)
  const credential = credentialOf(connections, { token: toyToken })
  const { id } = await connections.add({ ...good, config: { url: system.url }, credential, caCertificate: toyCa })
  const run = await connections.syncs.start(id, 'auto')
  await connections.syncs.run(run.id, new AbortController().signal)
  assert.equal(inventory.seen.size, 1)

  await connections.remove('Toy 1')
  assert.deepEqual(await connections.list(), [])
  assert.equal(inventory.seen.size, 0)
  assert.deepEqual((await vault.list({ limit: 10 })).items, [])
  assert.deepEqual(await refusal(connections.syncs.get(run.id)), ['not-found', 'There is no such sync run'])
})

test('a check says version, account and warnings, and stays on the connection', async (t) => {
  const system = await startToy(t)
  const { connections, clock } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  const credential = credentialOf(connections, { token: toyToken })
  await connections.add({ ...good, config: { url: system.url }, credential, caCertificate: toyCa })
  const at = clock.now().toISOString()

  const outcome = { at, ok: true, version: '1.2', account: 'atlas', warnings: ['The token may write'] }
  assert.deepEqual(await connections.check('Toy 1'), outcome)
  const { state, lastCheck } = await connections.get('Toy 1')
  assert.deepEqual([state, lastCheck], ['ok', outcome])

  system.token = 'rotated-elsewhere'
  const problem = {
    type: 'upstream-denied',
    title: 'The connected system refused the credential or lacks a permission',
    detail: 'The connected system answered 403: Invalid token',
  }
  assert.deepEqual(await connections.check('Toy 1'), { at, ok: false, warnings: [], problem })
  const failing = await connections.get('Toy 1')
  assert.deepEqual([failing.state, failing.problem], ['failing', problem])

  await connections.edit('Toy 1', { credential: credentialOf(connections, { token: 'rotated-elsewhere' }) })
  assert.equal((await connections.check('Toy 1')).ok, true)
})

test('what was decided on for a connection as it was does not open it as it is now', async (t) => {
  const { connections } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  const credential = credentialOf(connections, { token: toyToken })
  const { id } = await connections.add({ ...good, credential })
  const before = await connections.resolveNow('Toy 1')
  const open = () => refusal(connections.open(id, {}, before.revision))

  assert.deepEqual([before.id, await open()], [id, 'done'])
  await connections.edit(id, { allowWrites: true })
  assert.deepEqual(await open(), ['conflict', 'The connection was edited meanwhile'])
})

test('an open connection uses a rotated credential at once and a removed one no longer', async (t) => {
  const system = await startToy(t)
  const { connections, vault } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  const credential = credentialOf(connections, { token: 'not-the-right-one' })
  await connections.add({ ...good, config: { url: system.url }, credential, caCertificate: toyCa })
  const opened = await connections.open('Toy 1')
  const http = opened.http as Http
  const ask = () => refusal(http.get('/status', z.object({ version: z.string() })))

  assert.deepEqual(await ask(), ['upstream-denied', 'The connected system answered 403: Invalid token'])
  const [secret] = (await vault.list({ limit: 1 })).items
  await vault.addVersion(secret?.id ?? '', credentialOf(connections, { token: toyToken })['token']!)
  assert.equal(await ask(), 'done')
  await connections.remove('Toy 1')
  assert.notEqual(await ask(), 'done')
})

test('an edited connection is not opened with what was built before the edit', async (t) => {
  const system = await startToy(t)
  const { connections } = await makeToyRoom(t, await freshSqlite(t, toyMigrations))
  const credential = credentialOf(connections, { token: toyToken })
  await connections.add({ ...good, config: { url: system.url }, credential, caCertificate: toyCa })
  const ask = async () => {
    const { http } = (await connections.open('Toy 1')) as { http: Http }
    return refusal(http.get('/status', z.object({ version: z.string() })))
  }
  assert.equal(await ask(), 'done')

  const caCertificate = makeCa().caPem
  // Who vouches for the address decides who can pose as it, so a stored credential does not survive another authority.
  assert.deepEqual(await refusal(connections.edit('Toy 1', { caCertificate })), [
    '/credential/token: must be given again when the url, the CA certificate or the pin changes',
  ])
  assert.equal(await ask(), 'done')
  await connections.edit('Toy 1', { caCertificate, credential: credentialOf(connections, { token: toyToken }) })
  assert.deepEqual(await ask(), [
    'upstream-untrusted',
    'The certificate was issued by an authority that this connection does not trust',
  ])
})

test('neither the view, the rows nor a fault hold the credential', async (t) => {
  const database = await freshSqlite(t, toyMigrations)
  const { connections } = await makeToyRoom(t, database)
  const credential = credentialOf(connections, { token: toyToken })
  const added = await connections.add({ ...good, credential })
  const { rows } = await sql`select * from connection`.execute(database.db)
  const fault = await connections
    .edit('Toy 1', { credential: credentialOf(connections, { token: 'planted' }) })
    .catch((error: unknown) => error)

  assert.doesNotMatch(JSON.stringify([added, rows, credential, fault, String(fault)]), /toy-token|planted/)
})
