import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { Problem } from '../../core/problem.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach, testRootKey } from '../../testing/databases.ts'
import { vaultMigrations } from './migrations.ts'
import type { ReferenceOf } from './references/reference.ts'
import { keepMs, makeReferences } from './references/resolver.ts'
import { type Source, toValue, Unreadable } from './references/source.ts'
import { makeVault } from './vault.ts'

// What the vault stores in place of a value that is kept elsewhere, and what it does with it.

const text = 'vault://secret/atlas/lab#token'
const reference = { reference: text }
const day = 86_400_000

/** A place that a test changes; `changedAt` only where the place tells it. */
async function world(database: Database) {
  const clock = fixedClock()
  const place = { value: 'first-value-0123', changedAt: undefined as string | undefined, fails: false, fetched: 0 }
  const source: Source<ReferenceOf<'vault'>> = {
    refusal: ({ path }) => (path.startsWith('secret/atlas/') ? undefined : 'the path is not allowed'),
    documentOf: ({ path }) => path,
    async fetch() {
      place.fetched++
      if (place.fails) throw new Unreadable('the vault does not answer')
      const { value, changedAt } = place
      return { valueOf: () => toValue(value), changedAt }
    },
  }
  const failures: string[] = []
  const damaged: string[] = []
  const vault = makeVault({
    database,
    rootKey: testRootKey,
    now: clock.now,
    references: makeReferences({ sources: { vault: source }, now: clock.now }),
    onReferenceFailure: (id, detail) => void failures.push(`${id} ${detail}`),
    onIntegrityFailure: (id) => void damaged.push(id),
  })
  await vault.init()
  const used = async (id: string) => (await vault.use(id)).reveal()
  return { vault, clock, place, failures, damaged, used }
}

async function problemOf(run: Promise<unknown>): Promise<string> {
  try {
    return `no problem: ${JSON.stringify(await run)}`
  } catch (error) {
    return error instanceof Problem ? `${error.type}: ${error.detail}` : String(error)
  }
}

testOnEach(
  'a reference is stored in place of a value, which is read at each use and never stored (claims: C33)',
  vaultMigrations,
  async (database) => {
    const { vault, clock, place, used } = await world(database)
    const { id } = await vault.put({ name: 'lab', value: reference })
    assert.equal(await used(id), 'first-value-0123')
    place.value = 'second-value-0123'
    clock.forward(keepMs)
    assert.equal(await used(id), 'second-value-0123')
    assert.equal((await vault.reveal(id)).value.reveal(), 'second-value-0123')
    const body = Buffer.from('x')
    assert.equal(
      await vault.proves(id, undefined as never, { scheme: 'shared', proof: 'second-value-0123', body }),
      true,
    )

    const { source, reference: shown, versions } = await vault.get(id)
    assert.deepEqual([source, shown, versions.length], ['vault', text, 1])
    const [listed] = (await vault.list({ limit: 9 })).items
    assert.deepEqual([listed?.source, JSON.stringify(listed).includes('secret/atlas')], ['vault', false])
    const { versions: uses } = await vault.usage(id, { limit: 9 })
    assert.equal(uses[0]?.uses, 4)

    // Neither the values nor the place stand in the tables.
    const { rows } = await sql`select * from secret_version`.execute(database.db)
    const stored = JSON.stringify(rows.map((row) => Object.values(row as object).map(String)))
    for (const word of ['first-value', 'second-value', 'secret/atlas']) assert.ok(!stored.includes(word), word)
  },
)

testOnEach(
  'a reference that cannot be read is not stored, and the problem names it (claims: D25)',
  vaultMigrations,
  async (database) => {
    const { vault, place, failures } = await world(database)
    const { id } = await vault.put({ name: 'lab', value: new Secret('a-stored-value') })
    const [refused, dead] = ['vault://secret/other#token', text]
    const says = {
      [refused]: `invalid-input: ${refused}: the path is not allowed`,
      [dead]: `invalid-input: ${dead}: the vault does not answer`,
    }
    place.fails = true
    for (const [wrong, problem] of Object.entries(says)) {
      const value = { reference: wrong }
      assert.equal(await problemOf(vault.put({ name: 'other', value })), problem)
      assert.equal(await problemOf(vault.addVersion(id, value)), problem)
      assert.equal(await problemOf(vault.addVersions([{ id, value }])), problem)
      assert.equal(await problemOf(vault.stage([{ id, value }])), problem)
    }
    const { items } = await vault.list({ limit: 9 })
    assert.deepEqual(
      items.map(({ name, version, stagedVersion, source }) => [name, version, stagedVersion, source]),
      [['lab', 1, null, 'stored']],
    )
    assert.deepEqual(failures, [])
  },
)

testOnEach(
  'a value that cannot be read fails its use and is told once an hour; the others go on (claims: C33)',
  vaultMigrations,
  async (database) => {
    const { vault, clock, place, failures, used } = await world(database)
    const { id } = await vault.put({ name: 'lab', value: reference })
    const { id: other } = await vault.put({ name: 'other', value: new Secret('a-stored-value') })
    clock.forward(keepMs)
    place.fails = true
    const problem = `secret-unavailable: ${text}: the vault does not answer`
    for (const run of [vault.use(id), vault.reveal(id)]) assert.equal(await problemOf(run), problem)
    assert.equal(await used(other), 'a-stored-value')
    assert.deepEqual(failures, [`${id} ${text}: the vault does not answer`])
    clock.forward(3_600_000)
    await problemOf(vault.use(id))
    assert.equal(failures.length, 2)
    // What it holds can still be seen, and be replaced.
    assert.equal((await vault.get(id)).reference, text)
    await vault.addVersion(id, new Secret('a-value-of-its-own'))
    assert.deepEqual([await used(id), (await vault.get(id)).source], ['a-value-of-its-own', 'stored'])
  },
)

testOnEach(
  'what was read by reference is redacted like a stored value, also the one before (claims: C33)',
  vaultMigrations,
  async (database) => {
    const { vault, clock, place, used } = await world(database)
    const { id } = await vault.put({ name: 'lab', value: reference })
    assert.deepEqual(vault.redact({ says: 'it is first-value-0123!' }), { says: 'it is [secret]!' })
    place.value = 'second-value-0123'
    clock.forward(keepMs)
    await used(id)
    assert.equal(vault.redact('first-value-0123 second-value-0123'), '[secret] [secret]')
    assert.equal(vault.redact(text), text)
    await vault.destroy(id)
    assert.equal(vault.redact('second-value-0123'), 'second-value-0123')
  },
)

testOnEach(
  'a reference is staged, tried and promoted, and rotated and rewrapped like a value (claims: A36 B9)',
  vaultMigrations,
  async (database) => {
    const { vault, used } = await world(database)
    const { id } = await vault.put({ name: 'lab', owner: 'con_1', value: new Secret('a-stored-value') })
    await vault.stage([{ id, value: reference }])
    assert.equal((await vault.useStaged(id, 'con_1')).reveal(), 'first-value-0123')
    assert.deepEqual([await used(id), (await vault.get(id)).reference], ['a-stored-value', null])
    await vault.promote([id])
    assert.deepEqual([await used(id), (await vault.get(id)).reference], ['first-value-0123', text])
    await vault.rotate()
    assert.deepEqual(await vault.rewrap({ limit: 50 }), { rewrapped: 2, failed: [], remaining: 0, next: null })
    assert.deepEqual(
      [await used(id), (await vault.reveal(id, 1)).value.reveal()],
      ['first-value-0123', 'a-stored-value'],
    )
  },
)

testOnEach(
  'a stored value does not open as a reference, nor a reference as a value or as one of another kind (SEC-ENC-1)',
  vaultMigrations,
  async (database) => {
    const { vault, damaged } = await world(database)
    const { id: value } = await vault.put({ name: 'value', value: new Secret(text) })
    const { id: referred } = await vault.put({ name: 'referred', value: reference })
    await sql`update secret_version set scheme = 'vault' where secret_id = ${value}`.execute(database.db)
    await sql`update secret_version set scheme = null where secret_id = ${referred}`.execute(database.db)
    for (const id of [value, referred]) assert.match(await problemOf(vault.use(id)), /^integrity: /)
    await sql`update secret_version set scheme = 'env' where secret_id = ${referred}`.execute(database.db)
    assert.match(await problemOf(vault.get(referred)), /^integrity: /)
    assert.deepEqual(damaged, [value, referred, referred])
  },
)

testOnEach(
  'a value that is kept elsewhere is as old as its place says, and is due by that (claims: A8 A36)',
  vaultMigrations,
  async (database) => {
    const { vault, clock, place, used } = await world(database)
    const at = (days: number) => new Date(Date.parse('2026-01-01T00:00:00.000Z') + days * day).toISOString()
    const state = async (id: string) => {
      const { rotation, dueAt, changedAt } = await vault.get(id)
      return [rotation, dueAt, changedAt]
    }
    place.changedAt = at(-100)
    const { id } = await vault.put({ name: 'lab', value: reference })
    assert.deepEqual(await state(id), ['overdue', at(-10), at(-100)])
    clock.forward(day)
    place.changedAt = at(1)
    await used(id)
    assert.deepEqual(await state(id), ['ok', at(91), at(1)])
    await vault.setRotation(id, { days: 30 })
    assert.deepEqual(await state(id), ['ok', at(31), at(1)])
  },
)

testOnEach(
  'where nobody tells how old a value is, it is due only when somebody set days (claims: A8)',
  vaultMigrations,
  async (database) => {
    const { vault } = await world(database)
    const { id } = await vault.put({ name: 'lab', value: reference })
    const state = async () => {
      const { rotation, dueAt } = await vault.get(id)
      return [rotation, dueAt?.slice(0, 10) ?? null]
    }
    assert.deepEqual(await state(), ['never', null])
    await vault.setRotation(id, { days: 30 })
    assert.deepEqual(await state(), ['ok', '2026-01-31'])
    await vault.setRotation(id, {})
    assert.deepEqual(await state(), ['never', null])
  },
)

testOnEach(
  'in an incident a value counts as changed when its place tells a newer one',
  vaultMigrations,
  async (database) => {
    const { vault, clock, place, used } = await world(database)
    place.changedAt = clock.now().toISOString()
    const { id } = await vault.put({ name: 'lab', value: reference })
    await vault.put({ name: 'stored', value: new Secret('a-stored-value') })
    clock.forward(day)
    const incident = await vault.openIncident('the root key was in a ticket')
    const states = async () => {
      const { items } = await vault.incidentSecrets({ incident: incident.id, waiting: false, limit: 9 })
      const { secrets } = await vault.incident(incident.id)
      return [items.map(({ name, state }) => `${name} ${state}`).sort(), secrets.waiting]
    }
    assert.deepEqual(await states(), [['lab waiting', 'stored waiting'], 2])
    await used(id)
    assert.deepEqual(await states(), [['lab waiting', 'stored waiting'], 2])
    clock.forward(day)
    place.changedAt = clock.now().toISOString()
    await used(id)
    assert.deepEqual(await states(), [['lab changed', 'stored waiting'], 1])
  },
)
