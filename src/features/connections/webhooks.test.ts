import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { Connector } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { testOnEach } from '../../testing/databases.ts'
import { credentialOf, makeToyRoom, toy, toyMigrations, toyToken } from '../../testing/toy-system.ts'
import type { ConnectionsParts } from './parts.ts'
import type { Delivery } from './webhooks.ts'

const first = 'the-first-secret-0123456789'
const second = 'the-second-secret-0123456789'
const third = 'the-third-secret-0123456789'

async function room(t: TestContext, database: Database, parts: Partial<ConnectionsParts> = {}) {
  const made = await makeToyRoom(t, database, parts)
  const { id } = await made.connections.add({
    connector: 'toy',
    name: 'Toy',
    config: { url: 'https://toy.example.org' },
    credential: credentialOf(made.connections, { token: toyToken }),
    schedule: null,
  })
  const accepted: string[] = []
  const { webhooks, syncs } = made.connections
  const receive = async (delivery: Delivery, connection = id): Promise<string> => {
    const before = accepted.length
    try {
      await webhooks.receive(connection, delivery, async (named) => void accepted.push(named))
      return accepted.length > before ? 'taken' : 'known'
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return error.type
    }
  }
  /** As `receive`, and the run that follows has begun. */
  const served = async (delivery: Delivery): Promise<string> => {
    const answer = await receive(delivery)
    await syncs.start(id, 'auto')
    await syncs.cancelActive(id)
    return answer
  }
  return { ...made, id, webhooks, syncs, receive, served, accepted, due: () => syncs.due() }
}

function signed(text: string, secret: string, more: Record<string, string> = {}): Delivery {
  const mac = createHmac('sha256', secret).update(text).digest('hex')
  return { headers: { 'x-toy-signature': `sha256=${mac}`, ...more }, body: Buffer.from(text) }
}

testOnEach('a signed delivery makes its connection due, once', toyMigrations, async (database, t) => {
  const { id, webhooks, receive, due, accepted } = await room(t, database)
  await webhooks.enable(id, new Secret(first))
  assert.deepEqual(await due(), [])

  assert.equal(await receive(signed('{"a":1}', first)), 'taken')

  assert.deepEqual([await due(), accepted], [[id], [id]])
})

testOnEach('a delivery that is not signed right is denied, and nothing follows', toyMigrations, async (database, t) => {
  const { id, webhooks, receive, due, accepted } = await room(t, database)
  const good = signed('{"a":1}', first)
  assert.equal(await receive(good), 'denied', 'no secret is set')
  await webhooks.enable(id, new Secret(first))
  const mac = String(good.headers['x-toy-signature'])
  const cases: [string, Delivery, string?][] = [
    ['another secret', signed('{"a":1}', second)],
    ['another body', { ...good, body: Buffer.from('{"a":2}') }],
    ['one more byte', { ...good, body: Buffer.from('{"a":1} ') }],
    ['no header', { ...good, headers: {} }],
    ['an empty header', { ...good, headers: { 'x-toy-signature': '' } }],
    ['no prefix', { ...good, headers: { 'x-toy-signature': mac.slice(7) } }],
    ['the prefix alone', { ...good, headers: { 'x-toy-signature': 'sha256=' } }],
    ['half a MAC', { ...good, headers: { 'x-toy-signature': mac.slice(0, 40) } }],
    ['the secret itself', { ...good, headers: { 'x-toy-signature': `sha256=${first}` } }],
    ['the header twice', { ...good, headers: { 'x-toy-signature': [mac, mac] } }],
    ['no such connection', good, 'con_00000000000000000000000000'],
  ]
  for (const [name, delivery, connection] of cases) assert.equal(await receive(delivery, connection), 'denied', name)

  assert.deepEqual([await due(), accepted], [[], []])
})

testOnEach(
  'a delivery that came before has no effect, whatever its unsigned headers say',
  toyMigrations,
  async (database, t) => {
    const { id, webhooks, served, clock } = await room(t, database)
    await webhooks.enable(id, new Secret(first))
    const named = (text: string, delivery: string) => signed(text, first, { 'x-toy-delivery': delivery })

    const answers: string[] = []
    for (const delivery of [named('{"a":1}', 'd-1'), named('{"a":1}', 'd-2'), named('{"a":2}', 'd-1')])
      answers.push(await served(delivery))
    assert.deepEqual(answers, ['taken', 'known', 'taken'])

    clock.forward(8 * 86_400_000)
    assert.equal(await served(signed('{"a":1}', first)), 'taken', 'old ones are forgotten')
  },
)

testOnEach(
  'a system that sends without end fills neither the log nor the table, nor keeps it being read',
  toyMigrations,
  async (database, t) => {
    const { id, webhooks, syncs, receive, accepted, due, clock } = await room(t, database)
    await webhooks.enable(id, new Secret(first))
    for (let n = 0; n < 50; n++) await receive(signed(`{"n":${n}}`, first))
    const rows = await database.db
      .withTables<{ webhook_delivery: { delivery: string } }>()
      .selectFrom('webhook_delivery')
      .selectAll()
      .execute()
    assert.deepEqual([accepted.length, rows.length, await due()], [1, 1, [id]])

    await syncs.start(id, 'auto')
    await syncs.cancelActive(id)
    clock.forward(9_000)
    assert.equal(await receive(signed('{"n":50}', first)), 'taken')
    assert.deepEqual(await due(), [], 'read a moment ago')
    clock.forward(1_000)
    assert.deepEqual(await due(), [id])
  },
)

testOnEach(
  'a secret that somebody destroyed in the vault proves nothing, and the other one still does',
  toyMigrations,
  async (database, t) => {
    const { id, webhooks, vault, receive, clock } = await room(t, database)
    await webhooks.enable(id, new Secret(first))
    clock.forward(1000)
    await webhooks.enable(id, new Secret(second))
    const { items } = await vault.list({ limit: 10 })
    const hooks = items.filter(({ name }) => name.startsWith('hook_')).sort((a, b) => (a.id < b.id ? -1 : 1))
    await vault.destroy(hooks[1]?.id ?? '')

    assert.equal(await receive(signed('{"a":1}', second)), 'denied')
    assert.equal(await receive(signed('{"a":2}', first)), 'taken')
  },
)

testOnEach('two secrets are accepted while the sender is changed over', toyMigrations, async (database, t) => {
  const { id, webhooks, served, clock } = await room(t, database)
  const answers = async (text: string) => {
    const all: string[] = []
    for (const secret of [first, second, third]) all.push(await served(signed(`${text} ${secret}`, secret)))
    return all.join(' ')
  }
  const enable = async (secret: string) => {
    clock.forward(1000)
    return (await webhooks.enable(id, new Secret(secret))).secrets
  }

  assert.deepEqual([await enable(first), await answers('1')], [1, 'taken denied denied'])
  assert.deepEqual([await enable(second), await answers('2')], [2, 'taken taken denied'])
  assert.deepEqual([await enable(third), await answers('3')], [2, 'denied taken taken'])
  assert.deepEqual([(await webhooks.retire(id, 'older')).secrets, await answers('4')], [1, 'denied denied taken'])
  assert.deepEqual([(await webhooks.retire(id, 'all')).secrets, await answers('5')], [0, 'denied denied denied'])
})

testOnEach(
  'a delivery that could not be recorded is taken when it is sent again',
  toyMigrations,
  async (database, t) => {
    const { id, webhooks, receive, due } = await room(t, database)
    await webhooks.enable(id, new Secret(first))
    const delivery = signed('{"a":1}', first)
    const down = webhooks.receive(id, delivery, async () => {
      throw new Problem('audit-unavailable')
    })

    await assert.rejects(down, { type: 'audit-unavailable' })
    assert.deepEqual(await due(), [], 'nothing follows from what is not in the log')
    assert.deepEqual([await receive(delivery), await due()], ['taken', [id]])
  },
)

testOnEach('more than 600 deliveries a minute are refused', toyMigrations, async (database, t) => {
  const { id, webhooks, receive } = await room(t, database)
  await webhooks.enable(id, new Secret(first))
  const delivery = signed('{"a":1}', first)
  await receive(delivery)
  for (let n = 1; n < 600; n++) await receive(delivery)

  assert.equal(await receive(delivery), 'rate-limited')
})

const schemes = ['hmac-sha1', 'hmac-sha256', 'hmac-sha512', 'shared'] as const
for (const scheme of schemes)
  testOnEach(`a sender's ${scheme} is checked`, toyMigrations, async (database, t) => {
    const own = { ...toy, webhook: { signature: { header: 'X-Proof', scheme } } }
    const { id, webhooks, receive } = await room(t, database, { connectors: [own as unknown as Connector] })
    await webhooks.enable(id, new Secret(first))
    const proof = scheme === 'shared' ? first : createHmac(scheme.slice(5), first).update('body').digest('hex')
    const wrong = `${proof.startsWith('0') ? '1' : '0'}${proof.slice(1)}`

    assert.equal(await receive({ headers: { 'x-proof': wrong }, body: Buffer.from('body') }), 'denied')
    assert.equal(await receive({ headers: { 'x-proof': proof }, body: Buffer.from('body') }), 'taken')
  })

testOnEach('a kind of system that signs nothing takes no deliveries', toyMigrations, async (database, t) => {
  const { webhook: _none, ...silent } = toy
  const { id, webhooks, receive } = await room(t, database, { connectors: [silent as unknown as Connector] })

  await assert.rejects(webhooks.enable(id, new Secret(first)), { type: 'conflict' })
  assert.equal(await receive(signed('{}', first)), 'denied')
})
