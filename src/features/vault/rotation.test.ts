import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { fixedClock, freshPostgres, freshSqlite, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import { makeVault } from './vault.ts'

const day = 86_400_000
const one = new Secret('value one')
const two = new Secret('value two')

async function vaultIn(database: Database) {
  const clock = fixedClock()
  const vault = makeVault({
    database,
    rootKey: testRootKey,
    now: clock.now,
    onIntegrityFailure: (id) => assert.fail(id),
  })
  await vault.init()
  const rotation = async (id: string) => {
    const { dueAt, rotation: state } = await vault.get(id)
    return [dueAt?.slice(0, 10) ?? null, state]
  }
  const named = async (state: 'soon' | 'overdue') =>
    (await vault.list({ limit: 50, rotation: state })).items.map(({ name }) => name)
  return { vault, clock, rotation, named }
}

testOnEach(
  'a value is due after 90 days and reminded of from the 75th, a new one starts anew (claims: A8 A36)',
  vaultMigrations,
  async (database) => {
    const { vault, clock, rotation, named } = await vaultIn(database)
    const { id } = await vault.put({ name: 'token', value: one })
    const user = await vault.put({ name: 'user', kind: 'username', value: one })

    assert.deepEqual(await rotation(id), ['2026-04-01', 'ok'])
    assert.deepEqual(await rotation(user.id), [null, 'never'])
    clock.forward(75 * day - 1)
    assert.deepEqual([await named('soon'), await named('overdue')], [[], []])
    clock.forward(1)
    assert.deepEqual([await named('soon'), await named('overdue')], [['token'], []])
    clock.forward(15 * day - 1)
    assert.deepEqual(await rotation(id), ['2026-04-01', 'soon'])
    clock.forward(1)
    assert.deepEqual([await named('soon'), await named('overdue')], [[], ['token']])
    assert.deepEqual(await rotation(id), ['2026-04-01', 'overdue'])

    await vault.addVersion(id, two)

    assert.deepEqual(await rotation(id), ['2026-06-30', 'ok'])
    assert.deepEqual([await named('soon'), await named('overdue')], [[], []])
  },
)

testOnEach(
  'the days are a secret’s own when they are set, counted from its current value',
  vaultMigrations,
  async (database) => {
    const { vault, clock, rotation } = await vaultIn(database)
    const { id } = await vault.put({ name: 'token', value: one })
    clock.forward(10 * day)

    const cases: readonly [{ days?: number; remindAfterDays?: number }, unknown][] = [
      [{ days: 30 }, ['2026-01-31', 'ok']],
      [{ days: 12 }, ['2026-01-13', 'soon']],
      [{ days: 30, remindAfterDays: 9 }, ['2026-01-31', 'soon']],
      [{ days: 5 }, ['2026-01-06', 'overdue']],
      [{ days: 0 }, [null, 'never']],
      [{}, ['2026-04-01', 'ok']],
    ]
    for (const [wish, expected] of cases) {
      await vault.setRotation(id, wish)
      assert.deepEqual(await rotation(id), expected, JSON.stringify(wish))
    }
    await vault.setRotation(id, { days: 30 })
    await vault.addVersion(id, two)
    assert.deepEqual(await rotation(id), ['2026-02-10', 'ok'])
    await vault.destroy(id)
    assert.deepEqual(await rotation(id), [null, 'never'])
    await assert.rejects(vault.setRotation(id, {}), (error) => error instanceof Problem && error.type === 'conflict')
  },
)

testOnEach('of several secrets the first that is due counts', vaultMigrations, async (database) => {
  const { vault, clock } = await vaultIn(database)
  const first = await vault.put({ name: 'a', value: one })
  const user = await vault.put({ name: 'u', kind: 'username', value: one })
  clock.forward(day)
  const second = await vault.put({ name: 'b', value: one })

  assert.equal(await vault.dueAt([second.id, user.id, first.id]), '2026-04-01T00:00:00.000Z')
  await vault.destroy(first.id)
  assert.equal(await vault.dueAt([second.id, user.id, first.id]), '2026-04-02T00:00:00.000Z')
  assert.equal(await vault.dueAt([user.id]), null)
})

testOnEach('a staged value is used by nobody until it is promoted (claims: A36)', vaultMigrations, async (database) => {
  const { vault, clock, rotation } = await vaultIn(database)
  const { id } = await vault.put({ name: 'token', owner: 'con_1', value: one })
  clock.forward(day)
  const values = async () => [
    (await vault.use(id, 'con_1')).reveal(),
    (await vault.useStaged(id, 'con_1')).reveal(),
    (await vault.get(id)).stagedVersion,
  ]

  assert.deepEqual(await values(), ['value one', 'value one', null])
  await vault.stage([{ id, value: new Secret('dropped') }])
  await vault.stage([{ id, value: two }])
  assert.deepEqual(await values(), ['value one', 'value two', 3])
  assert.equal((await vault.get(id)).versions[1]?.destroyedAt, '2026-01-02T00:00:00.000Z')
  await assert.rejects(vault.useStaged(id, 'con_2'), { type: 'not-found' })
  // What a sign-in renews in the current value meanwhile does not touch what is staged.
  await vault.addVersion(id, new Secret('renewed'))
  assert.deepEqual(await values(), ['renewed', 'value two', 3])
  clock.forward(day)
  await vault.promote([id])
  assert.deepEqual(await values(), ['value two', 'value two', null])
  assert.deepEqual(await rotation(id), ['2026-04-02', 'ok'])
  assert.equal((await vault.reveal(id, 1)).value.reveal(), 'value one')
  assert.equal((await vault.addVersion(id, one)).version, 5)
  await assert.rejects(vault.promote([id]), { type: 'conflict', detail: 'Nothing is staged' })
})

testOnEach('staging and promoting is all or nothing, and discarding destroys', vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)
  const a = await vault.put({ name: 'a', value: one })
  const b = await vault.put({ name: 'b', value: one })
  const gone = await vault.put({ name: 'gone', value: one })
  await vault.destroy(gone.id)

  await assert.rejects(vault.stage([a, gone].map(({ id }) => ({ id, value: two }))), { type: 'conflict' })
  assert.deepEqual(await vault.staged([a.id, b.id, gone.id]), [])
  await vault.stage([{ id: a.id, value: two }])
  await assert.rejects(vault.promote([a.id, b.id]), { type: 'conflict' })
  assert.equal((await vault.use(a.id)).reveal(), 'value one')
  assert.deepEqual(await vault.staged([a.id, b.id]), [a.id])
  assert.deepEqual([await vault.discard([a.id, b.id]), await vault.discard([a.id])], [1, 0])
  assert.deepEqual(await vault.staged([a.id]), [])
  await assert.rejects(vault.reveal(a.id, 2))
})

for (const [title, fresh] of [
  ['SQLite', freshSqlite],
  ['PostgreSQL', freshPostgres],
] as const)
  test(`secrets of an earlier version get their dates from when they were stored (${title})`, async (t) => {
    const database = await fresh(t, vaultMigrations.slice(0, 1))
    await sql`insert into vault_key values ('kek', 'default', 1, 'active', '', 0, '')`.execute(database.db)
    for (const [id, kind] of [
      ['sec_a', 'token'],
      ['sec_b', 'username'],
    ] as const) {
      await sql`insert into secret (id, name, kind, created_at, current_version)
        values (${id}, ${id}, ${kind}, '2025-01-01T00:00:00.000Z', 2)`.execute(database.db)
      await sql`insert into secret_version (secret_id, version, key_id, created_at)
        values (${id}, 2, 'kek', '2026-01-01T10:20:30.456Z')`.execute(database.db)
    }

    await migrate(database, vaultMigrations, () => new Date())

    const { rows } = await sql`select remind_at, due_at, last_version from secret order by id`.execute(database.db)
    assert.deepEqual(rows, [
      { remind_at: '2026-03-17T10:20:30.456Z', due_at: '2026-04-01T10:20:30.456Z', last_version: 2 },
      { remind_at: null, due_at: null, last_version: 2 },
    ])
  })
