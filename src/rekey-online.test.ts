import assert from 'node:assert/strict'
import { type KeyObject, randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery, sql } from 'kysely'
import { migrations } from './app.ts'
import { readConfig } from './config.ts'
import type { Principal } from './core/action.ts'
import { Problem } from './core/problem.ts'
import { Secret } from './core/secret.ts'
import { makeApprovals } from './features/approvals/approvals.ts'
import { openLog } from './features/audit/log.ts'
import { openIdentity } from './features/identity/testing.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { makeVault } from './features/vault/vault.ts'
import { type Database, openPostgres, openSqlite, UnknownKey } from './lib/db/database.ts'
import { migrate } from './lib/db/migrate.ts'
import { createKeyFile, readKeyFile } from './lib/root-key.ts'
import { makeRootKeyRing, type RootKey } from './lib/root-keys.ts'
import { makeOnlineRekey } from './rekey-online.ts'
import { environmentSource, fileSource, type KeySource, NotReplaceable, sharesSource } from './root-key-source.ts'
import { hold } from './storage.ts'
import { boxesUnder } from './testing/boxes.ts'
import { freshPostgresUrl } from './testing/databases.ts'

// The change of the root key in a process that works on meanwhile: real rooms on a real database, and the key in a file.

const now = () => new Date()
const dialects = ['SQLite', 'PostgreSQL'] as const
const password = new Secret('Zw4-marmot-Quince-71-lattice')
const user = (id: string): Principal => ({
  ...{ id, kind: 'user', name: id, version: '1' },
  bindings: [{ role: 'admin', scope: '*' }],
})

async function makeWorld(t: TestContext, dialect: (typeof dialects)[number], change: Partial<Change> = {}) {
  const data = mkdtempSync(join(tmpdir(), 'atlas-online-'))
  t.after(() => rmSync(data, { recursive: true, force: true }))
  const keyFile = join(data, 'root.key')
  const before = createKeyFile(keyFile)
  const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const config = readConfig({ ATLAS_DATA_DIR: data, ...(url && { ATLAS_DATABASE_URL: url }) })
  const { alone, release } = await hold(config, 'shared')
  const open = (key: KeyObject) => (url ? openPostgres({ url }) : openSqlite(join(data, 'atlas.db'), key.export()))
  const database = open(before)
  await migrate(database, migrations, now)
  const ring = makeRootKeyRing(before)
  const rooms = await openRooms(database, ring)
  t.after(async () => {
    await rooms.log.close()
    await database.close()
    await release()
  })
  const { source = fileSource, isAlone = true, committed = async () => {} } = change
  const hidden: { key: KeyObject; wasUsed: boolean }[] = []
  const hide = (key: KeyObject) => void hidden.push({ key, wasUsed: ring.all().some((each) => each.equals(key)) })
  const rekey = makeOnlineRekey({
    ...{ config, source: source(keyFile), ring, database, hide },
    log: {
      append: rooms.log.append,
      async rekey(...args) {
        const place = await rooms.log.rekey(...args)
        await committed(rooms)
        return place
      },
    },
    alone: (run) => alone((stillAlone) => run(async () => isAlone && (await stillAlone()))),
  })
  return { keyFile, before, database, ring, rekey, hidden, open, ...rooms }
}

type Change = {
  readonly source: (keyFile: string) => KeySource
  readonly isAlone: boolean
  /** Work that is done after the commit, before the process has heard of it. */
  readonly committed: (rooms: Rooms) => Promise<void>
}
type Rooms = Awaited<ReturnType<typeof openRooms>>
type World = Awaited<ReturnType<typeof makeWorld>>

async function openRooms(database: Database, rootKey: RootKey) {
  // A key-encryption key is made with every third secret, so that keys are made all the time.
  const vault = makeVault({ database, rootKey, now, maxWraps: 3, onIntegrityFailure: (id) => assert.fail(id) })
  await vault.init()
  const log = await openLog({ database, rootKey, now })
  const cost = { memory: 64, passes: 1, parallelism: 1 }
  const { identity } = openIdentity({ database, rootKey, now, passwordCost: cost })
  const { fingerprint: hashSecret, rootKeyIn } = vault
  const approvals = makeApprovals({ database, rootKey, rootKeyIn, now, ttlMs: 3_600_000, hashSecret })
  return { vault, log, identity, approvals }
}

const asks = ({ approvals }: Pick<World, 'approvals'>, note: string) => {
  const input = { note, token: new Secret(`token ${note}`) }
  const inputHash = approvals.hashInput('x.y.z', input)
  const call = { principal: user('usr_asker'), action: 'x.y.z', resource: { type: 'any', id: '1' } }
  return { ...call, policyVersion: '1', inputHash, input, revision: undefined }
}

/** What the rooms do all day, over and over, each beside the others; whatever fails, fails the test. */
function workOn(world: World) {
  const { vault, log, identity, approvals } = world
  const made = { secrets: new Map<string, string>(), approvals: new Map<string, string>(), events: 0 }
  const jobs: ((turn: number) => Promise<unknown>)[] = [
    async (turn) => {
      const value = `value ${turn} ${randomBytes(8).toString('hex')}`
      made.secrets.set((await vault.put({ name: `secret ${turn}`, value: new Secret(value) })).id, value)
    },
    async () => {
      const [id, value] = [...made.secrets].at(-1) ?? []
      if (id !== undefined) assert.equal((await vault.use(id)).reveal(), value)
    },
    async (turn) => turn % 5 === 0 && vault.rotate(),
    async (turn) => {
      await log.append({
        code: 'login.succeeded',
        principal: { id: `usr_${turn}`, kind: 'user', name: `user ${turn}` },
      })
      made.events++
    },
    async (turn) => turn % 3 === 0 && log.checkpoint(),
    async (turn) => turn % 4 === 0 && assert.equal((await log.verify()).ok, true),
    async () => identity.login({ username: 'admin', password }, '192.0.2.1'),
    async (turn) => {
      const note = `note ${turn}`
      const id = await approvals.request(asks(world, note))
      await approvals.review(id, user('usr_reviewer'), { decision: 'approved' })
      if (turn % 2 === 0) return void made.approvals.set(id, note)
      assert.equal(await approvals.redeem(id, asks(world, note)), true)
    },
  ]
  let isEnding = false
  let failure: unknown
  const running = jobs.map(async (job) => {
    try {
      for (let turn = 0; !isEnding; turn++) {
        await job(turn)
        await sleep(1)
      }
    } catch (error) {
      failure ??= error
    }
  })
  return {
    made,
    async end() {
      isEnding = true
      await Promise.all(running)
      if (failure) throw failure
    },
  }
}

for (const dialect of dialects)
  test(`${dialect}: whatever the rooms write while the root key changes is under the new one (SEC-ENC-5, claims: A41 A42)`, async (t) => {
    const world = await makeWorld(t, dialect)
    const { identity, rekey, database, before, ring } = world
    await identity.ensureAdmin({ password })
    const work = workOn(world)
    const old: KeyObject[] = []
    for (let change = 0; change < 8; change++) {
      await sleep(60)
      old.push(ring.current())
      assert.equal((await rekey()).state, 'done')
    }
    await sleep(60)
    await work.end()

    const last = readKeyFile(world.keyFile)
    assert.ok(old[0]?.equals(before) && ring.current().equals(last))
    assert.deepEqual(
      [world.hidden.at(-1)?.key.equals(last), world.hidden.some(({ wasUsed }) => wasUsed)],
      [true, false],
    )
    for (const key of old) assert.deepEqual(await boxesUnder(database, key), [])
    const { vault, log, identity: people, approvals } = await openRooms(database, last)
    for (const [id, value] of work.made.secrets) assert.equal((await vault.use(id)).reveal(), value)
    for (const [id, note] of work.made.approvals) {
      const { state, damaged } = await approvals.get(user('usr_reviewer'), id)
      assert.deepEqual([id, state, damaged], [id, 'approved', false])
      assert.equal(await approvals.redeem(id, asks({ approvals }, note)), true)
    }
    assert.ok((await people.login({ username: 'admin', password }, '192.0.2.1')).token)
    const verdict = await log.verify()
    assert.ok(verdict.ok && verdict.size >= work.made.events, JSON.stringify(verdict))
    await log.close()
    t.diagnostic(`${work.made.secrets.size} secrets, ${work.made.events} events, ${work.made.approvals.size} approvals`)
  })

for (const dialect of dialects)
  test(`${dialect}: what is written after the commit, before the process knows of it, is under the new key already`, async (t) => {
    const stored: string[] = []
    const world = await makeWorld(t, dialect, {
      async committed({ vault, log, identity, approvals }) {
        await vault.rotate()
        for (const name of ['a', 'b', 'c', 'd', 'e']) {
          const { id } = await vault.put({ name, value: new Secret(`value of ${name}`) })
          stored.push(id)
          assert.equal((await vault.use(id)).reveal(), `value of ${name}`)
        }
        await log.append({ code: 'login.succeeded', principal: user('usr_between') })
        await log.checkpoint()
        assert.equal((await log.verify()).ok, true)
        const id = await approvals.request(asks({ approvals }, 'between'))
        await approvals.review(id, user('usr_reviewer'), { decision: 'approved' })
        stored.push(id)
        assert.ok((await identity.login({ username: 'admin', password }, '192.0.2.1')).token)
      },
    })
    await world.identity.ensureAdmin({ password })

    assert.equal((await world.rekey()).state, 'done')

    assert.deepEqual([await boxesUnder(world.database, world.before), stored.length], [[], 6])
    const { log, approvals, identity } = await openRooms(world.database, readKeyFile(world.keyFile))
    assert.equal((await log.verify()).ok, true)
    assert.equal(await approvals.find(asks({ approvals }, 'between')), stored.at(-1))
    assert.ok((await identity.login({ username: 'admin', password }, '192.0.2.1')).token)
    await identity.close()
    await log.close()
  })

/** A key file of which one step does not work. */
const without =
  (step: 'stage' | 'promote', error: Error) =>
  (keyFile: string): KeySource => {
    const source = fileSource(keyFile)
    const fails = () => Promise.reject(error)
    return { ...source, ...(source.staging && { staging: { ...source.staging, [step]: fails } }) }
  }
const busy = Object.assign(new Error('busy'), { code: 'EBUSY' })

type Refusal = {
  name: string
  change?: Partial<Change>
  /** Done to the database before, and undone after. */
  sabotage?: [string, string]
  says: RegExp
}

const refusals: Refusal[] = [
  {
    name: 'the root key is in the environment',
    change: { source: (keyFile) => environmentSource(new Secret(readKeyFile(keyFile).export().toString('base64'))) },
    says: /given in the environment, .* Stop every server and run: atlas vault rekey/,
  },
  {
    name: 'the root key was given in shares',
    change: { source: (keyFile) => sharesSource(readKeyFile(keyFile)) },
    says: /lies in no file .* Stop every server and run: atlas vault rekey/,
  },
  {
    name: 'the key file cannot be replaced',
    change: { source: without('stage', new NotReplaceable('The key file is mounted by itself')) },
    says: /mounted by itself\. Stop every server/,
  },
  { name: 'another server may have come in', change: { isAlone: false }, says: /Another server works with/ },
  {
    name: 'the log cannot record it',
    sabotage: ['alter table audit_entry rename to elsewhere', 'alter table elsewhere rename to audit_entry'],
    says: /audit log cannot record/,
  },
  {
    name: 'one of the rooms cannot do its part',
    sabotage: ['alter table password_pepper rename to elsewhere', 'alter table elsewhere rename to password_pepper'],
    says: /audit log cannot record/,
  },
]

for (const dialect of dialects)
  for (const { name, change, sabotage, says } of refusals)
    test(`${dialect}: when ${name}, the change is refused and all goes on under the key from before`, async (t) => {
      const world = await makeWorld(t, dialect, change)
      const { database, rekey, ring, before, keyFile, vault, log } = world
      const { id } = await vault.put({ name: 'token', value: new Secret('the value') })
      if (sabotage) await sql.raw(sabotage[0]).execute(database.db)

      await assert.rejects(rekey(), (error) => error instanceof Problem && says.test(error.message))

      if (sabotage) await sql.raw(sabotage[1]).execute(database.db)
      assert.ok(readKeyFile(keyFile).equals(before) && ring.current().equals(before))
      await checkRootKey(database, before)
      assert.equal((await vault.use(id)).reveal(), 'the value')
      await vault.rotate()
      await log.append({ code: 'login.succeeded', principal: user('usr_new') })
      assert.equal((await log.verify()).ok, true)
      if (!sabotage) assert.deepEqual([existsSync(`${keyFile}.next`), ring.all().length], [false, 1])
      if (change) return
      // What was left is cleared by the next try, which succeeds.
      assert.equal((await rekey()).state, 'done')
      await assert.rejects(checkRootKey(database, before), UnknownKey)
    })

for (const dialect of dialects)
  test(`${dialect}: a key file that cannot be replaced at the last moment stops nothing; the next start finishes`, async (t) => {
    const world = await makeWorld(t, dialect, { source: without('promote', busy) })
    const { database, rekey, ring, before, keyFile, open, vault, log } = world

    await assert.rejects(rekey(), /The root key is changed, but the new one could not take the place .* \(EBUSY\)/)

    assert.ok(readKeyFile(keyFile).equals(before) && readKeyFile(`${keyFile}.next`).equals(ring.current()))
    await checkRootKey(database, ring.current())
    await vault.rotate()
    await log.append({ code: 'login.succeeded', principal: user('usr_new') })
    assert.equal((await log.verify()).ok, true)
    assert.deepEqual(await boxesUnder(database, before), [])
    // What the next start has: the staged key, which opens the file and the rows.
    const again = open(readKeyFile(`${keyFile}.next`))
    await checkRootKey(again, ring.current())
    await again.close()
  })

for (const dialect of dialects)
  test(`${dialect}: of two changes at the same time one is refused`, async (t) => {
    const { rekey, ring, before, keyFile } = await makeWorld(t, dialect)
    const [first, second] = await Promise.allSettled([rekey(), rekey()])
    assert.equal(first.status, 'fulfilled')
    assert.match(String(second.status === 'rejected' && second.reason), /is being changed already/)
    assert.deepEqual(
      ring.all().map((key) => key.equals(before)),
      [false, true],
    )
    assert.ok(readKeyFile(keyFile).equals(ring.current()))
  })

test('a copy of the file alone, taken after the change, holds nothing that the old root key opens (claims: A42)', async (t) => {
  const world = await makeWorld(t, 'SQLite')
  const { id } = await world.vault.put({ name: 'one', value: new Secret('the value from before') })
  await world.database.db.executeQuery(CompiledQuery.raw('pragma wal_checkpoint(truncate)'))
  const copy = async () => {
    const path = join(dirname(world.keyFile), 'copy.db')
    copyFileSync(join(dirname(world.keyFile), 'atlas.db'), path)
    const stolen = openSqlite(path, world.before.export())
    try {
      const keys = await sql<{ wrapped: Buffer }>`select wrapped from vault_key`.execute(stolen.db)
      const boxes = await sql<{ box: Buffer | null }>`select box from secret_version`.execute(stolen.db)
      return { keys: keys.rows, opens: await checkRootKey(stolen, world.before).catch(() => false), boxes: boxes.rows }
    } finally {
      await stolen.close()
    }
  }
  const before = await copy()
  assert.equal(before.opens, true)

  await world.rekey()
  const after = await copy()
  assert.equal(after.opens, false)

  await world.vault.rotate()
  await world.vault.rewrap({ limit: 100 })
  const rewrapped = await copy()
  assert.notDeepEqual(rewrapped.boxes, after.boxes)

  await world.vault.destroy(id)
  assert.deepEqual((await copy()).boxes, [{ box: null }])
})
