import assert from 'node:assert/strict'
import { Secret } from '../../core/secret.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityMigrations } from './migrations.ts'
import { goodPassword, openIdentity, openWorld, signIn } from './testing.ts'
import { newToken } from './token-format.ts'

const inside = '192.0.2.1'
const opaque = 'Vq8dXz0pLw3RtY7uKmN2cB5hJgF4sA6e'
const other = 'hT5cWn9eQa1ZxJ6yLb3PvGd8RuKf2oMs'
const refusal = { type: 'unauthenticated', detail: 'The token is missing or not valid here' }
const start = '2026-01-01T00:00:00.000Z'

testOnEach(
  'the configured token is the admin user bootstrap, in any opaque or in our own form (claims: A12)',
  identityMigrations,
  async (database) => {
    const own = newToken().text
    for (const text of [opaque, own]) {
      const { identity } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
      await assert.rejects(identity.authenticate(text, inside), refusal)
      await identity.ensureBootstrapToken(new Secret(text))
      await identity.ensureBootstrapToken(new Secret(text))

      const principal = await identity.authenticate(text, inside)

      assert.deepEqual(
        [principal.kind, principal.name, principal.bindings],
        ['user', 'bootstrap', [{ role: 'admin', scope: '*' }]],
      )
      const all = await identity.tokens.list(principal, { limit: 100 })
      assert.deepEqual(
        all.items
          .filter(({ state }) => state === 'active')
          .map(({ kind, name, expiresAt }) => ({ kind, name, expiresAt })),
        [{ kind: 'bootstrap', name: 'ATLAS_API_TOKEN', expiresAt: null }],
      )
      for (const wrong of [text.slice(0, -1), `${text}x`, text.toLowerCase(), ''])
        await assert.rejects(identity.authenticate(wrong, inside), refusal)
    }
  },
)

testOnEach(
  'a token that left the configuration stops working, and works again when it is back',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const parts = { database, rootKey: testRootKey, now: clock.now }
    const own = newToken().text
    for (const text of [opaque, own]) {
      const first = openIdentity(parts).identity
      await first.ensureBootstrapToken(new Secret(text))
      await first.authenticate(text, inside)

      const second = openIdentity(parts).identity
      await assert.rejects(second.authenticate(text, inside), refusal, 'not configured there')
      await second.ensureBootstrapToken(new Secret(other))
      await assert.rejects(second.authenticate(text, inside), refusal, 'replaced')
      await second.authenticate(other, inside)
      clock.forward(1_000)
      await assert.rejects(first.authenticate(text, inside), refusal, 'revoked for the first process too')

      await second.ensureBootstrapToken(undefined)
      await assert.rejects(second.authenticate(other, inside), refusal, 'gone')

      const third = openIdentity(parts).identity
      await third.ensureBootstrapToken(new Secret(text))
      await third.authenticate(text, inside)
    }
  },
)

testOnEach(
  'a bootstrap token that a person revoked does not come back with a restart (claims: A38)',
  identityMigrations,
  async (database) => {
    const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
    await identity.ensureBootstrapToken(new Secret(opaque))
    const { tokenId } = await identity.authenticate(opaque, inside)
    await identity.tokens.revoke(admin, tokenId ?? '')
    await assert.rejects(identity.authenticate(opaque, inside), refusal)

    await assert.rejects(identity.ensureBootstrapToken(new Secret(opaque)), {
      type: 'invalid-input',
      detail: 'ATLAS_API_TOKEN was revoked. Set a new one',
    })
    await assert.rejects(identity.authenticate(opaque, inside), refusal)
  },
)

testOnEach(
  'weak, mistyped and foreign bootstrap tokens are refused with a plain message (claims: A7 A12 C48)',
  identityMigrations,
  async (database) => {
    const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
    const { token } = await identity.tokens.add(admin, { name: 'a' })
    const weak =
      'ATLAS_API_TOKEN is too weak: it must hold at least 128 random bits, for example the output of `openssl rand -base64 32`'
    const cases: readonly [string, string][] = [
      ['changeme', weak],
      ['0123456789abcdef0123456789abcdef', weak],
      ['your-secret-token-here-please', weak],
      ['Vq8dXz0pLw3RtY7uKmN2c', weak],
      [`${token.slice(0, -1)}~`, 'ATLAS_API_TOKEN looks like an Atlas token but is not one: its checksum is wrong'],
      [token, 'ATLAS_API_TOKEN is in use as another token'],
      ['with space Vq8dXz0pLw3RtY7uKmN2c', 'ATLAS_API_TOKEN must be printable ASCII without spaces'],
    ]
    for (const [text, detail] of cases) {
      await assert.rejects(identity.ensureBootstrapToken(new Secret(text)), { type: 'invalid-input', detail })
      if (text !== token) await assert.rejects(identity.authenticate(text, inside), refusal)
    }
  },
)

testOnEach(
  'the bootstrap user issues no tokens for itself and has no password',
  identityMigrations,
  async (database) => {
    const { identity } = await openWorld(database, testRootKey, fixedClock().now)
    await identity.ensureBootstrapToken(new Secret(opaque))
    const bootstrap = await identity.authenticate(opaque, inside)
    await assert.rejects(identity.tokens.add(bootstrap, { name: 'stay' }), { type: 'conflict' })
    await assert.rejects(
      identity.users.edit(bootstrap, bootstrap.id, {
        password: new Secret('another lamp quickly eats'),
        currentPassword: new Secret('x'),
      }),
      { type: 'conflict' },
    )
    const agent = await identity.tokens.add(bootstrap, { name: 'a', agent: true, role: 'viewer' })
    assert.equal((await identity.authenticate(agent.token, inside)).name, 'a')
  },
)

testOnEach(
  'the configured admin is made once, only when there is no user, and only with a good password (claims: A11 D26)',
  identityMigrations,
  async (database) => {
    const { identity, events } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
    await identity.ensureBootstrapToken(new Secret(opaque))
    for (const weak of ['admin', 'password', 'administrator123', 'Infrastructure-Atlas'])
      await assert.rejects(identity.ensureAdmin({ password: new Secret(weak) }), { type: 'invalid-input' })

    assert.deepEqual(
      (await Promise.all([1, 2, 3].map(() => identity.ensureAdmin({ password: new Secret(goodPassword) })))).toSorted(),
      [false, false, true],
    )
    assert.equal(await identity.ensureAdmin({ password: new Secret('another lamp quickly eats') }), false)

    const admin = await signIn(identity, 'admin')
    assert.deepEqual(admin.bindings, [{ role: 'admin', scope: '*' }])
    assert.deepEqual(
      events.filter(({ code }) => code === 'setup.completed').map(({ detail }) => detail),
      [{ by: 'configuration' }],
    )
    await assert.rejects(signIn(identity, 'admin', 'another lamp quickly eats'), { type: 'unauthenticated' })
  },
)

testOnEach(
  'a system principal is the same one at every start and nobody can sign in as it',
  identityMigrations,
  async (database) => {
    const { identity } = openIdentity({ database, rootKey: testRootKey, now: fixedClock(start).now })
    const first = await identity.ensureSystem({ name: 'schedule', role: 'operator' })
    const again = await identity.ensureSystem({ name: 'schedule', role: 'operator' })
    assert.deepEqual(first, again)
    assert.match(first.id, /^sys_/)
    assert.deepEqual(first.bindings, [{ role: 'operator', scope: '*' }])
    await assert.rejects(signIn(identity, 'schedule'), { type: 'unauthenticated' })
    await assert.rejects(identity.tokens.add(first, { name: 'a' }), { type: 'denied' })
  },
)
