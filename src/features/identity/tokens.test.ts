import assert from 'node:assert/strict'
import type { Principal } from '../../core/action.ts'
import { newId } from '../../lib/ids.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityMigrations } from './migrations.ts'
import { openWorld } from './testing.ts'
import { tokenPattern } from './token-format.ts'

const inside = '192.0.2.1'
const dayMs = 86_400_000
const start = '2026-01-01T00:00:00.000Z'
const denied = { type: 'denied' }

testOnEach(
  'a token is shown once and listed without its value, with its state over time (claims: B6 D6)',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, addUser } = await openWorld(database, testRootKey, clock.now)
    const ada = await addUser('ada', 'viewer')

    const { id, token, expiresAt } = await identity.tokens.add(ada, {
      name: 'laptop',
      scopes: ['read'],
      cidrs: ['10.0.0.0/8'],
    })

    assert.match(token, new RegExp(`^${tokenPattern}$`))
    assert.equal(expiresAt, '2026-04-01T00:00:00.000Z')
    const shown = async () => (await identity.tokens.list(ada, { limit: 100 })).items.find((item) => item.id === id)
    assert.deepEqual(await shown(), {
      id,
      kind: 'api',
      name: 'laptop',
      hint: token.slice(0, 14),
      principal: ada.id,
      principalKind: 'user',
      principalName: 'ada',
      state: 'active',
      scopes: ['read'],
      cidrs: ['10.0.0.0/8'],
      createdAt: start,
      createdBy: ada.id,
      expiresAt,
      lastUsedAt: null,
      revokedAt: null,
    })
    const states: (string | undefined)[] = []
    for (const ms of [75 * dayMs - 1, 1, 15 * dayMs - 1, 1]) {
      clock.forward(ms)
      states.push((await shown())?.state)
    }
    assert.deepEqual(states, ['active', 'expiring', 'expiring', 'expired'])
    await identity.tokens.revoke(ada, id)
    assert.equal((await shown())?.state, 'revoked')
  },
)

testOnEach(
  'no two tokens are equal, and the database would refuse it (claims: A12)',
  identityMigrations,
  async (database) => {
    const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
    const made = await Promise.all(Array.from({ length: 50 }, () => identity.tokens.add(admin, { name: 'same name' })))
    assert.equal(new Set(made.map(({ token }) => token)).size, 50)

    const rows = database.db.withTables<{ token: { id: string; secret_hash: Buffer; lookup: string | null } }>()
    const [a, b] = await rows.selectFrom('token').selectAll().limit(2).execute()
    for (const change of [{ secret_hash: b!.secret_hash }, { lookup: b!.lookup }])
      await assert.rejects(rows.updateTable('token').set(change).where('id', '=', a!.id).execute())
  },
)

testOnEach(
  'an agent gets its first token with its role, and further ones for rotation with an overlap',
  identityMigrations,
  async (database) => {
    const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
    const first = await identity.tokens.add(admin, {
      name: 'ci',
      agent: true,
      role: 'developer',
      scope: 'connection/con_1',
    })
    const agent = await identity.authenticate(first.token, inside)
    assert.deepEqual(
      [agent.kind, agent.name, agent.bindings],
      ['agent', 'ci', [{ role: 'developer', scope: 'connection/con_1' }]],
    )

    const second = await identity.tokens.add(admin, { name: 'ci 2', agent: agent.id })
    assert.equal((await identity.authenticate(second.token, inside)).id, agent.id)
    await identity.tokens.revoke(admin, first.id)
    await assert.rejects(identity.authenticate(first.token, inside), { type: 'unauthenticated' })
    await identity.authenticate(second.token, inside)
  },
)

testOnEach(
  'nobody makes a token that may do more than they may themselves (claims: A19)',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, admin, addUser } = await openWorld(database, testRootKey, clock.now)
    const victim = await addUser('victim', 'admin')
    const helper = await identity.tokens.add(admin, { name: 'helper', agent: true, role: 'admin' })
    const helperId = (await identity.authenticate(helper.token, inside)).id
    const ada = await addUser('ada', 'operator')
    const as = async (who: Principal, wish: Parameters<typeof identity.tokens.add>[1], address = inside) =>
      identity.authenticate((await identity.tokens.add(who, wish)).token, address)
    const scoped = await as(ada, { name: 's', scopes: ['inventory.*', 'read'], expiresInDays: 10 })
    const netted = await as(ada, { name: 'n', cidrs: ['192.0.2.0/24'], expiresInDays: 10 })
    const scopedAdmin = await as(admin, { name: 'sa', scopes: ['identity.*', 'write'] })
    const viewerAgent = await as(admin, { name: 'v', agent: true, role: 'viewer' })
    const nettedAdmin = await as(admin, { name: 'na', cidrs: ['192.0.2.0/24'] })
    const forged: Principal = { ...ada, bindings: [{ role: 'admin', scope: '*' }] }

    const attempts: readonly [string, Principal, Parameters<typeof identity.tokens.add>[1], string?][] = [
      ['an agent', ada, { name: 'x', agent: true }],
      ['an admin agent', ada, { name: 'x', agent: 'x', role: 'admin' }],
      ['a token of an admin', ada, { name: 'x', user: victim.id }],
      ['a token of an admin agent', ada, { name: 'x', agent: helperId }],
      ['bindings that only the caller claims', forged, { name: 'x', agent: true, role: 'admin' }],
      ['more scopes', scoped, { name: 'x', scopes: ['write'] }],
      ['one scope more', scoped, { name: 'x', scopes: ['read', 'vault.*'] }],
      ['a longer life', scoped, { name: 'x', expiresInDays: 11 }],
      ['wider networks', netted, { name: 'x', cidrs: ['192.0.0.0/16'] }],
      ['other networks', netted, { name: 'x', cidrs: ['192.0.2.0/25', '203.0.113.0/24'] }],
      ['wider networks, as admin', nettedAdmin, { name: 'x', cidrs: ['0.0.0.0/0'] }],
      ['an agent through a narrowed admin', scopedAdmin, { name: 'x', agent: true, role: 'admin' }],
      ['a user through a narrowed admin', scopedAdmin, { name: 'x', user: victim.id }],
      ['an agent for itself', viewerAgent, { name: 'x' }],
      ['an agent by its id', viewerAgent, { name: 'x', agent: viewerAgent.id }],
      ['a role for oneself', ada, { name: 'x', role: 'admin' }, 'invalid-input'],
      ['a role for an existing agent', admin, { name: 'x', agent: helperId, role: 'admin' }, 'invalid-input'],
      ['both', admin, { name: 'x', agent: true, user: victim.id }, 'invalid-input'],
      ['nobody', admin, { name: 'x', user: newId('usr') }, 'not-found'],
    ]
    const before = (await identity.tokens.list(admin, { limit: 200 })).items.length
    const agents = (await identity.users.list({ kind: 'agent', limit: 200 })).items.length
    for (const [name, who, wish, type = 'denied'] of attempts)
      await assert.rejects(identity.tokens.add(who, wish), { type }, name)
    assert.equal((await identity.tokens.list(admin, { limit: 200 })).items.length, before)
    assert.equal((await identity.users.list({ kind: 'agent', limit: 200 })).items.length, agents)

    // What is not asked for is inherited.
    const child = await identity.tokens.add(scoped, { name: 'child' })
    assert.deepEqual((await identity.authenticate(child.token, inside)).scopes, ['inventory.*', 'read'])
    assert.equal(child.expiresAt, '2026-01-11T00:00:00.000Z')
    for (const parent of [netted, nettedAdmin]) {
      const kept = await identity.tokens.add(parent, { name: 'kept' })
      await assert.rejects(identity.authenticate(kept.token, '203.0.113.1'), { type: 'unauthenticated' })
      await identity.authenticate(kept.token, inside)
    }
    const narrow = await identity.tokens.add(scoped, {
      name: 'narrow',
      scopes: ['inventory.assets.search'],
      expiresInDays: 1,
    })
    assert.deepEqual((await identity.authenticate(narrow.token, inside)).scopes, ['inventory.assets.search'])
    await as(netted, { name: 'smaller', cidrs: ['192.0.2.0/28'] })
  },
)

testOnEach(
  'a principal that was disabled, or whose token was revoked, meanwhile gets no new token',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    const ada = await addUser('ada', 'viewer')
    const eve = await addUser('eve', 'viewer')
    await identity.tokens.revoke(ada, ada.tokenId ?? '')
    await assert.rejects(identity.tokens.add(ada, { name: 'x' }), { type: 'unauthenticated' })
    await identity.users.edit(admin, eve.id, { disabled: true })
    await assert.rejects(identity.tokens.add(eve, { name: 'x' }), { type: 'unauthenticated' })
    await assert.rejects(identity.tokens.add(admin, { name: 'x', user: eve.id }), { type: 'conflict' })
  },
)

testOnEach(
  'one revokes and sees only own tokens, an admin all, and an auditor sees all',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    const ada = await addUser('ada', 'operator')
    const eve = await addUser('eve', 'viewer')
    const auditor = await addUser('auditor', 'auditor')
    const { id, token } = await identity.tokens.add(ada, { name: 'ada' })
    const idsFor = async (who: Principal, principal?: string) =>
      (await identity.tokens.list(who, { limit: 200, principal })).items.map((item) => item.id)

    for (const who of [eve, auditor]) await assert.rejects(identity.tokens.revoke(who, id), { type: 'not-found' })
    await assert.rejects(identity.tokens.revoke(eve, newId('tok')), { type: 'not-found' })
    assert.deepEqual(await idsFor(eve), [eve.tokenId])
    assert.deepEqual(await idsFor(eve, ada.id), [])
    assert.deepEqual(new Set(await idsFor(ada)), new Set([ada.tokenId, id]))
    for (const who of [admin, auditor]) {
      assert.equal((await idsFor(who)).length, 5)
      assert.equal((await idsFor(who, ada.id)).length, 2)
    }
    await identity.authenticate(token, inside)
    assert.deepEqual(await identity.tokens.revoke(admin, id), { id, revokedAt: start })
  },
)

testOnEach(
  'revoking at the same time ends a token once and says the same to all',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, admin, addUser } = await openWorld(database, testRootKey, clock.now)
    const ada = await addUser('ada')
    const { id, token } = await identity.tokens.add(ada, { name: 'a' })
    const results = await Promise.all([ada, admin, ada, admin].map((who) => identity.tokens.revoke(who, id)))
    clock.forward(1_000)
    results.push(await identity.tokens.revoke(ada, id))
    assert.deepEqual(
      results,
      Array.from({ length: 5 }, () => ({ id, revokedAt: start })),
    )
    await assert.rejects(identity.authenticate(token, inside), { type: 'unauthenticated' })
  },
)

testOnEach(
  'only a full admin gives and takes roles, each role once per place (claims: A19)',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    const ada = await addUser('ada', 'operator')
    const scoped = await identity.authenticate(
      (await identity.tokens.add(admin, { name: 's', scopes: ['identity.*'] })).token,
      inside,
    )
    const part = await addUser('part')
    await identity.bindings.add(admin, { principal: part.id, role: 'admin', scope: 'connection/con_1' })
    const own = { principal: ada.id, role: 'admin', scope: '*' } as const
    const [existing] = (await identity.bindings.list({ principal: ada.id, limit: 10 })).items
    for (const who of [ada, part, scoped, { ...ada, bindings: admin.bindings }]) {
      await assert.rejects(identity.bindings.add(who, own), denied)
      await assert.rejects(identity.bindings.remove(who, existing!.id), denied)
    }

    const binding = await identity.bindings.add(admin, own)
    assert.deepEqual(binding, { id: binding.id, ...own, createdAt: start, createdBy: admin.id })
    await assert.rejects(identity.bindings.add(admin, own), { type: 'conflict' })
    await assert.rejects(identity.bindings.add(admin, { ...own, principal: newId('usr') }), { type: 'not-found' })
    await identity.bindings.remove(admin, binding.id)
    await assert.rejects(identity.bindings.remove(admin, binding.id), { type: 'not-found' })
    assert.deepEqual((await identity.bindings.list({ principal: ada.id, limit: 10 })).items, [existing])
  },
)

testOnEach('a sign-in is told from a token, also when it is long gone', identityMigrations, async (database) => {
  const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
  const { id } = await identity.tokens.add(admin, { name: 'laptop' })
  const answers = await Promise.all([admin.tokenId ?? '', id, newId('tok')].map(identity.tokens.isSession))
  assert.deepEqual(answers, [true, false, true])
})
