import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import { fixedClock, freshSqlite, testOnEach, testRootKey } from '../../testing/databases.ts'
import { identityMigrations } from './migrations.ts'
import { passwordCost } from './password.ts'
import { findByUsername } from './store-users.ts'
import { goodPassword, openIdentity, openWorld, signIn } from './testing.ts'

const inside = '192.0.2.1'
const refusal = { type: 'unauthenticated', detail: 'The username or the password is wrong' }
const password = new Secret(goodPassword)

// Every name with every password: 240 of the pairs that products ship with or that people type first.
const defaultNames = 'admin administrator root user guest test demo operator support manager sysadmin atlas'.split(' ')
const defaultPasswords =
  'admin password root toor 123456 12345678 1234 changeme default secret guest test demo letmein welcome qwerty admin123 Passw0rd! P@ssw0rd'.split(
    ' ',
  )
const defaultPairs = defaultNames.flatMap((name) => [...defaultPasswords, name].map((word) => [name, word] as const))

testOnEach(
  'a person signs in under every spelling of the name and gets a short token',
  identityMigrations,
  async (database) => {
    const clock = fixedClock()
    const { identity, addUser, events } = await openWorld(database, testRootKey, clock.now)
    const { id } = await addUser('Stra\u00dfe', 'viewer')
    events.length = 0

    for (const username of ['strasse', 'STRASSE', ' Stra\u00dfe ', '\uff33trasse']) {
      const { token, expiresAt } = await identity.login({ username, password }, inside)
      assert.equal(expiresAt, new Date(clock.now().getTime() + 900_000).toISOString())
      const principal = await identity.authenticate(token, inside)
      assert.deepEqual(principal.bindings, [{ role: 'viewer', scope: '*' }])
      assert.deepEqual(events.pop(), {
        code: 'login.succeeded',
        principal: { id, kind: 'user', name: 'strasse', tokenId: principal.tokenId },
        outcome: 'ok',
        detail: { remoteAddress: inside },
      })
      clock.forward(900_000)
      await assert.rejects(identity.authenticate(token, inside), { type: 'unauthenticated' })
    }
  },
)

testOnEach(
  'every refused sign-in says the same, and the log says why without the typed name',
  identityMigrations,
  async (database) => {
    const { identity, admin, addUser, events } = await openWorld(database, testRootKey, fixedClock().now)
    const ada = await addUser('ada')
    const eve = await addUser('eve')
    await identity.users.edit(admin, eve.id, { disabled: true })
    await identity.ensureBootstrapToken(new Secret('Vq8dXz0pLw3RtY7uKmN2cB5hJgF4sA6e'))
    const bootstrap = (await findByUsername(database.db, 'bootstrap'))!
    const known = ({ id, name }: { id: string; name: string }) => ({ id, kind: 'user', name })
    const cases: readonly [string, string, string, object | undefined][] = [
      ['ada', 'wrong password, long', 'wrong-password', known(ada)],
      ['ADA', goodPassword.toUpperCase(), 'wrong-password', known(ada)],
      ['ada', `${goodPassword} `, 'wrong-password', known(ada)],
      ['eve', goodPassword, 'disabled', known(eve)],
      ['eve', 'wrong', 'wrong-password', known(eve)],
      ['bootstrap', goodPassword, 'wrong-password', known(bootstrap)],
      ['nobody', goodPassword, 'unknown-user', undefined],
      [goodPassword, 'ada', 'unknown-user', undefined],
      ['', '', 'unknown-user', undefined],
      ["ada' or '1'='1", 'x', 'unknown-user', undefined],
      ['a\u0000da', goodPassword, 'unknown-user', undefined],
    ]
    for (const [username, typed, reason, principal] of cases) {
      events.length = 0
      await assert.rejects(identity.login({ username, password: new Secret(typed) }, inside), refusal, username)
      assert.deepEqual(
        events,
        [
          {
            code: 'login.failed',
            ...(principal && { principal }),
            outcome: 'unauthenticated',
            detail: { reason, remoteAddress: inside },
          },
        ],
        username,
      )
    }
  },
)

test('an unknown name costs as much work as a known one', async (t) => {
  const database = await freshSqlite(t, identityMigrations)
  // High enough to stand out from everything else that a sign-in does.
  const cost = { memory: 8_192, passes: 2, parallelism: 1 }
  const { identity } = await openWorld(database, testRootKey, fixedClock().now, { passwordCost: cost })
  const cpuOf = async (username: string) => {
    const before = process.cpuUsage()
    for (let i = 0; i < 5; i++)
      await assert.rejects(identity.login({ username, password: new Secret('wrong') }, inside), refusal)
    return process.cpuUsage(before).user
  }
  await cpuOf('admin')
  const [known, unknown] = [await cpuOf('admin'), await cpuOf('nobody')]
  assert.ok(unknown > known / 2, `${unknown} µs against ${known} µs of CPU`)
})

testOnEach(
  'attempts are counted before the password is looked at, by the folded name',
  identityMigrations,
  async (database) => {
    const taken: unknown[] = []
    const succeeded: unknown[] = []
    let allowed = true
    const { identity } = await openWorld(database, testRootKey, fixedClock().now, {
      takeLogin: (...args) => {
        taken.push(args)
        if (!allowed) throw new Problem('rate-limited', 'Too many sign-in attempts', { retryAfterSeconds: 60 })
      },
      loginSucceeded: (...args) => succeeded.push(args),
    })
    taken.length = 0
    succeeded.length = 0

    for (const username of ['ADMIN', ' admin', 'ａｄｍｉｎ'])
      await assert.rejects(identity.login({ username, password: new Secret('x') }, inside), refusal)
    await identity.login({ username: 'Admin', password }, inside)
    allowed = false
    await assert.rejects(identity.login({ username: 'Admin', password }, inside), { type: 'rate-limited' })

    assert.deepEqual(
      taken,
      Array.from({ length: 5 }, () => ['admin', inside]),
    )
    assert.deepEqual(succeeded, [['admin', inside]])
  },
)

testOnEach('a sign-in that cannot be logged gives no token', identityMigrations, async (database) => {
  let broken = false
  const { identity, admin } = await openWorld(database, testRootKey, fixedClock().now, {
    onEvent: () => (broken ? Promise.reject(new Error('disk full')) : Promise.resolve()),
  })
  const before = (await identity.tokens.list(admin, { limit: 100 })).items
  broken = true

  await assert.rejects(identity.login({ username: 'admin', password }, inside), { type: 'audit-unavailable' })
  await assert.rejects(identity.login({ username: 'admin', password: new Secret('x') }, inside), {
    type: 'audit-unavailable',
  })

  assert.deepEqual((await identity.tokens.list(admin, { limit: 100 })).items, before)
})

testOnEach('a hash of an older cost is replaced when its user signs in', identityMigrations, async (database) => {
  const clock = fixedClock()
  await openWorld(database, testRootKey, clock.now)
  const cost = { memory: 128, passes: 1, parallelism: 1 }
  const { identity } = openIdentity({ database, rootKey: testRootKey, now: clock.now, passwordCost: cost })

  await assert.rejects(signIn(identity, 'admin', 'wrong'), refusal)
  assert.match((await findByUsername(database.db, 'admin'))?.password_hash ?? '', /m=64,/)
  await signIn(identity, 'admin')
  assert.match((await findByUsername(database.db, 'admin'))?.password_hash ?? '', /m=128,/)
  await signIn(identity, 'admin')
})

testOnEach('sign-ins that ended long ago are forgotten', identityMigrations, async (database) => {
  const clock = fixedClock()
  const { identity } = await openWorld(database, testRootKey, clock.now)
  const admin = await signIn(identity, 'admin')
  clock.forward(3 * 86_400_000)
  const later = await signIn(identity, 'admin')
  assert.deepEqual(
    (await identity.tokens.list(later, { limit: 100 })).items.map(({ id }) => id),
    [later.tokenId],
  )
  assert.notEqual(admin.tokenId, later.tokenId)
})

test('a sign-in lasts at most one hour, and passwords cost what was agreed (claims: B24)', async (t) => {
  const database = await freshSqlite(t, identityMigrations)
  const parts = { database, rootKey: testRootKey, now: fixedClock().now }
  for (const sessionTokenTtlMs of [0, -1, Number.NaN, 3_600_001])
    assert.throws(() => openIdentity({ ...parts, sessionTokenTtlMs }), RangeError)
  openIdentity({ ...parts, sessionTokenTtlMs: 3_600_000 })
  assert.deepEqual(passwordCost, { memory: 19_456, passes: 2, parallelism: 1 })
})

testOnEach(
  'no default user and password gets into a fresh install (claims: A11 D26)',
  identityMigrations,
  async (database) => {
    const { identity } = openIdentity({ database, rootKey: testRootKey, now: fixedClock().now })
    assert.ok(defaultPairs.length >= 200)
    for (const [username, typed] of defaultPairs)
      await assert.rejects(identity.login({ username, password: new Secret(typed) }, inside), refusal)
    for (const [username, typed] of defaultPairs)
      for (const bearer of [username, typed, `${username}:${typed}`])
        await assert.rejects(identity.authenticate(bearer, inside), { type: 'unauthenticated' })
  },
)
