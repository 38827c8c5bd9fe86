import assert from 'node:assert/strict'
import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { Secret } from '../../core/secret.ts'
import { type Database, openSqlite, UnknownKey } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { deriveKey, open } from '../../lib/envelope.ts'
import { fixedClock, freshPostgres, testOnEach, testRootKey } from '../../testing/databases.ts'
import { checkRootKey } from './keyring.ts'
import { vaultMigrations } from './migrations.ts'
import type { SecretRow, VaultKeyRow, VersionRow } from './store.ts'
import { makeVault } from './vault.ts'

const otherRootKey = createSecretKey(Buffer.alloc(32, 8))

async function attacked(database: Database) {
  const alarms: string[] = []
  const start = async () => {
    const vault = makeVault({
      database,
      rootKey: testRootKey,
      now: fixedClock().now,
      onIntegrityFailure: (id, version) => void alarms.push(`${id}/${version}`),
    })
    await vault.init()
    return vault
  }
  return { vault: await start(), start, alarms, db: database.db.withTables<Tables>() }
}
type Tables = { vault_key: VaultKeyRow; secret: SecretRow; secret_version: VersionRow }

/** 'opened', or the message with the id cut out. */
async function outcome(run: Promise<unknown>): Promise<string> {
  try {
    await run
    return 'opened'
  } catch (error) {
    const { message, type } = error as Error & { type?: string }
    return `${type ? `${type}: ` : ''}${message.replace(/sec_\w+/, 'sec')}`
  }
}

type World = Awaited<ReturnType<typeof attacked>> & { a: string; b: string; c: string }
const set = (db: World['db'], id: string, version: number, change: Partial<VersionRow>) =>
  db.updateTable('secret_version').set(change).where('secret_id', '=', id).where('version', '=', version).execute()
const rowOf = (db: World['db'], id: string, version: number) =>
  db
    .selectFrom('secret_version')
    .selectAll()
    .where('secret_id', '=', id)
    .where('version', '=', version)
    .executeTakeFirstOrThrow()

/** What somebody who can write the tables might do so that secret a (two versions) gives another value; b is its neighbour, c another owner's. */
const swaps: Record<string, (world: World) => Promise<unknown>> = {
  "b's whole content in a's row": async ({ db, a, b }) => {
    const { wrapped, box, key_id } = await rowOf(db, b, 1)
    await set(db, a, 2, { wrapped, box, key_id })
  },
  "b's data key in a's row": async ({ db, a, b }) => set(db, a, 2, { wrapped: (await rowOf(db, b, 1)).wrapped }),
  "b's box in a's row": async ({ db, a, b }) => set(db, a, 2, { box: (await rowOf(db, b, 1)).box }),
  'the old version as the new one': async ({ db, a }) => {
    const { wrapped, box } = await rowOf(db, a, 1)
    await set(db, a, 2, { wrapped, box })
  },
  "another owner's whole content in a's row": async ({ db, a, c }) => {
    const { wrapped, box, key_id } = await rowOf(db, c, 1)
    await set(db, a, 2, { wrapped, box, key_id })
  },
  'the new version as the old one, and that made current': async ({ db, a }) => {
    const { wrapped, box } = await rowOf(db, a, 2)
    await set(db, a, 1, { wrapped, box })
    await db.updateTable('secret').set({ current_version: 1 }).where('id', '=', a).execute()
  },
  'another key-encryption key named': async ({ vault, db, a }) => {
    const { id } = await vault.rotate()
    await set(db, a, 2, { key_id: id })
  },
  'the two boxes of a row exchanged': async ({ db, a }) => {
    const { wrapped, box } = await rowOf(db, a, 2)
    await set(db, a, 2, { wrapped: box, box: wrapped })
  },
  'another name': ({ db, a }) => db.updateTable('secret').set({ name: 'c' }).where('id', '=', a).execute(),
  'another kind': ({ db, a }) => db.updateTable('secret').set({ kind: 'username' }).where('id', '=', a).execute(),
  'another owner': ({ db, a }) => db.updateTable('secret').set({ owner: 'con_9' }).where('id', '=', a).execute(),
  'no owner': ({ db, a }) => db.updateTable('secret').set({ owner: null }).where('id', '=', a).execute(),
  'an empty owner': ({ db, a }) => db.updateTable('secret').set({ owner: '' }).where('id', '=', a).execute(),
  'a version that does not exist': ({ db, a }) =>
    db.updateTable('secret').set({ current_version: 3 }).where('id', '=', a).execute(),
  'no data key': ({ db, a }) => set(db, a, 2, { wrapped: null }),
  'no box': ({ db, a }) => set(db, a, 2, { box: null }),
  'an empty box': ({ db, a }) => set(db, a, 2, { box: Buffer.alloc(0) }),
  'no version row': ({ db, a }) => db.deleteFrom('secret_version').where('secret_id', '=', a).execute(),
}

for (const [title, swap] of Object.entries(swaps))
  testOnEach(
    `a secret with ${title} does not open, and the alarm is raised (SEC-ENC-1, claims: A13 B9)`,
    vaultMigrations,
    async (database) => {
      const world = await attacked(database)
      const put = (name: string, owner = 'con_1') =>
        world.vault.put({ name, owner, value: new Secret(`value of ${name}`) })
      const [{ id: a }, { id: b }, { id: c }] = [await put('a'), await put('b'), await put('c', 'con_2')]
      await world.vault.addVersion(a, new Secret('second value of a'))

      await swap({ ...world, a, b, c })

      const { version } = await world.vault.get(a)
      for (const vault of [world.vault, await world.start()])
        assert.match(
          await outcome(vault.use(a)),
          /^integrity: Version \d of the secret sec is damaged or belongs elsewhere$/,
        )
      assert.deepEqual(world.alarms, Array(2).fill(`${a}/${version}`))
      assert.equal((await world.vault.use(b)).reveal(), 'value of b')
    },
  )

testOnEach(
  'a secret without an owner does not open for an owner, not even an empty one (SEC-ENC-1)',
  vaultMigrations,
  async (database) => {
    const { vault, db } = await attacked(database)
    const { id } = await vault.put({ name: 'a', value: new Secret('value') })

    const outcomes = []
    for (const owner of ['', '-', 'con_1', null]) {
      await db.updateTable('secret').set({ owner }).execute()
      outcomes.push(await outcome(vault.use(id)))
    }

    assert.deepEqual(outcomes, [
      ...Array(3).fill('integrity: Version 1 of the secret sec is damaged or belongs elsewhere'),
      'opened',
    ])
  },
)

testOnEach(
  'what is stored has the documented form: HKDF, key-encryption key, data key, value (SECURITY.md §1.2)',
  vaultMigrations,
  async (database) => {
    const { vault, db } = await attacked(database)
    const { id } = await vault.put({ name: 'a', kind: 'token', owner: 'con_1', value: new Secret('value') })
    const kek = await db.selectFrom('vault_key').selectAll().executeTakeFirstOrThrow()
    const row = await rowOf(db, id, 1)
    const aad = ['atlas', 'secret_version', id, '1', 'a', 'token', '=con_1']

    const key = open(deriveKey(testRootKey, 'atlas/vault'), kek.wrapped, [
      'atlas',
      'vault_key',
      kek.id,
      'default',
      '1',
      'key',
    ])
    const dataKey = open(createSecretKey(key), row.wrapped!, [...aad, 'data-key', kek.id])
    const value = open(createSecretKey(dataKey), row.box!, [...aad, 'value', kek.id])

    assert.equal(value.toString(), 'value')
  },
)

testOnEach(
  'a secret with any one byte changed does not open, nor with a tag cut short (SEC-ENC-2, SEC-ENC-3)',
  vaultMigrations,
  async (database) => {
    const { vault, db } = await attacked(database)
    const { id } = await vault.put({ name: 'a', value: new Secret('value') })
    const good = await rowOf(db, id, 1)
    const outcomes: string[] = []

    for (const field of ['wrapped', 'box'] as const) {
      const bytes = good[field]!
      const flipped = [...bytes.keys()].map((at) => {
        const bad = Buffer.from(bytes)
        bad[at] = bad[at]! ^ (1 << (at % 8))
        return bad
      })
      // 4, 8 and 12 leave a tag of 12, 8 and 4 bytes.
      const cut = [1, 4, 8, 12, 16].map((n) => bytes.subarray(0, bytes.length - n))
      for (const bad of [...flipped, ...cut]) {
        await set(db, id, 1, { [field]: bad })
        outcomes.push(await outcome(vault.use(id)))
      }
      await set(db, id, 1, { [field]: bytes })
    }

    assert.deepEqual(
      new Set(outcomes),
      new Set(['integrity: Version 1 of the secret sec is damaged or belongs elsewhere']),
    )
    assert.equal((await vault.use(id)).reveal(), 'value')
  },
)

testOnEach(
  'a damaged or exchanged key-encryption key stops the start, whichever byte it is (SEC-ENC-1, SEC-ENC-2)',
  vaultMigrations,
  async (database) => {
    const { vault, start, db } = await attacked(database)
    const { id: first } = await db.selectFrom('vault_key').select('id').executeTakeFirstOrThrow()
    const { id: second } = await vault.rotate()
    const keys = await db.selectFrom('vault_key').selectAll().orderBy('version').execute()
    const [{ wrapped }, { wrapped: other }] = keys as [VaultKeyRow, VaultKeyRow]
    const flips = [...wrapped.keys()].map((at) => {
      const bad = Buffer.from(wrapped)
      bad[at] = bad[at]! ^ (1 << (at % 8))
      return { wrapped: bad }
    })
    const changes: Partial<VaultKeyRow>[] = [...flips, { wrapped: other }, { version: 3 }, { scope: 'other' }]
    const change = (id: string, values: Partial<VaultKeyRow>) =>
      db.updateTable('vault_key').set(values).where('id', '=', id).execute()

    const outcomes = []
    for (const values of changes) {
      await change(first, values)
      outcomes.push((await outcome(start())).replace(first, 'kek'))
      await change(first, { wrapped, version: 1, scope: 'default' })
    }
    // Both at once: each would open the other's values.
    await change(first, { wrapped: other })
    await change(second, { wrapped })
    outcomes.push((await outcome(start())).replace(first, 'kek'))
    await change(first, { wrapped })
    await change(second, { wrapped: other })

    // The eight bytes that name the root key say that it is another one.
    const unknown = outcomes.splice(4, 8)
    assert.deepEqual(new Set(outcomes), new Set(['The key-encryption key kek is damaged or belongs elsewhere']))
    assert.deepEqual(new Set(unknown), new Set([new UnknownKey().message]))
    await start()
  },
)

test('when the key-encryption keys are gone no new ones are made over old secrets', async (t) => {
  const database = openSqlite(':memory:')
  t.after(() => database.close())
  await migrate(database, vaultMigrations, () => new Date())
  const { vault, start, db } = await attacked(database)
  await vault.put({ name: 'a', value: new Secret('value') })
  await sql`pragma foreign_keys = off`.execute(db)
  await db.deleteFrom('vault_key').execute()

  assert.equal(await outcome(start()), 'The key-encryption keys are missing from the database')
  assert.deepEqual(await db.selectFrom('vault_key').selectAll().execute(), [])
})

const forms: Record<string, (value: string) => string | Buffer> = {
  plain: (value) => value,
  base64: (value) => Buffer.from(value).toString('base64').replace(/=+$/, ''),
  'base64 one byte later': (value) => Buffer.from(`.${value}`).toString('base64').slice(4, -4),
  'base64 two bytes later': (value) => Buffer.from(`..${value}`).toString('base64').slice(4, -4),
  base64url: (value) => Buffer.from(value).toString('base64url'),
  hex: (value) => Buffer.from(value).toString('hex'),
  HEX: (value) => Buffer.from(value).toString('hex').toUpperCase(),
  'URL-encoded': (value) => encodeURIComponent(value),
  'JSON-escaped': (value) => JSON.stringify(value).slice(1, -1),
  'UTF-16': (value) => Buffer.from(value, 'utf16le'),
}

testOnEach(
  'no planted value is in the tables or files in any form, also while and after it is used (SEC-ENC-4, claims: A13 A28)',
  vaultMigrations,
  async (database) => {
    const { vault } = await attacked(database)
    const canaries = Array.from({ length: 200 }, (_, i) => `ca"nary/${i}+${randomBytes(12).toString('base64')}é`)
    const ids = []
    for (const [i, canary] of canaries.entries())
      ids.push((await vault.put({ name: `n${i}`, value: new Secret(canary) })).id)
    for (const id of ids) await vault.use(id)
    await vault.addVersion(ids[0]!, new Secret(canaries[1]!))
    await vault.destroy(ids[2]!)

    const stored = await everythingStored(database)

    assert.ok(stored.includes(Buffer.from(ids[0]!)), 'the search does not see what is stored')
    const hits = canaries.flatMap((canary) =>
      Object.entries(forms)
        .filter(([, form]) => stored.includes(form(canary)))
        .map(([name]) => name),
    )
    assert.deepEqual(hits, [])
  },
)

/** The bytes of every row of every table – texts as they are, bytes raw and as hexadecimal – and of the database's files. */
async function everythingStored(database: Database): Promise<Buffer> {
  const parts: Buffer[] = []
  for (const { name } of await database.db.introspection.getTables()) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(database.db)
    for (const value of rows.flatMap((row) => Object.values(row)))
      parts.push(
        Buffer.isBuffer(value) ? Buffer.concat([value, Buffer.from(value.toString('hex'))]) : Buffer.from(`${value}\n`),
      )
  }
  if (database.dialect === 'sqlite') {
    const { rows } = await sql<{ file: string }>`select file from pragma_database_list`.execute(database.db)
    const file = rows[0]!.file
    parts.push(...readdirSync(join(file, '..')).map((name) => readFileSync(join(file, '..', name))))
  }
  return Buffer.concat(parts)
}

test('another root key is refused as unknown, and no byte of the files changes, also after a crash (SQLite)', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const database = openSqlite(join(folder, 'atlas.db'), testRootKey.export())
  await migrate(database, vaultMigrations, () => new Date())
  const { vault } = await attacked(database)
  await vault.put({ name: 'a', value: new Secret('value') })
  cpSync(folder, `${folder}-crashed`, { recursive: true }) // with the write-ahead log that a killed process leaves
  t.after(() => rmSync(`${folder}-crashed`, { recursive: true, force: true }))
  await database.close()

  for (const at of [folder, `${folder}-crashed`]) {
    const before = filesOf(at)
    assert.throws(() => openSqlite(join(at, 'atlas.db'), otherRootKey.export()), UnknownKey)
    assert.deepEqual(filesOf(at), before)
    const again = openSqlite(join(at, 'atlas.db'), testRootKey.export())
    assert.equal((await (await attacked(again)).vault.list({ limit: 9 })).items.length, 1)
    await again.close()
  }
})

/** All but the shared-memory index, which SQLite rebuilds at every opening and which holds no content. */
function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.endsWith('-shm'))
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    )
}

test('another root key is refused as unknown, before migrations, and no row changes (PostgreSQL)', async (t) => {
  const database = await freshPostgres(t, vaultMigrations)
  const { vault } = await attacked(database)
  await vault.put({ name: 'a', value: new Secret('value') })
  const before = await everythingStored(database)

  await assert.rejects(checkRootKey(database, otherRootKey), UnknownKey)
  const wrong = makeVault({ database, rootKey: otherRootKey, now: () => new Date(), onIntegrityFailure: () => {} })
  await assert.rejects(wrong.init(), UnknownKey)

  assert.deepEqual(await everythingStored(database), before)
  await checkRootKey(database, testRootKey)
})

test('a database without a vault yet fits any root key', async (t) => {
  const empty = await freshPostgres(t, [])

  await checkRootKey(empty, otherRootKey)
})
