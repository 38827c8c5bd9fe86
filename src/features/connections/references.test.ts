import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import { type Connector, defineConnector, type Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { testOnEach } from '../../testing/databases.ts'
import { credentialOf, makeToyRoom, startToy, toy, toyCa, toyMigrations, toyToken } from '../../testing/toy-system.ts'
import type { ReferenceOf } from '../vault/references/reference.ts'
import { type Source, toValue, Unreadable } from '../vault/references/source.ts'

// A connection whose credential is kept elsewhere, against a real https system.

const next = 'the-next-token-0123456789'
const reference = 'vault://secret/atlas/toy#token'

async function world(t: TestContext, database: Database, connectors: readonly Connector[] = [toy]) {
  const place = { fields: { token: toyToken } as Record<string, unknown>, fails: false, fetched: 0 }
  const vault: Source<ReferenceOf<'vault'>> = {
    refusal: ({ path }) => (path.startsWith('secret/atlas/') ? undefined : 'the path is not allowed'),
    documentOf: ({ path }) => path,
    async fetch() {
      place.fetched++
      if (place.fails) throw new Unreadable('the vault cannot be reached')
      const fields = { ...place.fields }
      return { valueOf: (wanted) => toValue(wanted.scheme === 'vault' ? fields[wanted.field] : undefined) }
    },
  }
  const system = await startToy(t)
  const room = await makeToyRoom(t, database, { sources: { vault }, connectors })
  const add = (name: string, credential: Record<string, unknown>) =>
    room.connections.add({
      connector: 'toy',
      name,
      config: { url: system.url },
      credential: Object.fromEntries(
        Object.entries(credential).map(([field, given]) => [field, room.connections.credentialValue.parse(given)]),
      ),
      caCertificate: toyCa,
      schedule: null,
    })
  const status = async (name: string) => {
    try {
      const { http } = await room.connections.open(name)
      return (await (http as Http).get('/status', z.object({ version: z.string() }))).version
    } catch (error) {
      assert.ok(error instanceof Problem, String(error))
      return `${error.type}: ${error.detail}`
    }
  }
  return { ...room, system, place, add, status }
}

async function faultsOf(run: Promise<unknown>): Promise<string[]> {
  try {
    await run
    return []
  } catch (error) {
    assert.ok(error instanceof Problem && error.type === 'invalid-input', String(error))
    return error.faults?.map(({ field, rule }) => `${field}: ${rule}`) ?? []
  }
}

testOnEach(
  'a connection signs in with a value that is kept elsewhere, and with the next one when the system refuses it (claims: C33 A36)',
  toyMigrations,
  async (database, t) => {
    const { add, status, system, place, clock, vault } = await world(t, database)
    const { id, credential } = await add('Toy', { token: { reference } })
    assert.deepEqual(credential, ['token'])
    assert.equal(await status('Toy'), '1.2')
    const [secret] = (await vault.list({ limit: 9, owner: id })).items
    assert.deepEqual([secret?.source, (await vault.get(secret?.id ?? '')).reference], ['vault', reference])

    // Changed in both places within the minute that a value is kept.
    ;[system.token, place.fields['token']] = [next, next]
    clock.forward(10_000)
    const before = [system.requests, place.fetched]
    assert.equal(await status('Toy'), '1.2')
    assert.deepEqual(
      [system.requests, place.fetched].map((now, i) => now - (before[i] ?? 0)),
      [2, 1],
    )
  },
)

testOnEach(
  'a refusal that no other value can help is asked for once, and tells where to look',
  toyMigrations,
  async (database, t) => {
    const { add, status, system, place, clock } = await world(t, database)
    await add('Toy', { token: { reference } })
    system.token = next
    clock.forward(10_000)
    const before = [system.requests, place.fetched]
    const refused = 'upstream-denied: The connected system answered 403: Invalid token'
    assert.equal(await status('Toy'), refused)
    assert.equal(await status('Toy'), refused)
    // The second refusal came too soon to ask the vault again.
    assert.deepEqual(
      [system.requests, place.fetched].map((now, i) => now - (before[i] ?? 0)),
      [2, 1],
    )
  },
)

testOnEach(
  'a value that cannot be read fails this connection alone, which says why (claims: C33 D25)',
  toyMigrations,
  async (database, t) => {
    const { add, status, system, place, clock, connections } = await world(t, database)
    await add('Toy', { token: { reference } })
    await add('Stored', { token: toyToken })
    clock.forward(60_000)
    place.fails = true
    const before = system.requests
    const problem = `${reference}: the vault cannot be reached`
    for (let i = 0; i < 8; i++) assert.equal(await status('Toy'), `secret-unavailable: ${problem}`)
    assert.equal(system.requests, before, 'nothing was sent')
    assert.equal(await status('Stored'), '1.2')
    const { ok, problem: shown } = await connections.check('Toy')
    assert.deepEqual([ok, shown?.type, shown?.detail], [false, 'secret-unavailable', problem])
    assert.equal((await connections.get('Toy')).state, 'failing')
    // Its circuit breaker counted nothing: the system itself was never asked.
    place.fails = false
    assert.equal(await status('Toy'), '1.2')
  },
)

testOnEach(
  'a wrong reference, or a value there that the connector does not take, is refused at once and by name (claims: D25)',
  toyMigrations,
  async (database, t) => {
    const { add, place, clock, connections } = await world(t, database)
    const elsewhere = 'vault://secret/other#token'
    const faults = (credential: Record<string, unknown>) => faultsOf(add('Toy', credential))
    assert.deepEqual(await faults({ token: { reference: elsewhere } }), [
      `/credential/token: ${elsewhere}: the path is not allowed`,
    ])
    const none = 'vault://secret/atlas/toy#none'
    assert.deepEqual(await faults({ token: { reference: none }, second: 'short' }), [
      `/credential/token: ${none}: what is there is not text`,
      '/credential/second: Too small: expected string to have >=8 characters',
    ])
    place.fields['token'] = 'short'
    clock.forward(5_000)
    assert.deepEqual(await faults({ token: { reference } }), [
      '/credential/token: Too small: expected string to have >=8 characters',
    ])
    const fetched = place.fetched
    assert.match((await faults({ colour: { reference } })).join(), /colour: is no credential field/)
    assert.equal(place.fetched, fetched, 'what the system does not have is not read')
    assert.deepEqual(await connections.list(), [])
    const says = (given: unknown) =>
      connections.credentialValue.safeParse(given).error?.issues.map(({ message }) => message)
    assert.deepEqual(says({ reference: 'vault://x' }), [
      'must look like vault://mount/path#field or vault://mount/path?version=3#field',
    ])
    assert.deepEqual(says({ reference, value: 'x' }), ['Unrecognized key: "value"'])
    for (const given of [5, '', {}, null, { reference: 5 }])
      assert.deepEqual(says(given), ['must be a text of 1 to 16384 characters, or { reference }'])
  },
)

testOnEach(
  'a reference can be staged, checked and promoted, and an edit to another place needs it again (claims: A36)',
  toyMigrations,
  async (database, t) => {
    const { add, status, connections } = await world(t, database)
    await add('Toy', { token: 'a-token-that-is-wrong' })
    const given = { token: connections.credentialValue.parse({ reference }) }
    assert.deepEqual(await connections.nextCredential.stage('Toy', given), ['token'])
    assert.equal((await connections.nextCredential.promote('Toy')).ok, true)
    assert.equal(await status('Toy'), '1.2')
    const moved = { caCertificate: null }
    assert.deepEqual(await faultsOf(connections.edit('Toy', moved)), [
      '/credential/token: must be given again when the url, the CA certificate or the pin changes',
    ])
    await connections.edit('Toy', { ...moved, credential: given })
    await connections.edit('Toy', { credential: credentialOf(connections, { token: toyToken }) })
  },
)

testOnEach('a field that the system renews at each sign-in takes no reference', toyMigrations, async (database, t) => {
  const { add } = await world(t, database, [defineConnector({ ...toy, renews: ['token'] })])
  assert.deepEqual(await faultsOf(add('Toy', { token: { reference } })), [
    '/credential/token: must be the value itself: the system gives out another at each sign-in, which is stored here',
  ])
})

testOnEach(
  'a sign-in that is refused is tried once more with the value that is there by now (claims: A36)',
  toyMigrations,
  async (database, t) => {
    const signingIn = defineConnector({
      ...toy,
      async signIn({ credential, http }) {
        const headers = { authorization: `Bearer ${credential.token.reveal()}` }
        await http.exchange({ method: 'GET', path: '/status', headers }, z.unknown())
        return { values: { token: credential.token } }
      },
      authenticate: (_, _request, session) => ({ authorization: `Bearer ${session?.values['token']?.reveal()}` }),
    })
    const { add, status, system, place, clock } = await world(t, database, [signingIn])
    await add('Toy', { token: { reference } })
    ;[system.token, place.fields['token']] = [next, next]
    clock.forward(10_000)
    assert.equal(await status('Toy'), '1.2')
    // Two sign-ins and the request itself.
    assert.deepEqual([system.requests, place.fetched], [3, 2])
    system.token = 'another-token-0123456789'
    clock.forward(10_000)
    assert.equal(await status('Toy'), 'upstream-denied: The connected system answered 403: Invalid token')
  },
)
