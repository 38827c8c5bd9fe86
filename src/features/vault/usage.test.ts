import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import { makeVault } from './vault.ts'

const hour = 3_600_000

async function vaultIn(database: Database) {
  const clock = fixedClock('2026-01-01T10:30:00.000Z')
  const start = async () => {
    const vault = makeVault({
      database,
      rootKey: testRootKey,
      now: clock.now,
      onIntegrityFailure: (id) => assert.fail(id),
    })
    await vault.init()
    return vault
  }
  return { vault: await start(), start, clock }
}

testOnEach(
  'who used which version in which hour is counted, over processes and restarts (claims: E20)',
  vaultMigrations,
  async (database) => {
    const { vault, start, clock } = await vaultIn(database)
    const { id } = await vault.put({ name: 'token', owner: 'con_1', value: new Secret('one') })
    const other = await start()

    for (let i = 0; i < 3; i++) await vault.use(id, 'con_1')
    await other.use(id, 'con_1')
    clock.forward(hour)
    await vault.addVersion(id, new Secret('two'))
    await vault.use(id, 'con_1')
    await vault.reveal(id, 1, 'usr_7')
    await assert.rejects(vault.use(id, 'con_2'))
    await Promise.all([vault.close(), other.close()])

    const later = await start()
    assert.deepEqual(await later.usage(id, { limit: 10 }), {
      versions: [
        { version: 1, uses: 5, lastUsedAt: '2026-01-01T11:30:00.000Z' },
        { version: 2, uses: 1, lastUsedAt: '2026-01-01T11:30:00.000Z' },
      ],
      items: [
        { hour: '2026-01-01T11:00:00.000Z', version: 1, by: 'usr_7', uses: 1, lastUsedAt: '2026-01-01T11:30:00.000Z' },
        { hour: '2026-01-01T11:00:00.000Z', version: 2, by: 'con_1', uses: 1, lastUsedAt: '2026-01-01T11:30:00.000Z' },
        { hour: '2026-01-01T10:00:00.000Z', version: 1, by: 'con_1', uses: 4, lastUsedAt: '2026-01-01T10:30:00.000Z' },
      ],
      next: null,
    })
    await assert.rejects(later.usage('sec_000000000000000000000000', { limit: 1 }), { type: 'not-found' })
  },
)

testOnEach('usage is read hour by hour and kept for 90 days', vaultMigrations, async (database) => {
  const { vault, start, clock } = await vaultIn(database)
  const { id } = await vault.put({ name: 'token', value: new Secret('one') })
  for (let i = 0; i < 5; i++) {
    await vault.use(id)
    await vault.reveal(id, 1, 'usr_1')
    clock.forward(hour)
  }

  const seen: string[] = []
  let before: string | undefined
  for (let pages = 0; pages < 9; pages++) {
    const { items, next } = await vault.usage(id, { limit: 2, before })
    seen.push(...items.map(({ hour: at, by }) => `${at.slice(11, 13)} ${by}`))
    if (next === null) break
    before = next
  }
  const hours = ['14', '13', '12', '11', '10']
  assert.deepEqual(
    seen,
    hours.flatMap((at) => [`${at} atlas`, `${at} usr_1`]),
  )

  clock.forward(90 * 24 * hour)
  // A day later in a process of its own: the old hours go with the next write.
  const next = await start()
  await next.use(id)
  assert.deepEqual(
    (await next.usage(id, { limit: 10 })).items.map(({ uses }) => uses),
    [1],
  )
})

testOnEach('counts that cannot be written wait for the next time', vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)
  const { id } = await vault.put({ name: 'token', value: new Secret('one') })
  await vault.use(id)
  await sql`alter table secret_use rename to elsewhere`.execute(database.db)
  await assert.rejects(vault.close())
  await vault.use(id)
  await sql`alter table elsewhere rename to secret_use`.execute(database.db)

  assert.deepEqual(
    (await vault.usage(id, { limit: 1 })).versions.map(({ uses }) => uses),
    [2],
  )
})
