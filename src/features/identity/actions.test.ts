import assert from 'node:assert/strict'
import { type Context, handlerOf, type Principal } from '../../core/action.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityActions } from './actions.ts'
import { identityMigrations } from './migrations.ts'
import { roleNames, roles } from './roles.ts'
import { goodPassword, openWorld } from './testing.ts'

const listed = [
  'identity.bindings.add POST /role-bindings write',
  'identity.bindings.list GET /role-bindings read',
  'identity.bindings.remove DELETE /role-bindings/{binding} destroy',
  'identity.password.change POST /me/password write',
  'identity.principal.get GET /me read',
  'identity.roles.list GET /roles read',
  'identity.tokens.add POST /tokens write',
  'identity.tokens.list GET /tokens read',
  'identity.tokens.revoke DELETE /tokens/{token} destroy',
  'identity.users.add POST /users write',
  'identity.users.edit PATCH /users/{user} write',
  'identity.users.get GET /users/{user} read',
  'identity.users.list GET /users read',
  'identity.users.remove DELETE /users/{user} destroy',
]

testOnEach('every action answers what it promises, end to end', identityMigrations, async (database) => {
  const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now)
  const actions = new Map(identityActions(identity).map((action) => [action.name, action]))
  const call = async (name: string, raw: unknown, principal: Principal = admin) => {
    const action = actions.get(name)!
    const input = action.input.parse(raw)
    const context: Context = { principal, door: 'http', requestId: 'req', signal: AbortSignal.timeout(5_000) }
    const { resource, run } = handlerOf(action)
    const output = action.output.parse(await run(input, context)) as Record<string, unknown> & {
      items: unknown[]
      id: string
    }
    return { resource: resource(input), output }
  }

  assert.deepEqual(
    [...actions.values()].map(({ name, http, access }) => `${name} ${http.method} ${http.path} ${access}`).sort(),
    listed,
  )
  const user = await call('identity.users.add', { username: 'Ada', password: goodPassword, role: 'viewer' })
  assert.deepEqual(user.resource, { type: 'identity', id: 'users' })
  const id = user.output.id
  assert.deepEqual((await call('identity.users.get', { user: id })).output, user.output)
  assert.deepEqual(await call('identity.users.edit', { user: id, name: 'Ada L.' }), {
    resource: { type: 'user', id },
    output: { ...user.output, name: 'Ada L.' },
  })
  assert.equal((await call('identity.users.list', {})).output.items.length, 2)

  const token = await call('identity.tokens.add', { name: 'ci', agent: 'ci', role: 'viewer', expiresInDays: 366 })
  assert.deepEqual(token.resource, { type: 'identity', id: 'agents' })
  assert.deepEqual((await call('identity.tokens.add', { name: 'x', user: id })).resource, { type: 'user', id })
  assert.deepEqual((await call('identity.tokens.add', { name: 'x' })).resource, { type: 'identity', id: 'self' })
  const { token: _value, id: _id, expiresAt: _end, ...whose } = token.output
  const agent = await identity.authenticate(token.output['token'] as string, '192.0.2.1')
  assert.deepEqual(whose, {
    principal: agent.id,
    principalKind: 'agent',
    principalName: 'ci',
    roles: [{ role: 'viewer', scope: '*' }],
  })
  assert.deepEqual((await call('identity.principal.get', {}, agent)).output, {
    id: agent.id,
    kind: 'agent',
    name: 'ci',
    roles: [{ role: 'viewer', scope: '*' }],
    scopes: null,
    tokenId: token.output.id,
    onBehalfOf: null,
  })
  assert.equal((await call('identity.tokens.list', { limit: '2' })).output.items.length, 2)
  assert.deepEqual((await call('identity.tokens.revoke', { token: token.output.id })).resource, {
    type: 'token',
    id: token.output.id,
  })

  const binding = await call('identity.bindings.add', { principal: id, role: 'auditor' })
  assert.equal(binding.output['scope'], '*')
  assert.equal((await call('identity.bindings.list', { principal: id })).output.items.length, 2)
  assert.deepEqual(await call('identity.bindings.remove', { binding: binding.output.id }), {
    resource: { type: 'binding', id: binding.output.id },
    output: { id: binding.output.id },
  })
  assert.deepEqual(await call('identity.users.remove', { user: id }), {
    resource: { type: 'user', id },
    output: { id },
  })
  assert.deepEqual((await call('identity.roles.list', {})).output, {
    items: roleNames.map((name) => ({ name, description: roles[name] })),
    next: null,
  })

  for (const [name, input] of refused(id))
    assert.equal(actions.get(name)?.input.safeParse(input).success, false, `${name} ${JSON.stringify(input)}`)
})

function refused(user: string): readonly [string, unknown][] {
  return [
    ['identity.principal.get', { user }],
    ['identity.users.get', { user: 'ada' }],
    ['identity.users.get', { user: user.replace('usr_', 'tok_') }],
    ['identity.users.get', { user: `${user}\u0000` }],
    ['identity.users.list', { cursor: '\u0000' }],
    ['identity.users.list', { limit: 201 }],
    ['identity.users.add', { username: 'ada' }],
    ['identity.users.add', { username: 'ada', password: goodPassword, kind: 'system' }],
    ['identity.users.add', { username: 'ada', password: goodPassword, name: 'a\u202eb' }],
    ['identity.tokens.add', {}],
    ['identity.tokens.add', { name: 'x', expiresInDays: 367 }],
    ['identity.tokens.add', { name: 'x', expiresInDays: 0 }],
    ['identity.tokens.add', { name: 'x', expiresInDays: 1.5 }],
    ['identity.tokens.add', { name: 'x', scopes: [] }],
    ['identity.tokens.add', { name: 'x', scopes: ['*'] }],
    ['identity.tokens.add', { name: 'x', cidrs: [] }],
    ['identity.tokens.add', { name: 'x', cidrs: ['10.0.0.0/33'] }],
    ['identity.tokens.add', { name: 'x', agent: user }],
    ['identity.tokens.add', { name: 'x', agent: false }],
    ['identity.tokens.add', { name: 'x', agent: true, role: 'root' }],
    ['identity.tokens.add', { name: 'x', agent: true, role: 'viewer', scope: 'connection/*' }],
    ['identity.bindings.add', { principal: user, role: 'Admin' }],
    ['identity.bindings.add', { principal: user, role: 'admin', scope: '../x' }],
    ['identity.bindings.add', { principal: user.replace('usr_', 'sys_'), role: 'admin' }],
  ]
}
