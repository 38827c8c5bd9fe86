import assert from 'node:assert/strict'
import type { Principal } from '../../core/action.ts'
import { Secret } from '../../core/secret.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityMigrations } from './migrations.ts'
import { goodPassword, openWorld, signIn } from './testing.ts'

const inside = '192.0.2.1'
const password = new Secret(goodPassword)
const next = 'another lamp quickly eats'
const lastAdmin = { type: 'conflict', detail: 'This is the last admin who can sign in. Make another one first' }
const start = '2026-01-01T00:00:00.000Z'

testOnEach('a user is added once, whatever the spelling of the name', identityMigrations, async (database) => {
  const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)

  const ada = await identity.users.add(admin, {
    username: ' Ada ',
    name: 'Ada L.',
    password,
    role: 'developer',
    scope: 'connection/con_1',
  })

  assert.deepEqual(ada, {
    id: ada.id,
    kind: 'user',
    username: 'ada',
    name: 'Ada L.',
    roles: [{ role: 'developer', scope: 'connection/con_1' }],
    disabledAt: null,
    passwordChangedAt: start,
    createdAt: start,
    createdBy: admin.id,
  })
  assert.deepEqual(await identity.users.get(ada.id), ada)
  for (const username of ['ada', 'ADA', 'ａｄａ', '\tAda'])
    await assert.rejects(identity.users.add(admin, { username, password }), { type: 'conflict' }, username)
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => identity.users.add(admin, { username: i % 2 ? 'Eve' : 'eve', password })),
  )
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
})

testOnEach('weak passwords are refused wherever one is set (claims: A11)', identityMigrations, async (database) => {
  const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
  const ada = await addUser('ada')
  for (const weak of ['short', 'passwordpassword', 'ada-ada-ada-ada-ada', 'administrator2026']) {
    const expected = { type: 'invalid-input' }
    const typed = new Secret(weak)
    await assert.rejects(identity.users.add(admin, { username: 'ada2', password: typed }), expected, weak)
    await assert.rejects(identity.users.edit(admin, ada.id, { password: typed }), expected, weak)
    await assert.rejects(
      identity.users.edit(ada, ada.id, { password: typed, currentPassword: password }),
      expected,
      weak,
    )
  }
})

testOnEach(
  'changing your own password needs the current one and ends your other sign-ins',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const taken: unknown[] = []
    const { identity, addUser } = await openWorld(database, testRootKey, clock.now, {
      takeLogin: (name, address) => {
        taken.push([name, address])
      },
    })
    const ada = await addUser('ada')
    const other = await identity.login({ username: 'ada', password }, inside)
    const api = await identity.tokens.add(ada, { name: 'api' })
    taken.length = 0

    const change = { password: new Secret(next) }
    await assert.rejects(identity.users.edit(ada, ada.id, change), {
      type: 'invalid-input',
      faults: [{ field: '/currentPassword', rule: 'is needed to change your own password' }],
    })
    await assert.rejects(identity.users.edit(ada, ada.id, { ...change, currentPassword: new Secret(next) }), {
      type: 'denied',
    })
    clock.forward(1_000)
    const edited = await identity.users.edit(ada, ada.id, { ...change, currentPassword: password })

    assert.equal(edited.passwordChangedAt, '2026-01-01T00:00:01.000Z')
    assert.deepEqual(
      taken,
      Array.from({ length: 3 }, () => ['ada', undefined]),
    )
    await assert.rejects(identity.authenticate(other.token, inside), { type: 'unauthenticated' })
    await identity.authenticate(api.token, inside)
    await assert.rejects(signIn(identity, 'ada'), { type: 'unauthenticated' })
    await signIn(identity, 'ada', next)
    const own = (await identity.tokens.list(ada, { limit: 100 })).items.find(({ id }) => id === ada.tokenId)
    assert.equal(own?.state, 'active')
  },
)

testOnEach('a password that another admin sets ends all sign-ins of the user', identityMigrations, async (database) => {
  const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
  const ada = await addUser('ada')
  const { token } = await identity.login({ username: 'ada', password }, inside)
  await identity.users.edit(admin, ada.id, { password: new Secret(next), name: 'Ada' })
  await assert.rejects(identity.authenticate(token, inside), { type: 'unauthenticated' })
  assert.equal((await signIn(identity, 'ada', next)).id, ada.id)
})

testOnEach('of two changes of a password at the same time one wins', identityMigrations, async (database) => {
  const { identity, addUser } = await openWorld(database, testRootKey, fixedClock().now)
  const ada = await addUser('ada')
  const results = await Promise.allSettled(
    [next, 'third lamp slowly drinks'].map((text) =>
      identity.users.edit(ada, ada.id, { password: new Secret(text), currentPassword: password }),
    ),
  )
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

testOnEach(
  'the last admin cannot be disabled, removed or unbound, also not by two at the same time',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    await identity.ensureBootstrapToken(new Secret('Vq8dXz0pLw3RtY7uKmN2cB5hJgF4sA6e'))
    await identity.tokens.add(admin, { name: 'agent', agent: true, role: 'admin' })
    await addUser('part', 'viewer').then(({ id }) =>
      identity.bindings.add(admin, { principal: id, role: 'admin', scope: 'connection/con_1' }),
    )
    const bindingOf = async ({ id }: Principal) =>
      (await identity.bindings.list({ principal: id, limit: 1 })).items[0]?.id ?? ''
    const lose: readonly [string, (who: Principal) => Promise<unknown>][] = [
      ['disable', ({ id }) => identity.users.edit(admin, id, { disabled: true })],
      ['remove', ({ id }) => identity.users.remove(id)],
      ['unbind', async (who) => identity.bindings.remove(admin, await bindingOf(who))],
    ]
    for (const [name, change] of lose) await assert.rejects(change(admin), lastAdmin, name)

    const second = await addUser('second', 'admin')
    const results = await Promise.allSettled([
      identity.users.edit(admin, second.id, { disabled: true }),
      identity.users.remove(admin.id),
    ])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  },
)

testOnEach('an admin who is disabled does not count as one', identityMigrations, async (database) => {
  const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
  const second = await addUser('second', 'admin')
  await identity.users.edit(admin, second.id, { disabled: true })
  await assert.rejects(identity.users.remove(admin.id), lastAdmin)
  await identity.users.edit(admin, second.id, { disabled: false })
  await identity.users.remove(admin.id)
  await assert.rejects(identity.users.get(admin.id), { type: 'not-found' })
})

testOnEach(
  'who is less than a full admin sets no passwords, gives no roles and lets nobody in again',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
    const victim = await addUser('victim', 'admin')
    const locked = await addUser('locked')
    await identity.users.edit(admin, locked.id, { disabled: true })
    const scoped = await identity.tokens.add(admin, { name: 'scoped', scopes: ['identity.*', 'write'] })
    const partAdmin = await addUser('part')
    await identity.bindings.add(admin, { principal: partAdmin.id, role: 'admin', scope: 'connection/con_1' })
    const forged: Principal = { ...partAdmin, bindings: [{ role: 'admin', scope: '*' }] }
    const attackers = [
      await addUser('operator', 'operator'),
      await identity.authenticate(scoped.token, inside),
      await signIn(identity, 'part'),
      forged,
      await identity.ensureSystem({ name: 'schedule', role: 'operator' }),
    ]
    for (const attacker of attackers) {
      const { add, edit } = identity.users
      const denied = { type: 'denied' }
      await assert.rejects(edit(attacker, victim.id, { password: new Secret(next) }), denied, attacker.name)
      await assert.rejects(edit(attacker, locked.id, { disabled: false }), denied, attacker.name)
      await assert.rejects(add(attacker, { username: 'mine', password, role: 'viewer' }), denied, attacker.name)
    }
    const names = (await identity.users.list({ kind: 'user', limit: 100 })).items.map(({ username }) => username)
    assert.equal(names.includes('mine'), false)
    await signIn(identity, 'victim')
  },
)

testOnEach(
  'agents are listed, disabled and removed like users, and have no password',
  identityMigrations,
  async (database) => {
    const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
    const { token } = await identity.tokens.add(admin, { name: 'ci', agent: 'reporter', role: 'viewer' })
    const agent = await identity.authenticate(token, inside)

    assert.deepEqual((await identity.users.list({ kind: 'agent', limit: 100 })).items, [
      {
        id: agent.id,
        kind: 'agent',
        username: null,
        name: 'reporter',
        roles: [{ role: 'viewer', scope: '*' }],
        disabledAt: null,
        passwordChangedAt: null,
        createdAt: start,
        createdBy: admin.id,
      },
    ])
    await assert.rejects(identity.users.edit(admin, agent.id, { password: new Secret(next) }), {
      type: 'invalid-input',
    })
    await assert.rejects(identity.users.edit(admin, agent.id, { name: 'x' }), { type: 'invalid-input' })
    await identity.users.edit(admin, agent.id, { disabled: true })
    await assert.rejects(identity.authenticate(token, inside), { type: 'unauthenticated' })
    await identity.users.remove(agent.id)
    assert.deepEqual((await identity.users.list({ kind: 'agent', limit: 100 })).items, [])
  },
)

testOnEach('lists come in pages that hold everything once', identityMigrations, async (database) => {
  const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now)
  for (let i = 0; i < 6; i++) await addUser(`user${i}`, 'viewer')
  const walk = async (
    list: (page: { limit: number; cursor?: string }) => Promise<{ items: { id: string }[]; next: string | null }>,
  ) => {
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: { id: string }[]; next: string | null } = await list({ limit: 3, cursor })
      seen.push(...page.items.map(({ id }) => id))
      cursor = page.next
    }
    return [seen.length, new Set(seen).size]
  }
  assert.deepEqual(await walk((page) => identity.users.list({ kind: 'user', ...page })), [7, 7])
  assert.deepEqual(await walk((page) => identity.bindings.list(page)), [7, 7])
  assert.deepEqual(await walk((page) => identity.tokens.list(admin, page)), [7, 7])
})
