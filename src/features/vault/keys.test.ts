import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import type { VersionRow } from './store.ts'
import { makeVault, type Vault } from './vault.ts'

async function vaultIn(database: Database, onIntegrityFailure: (id: string) => void = assert.fail) {
  const vault = makeVault({ database, rootKey: testRootKey, now: fixedClock().now, onIntegrityFailure })
  await vault.init()
  return vault
}

async function putMany(vault: Vault, count: number): Promise<string[]> {
  const ids = []
  for (let i = 0; i < count; i++) ids.push((await vault.put({ name: `n${i}`, value: new Secret(`value ${i}`) })).id)
  return ids
}

const valuesOf = async (vault: Vault, ids: readonly string[]) => {
  const values = []
  for (const id of ids) values.push((await vault.use(id)).reveal())
  return values
}
const states = async (vault: Vault) =>
  (await vault.keys()).map(({ version, state, versions }) => `${version} ${state} ${versions}`)
const versionsIn = (database: Database) => database.db.withTables<{ secret_version: VersionRow }>()

testOnEach('a rotated key seals what comes; what is stored stays readable', vaultMigrations, async (database) => {
  const vault = await vaultIn(database)
  const ids = await putMany(vault, 3)

  assert.equal((await vault.rotate()).version, 2)
  ids.push((await vault.put({ name: 'new', value: new Secret('new') })).id)

  assert.deepEqual(await states(vault), ['1 retired 3', '2 active 1'])
  assert.deepEqual(await valuesOf(vault, ids), ['value 0', 'value 1', 'value 2', 'new'])
})

testOnEach(
  'rewrap moves every version to the active key, in as many calls as one likes (SEC-ENC-5)',
  vaultMigrations,
  async (database) => {
    const vault = await vaultIn(database)
    const ids = await putMany(vault, 7)
    await vault.addVersion(ids[0]!, new Secret('second'))
    await vault.rotate()
    await vault.destroy(ids[6]!)
    const before = await versionsIn(database).selectFrom('secret_version').select('box').execute()

    const first = await vault.rewrap({ limit: 3 })
    // What another process, or this one after a restart, goes on with.
    const rest = await (await vaultIn(database)).rewrap({ limit: 100, after: first.next ?? assert.fail() })

    assert.deepEqual([first.rewrapped, first.remaining, rest.rewrapped, rest.remaining, rest.next], [3, 4, 4, 0, null])
    assert.deepEqual(await states(vault), ['1 retired 0', '2 active 7'])
    assert.deepEqual((await valuesOf(vault, ids.slice(0, 2))).concat((await vault.reveal(ids[0]!, 1)).value.reveal()), [
      'second',
      'value 1',
      'value 0',
    ])
    const after = new Set(
      (await versionsIn(database).selectFrom('secret_version').select('box').execute()).map(({ box }) =>
        box?.toString('hex'),
      ),
    )
    assert.ok(before.every(({ box }) => box === null || !after.has(box.toString('hex'))))
    assert.deepEqual(await vault.rewrap({ limit: 10 }), { rewrapped: 0, failed: [], remaining: 0, next: null })
  },
)

testOnEach('a damaged version is named, told and passed over', vaultMigrations, async (database) => {
  const alarms: string[] = []
  const vault = await vaultIn(database, (id) => void alarms.push(id))
  const ids = await putMany(vault, 3)
  await vault.rotate()
  const bad = ids[1]!
  await versionsIn(database)
    .updateTable('secret_version')
    .set({ box: Buffer.alloc(60) })
    .where('secret_id', '=', bad)
    .execute()

  const failed = [{ secret: bad, version: 1 }]
  assert.deepEqual(await vault.rewrap({ limit: 100 }), { rewrapped: 2, failed, remaining: 1, next: null })
  assert.deepEqual(alarms, [bad])
})

testOnEach(
  'no read and no write fails while keys rotate and rewrap runs, in two processes at once (SEC-ENC-5)',
  vaultMigrations,
  async (database) => {
    const [one, two] = [await vaultIn(database), await vaultIn(database)]
    const ids = await putMany(one, 60)
    let isOver = false
    const reader = async (vault: Vault, offset: number) => {
      for (let i = offset; !isOver; i++) {
        const at = i % ids.length
        assert.match((await vault.use(ids[at]!)).reveal(), new RegExp(`^value ${at}( again)?$`))
        await turn()
      }
    }
    const writer = async (vault: Vault, offset: number) => {
      for (let i = offset; !isOver; i += 2) {
        await vault.addVersion(ids[i % ids.length]!, new Secret(`value ${i % ids.length} again`))
        await turn()
      }
    }
    const load = Promise.all([reader(one, 0), reader(two, 30), writer(one, 0), writer(two, 1)])

    for (let round = 0; round < 4; round++) {
      await Promise.all([one.rotate(), two.rotate()])
      await Promise.all([one.rewrap({ limit: 1000 }), two.rewrap({ limit: 1000 })])
    }
    isOver = true
    await load

    const { remaining } = await one.rewrap({ limit: 10_000 })
    const keys = await one.keys()
    assert.equal(remaining, 0)
    assert.deepEqual(
      keys.map(({ version, state }) => [version, state]),
      keys.map((_, i) => [i + 1, i === 8 ? 'active' : 'retired']),
    )
    assert.equal(keys.length, 9)
  },
)

testOnEach('a version that is destroyed during rewrap stays destroyed', vaultMigrations, async (database) => {
  const vault = await vaultIn(database)
  const ids = await putMany(vault, 40)
  await vault.rotate()

  await Promise.all([vault.rewrap({ limit: 1000 }), ...ids.slice(0, 20).map((id) => vault.destroy(id))])

  const rows = await versionsIn(database).selectFrom('secret_version').select(['secret_id', 'wrapped', 'box']).execute()
  for (const { secret_id, wrapped, box } of rows)
    assert.equal(wrapped === null && box === null, ids.indexOf(secret_id) < 20, secret_id)
})
