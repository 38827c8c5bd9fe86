import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import { rekeyVault } from './store-rekey.ts'
import { makeVault } from './vault.ts'

const value = (text: string) => new Secret(`value ${text}`)

async function vaultIn(database: Database, rootKey = testRootKey) {
  const clock = fixedClock()
  // Ids sort by time, so no two may be made at the same.
  const now = () => {
    clock.forward(1)
    return clock.now()
  }
  const vault = makeVault({ database, rootKey, now, onIntegrityFailure: (id) => assert.fail(id) })
  await vault.init()
  return vault
}

const conflict = (pattern: RegExp) => (error: unknown) => {
  assert.equal((error as { type?: string }).type, 'conflict')
  return pattern.test((error as Error).message)
}

testOnEach(
  'an incident is done when the root key is new, nothing is under old keys and every secret is changed (claims: A42 D34)',
  vaultMigrations,
  async (database) => {
    const vault = await vaultIn(database)
    const a = await vault.put({ name: 'a', value: value('a') })
    const b = await vault.put({ name: 'b', owner: 'con_1', value: value('b') })
    await vault.put({ name: 'user', kind: 'username', value: value('user') })
    const gone = await vault.put({ name: 'gone', value: value('gone') })
    await vault.destroy(gone.id)

    const { id, ...opened } = await vault.openIncident('the key was in a ticket')
    const after = await vault.put({ name: 'later', value: value('later') })

    assert.deepEqual(
      [opened.state, opened.rootKeyChanged, opened.underOldKeys, opened.secrets, opened.done],
      ['open', false, 3, { total: 2, changed: 0, waiting: 2 }, false],
    )
    await assert.rejects(vault.closeIncident(id), conflict(/root key is still the same, 3 .* old keys, 2 of 2 secrets/))
    await assert.rejects(vault.openIncident('again'), conflict(/open already/))
    assert.equal((await vault.rewrap({ limit: 1000 })).remaining, 0)
    await vault.addVersion(a.id, value('a2'))
    assert.deepEqual(
      (await vault.incidentSecrets({ incident: id, waiting: true, limit: 10 })).items.map(({ secret }) => secret),
      [b.id],
    )
    await vault.destroy(b.id)
    assert.equal((await vault.incident(id)).done, false, 'the root key is still the one that may be known')

    const newKey = createSecretKey(randomBytes(32))
    await database.exclusive('rekey', (tx) => rekeyVault(tx, testRootKey, newKey))
    const renewed = await vaultIn(database, newKey)
    assert.deepEqual(
      (await renewed.incidentSecrets({ incident: id, waiting: false, limit: 10 })).items.map(({ secret, state }) => [
        secret,
        state,
      ]),
      [
        [a.id, 'changed'],
        [b.id, 'destroyed'],
      ],
    )
    const closed = await renewed.closeIncident(id)
    assert.deepEqual([closed.state, closed.done, closed.excuse], ['closed', true, null])
    assert.equal(await renewed.currentIncident(), undefined)
    assert.equal((await renewed.use(after.id)).reveal(), 'value later')
  },
)

testOnEach(
  'a value that was staged before the incident does not count as changed when it is promoted (claims: A42)',
  vaultMigrations,
  async (database) => {
    const vault = await vaultIn(database)
    const { id: secret } = await vault.put({ name: 'token', owner: 'con_1', value: value('one') })
    await vault.stage([{ id: secret, value: value('two') }])

    const { id } = await vault.openIncident('a backup and its key were lost')
    await vault.promote([secret])
    assert.equal((await vault.incident(id)).secrets.waiting, 1)
    await vault.addVersion(secret, value('three'))
    assert.equal((await vault.incident(id)).secrets.waiting, 0)
  },
)

testOnEach('what is left can be excused, and the excuse stays (claims: A42)', vaultMigrations, async (database) => {
  const vault = await vaultIn(database)
  await vault.put({ name: 'token', value: value('one') })
  const { id } = await vault.openIncident('a drill')

  const { state, done, excuse } = await vault.closeIncident(id, 'only a drill')

  assert.deepEqual([state, done, excuse], ['closed', false, 'only a drill'])
  await assert.rejects(vault.closeIncident(id, 'again'), conflict(/closed already/))
  assert.deepEqual(
    (await vault.incidents(10)).map((one) => one.id),
    [id],
  )
})

testOnEach('of two incidents opened at once there is one', vaultMigrations, async (database) => {
  const vault = await vaultIn(database)
  await vault.put({ name: 'token', value: value('one') })

  const both = await Promise.allSettled([vault.openIncident('one'), vault.openIncident('two')])

  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  assert.equal((await vault.incidents(10)).length, 1)
})

testOnEach('the list of secrets goes on in pages', vaultMigrations, async (database) => {
  const vault = await vaultIn(database)
  for (const name of ['a', 'b', 'c']) await vault.put({ name, value: value(name) })
  const { id: incident } = await vault.openIncident('a drill')

  const first = await vault.incidentSecrets({ incident, waiting: true, limit: 2 })
  const rest = await vault.incidentSecrets({ incident, waiting: true, limit: 2, cursor: first.next ?? '' })

  assert.deepEqual(
    [first.items, rest.items].map((items) => items.map(({ name }) => name)),
    [['a', 'b'], ['c']],
  )
  assert.equal(rest.next, null)
})
