import assert from 'node:assert/strict'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { fixedClock, testOnEach } from '../../testing/databases.ts'
import { type Backups, type BackupsParts, type BackupView, makeBackups } from './backups.ts'
import { backupsMigrations } from './migrations.ts'

const ada: Principal = { id: 'usr_ada', kind: 'user', name: 'ada', bindings: [], version: '1' }
const schedule: Principal = { id: 'sys_1', kind: 'system', name: 'schedule', bindings: [], version: '1' }
const byHand = { principal: ada, door: 'http' } as const
const byClock = { principal: schedule, door: 'schedule' } as const
const hour = 3_600_000

/** A room that writes small files, which a test can hold back or let fail. */
function setUp(t: TestContext, database: Database, more: Partial<BackupsParts> = {}) {
  const base = mkdtempSync(join(tmpdir(), 'atlas-backups-'))
  t.after(() => rmSync(base, { recursive: true, force: true }))
  const folder = join(base, 'backups')
  const clock = fixedClock('2026-01-01T00:30:00.000Z')
  const world = { hold: Promise.resolve(), fault: undefined as Error | undefined, events: [] as string[], deaf: false }
  const room = (other: Partial<BackupsParts> = {}) =>
    makeBackups({
      database,
      folder,
      keep: 2,
      now: clock.now,
      log: { warn: () => {}, info: () => {} },
      async record({ code, outcome }) {
        if (world.deaf) throw new Problem('audit-unavailable')
        world.events.push(outcome === undefined ? code : `${code} ${outcome}`)
      },
      async write({ path, signal, onRows }) {
        signal.throwIfAborted()
        writeFileSync(path, 'half', { mode: 0o600 })
        onRows(1, 3)
        await Promise.race([
          world.hold,
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
        ])
        if (world.fault) throw world.fault
        writeFileSync(path, 'whole')
        return { bytes: 5, sha256: 'ab', rows: 3, logSize: 9 }
      },
      ...more,
      ...other,
    })
  return { folder, clock, world, room: room(), another: room, filesIn: () => (readdirSync(folder) as string[]).sort() }
}

async function begun(room: Backups, id: string): Promise<BackupView> {
  for (;;) {
    const view = await room.get(id)
    if (view.totalRows > 0) return view
    await sleep(5)
  }
}

testOnEach(
  'a backup is made in the background, recorded before and after, and is one file of its own',
  backupsMigrations,
  async (database, t) => {
    const { room, world, folder, filesIn } = setUp(t, database)
    const gate = Promise.withResolvers<void>()
    world.hold = gate.promise

    const { id, ended } = await room.start(byHand)
    const halfway = await begun(room, id)
    const refused = await room.create(byHand).catch((error: Problem) => error.type)
    const early = await room.download(id).catch((error: Problem) => error.type)
    const partly = filesIn()
    gate.resolve()
    await ended

    assert.deepEqual([halfway.state, halfway.rows, halfway.totalRows, halfway.by.name], ['running', 1, 3, 'ada'])
    assert.deepEqual([refused, early, partly], ['conflict', 'conflict', [`${id}.backup.part`]])
    assert.deepEqual(world.events, ['backup.started', 'backup.created'])
    assert.deepEqual(filesIn(), [`${id}.backup`])
    assert.equal(readFileSync(join(folder, `${id}.backup`), 'utf8'), 'whole')
    assert.deepEqual(
      [lstatSync(folder).mode & 0o777, lstatSync(join(folder, `${id}.backup`)).mode & 0o777],
      [0o700, 0o600],
    )
    const { state, rows, bytes, logSize, isHere } = await room.get(id)
    assert.deepEqual(
      { state, rows, bytes, logSize, isHere },
      { state: 'ready', rows: 3, bytes: 5, logSize: 9, isHere: true },
    )
    assert.deepEqual(await room.download(id), { name: `${id}.backup`, bytes: 5, sha256: 'ab' })
    const file = await room.openFile(id)
    assert.equal(await file?.readFile('utf8'), 'whole')
    await file?.close()
  },
)

testOnEach(
  'a backup that fails, is stopped or cannot be recorded leaves no file and says why',
  backupsMigrations,
  async (database, t) => {
    const { room, world, folder, filesIn, clock } = setUp(t, database)
    const last = async () => (await room.list()).items[0]

    world.fault = new Error('a fault of ours')
    await assert.rejects((await room.start(byHand)).ended, /a fault of ours/)
    assert.deepEqual(
      [(await last())?.state, (await last())?.problem],
      ['failed', 'It failed unexpectedly; the log of this server says why'],
    )

    world.fault = Object.assign(new Error(`${folder}/x`), { code: 'ENOSPC' })
    clock.forward(1)
    await assert.rejects((await room.start(byHand)).ended, /disk of this server is full/)

    world.fault = undefined
    world.hold = new Promise(() => {})
    clock.forward(1)
    const { ended } = await room.start(byHand)
    await room.close()
    await assert.rejects(ended, /The server stopped/)
    assert.equal((await last())?.problem, 'The server stopped')

    world.hold = Promise.resolve()
    world.deaf = true
    clock.forward(1)
    assert.equal(await room.create(byHand).catch((error: Problem) => error.type), 'audit-unavailable')
    assert.equal((await room.list()).items.length, 3, 'what is not recorded is not begun')

    world.deaf = false
    const gate = Promise.withResolvers<void>()
    world.hold = gate.promise
    const begun = await room.start(byHand)
    world.deaf = true
    gate.resolve()
    await assert.rejects(begun.ended, { type: 'audit-unavailable' })

    assert.deepEqual(filesIn(), [])
    assert.deepEqual((await room.list()).lastMadeAt, null)
    assert.deepEqual(world.events, [
      'backup.started',
      'backup.failed internal',
      'backup.started',
      'backup.failed internal',
      'backup.started',
      'backup.failed cancelled',
      'backup.started',
    ])
  },
)

testOnEach(
  'the oldest files beyond those that are kept go, and only those; what is not ours stays',
  backupsMigrations,
  async (database, t) => {
    const { room, world, folder, clock, filesIn } = setUp(t, database)
    const ids: string[] = []
    for (let i = 0; i < 4; i++) {
      const { id, ended } = await room.start(byHand)
      await ended
      ids.push(id)
      if (i === 0) writeFileSync(join(folder, 'bak_00000000000000000000000z.backup'), 'of another day')
      clock.forward(hour)
    }

    assert.deepEqual(
      filesIn(),
      ['bak_00000000000000000000000z.backup', ...ids.slice(2).map((id) => `${id}.backup`)].sort(),
    )
    assert.deepEqual(
      (await room.list()).items.map(({ id }) => id),
      ids.slice(2).reverse(),
    )
    assert.equal(world.events.filter((code) => code === 'backup.removed').length, 2)
    rmSync(join(folder, `${ids[3]}.backup`))
    assert.equal((await room.get(ids[3] ?? '')).isHere, false)
    assert.equal(await room.download(ids[3] ?? '').catch((error: Problem) => error.type), 'gone')
    writeFileSync(join(folder, `${ids[2]}.backup`), 'longer than it was')
    assert.equal(await room.openFile(ids[2] ?? ''), undefined)
    await room.remove(ids[2] ?? '')
    assert.equal(await room.get(ids[2] ?? '').catch((error: Problem) => error.type), 'not-found')
    assert.deepEqual(filesIn(), ['bak_00000000000000000000000z.backup'])
  },
)

testOnEach(
  'what a dead process left half made is ended and removed; what another one is making is left alone',
  backupsMigrations,
  async (database, t) => {
    const { room, another, world, folder, clock, filesIn } = setUp(t, database)
    world.hold = new Promise(() => {})
    const { id } = await room.start(byHand)
    await begun(room, id)
    const lost = newId('bak')
    writeFileSync(join(folder, `${lost}.backup.part`), 'half')
    mkdirSync(join(folder, 'kept.part'))
    const other = another()

    await room.recover()
    assert.equal((await room.get(id)).state, 'running')
    if (database.dialect === 'postgres') await other.recover()
    assert.equal((await room.get(id)).state, 'running')
    assert.deepEqual(filesIn(), [`${id}.backup.part`, 'kept.part'])
    clock.forward(60_000)
    await other.recover()

    assert.deepEqual(
      [(await other.get(id)).state, (await other.get(id)).problem],
      ['failed', 'The server stopped while the backup was made'],
    )
    assert.deepEqual(filesIn(), ['kept.part'])
    await room.close()
  },
)

testOnEach(
  'the schedule comes round once for all servers, and from the start when there is no backup yet (claims: A27)',
  backupsMigrations,
  async (database, t) => {
    const { room, another, clock } = setUp(t, database, { schedule: '0 2 * * *' })
    const other = another()
    const due = async () => [await room.due(), await other.due()]

    assert.deepEqual(await due(), [false, false])
    assert.equal((await room.list()).next, '2026-01-01T02:00:00.000Z')
    clock.forward(2 * hour)
    assert.deepEqual(await due(), [true, true])
    const both = await Promise.all([room, other].map((one) => one.start(byClock).catch((error: Problem) => error.type)))
    for (const one of both) if (typeof one === 'object') await one.ended
    assert.deepEqual(both.filter((one) => one === 'conflict').length, 1)
    assert.deepEqual(await due(), [false, false])
    assert.equal(await other.start(byClock).catch((error: Problem) => error.type), 'conflict')
    const { items, lastMadeAt } = await other.list()
    assert.deepEqual([items.length, lastMadeAt], [1, '2026-01-01T02:30:00.000Z'])
    clock.forward(24 * hour)
    assert.deepEqual(await due(), [true, true])
    await (await room.start(byHand)).ended
    assert.deepEqual(await due(), [false, false])
    assert.equal(await another({ schedule: undefined }).due(), false)
    const late = async (hours: number) => {
      clock.forward(hours * hour)
      return (await room.list()).isLate
    }
    assert.deepEqual([await late(0), await late(24), await late(24)], [false, false, true])
  },
)

testOnEach(
  'a folder that is a link is not used, and one that others can enter is closed',
  backupsMigrations,
  async (database, t) => {
    const { room, folder, another } = setUp(t, database)
    mkdirSync(folder, { mode: 0o755 })
    await (await room.start(byHand)).ended
    assert.equal(lstatSync(folder).mode & 0o777, 0o700)

    const link = `${folder}-link`
    symlinkSync(folder, link)
    const elsewhere = another({ folder: link })
    await assert.rejects((await elsewhere.start(byHand)).ended, /cannot be written to its folder \(ENOTDIR\)/)
    assert.equal(readdirSync(folder).length, 1)
  },
)

testOnEach(
  'a folder that is not there any more, such as a disk that was taken out, says so and hides no list',
  backupsMigrations,
  async (database, t) => {
    const { room, folder, another } = setUp(t, database)
    await (await room.start(byHand)).ended

    const elsewhere = another({ folder: join(folder, readdirSync(folder)[0] ?? '', 'below-a-file') })

    await assert.rejects((await elsewhere.start(byHand)).ended, /cannot be written to its folder \(ENOTDIR\)/)
    const { items } = await elsewhere.list()
    assert.deepEqual(items.map(({ state, isHere, problem }) => [state, isHere, problem]).sort(), [
      ['failed', false, 'The backup cannot be written to its folder (ENOTDIR); look at ATLAS_BACKUP_DIR'],
      ['ready', false, null],
    ])
  },
)
