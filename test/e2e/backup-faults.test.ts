import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Database, openPostgres, openSqlite } from '../../src/lib/db/database.ts'
import { isEmpty } from '../../src/lib/db/one-transaction.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { type Env, newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { filesBelow, findCanaries } from './canaries.ts'
import { assertLogVerifies, events, eventually } from './steps.ts'

// Backups while others write, while the power goes, and in the hands of a thief.

const dialects = ['SQLite', 'PostgreSQL'] as const
type Dialect = (typeof dialects)[number]

async function newHost(t: TestContext, dialect: Dialect, rootKey: Buffer) {
  const folder = newFolder(t)
  const dataDir = join(folder, 'data')
  const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
  const env: Env = { ATLAS_SECRET_KEY: rootKey.toString('base64'), ...(url && { ATLAS_DATABASE_URL: url }) }
  const local = { ATLAS_DATA_DIR: dataDir, ...env }
  return {
    ...{ folder, dataDir, env },
    run: (args: readonly string[], seen?: Parameters<typeof runAtlas>[1]['seen']) =>
      runAtlas(args, { folder, env: local, ...(seen && { seen }) }),
    async using<T>(work: (database: Database) => Promise<T>): Promise<T> {
      const database = url ? openPostgres({ url }) : openSqlite(join(dataDir, 'atlas.db'), rootKey)
      return work(database).finally(() => database.close())
    },
  }
}

/** Rows that take a moment to read. */
async function fillUp({ db, dialect }: Database, rows: number): Promise<void> {
  const text = dialect === 'sqlite' ? sql`hex(randomblob(150))` : sql`repeat(md5(i::text), 9)`
  await sql`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${sql.lit(rows)})
    insert into asset_change (seq, at, what, fields) select i, '2026-01-01', 'x', ${text} from n`.execute(db)
}

for (const dialect of dialects) {
  test(`${dialect}: while a backup is made nothing that people do fails, and the backup holds one moment of it (claims: A27)`, async (t) => {
    const key = randomBytes(32)
    const old = await newHost(t, dialect, key)
    const first = await startAtlas(t, old)
    await first.stop()
    await old.using((database) => fillUp(database, 40_000))
    const atlas = await startAtlas(t, old)
    const file = join(old.folder, 'all.backup')
    let [isOver, made] = [false, 0]
    const write = async () => {
      while (!isOver) {
        // The secret and its first version are written together.
        await atlas.api('POST', '/secrets', { name: `s${made++}`, value: 'v' })
        await atlas.api('GET', '/me')
      }
    }
    const writers = [write(), write(), write()]
    await eventually(async () => (made > 30 ? true : undefined))
    const atStart = made

    const backup = await atlas.cli(['backup', file, '--json'])
    isOver = true
    await Promise.all(writers)

    assert.equal(backup.code, 0, backup.stderr)
    const fresh = await newHost(t, dialect, key)
    const restored = await fresh.run(['restore', file, '--json'])
    assert.equal(restored.code, 0, restored.stderr)
    await fresh.using(async ({ db }) => {
      const { rows } = await sql<{ secrets: number; alone: number; started: number }>`select
        cast((select count(*) from secret) as integer) as secrets,
        cast((select count(*) from secret s where not exists
          (select 1 from secret_version v where v.secret_id = s.id and v.version = s.current_version)) as integer) as alone,
        cast((select count(*) from audit_entry where code = 'action.started' and action = 'vault.secrets.put') as integer) as started`.execute(
        db,
      )
      const { secrets = 0, alone, started = 0 } = rows[0] ?? {}
      assert.equal(alone, 0)
      assert.ok(secrets >= atStart - 3 && secrets <= made, `${secrets} of ${made}`)
      assert.ok(started >= secrets, 'nothing is there that the log does not know of')
    })
  })

  test(`${dialect}: kill -9 during a backup leaves no file under its name, and the next start removes what is left`, async (t) => {
    const host = await newHost(t, dialect, randomBytes(32))
    const first = await startAtlas(t, host)
    await first.stop()
    await host.using((database) => fillUp(database, 60_000))
    const atlas = await startAtlas(t, host)
    const folder = join(atlas.dataDir, 'backups')
    const { id } = await atlas.api<{ id: string }>('POST', '/backups', {})
    await eventually(async () => (existsSync(join(folder, `${id}.backup.part`)) ? true : undefined))
    await atlas.stop('SIGKILL')
    assert.deepEqual(readdirSync(folder), [`${id}.backup.part`])

    const after = await startAtlas(t, host)
    // On PostgreSQL another server could be making it: silence for half a minute tells.
    if (dialect === 'PostgreSQL')
      await host.using(({ db }) => sql`update backup set beat_at = '2026-01-01'`.execute(db))
    const one = await eventually(async () => {
      const view = await after.api<{ state: string; problem: string }>('GET', `/backups/${id}`)
      return view.state === 'running' || readdirSync(folder).length > 0 ? undefined : view
    })
    assert.deepEqual([one.state, one.problem], ['failed', 'The server stopped while the backup was made'])
    assert.equal((await after.cli(['backup'])).code, 0)
    assert.equal(readdirSync(folder).length, 1)
    await assertLogVerifies(t, after)
  })

  test(`${dialect}: kill -9 at any moment of a restore leaves the place as it was, or complete`, async (t) => {
    const key = randomBytes(32)
    const old = await newHost(t, dialect, key)
    const atlas = await startAtlas(t, old)
    for (let i = 0; i < 20; i++) await atlas.api('POST', '/secrets', { name: `s${i}`, value: 'v' })
    await atlas.stop()
    await old.using((database) => fillUp(database, 20_000))
    const file = join(old.folder, 'all.backup')
    assert.equal((await old.run(['backup', file])).code, 0)
    const host = await newHost(t, dialect, key)
    const isThere = async () =>
      dialect === 'SQLite'
        ? existsSync(join(host.dataDir, 'atlas.db'))
        : host.using(async (database) => !(await isEmpty(database)))
    const namesOfCopies = () =>
      existsSync(host.dataDir) ? readdirSync(host.dataDir).filter((name) => name.includes('restore')) : []
    let leftovers = 0
    const began = Date.now()
    assert.equal((await host.run(['restore', file])).code, 0)
    const took = Date.now() - began
    const fresh = await newHost(t, dialect, key)

    for (let point = 1; point <= 8; point++) {
      const target = dialect === 'SQLite' ? host : fresh
      if (dialect === 'SQLite') rmSync(host.dataDir, { recursive: true })
      else if (await target.using(async (database) => !(await isEmpty(database)))) break
      const { signal, code } = await target.run(['restore', file], (child) =>
        setTimeout(() => child.kill('SIGKILL'), (took * point) / 8),
      )
      // The database ends the session a moment after the process is gone.
      if (dialect === 'PostgreSQL') await sleep(300)
      if (dialect === 'SQLite' ? await isThere() : !(await fresh.using(isEmpty))) {
        const { rows } = await target.using(({ db }) =>
          sql<{ n: number }>`select count(*) as n from secret join audit_entry on code = 'backup.restored'`.execute(db),
        )
        assert.equal(Number(rows[0]?.n), 20, `complete after ${point}/8`)
        continue
      }
      assert.equal(signal, 'SIGKILL', String(code))
      if (dialect === 'PostgreSQL') continue
      leftovers += namesOfCopies().length
      // Neither a server, which begins with nothing then, nor the next restore minds what was left.
      if (point % 2 === 0) await (await startAtlas(t, host)).stop()
      else assert.equal((await host.run(['restore', file])).code, 0)
      assert.deepEqual(namesOfCopies(), [])
    }
    assert.ok(dialect === 'PostgreSQL' || leftovers > 0, 'a kill fell into the work')
  })

  test(`${dialect}: a thief who has the file, but not the root key, finds no secret and no person in it (SEC-ENC-4, claims: A28 E36)`, async (t) => {
    const host = await newHost(t, dialect, randomBytes(32))
    const atlas = await startAtlas(t, host)
    const canaries: Record<string, string> = {}
    const plant = (name: string) => {
      const value = `${name}-${randomBytes(9).toString('base64url')}`
      canaries[name] = value
      return value
    }
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        atlas.api('POST', '/secrets', { name: plant(`name${i}`), value: plant(`value${i}`) }),
      ),
    )
    for (let i = 0; i < 5; i++)
      await atlas.api('POST', '/users', {
        username: plant(`person${i}`).toLowerCase(),
        password: plant(`Password${i}`),
        role: 'viewer',
      })
    const parts = watch(join(atlas.dataDir, 'backups'))
    const file = join(host.folder, 'all.backup')
    const made = await atlas.cli(['backup', file])
    parts.stop()
    assert.equal(made.code, 0, made.stderr)
    await atlas.stop()
    assert.equal((await host.run(['backup', join(host.folder, 'local.backup')])).code, 0)
    assert.equal((await host.run(['restore', file, '--drill'])).code, 0)

    const places = [
      ...filesBelow(host.folder),
      ...parts.seen(),
      { where: 'output', bytes: Buffer.from(atlas.output.stdout + atlas.output.stderr) },
    ]
    assert.ok(places.filter(({ where }) => /\.backup$/.test(where)).length >= 3)
    for (const [name, value] of Object.entries(canaries))
      if (name.startsWith('person')) canaries[name] = value.toLowerCase()
    assert.deepEqual(findCanaries({ ...canaries, rootKey: host.env['ATLAS_SECRET_KEY'] ?? '' }, places), [])
    for (const { where } of filesBelow(host.folder).filter((one) => /backup/.test(one.where)))
      assert.equal(statSync(join(host.folder, where)).mode & 0o777, 0o600, where)
  })
}

/** The names of all files that come to be in a folder, and what stands in those that are no backup. */
function watch(folder: string) {
  const found = new Map<string, Buffer>()
  const timer = setInterval(() => {
    // A backup is only ever written at its end: what stands in a part of it stands in the whole.
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      if (!found.has(name))
        found.set(name, /\.backup(\.part)?$/.test(name) ? Buffer.alloc(0) : readFileSync(join(folder, name)))
  }, 5)
  return { stop: () => clearInterval(timer), seen: () => [...found].map(([where, bytes]) => ({ where, bytes })) }
}

test('only an administrator makes, sees, downloads or removes a backup, and each of these is in the log', async (t) => {
  const atlas = await startAtlas(t)
  const tokenOf = async (role: string) =>
    (await atlas.api<{ token: string }>('POST', '/tokens', { name: role, agent: role, role })).token
  const { id } = await atlas.api<{ id: string }>('POST', '/backups', {})
  await eventually(async () => {
    const { state } = await atlas.api<{ state: string }>('GET', `/backups/${id}`)
    return state === 'ready' ? true : undefined
  })
  const calls: readonly (readonly [string, string])[] = [
    ['POST', '/backups'],
    ['GET', '/backups'],
    ['GET', `/backups/${id}`],
    ['GET', `/backups/${id}/download`],
    ['GET', `/backups/${id}/file`],
    ['DELETE', `/backups/${id}`],
  ]
  for (const role of ['operator', 'auditor', 'viewer', 'developer']) {
    const token = await tokenOf(role)
    for (const [method, path] of calls) {
      const { status } = await atlas.ask(method, `/api/v1${path}`, { token, ...(method === 'POST' && { body: {} }) })
      assert.equal(status, 403, `${role} ${method} ${path}`)
    }
  }
  for (const [method, path] of calls)
    assert.equal((await atlas.ask(method, `/api/v1${path}`, { token: undefined })).status, 401, path)
  const agent = await tokenOf('admin')
  assert.equal((await atlas.ask('POST', '/api/v1/backups', { token: agent, body: {} })).status, 202, 'an agent asks')

  const file = await atlas.ask('GET', `/api/v1/backups/${id}/file`)
  assert.deepEqual(
    [file.status, file.headers.get('content-type'), file.text.slice(0, 15)],
    [200, 'application/octet-stream', 'atlas-backup-1\n'],
  )
  assert.equal((await atlas.cli(['backup', 'list'])).code, 0)
  const output = join(atlas.folder, 'here.backup')
  assert.equal((await atlas.cli(['backup', 'download', id, '-o', output])).code, 0)
  assert.deepEqual(readFileSync(output), readFileSync(join(atlas.dataDir, 'backups', `${id}.backup`)))
  writeFileSync(output, 'mine')
  assert.equal((await atlas.cli(['backup', output])).code, 2)
  assert.equal((await atlas.cli(['backup', '-'])).code, 2)
  assert.equal(readFileSync(output, 'utf8'), 'mine')
  assert.equal((await atlas.cli(['backup', 'remove', id, '--yes'])).code, 0)
  assert.deepEqual(readdirSync(join(atlas.dataDir, 'backups')), [])
  const done = (await events(atlas)).filter(({ code }) => code === 'action.succeeded').map(({ action }) => action)
  for (const verb of ['create', 'list', 'get', 'download', 'remove'])
    assert.ok(done.includes(`system.backups.${verb}`), verb)
})

test('a planned backup is made by the server itself', async (t) => {
  const atlas = await startAtlas(t, { env: { ATLAS_BACKUP_SCHEDULE: '* * * * *', ATLAS_BACKUP_DIR: 'elsewhere' } })
  const made = await eventually(async () => {
    const { items } = await atlas.api<{ items: { state: string; by: { name: string } }[] }>('GET', '/backups')
    return items.find(({ state }) => state === 'ready')
  })
  assert.equal(made.by.name, 'schedule')
  assert.equal(readdirSync(join(atlas.folder, 'elsewhere')).length, 1)
  const mine = (await events(atlas)).filter(({ action }) => action === 'system.backups.create')
  assert.deepEqual(
    mine.map(({ code, door }) => [code, door]),
    [
      ['action.started', 'schedule'],
      ['action.succeeded', 'schedule'],
    ],
  )
})
