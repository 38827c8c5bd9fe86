import assert from 'node:assert/strict'
import { handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityActions } from './actions.ts'
import { identityMigrations } from './migrations.ts'
import { goodPassword, openWorld, signIn } from './testing.ts'

const inside = '192.0.2.1'
const other = 'orange boat slowly reads maps'
const known = {
  resolveConnection: async (idOrName: string) => {
    if (idOrName !== 'lab' && idOrName !== 'con_1') throw new Problem('not-found', 'There is no such connection')
    return 'con_1'
  },
  isKnownScope: (scope: string) => scope === 'inventory.*' || scope === 'read',
}
const onLab = [{ role: 'viewer', scope: 'connection/con_1' }]

testOnEach('a role holds on a connection that exists, by id or name', identityMigrations, async (database) => {
  const { identity, admin, addUser } = await openWorld(database, testRootKey, fixedClock().now, known)
  const viewer = await addUser('viewer', 'viewer')
  const ada = await addUser('ada')
  const role = 'viewer' as const
  const ways: Record<string, (scope: string, granter?: typeof admin) => Promise<unknown>> = {
    binding: (scope, granter = admin) => identity.bindings.add(granter, { principal: ada.id, role, scope }),
    agent: (scope, granter = admin) => identity.tokens.add(granter, { name: 'ci', agent: true, role, scope }),
    user: (scope, granter = admin) =>
      identity.users.add(granter, {
        username: `u-${scope.slice(-3)}`,
        password: new Secret(goodPassword),
        role,
        scope,
      }),
  }

  for (const [way, add] of Object.entries(ways)) {
    await add('connection/lab')
    await assert.rejects(add('connection/nope'), { type: 'not-found', detail: 'There is no such connection' }, way)
    // Who may not give roles does not learn which connections exist.
    for (const scope of ['connection/lab', 'connection/nope'])
      await assert.rejects(add(scope, viewer), { type: 'denied' }, `${way} ${scope}`)
  }
  assert.deepEqual((await identity.users.get(ada.id)).roles, onLab)
  const { items: agents } = await identity.users.list({ kind: 'agent', limit: 10 })
  assert.deepEqual(
    agents.map(({ roles }) => roles),
    [onLab],
  )
})

testOnEach(
  'a scope without a role, and a token scope that no action is in, are refused',
  identityMigrations,
  async (db) => {
    const { identity, admin } = await openWorld(db, testRootKey, fixedClock().now, known)
    const add = (wish: object) => identity.tokens.add(admin, { name: 'x', ...wish })

    await assert.rejects(add({ agent: true, scope: 'connection/lab' }), { type: 'invalid-input' })
    await assert.rejects(
      identity.users.add(admin, { username: 'bo', password: new Secret(goodPassword), scope: '*' }),
      {
        type: 'invalid-input',
      },
    )
    await assert.rejects(add({ scopes: ['read', 'invntory.*'] }), {
      type: 'invalid-input',
      detail: '/scopes: there is no area invntory.*',
    })
    await assert.rejects(add({ scopes: ['inventory.assets.find'] }), {
      detail: '/scopes: there is no action inventory.assets.find',
    })
    const { token } = await add({ scopes: ['inventory.*', 'read'] })
    assert.deepEqual((await identity.authenticate(token, inside)).scopes, ['inventory.*', 'read'])
  },
)

testOnEach('a person changes their own password, which ends their other sign-ins', identityMigrations, async (db) => {
  const { identity, addUser } = await openWorld(db, testRootKey, fixedClock().now, known)
  const ada = await addUser('ada')
  const { token: elsewhere } = await identity.login({ username: 'ada', password: new Secret(goodPassword) }, inside)
  const action = identityActions(identity).find(({ name }) => name === 'identity.password.change')
  const change = (currentPassword: string, password: string) =>
    handlerOf(action!).run(action!.input.parse({ currentPassword, password }), {
      principal: ada,
      door: 'http',
      requestId: 'req',
      signal: AbortSignal.timeout(5_000),
    })

  await assert.rejects(change(other, other), { type: 'denied', detail: 'The current password is wrong' })
  await assert.rejects(change(goodPassword, 'short'), { type: 'invalid-input' })
  assert.deepEqual(await change(goodPassword, other), { id: ada.id, passwordChangedAt: '2026-01-01T00:00:00.000Z' })

  await assert.rejects(identity.authenticate(elsewhere, inside), { type: 'unauthenticated' })
  assert.equal((await signIn(identity, 'ada', other)).id, ada.id)
})
