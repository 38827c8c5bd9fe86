import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import { testOnEach } from '../../testing/databases.ts'
import { ada, bob, ended, eve, order, outcome, root, setUp, someone, until } from '../../testing/exports.ts'
import type { Exports } from './exports.ts'
import { makeFiles } from './files.ts'
import { exportsMigrations } from './migrations.ts'
import { makeStore } from './store.ts'

const day = 86_400_000
const from = (principal: Principal) => ({ principal, door: 'http', remoteAddress: '192.0.2.7' }) as const

testOnEach(
  'an export is made in the background, counted, and kept as one file of its own',
  exportsMigrations,
  async (database, t) => {
    const { room, world, folder } = setUp(t, database)
    const gate = Promise.withResolvers<void>()
    world.hold = gate.promise

    const started = await room.create(ada, order)
    const { id } = started
    const halfway = await until(async () => {
      const view = await room.get(ada, id)
      return view.rows === 2 && view
    })
    gate.resolve()
    const view = await ended(room, id)

    const text = '{"name":"web-1"}\n{"name":"web-2"}\n{"name":"web-3"}\n'
    const whole = {
      ...{ id, name: 'machines 2026-01-01', file: 'machines 2026-01-01.jsonl', owner: { id: 'usr_ada', name: 'ada' } },
      ...{ plan: null, dataset: 'machines', params: {}, format: 'jsonl', profile: 'full', problem: null },
      ...{ createdAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-08T00:00:00.000Z', sharedWith: [] },
    }
    const nothing = { rows: 0, bytes: null, sha256: null, readyAt: null }
    assert.deepEqual(started, { ...whole, ...nothing, state: 'running' })
    assert.deepEqual([halfway.state, halfway.rows, halfway.bytes], ['running', 2, null])
    assert.deepEqual(view, {
      ...{ ...whole, state: 'ready', rows: 3, bytes: text.length, readyAt: '2026-01-01T00:00:00.000Z' },
      sha256: createHash('sha256').update(text).digest('hex'),
      downloads: [],
    })
    assert.deepEqual(readdirSync(folder), [id])
    assert.equal(readFileSync(join(folder, id), 'utf8'), text)
    assert.deepEqual([lstatSync(folder).mode & 0o777, lstatSync(join(folder, id)).mode & 0o777], [0o700, 0o600])
  },
)

const doings: Record<string, (room: Exports, who: Principal, id: string) => Promise<unknown>> = {
  get: (room, who, id) => room.get(who, id),
  download: (room, who, id) => room.download(from(who), id),
  share: (room, who, id) => room.share(who, id, [bob.id]),
  list: async (room, who) => {
    if ((await room.list(who, { limit: 10 })).items.length === 0) throw new Problem('not-found')
  },
  remove: (room, who, id) => room.remove(who, id),
}
const scoped = someone('usr_scoped', 'admin', { bindings: [{ role: 'admin', scope: 'export/exp_1' }] })
const access: readonly [title: string, who: Principal, string, string, string, string, string][] = [
  ['another', eve, 'not-found', 'not-found', 'not-found', 'not-found', 'not-found'],
  ['an administrator of something else', scoped, 'not-found', 'not-found', 'not-found', 'not-found', 'not-found'],
  ['one it is shared with', bob, 'done', 'done', 'denied', 'done', 'denied'],
  ['an administrator', root, 'done', 'done', 'done', 'done', 'done'],
  ['its owner', ada, 'done', 'done', 'done', 'done', 'done'],
]
testOnEach(
  'who may do what with an export, ready and past its time (claims: A33)',
  exportsMigrations,
  async (database, t) => {
    const { room, clock } = setUp(t, database)
    for (const [title, who, ...expected] of access) {
      const { id } = await room.create(ada, order)
      await room.share(ada, id, [bob.id])
      await ended(room, id)

      const outcomes = []
      for (const [name, doing] of Object.entries(doings)) {
        if (name === 'remove') {
          clock.forward(7 * day)
          const isVisible = expected[0] === 'done'
          assert.equal(await outcome(room.download(from(who), id)), isVisible ? 'gone' : 'not-found', title)
        }
        outcomes.push(await outcome(doing(room, who, id)))
      }

      assert.deepEqual([title, ...outcomes], [title, ...expected])
      await room.remove(root, id).catch(() => {})
    }
  },
)

testOnEach(
  'whoever is only on the list sees neither the others nor who downloaded it',
  exportsMigrations,
  async (database, t) => {
    const { room } = setUp(t, database)
    const { id } = await room.create(ada, order)
    await ended(room, id)
    const shared = await room.share(ada, id, [eve.id, bob.id, bob.id])
    await room.download(from(bob), id)

    assert.deepEqual(shared.sharedWith, ['usr_bob', 'usr_eve'])
    const [mine, theirs] = [await room.get(ada, id), await room.get(bob, id)]
    assert.deepEqual(mine.downloads, [
      { by: { id: 'usr_bob', name: 'bob' }, at: '2026-01-01T00:00:00.000Z', door: 'http', from: '192.0.2.7' },
    ])
    assert.deepEqual([mine.sharedWith, theirs.sharedWith, theirs.downloads], [['usr_bob', 'usr_eve'], ['usr_bob'], []])
    assert.equal(await outcome(room.share(ada, id, ['usr_nobody'])), 'invalid-input')
    await room.share(ada, id, [])
    assert.equal(await outcome(room.download(from(bob), id)), 'not-found')
  },
)

testOnEach(
  'an agent’s export can be read by whom it works for, and not the other way round',
  exportsMigrations,
  async (database, t) => {
    const { room } = setUp(t, database)
    const agent = someone('agt_1', 'developer', { kind: 'agent', onBehalfOf: ada.id })
    const [its, hers] = [await room.create(agent, order), await room.create(ada, order)]

    assert.deepEqual(
      [await outcome(room.get(ada, its.id)), await outcome(room.get(agent, hers.id))],
      ['done', 'not-found'],
    )
  },
)

testOnEach('a list has pages, newest first, and only what is visible', exportsMigrations, async (database, t) => {
  const { room, clock } = setUp(t, database)
  const ids: string[] = []
  for (const who of [ada, eve, ada, ada]) {
    clock.forward(1)
    const { id } = await room.create(who, order)
    await ended(room, id)
    ids.unshift(id)
  }
  const [newest, second, foreign, oldest] = ids

  const first = await room.list(ada, { limit: 2 })
  const rest = await room.list(ada, { limit: 2, cursor: first.next ?? '' })
  const all = await room.list(root, { limit: 10 })

  const idsOf = ({ items }: typeof first) => items.map(({ id }) => id)
  assert.deepEqual([idsOf(first), first.next, idsOf(rest), rest.next], [[newest, second], second, [oldest], null])
  assert.deepEqual([idsOf(all), idsOf(await room.list(eve, { limit: 10 }))], [ids, [foreign]])
})

testOnEach('past its time the file goes, later the entry too', exportsMigrations, async (database, t) => {
  const { room, clock, folder } = setUp(t, database)
  const { id } = await room.create(ada, { ...order, keepDays: 1 })
  await ended(room, id)

  clock.forward(day - 1)
  await room.sweep()
  assert.deepEqual(readdirSync(folder), [id])
  clock.forward(1)
  assert.equal(await room.openFile(id), undefined)
  await room.sweep()
  assert.deepEqual([readdirSync(folder), (await room.get(ada, id)).state], [[], 'expired'])
  clock.forward(90 * day)
  await room.sweep()
  assert.equal(await outcome(room.get(ada, id)), 'not-found')
})

testOnEach('removing an export that runs stops it and leaves nothing', exportsMigrations, async (database, t) => {
  const { room, world, folder } = setUp(t, database)
  const gate = Promise.withResolvers<void>()
  world.hold = gate.promise
  world.rows = Array.from({ length: 200_000 }, () => [['web']])
  const { id } = await room.create(ada, order)
  await until(async () => world.pagesRead === 1)

  const removed = room.remove(ada, id)
  gate.resolve()
  await removed

  assert.deepEqual([readdirSync(folder), await outcome(room.get(ada, id))], [[], 'not-found'])
  assert.ok(world.pagesRead < 200_000, `${world.pagesRead} pages were read`)
})

testOnEach(
  'a run that was removed by another process stops, and its file does not stay',
  exportsMigrations,
  async (database, t) => {
    const { room, world, folder } = setUp(t, database)
    const gate = Promise.withResolvers<void>()
    world.hold = gate.promise
    const { id } = await room.create(ada, order)
    await until(async () => world.pagesRead === 1)

    await makeStore(database).remove(id)
    gate.resolve()

    await until(async () => world.logged.some((line) => line.startsWith('An export failed')))
    assert.deepEqual([readdirSync(folder), await outcome(room.get(root, id))], [[], 'not-found'])
  },
)

testOnEach('closing stops what runs and waits; the export says so', exportsMigrations, async (database, t) => {
  const { room, world, folder } = setUp(t, database, { limits: { atOnce: 1 } })
  const gate = Promise.withResolvers<void>()
  world.hold = gate.promise
  const [first, second] = [await room.create(ada, order), await room.create(ada, order)]
  await until(async () => world.pagesRead === 1)

  const closed = room.close()
  gate.resolve()
  await closed

  const views = await Promise.all([first, second].map(({ id }) => room.get(ada, id)))
  assert.deepEqual(
    views.map(({ state, problem }) => [state, problem?.type, problem?.detail]),
    views.map(() => ['failed', 'cancelled', 'The export was stopped before it was complete']),
  )
  assert.deepEqual(readdirSync(folder), [])
})

testOnEach(
  'what a dead process left is failed at the start, and files of nothing are removed',
  exportsMigrations,
  async (database, t) => {
    const { room, make, folder, clock } = setUp(t, database)
    const kept = await room.create(ada, order)
    await ended(room, kept.id)
    const row = await makeStore(database).find(kept.id)
    const dead = newId('exp')
    const runner = newId('own')
    const unfinished = { state: 'running', sha256: null, byte_count: null, ready_at: null } as const
    await makeStore(database).add({ ...row!, ...unfinished, id: dead, runner }, [], { running: 9, kept: 9 })
    const stranger = newId('exp')
    for (const name of [`${dead}.part`, dead, stranger, `${stranger}.part`, `${kept.id}.part`, 'notes.txt'])
      writeFileSync(join(folder, name), 'x')
    // Another process on PostgreSQL may be at work on it, until it has been silent for long.
    clock.forward(31_000)

    await make().init()

    const { state, problem } = await room.get(ada, dead)
    assert.deepEqual([state, problem?.detail], ['failed', 'The server stopped while the export ran; start it again'])
    assert.deepEqual(readdirSync(folder).sort(), [kept.id, 'notes.txt'].sort())
    assert.equal(await outcome(room.download(from(ada), kept.id)), 'done')
  },
)

testOnEach('a file that is not what was written is not served', exportsMigrations, async (database, t) => {
  const { room, folder, base } = setUp(t, database)
  const { id } = await room.create(ada, order)
  const { bytes } = await ended(room, id)
  const path = join(folder, id)
  const outside = join(base, 'outside')
  writeFileSync(outside, 'x'.repeat(bytes ?? 0))

  rmSync(path)
  symlinkSync(outside, path)
  assert.equal(await room.openFile(id), undefined)
  rmSync(path)
  writeFileSync(path, 'x')
  assert.equal(await room.openFile(id), undefined)
  rmSync(path)
  assert.equal(await room.openFile(id), undefined)
  for (const hostile of ['../outside', '..', '', `${id}/../${id}`, `${id}.part`])
    assert.equal(await room.openFile(hostile), undefined)
})

testOnEach('a run of this process goes on, however long its page takes', exportsMigrations, async (database, t) => {
  const { room, world, clock } = setUp(t, database)
  const gate = Promise.withResolvers<void>()
  world.hold = gate.promise
  const { id } = await room.create(ada, order)
  await until(async () => world.pagesRead === 1)

  clock.forward(31_000)
  await room.sweep()
  gate.resolve()

  assert.equal((await ended(room, id)).state, 'ready')
})

testOnEach('a folder that others could enter is closed', exportsMigrations, async (database, t) => {
  const { room, folder } = setUp(t, database)
  mkdirSync(folder, { mode: 0o755 })

  await room.init()

  assert.equal(lstatSync(folder).mode & 0o777, 0o700)
})

test('a file is named by an id and by nothing else', async () => {
  const files = makeFiles({ folder: tmpdir(), mostBytes: 1 })
  for (const id of ['../x', '', 'exp_1', `${newId('exp')}/..`])
    await assert.rejects(files.open(id, 1), /named by an id/)
})

const disks: readonly [title: string, type: string, detail: RegExp, spoil: (folder: string, base: string) => void][] = [
  [
    'the folder is a file',
    'internal',
    /^The folder for exports cannot be written \((EEXIST|ENOTDIR)\)$/,
    (folder) => writeFileSync(folder, ''),
  ],
  [
    'the folder is a link to elsewhere',
    'internal',
    /^The folder for exports cannot be written \(ENOTDIR\)$/,
    (folder, base) => {
      mkdirSync(join(base, 'elsewhere'))
      symlinkSync(join(base, 'elsewhere'), folder)
    },
  ],
]
for (const [title, type, detail, spoil] of disks)
  testOnEach(`${title}: the export fails, says why, and shows no path`, exportsMigrations, async (database, t) => {
    const { room, folder, base, world } = setUp(t, database)
    spoil(folder, base)
    await room.init()

    const { id } = await room.create(ada, order)
    const { state, problem } = await ended(room, id)

    assert.deepEqual([state, problem?.type], ['failed', type])
    assert.match(problem?.detail ?? '', detail)
    assert.equal(
      world.logged.some((line) => line.startsWith('The folder for exports cannot be used')),
      true,
    )
  })

testOnEach('a full disk fails the export in plain words', exportsMigrations, async (database, t) => {
  // The one device that really answers ENOSPC.
  const { room } = setUp(t, database, { create: () => open('/dev/full', 'w') })

  const { id } = await room.create(ada, order)
  const { state, problem } = await ended(room, id)

  const detail = 'The disk of this server is full (ENOSPC); nothing was kept'
  assert.deepEqual([state, problem], ['failed', { type: 'internal', detail }])
})

testOnEach('a file larger than the limit is not kept', exportsMigrations, async (database, t) => {
  const { room, folder } = setUp(t, database, { limits: { bytes: 40 } })

  const { id } = await room.create(ada, order)
  const { problem } = await ended(room, id)

  assert.deepEqual([problem?.type, readdirSync(folder)], ['too-large', []])
})

testOnEach('a source that breaks fails the export without its own words', exportsMigrations, async (database, t) => {
  const { room, world, folder } = setUp(t, database)
  world.hold = Promise.reject(new Error('select * from secret at /srv/atlas'))
  world.hold.catch(() => {})

  const { id } = await room.create(ada, { ...order, format: 'xlsx' })
  const { problem } = await ended(room, id)

  const detail = 'The export failed unexpectedly; the log of this server says why'
  assert.deepEqual([problem, readdirSync(folder)], [{ type: 'internal', detail }, []])
})

testOnEach('what the source says for people is kept', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  world.hold = Promise.reject(new Problem('not-found', 'There is no such connection'))
  world.hold.catch(() => {})

  const { id } = await room.create(ada, order)

  const { problem } = await ended(room, id)
  assert.deepEqual(problem, { type: 'not-found', detail: 'There is no such connection' })
})

testOnEach(
  'known secrets are taken out of files, which do not pass the gate',
  exportsMigrations,
  async (database, t) => {
    const { room, world, folder } = setUp(t, database)
    world.rows = [[['is top-secret-value']]]

    const { id } = await room.create(ada, order)
    await ended(room, id)

    assert.equal(readFileSync(join(folder, id), 'utf8'), '{"name":"is [secret]"}\n')
  },
)

const refused: readonly [title: string, what: Partial<typeof order>, outcome: string][] = [
  ['a dataset that there is not', { dataset: 'nothing' }, 'invalid-input'],
  ['a dataset called like a member of every object', { dataset: 'constructor' }, 'invalid-input'],
  ['a filter that there is not', { params: { other: 1 } }, 'invalid-input'],
  ['a filter of another type', { params: { site: 1 } }, 'invalid-input'],
  ['several tables as CSV', { dataset: 'pair', format: 'csv' }, 'invalid-input'],
]
testOnEach('an order that cannot be is refused before anything runs', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database)
  for (const [title, what, expected] of refused)
    assert.deepEqual([title, await outcome(room.create(ada, { ...order, ...what }))], [title, expected])

  world.forbidden.add('usr_eve machines.get inventory/*')
  assert.equal(await outcome(room.create(eve, order)), 'denied')
  assert.equal((await room.list(root, { limit: 10 })).items.length, 0)
})

testOnEach(
  'nobody runs or keeps more than may be, also not by asking at once',
  exportsMigrations,
  async (database, t) => {
    const { room, world } = setUp(t, database, { limits: { running: 2, kept: 3 } })
    const gate = Promise.withResolvers<void>()
    world.hold = gate.promise

    const outcomes = await Promise.all(Array.from({ length: 5 }, () => outcome(room.create(ada, order))))
    const another = await outcome(room.create(eve, order))
    gate.resolve()
    for (const { id } of (await room.list(root, { limit: 10 })).items) await ended(room, id)
    const later = [await outcome(room.create(ada, order)), await outcome(room.create(ada, order))]

    assert.deepEqual(outcomes.sort(), ['conflict', 'conflict', 'conflict', 'done', 'done'])
    assert.deepEqual([another, ...later], ['done', 'done', 'conflict'])
  },
)

testOnEach('at most so many files are written together', exportsMigrations, async (database, t) => {
  const { room, world } = setUp(t, database, { limits: { atOnce: 2 } })
  const gate = Promise.withResolvers<void>()
  world.hold = gate.promise
  const views = []
  for (let i = 0; i < 4; i++) views.push(await room.create(ada, order))

  await until(async () => world.pagesRead === 2)
  await new Promise((resolve) => setTimeout(resolve, 20))
  const atFirst = world.pagesRead
  gate.resolve()
  for (const { id } of views) assert.equal((await ended(room, id)).state, 'ready')

  assert.deepEqual([atFirst, world.pagesRead], [2, 8])
})

const names: readonly [name: string, file: string][] = [
  ['CMDB of week 3', 'CMDB of week 3.jsonl'],
  ['../../etc/passwd', '_.._etc_passwd.jsonl'],
  ['..', 'export.jsonl'],
  ['a/b\\c:d*e?f"g<h>i|j', 'a_b_c_d_e_f_g_h_i_j.jsonl'],
  ['a\r\nSet-Cookie: x', 'a__Set-Cookie_ x.jsonl'],
  ['Größe 検索 🚀', 'Größe 検索 🚀.jsonl'],
  ['gnp.\u202exslx', 'gnp._xslx.jsonl'],
  ['half \ud83d', 'half \ufffd.jsonl'],
]
testOnEach('the file has a plain name, whatever the export is called', exportsMigrations, async (database, t) => {
  const { room } = setUp(t, database)
  for (const [name, file] of names) {
    const view = await room.create(root, { ...order, name })
    const { id } = await ended(room, view.id)
    const download = await room.download(from(root), id)
    assert.deepEqual([view.file, download.name], [file, file])
    await room.remove(root, id)
  }
})
