import assert from 'node:assert/strict'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityMigrations } from './migrations.ts'
import { putSetup, useSetup } from './store.ts'
import { goodPassword, openIdentity, signIn } from './testing.ts'

const inside = '192.0.2.1'
const dayMs = 86_400_000
const refusal = {
  type: 'unauthenticated',
  detail: 'The setup token is wrong, used or out of date. A restart prints a new one while there is no user.',
}
const inputOf = (setupToken: string | undefined, username = 'Ada', password = goodPassword) => ({
  setupToken: new Secret(setupToken ?? ''),
  username,
  password: new Secret(password),
})

testOnEach(
  'the setup token makes the first admin, who is signed in, and there is no second setup (claims: A11)',
  identityMigrations,
  async (database) => {
    const { identity, events } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
    const setupToken = await identity.openSetup()
    assert.match(setupToken ?? '', /^[0-9A-Za-z]{43}$/)

    const { token, expiresAt } = await identity.completeSetup(inputOf(setupToken), inside)

    const admin = await identity.authenticate(token, inside)
    assert.equal(expiresAt, '2026-01-01T00:15:00.000Z')
    assert.deepEqual([admin.kind, admin.name, admin.bindings], ['user', 'ada', [{ role: 'admin', scope: '*' }]])
    assert.deepEqual(events, [
      { code: 'setup.started', detail: { remoteAddress: inside } },
      {
        code: 'setup.completed',
        principal: { id: admin.id, kind: 'user', name: 'ada' },
        outcome: 'ok',
        detail: { remoteAddress: inside },
      },
    ])
    await signIn(identity, 'ADA')
    await assert.rejects(identity.completeSetup(inputOf(setupToken, 'eve'), inside), refusal)
    assert.equal(await identity.openSetup(), undefined)
    assert.equal(await identity.ensureAdmin({ password: new Secret('weak') }), false)
  },
)

testOnEach('a wrong, old or replaced setup token makes nobody', identityMigrations, async (database) => {
  const clock = fixedClock()
  const { identity, events } = openIdentity({ database, rootKey: testRootKey, now: clock.now })
  await assert.rejects(identity.completeSetup(inputOf('x'.repeat(43)), inside), refusal)
  const first = await identity.openSetup()
  const second = await identity.openSetup()
  for (const wrong of [first, '', 'x'.repeat(43), second?.slice(0, -1), `${second} `])
    await assert.rejects(identity.completeSetup(inputOf(wrong), inside), refusal)
  clock.forward(dayMs)
  await assert.rejects(identity.completeSetup(inputOf(second), inside), refusal)
  const third = await identity.openSetup()
  clock.forward(dayMs - 1)
  assert.deepEqual(new Set(events.map(({ code }) => code)), new Set(['setup.failed']))
  await identity.completeSetup(inputOf(third), inside)
})

testOnEach('of twenty setups at the same time exactly one succeeds', identityMigrations, async (database) => {
  const { identity, events } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
  const setupToken = await identity.openSetup()

  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => identity.completeSetup(inputOf(setupToken, `user${i}`), inside)),
  )

  const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  assert.equal(won.length, 1)
  for (const result of results)
    if (result.status === 'rejected')
      assert.deepEqual([result.reason.type, result.reason.detail], [refusal.type, refusal.detail])
  const admin = await identity.authenticate(won[0]!.token, inside)
  assert.deepEqual(
    (await identity.users.list({ kind: 'user', limit: 100 })).items.map(({ id }) => id),
    [admin.id],
  )
  assert.equal(events.filter(({ code }) => code === 'setup.completed').length, 1)
})

testOnEach('two processes cannot both complete the setup', identityMigrations, async (database) => {
  const open = () => openIdentity({ database, rootKey: testRootKey, now: fixedClock().now }).identity
  const [here, there] = [open(), open()]
  const setupToken = await here.openSetup()
  const results = await Promise.allSettled(
    [here, there].map((identity, i) => identity.completeSetup(inputOf(setupToken, `user${i}`), inside)),
  )
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

testOnEach(
  'a weak password or a bad name is refused in plain words and does not use the token up (claims: A11)',
  identityMigrations,
  async (database) => {
    const { identity } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
    const setupToken = await identity.openSetup()

    await assert.rejects(identity.completeSetup(inputOf(setupToken, 'a b', 'password'), inside), {
      type: 'invalid-input',
      faults: [
        { field: '/username', rule: 'must start with a letter or digit and hold only letters, digits and . _ @ + -' },
        { field: '/password', rule: 'must have at least 15 characters; a few unrelated words do well' },
      ],
    })
    await assert.rejects(identity.completeSetup(inputOf(setupToken, 'ada.lovelace', 'ada.lovelace.ada'), inside), {
      type: 'invalid-input',
      detail: '/password: is too easy to guess: it is made of common words, names, repeats or sequences',
    })
    // Whoever has no token learns nothing about names and passwords.
    await assert.rejects(identity.completeSetup(inputOf('wrong', 'a b', 'password'), inside), refusal)
    await identity.completeSetup(inputOf(setupToken), inside)
  },
)

testOnEach('setup is throttled, and nothing happens that cannot be logged', identityMigrations, async (database) => {
  let allowed = true
  let broken = false
  const { identity } = openIdentity({
    database,
    rootKey: testRootKey,
    now: fixedClock().now,
    takeSetup: (address) => {
      assert.equal(address, inside)
      if (!allowed) throw new Problem('rate-limited')
    },
    onEvent: () => (broken ? Promise.reject(new Error('disk full')) : Promise.resolve()),
  })
  const setupToken = await identity.openSetup()
  allowed = false
  await assert.rejects(identity.completeSetup(inputOf(setupToken), inside), { type: 'rate-limited' })
  allowed = true
  broken = true
  await assert.rejects(identity.completeSetup(inputOf(setupToken), inside), { type: 'audit-unavailable' })
  await assert.rejects(identity.ensureAdmin({ password: new Secret(goodPassword) }), { type: 'audit-unavailable' })
  assert.deepEqual((await identity.users.list({ kind: 'user', limit: 100 })).items, [])
  broken = false
  await identity.completeSetup(inputOf(setupToken), inside)
})

testOnEach(
  'the row of the setup token itself can be used once and in time only',
  identityMigrations,
  async (database) => {
    const at = (second: number) => new Date(second * 1_000).toISOString()
    const hash = Buffer.alloc(32, 1)
    await putSetup(database.db, hash, at(10))
    const uses = [
      await useSetup(database.db, Buffer.alloc(32, 2), at(9)),
      await useSetup(database.db, hash, at(10)),
      await useSetup(database.db, hash, at(9)),
      await useSetup(database.db, hash, at(9)),
    ]
    assert.deepEqual(uses, [false, false, true, false])
  },
)
