import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import { makeVault, type Vault } from './vault.ts'

const missing = 'sec_000000000000000000000000'

async function vaultIn(database: Database, more: { maxWraps?: number } = {}) {
  const clock = fixedClock()
  const vault = makeVault({
    database,
    rootKey: testRootKey,
    now: clock.now,
    onIntegrityFailure: (id, version) => assert.fail(`${id} version ${version} is damaged`),
    ...more,
  })
  await vault.init()
  return { vault, clock }
}

/** The problem's type and detail, or what came instead. */
async function problemOf(run: Promise<unknown>): Promise<string> {
  try {
    return `no problem: ${JSON.stringify(await run)}`
  } catch (error) {
    assert.ok(error instanceof Problem, String(error))
    return `${error.type}: ${error.detail}`
  }
}

const use = (vault: Vault, id: string): Promise<unknown> => vault.use(id)
const reveal = (vault: Vault, id: string): Promise<unknown> => vault.reveal(id)
const addVersion = (vault: Vault, id: string): Promise<unknown> => vault.addVersion(id, new Secret('x'))
const destroy = (vault: Vault, id: string): Promise<unknown> => vault.destroy(id)
const show = (vault: Vault, id: string): Promise<unknown> => vault.get(id)

testOnEach(
  'a value that was put is the one that is used, also after a restart (claims: A13 B9)',
  vaultMigrations,
  async (database) => {
    const { vault } = await vaultIn(database)
    const values = ['x', 'pässwörd 🔑\u0000\n', 'v'.repeat(16_384)]
    const ids = []
    for (const [i, value] of values.entries())
      ids.push((await vault.put({ name: `n${i}`, value: new Secret(value) })).id)

    for (const { vault: other } of [{ vault }, await vaultIn(database)]) {
      const used = []
      for (const id of ids) used.push((await other.use(id)).reveal())
      assert.deepEqual(used, values)
    }
  },
)

testOnEach('a new version is the current one and the earlier ones stay readable', vaultMigrations, async (database) => {
  const { vault, clock } = await vaultIn(database)
  const { id } = await vault.put({ name: 'token', kind: 'api-token', value: new Secret('first') })
  clock.forward(1000)

  assert.deepEqual(await vault.addVersion(id, new Secret('second')), { id, version: 2 })

  assert.equal((await vault.use(id)).reveal(), 'second')
  assert.deepEqual(await vault.reveal(id, 1), { version: 1, value: new Secret('first') })
  assert.equal((await vault.reveal(id, 1)).value.reveal(), 'first')
  assert.deepEqual(await vault.get(id), {
    id,
    name: 'token',
    kind: 'api-token',
    owner: null,
    version: 2,
    createdAt: '2026-01-01T00:00:00.000Z',
    changedAt: '2026-01-01T00:00:01.000Z',
    destroyedAt: null,
    stagedVersion: null,
    dueAt: '2026-04-01T00:00:01.000Z',
    rotation: 'ok',
    source: 'stored',
    reference: null,
    rotateAfterDays: 90,
    remindAfterDays: 75,
    versions: [
      { version: 1, createdAt: '2026-01-01T00:00:00.000Z', destroyedAt: null },
      { version: 2, createdAt: '2026-01-01T00:00:01.000Z', destroyedAt: null },
    ],
  })
})

testOnEach(
  'a destroyed secret keeps its name and dates and not one byte of its values',
  vaultMigrations,
  async (database) => {
    const { vault, clock } = await vaultIn(database)
    const { id } = await vault.put({ name: 'token', value: new Secret('first value') })
    await vault.addVersion(id, new Secret('second value'))
    clock.forward(1000)

    await vault.destroy(id)

    const { destroyedAt, versions } = await vault.get(id)
    assert.deepEqual([destroyedAt, ...versions.map((v) => v.destroyedAt)], Array(3).fill('2026-01-01T00:00:01.000Z'))
    assert.deepEqual(await tableOf(database).selectFrom('secret_version').select(['wrapped', 'box']).execute(), [
      { wrapped: null, box: null },
      { wrapped: null, box: null },
    ])
    assert.deepEqual((await vault.list({ limit: 10 })).items, [])
    for (const attempt of [use, reveal, addVersion, destroy])
      assert.equal(await problemOf(attempt(vault, id)), 'conflict: The secret is destroyed')
    assert.equal((await vault.put({ name: 'token', value: new Secret('again') })).version, 1)
  },
)

testOnEach('what is not there is not found', vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)
  const { id } = await vault.put({ name: 'token', owner: 'con_1', value: new Secret('value') })

  for (const attempt of [use, reveal, addVersion, destroy, show])
    assert.equal(await problemOf(attempt(vault, missing)), 'not-found: There is no such secret')
  assert.equal(await problemOf(vault.reveal(id, 2)), 'not-found: The secret has no version with this number')
  assert.equal(await problemOf(vault.use(id, 'con_2')), 'not-found: There is no such secret')
  assert.equal((await vault.use(id, 'con_1')).reveal(), 'value')
})

testOnEach('a name is unique among the living secrets of one owner', vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)
  const put = (owner?: string) => vault.put({ name: 'token', value: new Secret('v'), ...(owner && { owner }) })
  await put()
  await put('con_1')
  await put('con_2')

  for (const owner of [undefined, 'con_1'])
    assert.equal(await problemOf(put(owner)), 'conflict: A secret with this name exists already')
  assert.equal((await vault.list({ limit: 10 })).items.length, 3)
  const together = await Promise.allSettled([1, 2, 3, 4].map(() => put('con_3')))
  assert.deepEqual(together.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected', 'rejected'])
})

testOnEach('versions added at the same time all stay, each with its own number', vaultMigrations, async (database) => {
  const [{ vault: one }, { vault: other }] = [await vaultIn(database), await vaultIn(database)]
  const { id } = await one.put({ name: 'token', value: new Secret('value 0') })

  const added = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const value = `value ${i + 1}`
      return { value, ...(await (i % 2 ? one : other).addVersion(id, new Secret(value))) }
    }),
  )

  assert.deepEqual(
    added.map(({ version }) => version).sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => i + 2),
  )
  for (const { value, version } of added) assert.equal((await one.reveal(id, version)).value.reveal(), value)
})

testOnEach(
  'destroying wins over versions added at the same time: nothing readable is left',
  vaultMigrations,
  async (database) => {
    const { vault } = await vaultIn(database)
    const { id } = await vault.put({ name: 'token', value: new Secret('value') })

    await Promise.allSettled([
      vault.addVersion(id, new Secret('a')),
      vault.destroy(id),
      vault.addVersion(id, new Secret('b')),
      vault.destroy(id),
    ])

    const rows = await tableOf(database).selectFrom('secret_version').select(['wrapped', 'box']).execute()
    assert.deepEqual(new Set(rows.flatMap(({ wrapped, box }) => [wrapped, box])), new Set([null]))
  },
)

testOnEach("a connection's secrets go with it and no others", vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)
  for (const owner of ['con_1', 'con_2'])
    for (const name of ['username', 'password']) await vault.put({ name, owner, value: new Secret('v') })

  await vault.destroyOwner('con_1')

  const { items } = await vault.list({ limit: 10 })
  assert.deepEqual(items.map(({ owner, name }) => [owner, name]).sort(), [
    ['con_2', 'password'],
    ['con_2', 'username'],
  ])
})

testOnEach('a list is paged in order and filtered by name and owner', vaultMigrations, async (database) => {
  const { vault, clock } = await vaultIn(database)
  for (let i = 0; i < 5; i++) {
    clock.forward(1)
    await vault.put({ name: `n${i}`, value: new Secret('v'), ...(i % 2 && { owner: 'con_1' }) })
  }

  const seen: string[] = []
  let cursor: string | null = null
  do {
    const page: { items: { name: string }[]; next: string | null } = await vault.list({
      limit: 2,
      ...(cursor !== null && { cursor }),
    })
    seen.push(page.items.map(({ name }) => name).join())
    cursor = page.next
  } while (cursor !== null)

  assert.deepEqual(seen, ['n0,n1', 'n2,n3', 'n4'])
  assert.deepEqual(
    (await vault.list({ limit: 9, owner: 'con_1' })).items.map(({ name }) => name),
    ['n1', 'n3'],
  )
  assert.deepEqual(
    (await vault.list({ limit: 9, name: 'n4' })).items.map(({ name }) => name),
    ['n4'],
  )
  assert.deepEqual(await vault.list({ limit: 9, name: "n4' or '1'='1" }), { items: [], next: null })
})

testOnEach('text that is not Unicode is refused rather than changed', vaultMigrations, async (database) => {
  const { vault } = await vaultIn(database)

  const outcome = await problemOf(vault.put({ name: 'n', value: new Secret('half \ud83d') }))

  assert.equal(outcome, 'invalid-input: The value is not valid Unicode text')
  assert.deepEqual((await vault.list({ limit: 10 })).items, [])
})

testOnEach(
  'values are kept out of outputs from the moment they are put or used, user names excepted',
  vaultMigrations,
  async (database) => {
    const { vault } = await vaultIn(database)
    const { id } = await vault.put({ name: 'a', value: new Secret('first-canary') })
    await vault.addVersion(id, new Secret('second-canary'))
    await vault.put({ name: 'b', kind: 'username', value: new Secret('administrator') })
    const { vault: restarted } = await vaultIn(database)
    const text = 'first-canary second-canary administrator'

    assert.equal(vault.redact(text), '[secret] [secret] administrator')
    assert.equal(restarted.redact(text), text)
    await restarted.use(id)
    assert.equal(restarted.redact(text), 'first-canary [secret] administrator')
    await vault.destroy(id)
    assert.equal(vault.redact(text), text)
  },
)

testOnEach(
  'nobody blanks the names of actions, events and things by storing them as a secret',
  vaultMigrations,
  async (database) => {
    const { vault } = await vaultIn(database)
    const words = ['password', 'inventory.assets.search', 'action.failed', newId('usr'), newId('sec')]
    for (const [i, word] of words.entries()) await vault.put({ name: `n${i}`, value: new Secret(word) })

    assert.deepEqual(vault.redact(words), words)
  },
)

testOnEach(
  'a key-encryption key is replaced when it has wrapped as often as it may (SEC-ENC-6)',
  vaultMigrations,
  async (database) => {
    const [{ vault: one }, { vault: other }] = [
      await vaultIn(database, { maxWraps: 3 }),
      await vaultIn(database, { maxWraps: 3 }),
    ]
    const secrets = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        (i % 2 ? one : other).put({ name: `n${i}`, value: new Secret(`value ${i}`) }),
      ),
    )

    const keys = await tableOf(database)
      .selectFrom('vault_key')
      .select(['version', 'state', 'wraps'])
      .orderBy('version')
      .execute()
    assert.deepEqual(
      keys.map(({ version, state }) => [version, state]),
      [
        [1, 'retired'],
        [2, 'retired'],
        [3, 'retired'],
        [4, 'active'],
      ],
    )
    const used = await tableOf(database).selectFrom('secret_version').select(['key_id']).execute()
    for (const id of new Set(used.map(({ key_id }) => key_id)))
      assert.ok(used.filter(({ key_id }) => key_id === id).length <= 3)
    for (const vault of [one, other, (await vaultIn(database)).vault])
      for (const [i, { id }] of secrets.entries()) assert.equal((await vault.use(id)).reveal(), `value ${i}`)
  },
)

testOnEach('two servers that start at once make one key-encryption key', vaultMigrations, async (database) => {
  await Promise.all(Array.from({ length: 3 }, () => vaultIn(database)))

  assert.equal((await tableOf(database).selectFrom('vault_key').select('id').execute()).length, 1)
})

testOnEach(
  'a fingerprint tells equal values from different ones, only under the same root key',
  vaultMigrations,
  async (database) => {
    const { vault } = await vaultIn(database)
    const parts = { database, now: fixedClock().now, onIntegrityFailure: () => {} }
    const other = makeVault({ ...parts, rootKey: createSecretKey(Buffer.alloc(32, 9)) })

    assert.match(vault.fingerprint(new Secret('a')), /^[0-9a-f]{64}$/)
    assert.equal(vault.fingerprint(new Secret('a')), vault.fingerprint(new Secret('a')))
    assert.notEqual(vault.fingerprint(new Secret('a')), vault.fingerprint(new Secret('b')))
    assert.notEqual(vault.fingerprint(new Secret('a')), other.fingerprint(new Secret('a')))
  },
)

type AnyTables = {
  vault_key: { id: string; version: number; state: string; wraps: number }
  secret_version: { key_id: string; wrapped: Buffer | null; box: Buffer | null }
}
function tableOf(database: Database) {
  return database.db.withTables<AnyTables>()
}
