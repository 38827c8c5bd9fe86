import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../core/secret.ts'
import { fixedClock, freshPostgres, testOnEach, testRootKey } from '../../testing/databases.ts'
import type { AuthFailure } from './authenticate.ts'
import { identityMigrations } from './migrations.ts'
import { goodPassword, openIdentity, openWorld } from './testing.ts'
import { formatToken, newToken } from './token-format.ts'

const inside = '192.0.2.1'
const refusal = { type: 'unauthenticated', detail: 'The token is missing or not valid here' }
const dayMs = 86_400_000

testOnEach(
  'a token answers its principal with roles, scopes and a version (claims: B6)',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, admin } = await openWorld(database, testRootKey, clock.now)
    const { id, token, expiresAt } = await identity.tokens.add(admin, {
      name: 'ci',
      agent: 'reporter',
      role: 'viewer',
      scopes: ['inventory.*', 'read'],
    })

    const principal = await identity.authenticate(token, inside)

    assert.equal(expiresAt, '2026-04-01T00:00:00.000Z')
    assert.deepEqual(principal, {
      id: principal.id,
      kind: 'agent',
      name: 'reporter',
      bindings: [{ role: 'viewer', scope: '*' }],
      scopes: ['inventory.*', 'read'],
      tokenId: id,
      version: `${principal.id}.2.${id}`,
    })
    assert.match(principal.id, /^agt_/)
    assert.equal(await identity.authenticate(token, inside), principal)
  },
)

testOnEach(
  'every bad token gets one and the same answer, and only the log learns why',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, admin, addUser, failures } = await openWorld(database, testRootKey, clock.now)
    const ada = await addUser('ada', 'viewer')
    const good = await identity.tokens.add(ada, { name: 'good' })
    const expired = await identity.tokens.add(ada, { name: 'expired', expiresInDays: 1 })
    const revoked = await identity.tokens.add(ada, { name: 'revoked' })
    await identity.tokens.revoke(ada, revoked.id)
    const netted = await identity.tokens.add(ada, { name: 'netted', cidrs: ['10.0.0.0/8', '2001:db8::/32'] })
    const eve = await addUser('eve', 'viewer')
    const disabled = await identity.tokens.add(eve, { name: 'disabled' })
    await identity.users.edit(admin, eve.id, { disabled: true })
    const bob = await addUser('bob', 'viewer')
    const removed = await identity.tokens.add(bob, { name: 'removed' })
    await identity.users.remove(bob.id)
    const other = newToken().text
    const lookup = good.token.slice(4, 14)
    const bit = good.token.replace(/.$/, (c) => (c === '0' ? '1' : '0'))
    clock.forward(dayMs)

    const cases: readonly [string, string, AuthFailure['reason'], string | undefined, string?][] = [
      ['nothing', '', 'malformed', undefined],
      ['opaque text', 'Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4', 'malformed', undefined],
      ['very long', 'a'.repeat(1_000_000), 'malformed', undefined],
      ['truncated', good.token.slice(0, -1), 'malformed', undefined],
      ['with white space', ` ${good.token}`, 'malformed', undefined],
      ['upper case', good.token.toUpperCase(), 'malformed', undefined],
      ['changed checksum', bit, 'checksum', undefined],
      ['unknown', other, 'unknown', undefined],
      ['wrong secret with the right id', formatToken(lookup, Buffer.alloc(32, 1)), 'wrong-secret', good.id],
      ['revoked', revoked.token, 'revoked', revoked.id],
      ['expired', expired.token, 'expired', expired.id],
      ['user disabled', disabled.token, 'disabled', disabled.id],
      ['user removed', removed.token, 'unknown', undefined],
      ['outside the networks', netted.token, 'outside-networks', netted.id],
      ['outside, IPv6', netted.token, 'outside-networks', netted.id, '2001:db9::1'],
      ['a list in place of the address', netted.token, 'outside-networks', netted.id, '10.0.0.1, 192.0.2.1'],
      ['no address', netted.token, 'outside-networks', netted.id, ''],
    ]
    // Twice: the second answer may come from memory.
    for (const [name, bearer, reason, tokenId, address = inside] of cases)
      for (const turn of [1, 2]) {
        failures.length = 0
        await assert.rejects(identity.authenticate(bearer, address), refusal, `${name} ${turn}`)
        assert.deepEqual(failures, [{ reason, ...(tokenId && { tokenId }), remoteAddress: address }], `${name} ${turn}`)
      }
    for (const address of ['10.9.9.9', '::ffff:10.9.9.9', '::FFFF:0a09:0909', '2001:0DB8:0::1'])
      assert.equal((await identity.authenticate(netted.token, address)).id, ada.id, address)
    assert.equal((await identity.authenticate(good.token, inside)).id, ada.id)
  },
)

testOnEach(
  'a token works to its last millisecond and not one longer, also from memory (claims: B6 D6)',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, addUser } = await openWorld(database, testRootKey, clock.now)
    const ada = await addUser('ada')
    const { token } = await identity.tokens.add(ada, { name: 'short', expiresInDays: 1 })

    clock.forward(dayMs - 1)
    await identity.authenticate(token, inside)
    clock.forward(1)
    await assert.rejects(identity.authenticate(token, inside), refusal)
  },
)

testOnEach(
  'in this process a revocation, a disabling and a role change hold from the next call on (claims: A38)',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    const ada = await addUser('ada', 'viewer')
    const { id, token } = await identity.tokens.add(ada, { name: 'a' })
    const second = await identity.tokens.add(ada, { name: 'b' })
    const before = await identity.authenticate(token, inside)

    const binding = await identity.bindings.add(admin, {
      principal: ada.id,
      role: 'operator',
      scope: 'connection/con_1',
    })
    const more = await identity.authenticate(token, inside)
    await identity.bindings.remove(admin, binding.id)
    const less = await identity.authenticate(token, inside)

    assert.deepEqual(more.bindings, [{ role: 'operator', scope: 'connection/con_1' }, ...before.bindings])
    assert.deepEqual(less.bindings, before.bindings)
    assert.equal(new Set([before.version, more.version, less.version]).size, 3)

    await identity.tokens.revoke(ada, id)
    await assert.rejects(identity.authenticate(token, inside), refusal)
    await identity.authenticate(second.token, inside)
    await identity.users.edit(admin, ada.id, { disabled: true })
    await assert.rejects(identity.authenticate(second.token, inside), refusal)
    await identity.users.edit(admin, ada.id, { disabled: false })
    await identity.authenticate(second.token, inside)
  },
)

testOnEach(
  'what another process changes holds here within a second (claims: A38)',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const here = await openWorld(database, testRootKey, clock.now)
    const there = openIdentity({ database, rootKey: testRootKey, now: clock.now }).identity
    const ada = await here.addUser('ada', 'viewer')
    const eve = await here.addUser('eve', 'viewer')
    const bob = await here.addUser('bob', 'viewer')
    const changes: readonly [string, typeof ada, (tokenId: string) => Promise<unknown>][] = [
      ['revoke', ada, (id) => here.identity.tokens.revoke(ada, id)],
      ['disable', eve, () => here.identity.users.edit(here.admin, eve.id, { disabled: true })],
      ['remove', bob, () => here.identity.users.remove(bob.id)],
    ]
    for (const [name, user, change] of changes) {
      const { id, token } = await here.identity.tokens.add(user, { name })
      await there.authenticate(token, inside)

      await change(id)

      clock.forward(1_000)
      await assert.rejects(there.authenticate(token, inside), refusal, name)
    }

    const { token } = await here.identity.tokens.add(here.admin, { name: 'agent', agent: true, role: 'viewer' })
    const before = await there.authenticate(token, inside)
    await here.identity.bindings.add(here.admin, { principal: before.id, role: 'auditor', scope: '*' })
    clock.forward(1_000)
    const after = await there.authenticate(token, inside)
    assert.deepEqual(after.bindings, [{ role: 'auditor', scope: '*' }, ...before.bindings])
    assert.notEqual(after.version, before.version)
  },
)

testOnEach('a clock that goes back does not prolong a revoked token', identityMigrations, async (database) => {
  const clock = fixedClock()
  const here = await openWorld(database, testRootKey, clock.now)
  const there = openIdentity({ database, rootKey: testRootKey, now: clock.now }).identity
  const ada = await here.addUser('ada')
  const { id, token } = await here.identity.tokens.add(ada, { name: 'a' })
  await there.authenticate(token, inside)
  await here.identity.tokens.revoke(ada, id)

  clock.forward(-3_600_000)

  await assert.rejects(there.authenticate(token, inside), refusal)
})

test('a token revoked while it is looked up is not remembered (PostgreSQL)', async (t) => {
  const database = await freshPostgres(t, identityMigrations)
  // Holds the answer of the last of the three reads that a look-up makes, until it is let go.
  let hold: { readonly reached: () => void; readonly go: Promise<void> } | undefined
  const slow = database.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      if (hold && result.rows.every((row) => 'role' in row)) {
        hold.reached()
        await hold.go
      }
      return result
    },
  })
  const { identity, addUser } = await openWorld({ ...database, db: slow }, testRootKey, fixedClock().now)
  const ada = await addUser('ada', 'viewer')
  const { id, token } = await identity.tokens.add(ada, { name: 'a' })
  const reached = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  hold = { reached: reached.resolve, go: go.promise }

  const early = identity.authenticate(token, inside)
  await reached.promise
  await identity.tokens.revoke(ada, id)
  go.resolve()

  assert.equal((await early).id, ada.id)
  await assert.rejects(identity.authenticate(token, inside), refusal)
  await identity.close()
})

testOnEach('a known token costs no database read within the second', identityMigrations, async (database) => {
  const clock = fixedClock()
  const { identity, addUser } = await openWorld(database, testRootKey, clock.now)
  const ada = await addUser('ada')
  const { token } = await identity.tokens.add(ada, { name: 'a' })
  await identity.authenticate(token, inside)
  await identity.close()
  await database.close()

  clock.forward(999)
  assert.equal((await identity.authenticate(token, inside)).id, ada.id)
  clock.forward(1)
  await assert.rejects(identity.authenticate(token, inside), (error: Error) => error.name !== 'Problem')
})

testOnEach('the last use is written once a minute, beside the call', identityMigrations, async (database) => {
  const clock = fixedClock()
  const { identity, addUser } = await openWorld(database, testRootKey, clock.now)
  const ada = await addUser('ada')
  const { id, token } = await identity.tokens.add(ada, { name: 'a' })
  const lastUsed = async () => {
    await identity.close()
    return (await identity.tokens.list(ada, { limit: 100 })).items.find((item) => item.id === id)?.lastUsedAt
  }

  assert.equal(await lastUsed(), null)
  await identity.authenticate(token, inside)
  assert.equal(await lastUsed(), '2026-01-01T00:00:00.000Z')
  clock.forward(59_999)
  await identity.authenticate(token, inside)
  assert.equal(await lastUsed(), '2026-01-01T00:00:00.000Z')
  clock.forward(1)
  await identity.authenticate(token, inside)
  assert.equal(await lastUsed(), '2026-01-01T00:01:00.000Z')
})

testOnEach('a refusal that cannot be logged is still a refusal', identityMigrations, async (database) => {
  const onFailure = () => Promise.reject(new Error('disk full'))
  const { identity } = await openWorld(database, testRootKey, fixedClock().now, { onFailure })
  await assert.rejects(identity.authenticate(newToken().text, inside), { type: 'audit-unavailable' })
})

testOnEach('the database holds no token, setup token or password in clear', identityMigrations, async (database) => {
  const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
  const { token } = await identity.tokens.add(admin, { name: 'a' })
  const bootstrap = 'Vq8dXz0pLw3RtY7uKmN2cB5hJgF4sA6e'
  await identity.ensureBootstrapToken(new Secret(bootstrap))
  const names = ['principal', 'user_account', 'token', 'role_binding', 'setup'] as const
  const dump = JSON.stringify(
    await Promise.all(
      names.map((name) =>
        database.db.withTables<Record<string, Record<string, unknown>>>().selectFrom(name).selectAll().execute(),
      ),
    ),
    (_key, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value),
  )
  for (const secret of [token, token.slice(15, 58), bootstrap, goodPassword]) {
    assert.equal(dump.includes(secret), false)
    assert.equal(dump.includes(Buffer.from(secret).toString('base64').slice(0, -4)), false)
  }
})
