import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Connector } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { type Database, openPostgres } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { freshPostgresUrl, freshSqlite, testOnEach } from '../../testing/databases.ts'
import {
  credentialOf,
  makeToyInventory,
  makeToyRoom,
  manyItems,
  startToy,
  toy,
  toyCa,
  toyMigrations,
  toyToken,
} from '../../testing/toy-system.ts'
import type { ConnectionsParts } from './parts.ts'
import { makeSyncStore } from './store-sync.ts'
import { leaseMs } from './waiting.ts'

const never = new AbortController().signal

async function connected(t: TestContext, database: Database, items: number, parts: Partial<ConnectionsParts> = {}) {
  const system = await startToy(t)
  system.items = manyItems(items)
  const room = await makeToyRoom(t, database, parts)
  const { id } = await room.connections.add({
    connector: 'toy',
    name: 'Toy',
    config: { url: system.url },
    credential: credentialOf(room.connections, { token: toyToken }),
    caCertificate: toyCa,
  })
  const { syncs } = room.connections
  const sync = async (mode: 'auto' | 'full' = 'auto') => {
    const { id: run } = await syncs.start(id, mode)
    const problem = await problemOf(syncs.run(run, never))
    return { ...(await syncs.get(run)), thrown: problem }
  }
  return { ...room, system, id, syncs, sync }
}

async function problemOf(run: Promise<unknown>): Promise<string | null> {
  try {
    await run
    return null
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return error.type
  }
}

testOnEach('a first sync reads everything, the next one only what changed', toyMigrations, async (database, t) => {
  const { connections, system, id, sync, inventory, clock } = await connected(t, database, 1234)
  const at = clock.now().toISOString()

  const { id: first, ...run } = await sync()
  assert.match(first, /^syn_/)
  assert.deepEqual(run, {
    connection: id,
    mode: 'auto',
    full: true,
    state: 'succeeded',
    stage: 'items',
    total: 1234,
    counts: { read: 1234, created: 1234, updated: 0, unchanged: 0, gone: 0, stale: 0 },
    rate: 0,
    attempt: 1,
    problem: null,
    queuedAt: at,
    startedAt: at,
    endedAt: at,
    thrown: null,
  })
  assert.equal(inventory.largest.batch, 1000)
  const { state, lastSyncedAt, activeSync } = await connections.get('Toy')
  assert.deepEqual([state, lastSyncedAt, activeSync], ['ok', at, null])

  system.pages.length = 0
  system.gone = [7, 8]
  const { full, counts } = await sync()
  assert.deepEqual(
    [full, counts, system.pages],
    [false, { read: 1, created: 0, updated: 0, unchanged: 1, gone: 2, stale: 0 }, ['?page=0&since=1']],
  )
  assert.deepEqual(inventory.stale, [])
})

test('an auto run reads everything again after a week, a full run at once', async (t) => {
  const { sync, clock } = await connected(t, await freshSqlite(t, toyMigrations), 1)
  const full: (boolean | null)[] = []
  for (const [mode, days] of [
    ['auto', 0],
    ['auto', 0],
    ['full', 0],
    ['auto', 6.9],
    ['auto', 0.2],
  ] as const) {
    clock.forward(days * 86_400_000)
    full.push((await sync(mode)).full)
  }
  assert.deepEqual(full, [true, false, true, false, true])
})

test('what a complete full run has not seen becomes stale, after an incremental run nothing does', async (t) => {
  const { sync, system, inventory } = await connected(t, await freshSqlite(t, toyMigrations), 5)
  await sync()
  system.items = system.items.slice(2)

  await sync()
  assert.deepEqual(inventory.stale, [])
  assert.equal((await sync('full')).counts.stale, 2)
  assert.deepEqual(inventory.stale, ['1', '2'])
})

test('a connector that cannot use its cursor reports everything, and the run counts as a full one', async (t) => {
  const restarting = { ...toy, sync: (context: Parameters<NonNullable<typeof toy.sync>>[0]) => restart(context) }
  async function* restart(context: Parameters<NonNullable<typeof toy.sync>>[0]) {
    const { cursor, ...rest } = context
    if (cursor) yield { stage: 'items', full: true as const }
    return yield* toy.sync!(rest as typeof context)
  }
  const parts = { connectors: [restarting as unknown as typeof toy] }
  const { sync, system, inventory } = await connected(t, await freshSqlite(t, toyMigrations), 5, parts)
  await sync()
  system.items = system.items.slice(2)

  const { full, counts } = await sync('auto')
  assert.deepEqual([full, counts.read, counts.stale], [true, 3, 2])
  assert.deepEqual(inventory.stale, ['1', '2'])
})

type Fault = (response: import('node:http').ServerResponse) => void
const send = (status: number, type: string, body: string): Fault => {
  return (response) => void response.writeHead(status, { 'content-type': type }).end(body)
}
const faults: readonly { readonly title: string; readonly fault: Fault; readonly gets: string }[] = [
  { title: 'html', fault: send(200, 'text/html', '<html>Sign in</html>'), gets: 'upstream-invalid' },
  { title: 'malformed JSON', fault: send(200, 'application/json', '{"items":['), gets: 'upstream-invalid' },
  { title: 'other JSON', fault: send(200, 'application/json', '{"items":{}}'), gets: 'upstream-invalid' },
  { title: 'a denial', fault: send(403, 'application/json', '{"detail":"expired"}'), gets: 'upstream-denied' },
  { title: '429 for ever', fault: send(429, 'application/json', '{}'), gets: 'upstream-busy' },
  { title: '503 for ever', fault: send(503, 'application/json', '{}'), gets: 'upstream-busy' },
  { title: 'a reset', fault: (response) => response.destroy(), gets: 'upstream-unreachable' },
]

for (const { title, fault, gets } of faults)
  testOnEach(`a sync that meets ${title} half way says so, and loses nothing`, toyMigrations, async (database, t) => {
    const { connections, sync, system, inventory } = await connected(t, database, 1000)
    await sync()
    system.items = system.items.slice(300)
    system.onPage = (page, response) => {
      if (page === 3) fault(response)
      return page === 3
    }

    const failed = await sync('full')
    assert.deepEqual([failed.thrown, failed.state, failed.problem?.type], [gets, 'failed', gets])
    assert.deepEqual([inventory.stale, inventory.seen.size], [[], 1000])
    const { state, problem } = await connections.get('Toy')
    assert.deepEqual([state, problem?.type], ['failing', gets])

    system.onPage = () => false
    system.pages.length = 0
    assert.equal((await sync('auto')).state, 'succeeded')
    assert.deepEqual(system.pages, ['?page=0&since=1'])
    assert.equal((await connections.get('Toy')).state, 'ok')
  })

test('a fault of our own is not explained to anybody, and ends the run', async (t) => {
  const broken = { applyBatch: () => Promise.reject(new TypeError('planted detail')) }
  const parts = { inventory: broken as unknown as ConnectionsParts['inventory'] }
  const { syncs, id, connections } = await connected(t, await freshSqlite(t, toyMigrations), 600, parts)
  const { id: run } = await syncs.start(id, 'auto')
  await assert.rejects(syncs.run(run, never), TypeError)

  const { state, problem } = await syncs.get(run)
  assert.deepEqual([state, problem], ['failed', { type: 'internal', title: 'Internal error' }])
  assert.equal((await connections.get('Toy')).state, 'failing')
})

testOnEach('a connection has one sync at a time', toyMigrations, async (database, t) => {
  const { syncs, id } = await connected(t, database, 1)
  const results = await Promise.allSettled([1, 2, 3].map(() => syncs.start(id, 'auto')))
  const queued = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []))
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason.detail)] : []))

  assert.equal(queued.length, 1)
  assert.deepEqual(refused, Array(2).fill(`The connection has a sync already: ${queued[0]}`))
  assert.deepEqual(await syncs.queued(), queued)
})

testOnEach(
  'a queued run is cancelled at once, a running one stops and marks nothing stale',
  toyMigrations,
  async (database, t) => {
    const { syncs, id, system, sync, inventory } = await connected(t, database, 1000)
    await sync()
    const queued = await syncs.start(id, 'full')
    assert.equal((await syncs.cancel(queued.id)).state, 'cancelled')
    assert.equal(await problemOf(syncs.run(queued.id, never)), 'conflict')

    system.items = manyItems(300)
    let reached = () => {}
    const half = new Promise<void>((resolve) => {
      reached = resolve
    })
    system.onPage = (page) => {
      if (page === 2) reached()
      return page === 2
    }
    const { id: run } = await syncs.start(id, 'full')
    const running = problemOf(syncs.run(run, never))
    await half
    assert.equal((await syncs.get(run)).state, 'running')
    const cancelled = await syncs.cancel(run)
    assert.deepEqual([await running, cancelled.state, inventory.stale], ['cancelled', 'cancelled', []])
    assert.equal(await problemOf(syncs.cancel(run)), 'conflict')
  },
)

testOnEach('a run whose process ends is interrupted and queued again', toyMigrations, async (database, t) => {
  const { syncs, id, system, inventory } = await connected(t, database, 500)
  const shutdown = new AbortController()
  system.onPage = (page) => {
    if (page === 2) shutdown.abort()
    return page === 2
  }
  const { id: run } = await syncs.start(id, 'auto')
  assert.equal(await problemOf(syncs.run(run, shutdown.signal)), 'cancelled')

  const { items } = await syncs.list(id, 10)
  assert.deepEqual(
    items.map(({ state }) => state),
    ['queued', 'interrupted'],
  )
  system.onPage = () => false
  const [again] = await syncs.queued()
  assert.equal((await syncs.run(again ?? '', never)).counts.read, 500)
  assert.deepEqual(inventory.stale, [])
})

testOnEach(
  'a run of a dead process is picked up by the next one, three times at most',
  toyMigrations,
  async (database, t) => {
    const first = await connected(t, database, 10)
    const { clock } = first
    const { id: run } = await first.syncs.start(first.id, 'full')
    await died(database, run, clock.now())
    const next = (await makeToyRoom(t, database, { now: clock.now })).connections.syncs

    if (database.dialect === 'postgres') {
      await next.recover()
      assert.deepEqual(await next.queued(), [], 'the lease of another process still holds')
    }
    clock.forward(leaseMs + 1)
    for (const attempt of [2, 3]) {
      await next.recover()
      const [again = ''] = await next.queued()
      assert.equal((await next.get(again)).attempt, attempt)
      await died(database, again, clock.now())
      clock.forward(leaseMs + 1)
    }
    await next.recover()
    assert.deepEqual(await next.queued(), [])
    const { items } = await next.list(first.id, 10)
    assert.deepEqual(
      items.map(({ state, attempt }) => `${state} ${attempt}`),
      ['interrupted 3', 'interrupted 2', 'interrupted 1'],
    )
  },
)

/** What a process leaves that is killed right after it has taken a run. */
async function died(database: Database, run: string, at: Date): Promise<void> {
  assert.equal(await makeSyncStore(database).claim(run, 'own_dead', at.toISOString()), true)
}

test('two processes that want the same run do it once; one that lost its lease changes nothing (PostgreSQL)', async (t) => {
  const url = await freshPostgresUrl(t)
  const [one, two] = [openPostgres({ url, maxConnections: 3 }), openPostgres({ url, maxConnections: 3 })]
  t.after(() => Promise.all([one.close(), two.close()]))
  await migrate(one, toyMigrations, () => new Date())
  const { syncs, id, system, clock, inventory } = await connected(t, one, 500)
  const other = (await makeToyRoom(t, two, { now: clock.now })).connections.syncs

  const { id: run } = await syncs.start(id, 'full')
  const results = await Promise.all([syncs, other].map((room) => problemOf(room.run(run, never))))
  assert.deepEqual(results.sort(), ['conflict', null])

  // The owner falls silent (a paused machine), the other process takes over, the owner wakes up.
  system.items = manyItems(10)
  const { id: silent } = await syncs.start(id, 'full')
  system.onPage = async () => {
    system.onPage = () => false
    clock.forward(leaseMs + 1)
    await other.recover()
    return false
  }
  assert.equal(await problemOf(syncs.run(silent, never)), 'cancelled')
  assert.equal((await other.get(silent)).state, 'interrupted')
  assert.deepEqual(inventory.stale, [])
  assert.equal((await other.queued()).length, 1)
})

test('a cancel asked for in another process stops the run (PostgreSQL)', async (t) => {
  const url = await freshPostgresUrl(t)
  const [one, two] = [openPostgres({ url, maxConnections: 3 }), openPostgres({ url, maxConnections: 3 })]
  t.after(() => Promise.all([one.close(), two.close()]))
  await migrate(one, toyMigrations, () => new Date())
  const { syncs, id, system, clock } = await connected(t, one, 2000)
  const other = (await makeToyRoom(t, two, { now: clock.now })).connections.syncs
  const { id: run } = await syncs.start(id, 'full')
  system.onPage = async (page) => {
    if (page === 2) await other.cancel(run)
    clock.forward(300)
    return false
  }

  assert.equal(await problemOf(syncs.run(run, never)), 'cancelled')
  assert.equal((await other.get(run)).state, 'cancelled')
})

test('a cancel that comes while the last page is written still marks nothing stale (PostgreSQL)', async (t) => {
  const url = await freshPostgresUrl(t)
  const [one, two] = [openPostgres({ url, maxConnections: 3 }), openPostgres({ url, maxConnections: 3 })]
  t.after(() => Promise.all([one.close(), two.close()]))
  await migrate(one, toyMigrations, () => new Date())
  const { syncs, id, system, sync, inventory } = await connected(t, one, 50)
  await sync()
  const other = (await makeToyRoom(t, two)).connections.syncs
  system.items = manyItems(10)
  const { id: run } = await syncs.start(id, 'full')
  system.onPage = async () => {
    await other.cancel(run)
    return false
  }

  assert.equal(await problemOf(syncs.run(run, never)), 'cancelled')
  assert.deepEqual(inventory.stale, [])
})

test('a connection removed by another process during its run leaves nothing behind (PostgreSQL)', async (t) => {
  const url = await freshPostgresUrl(t)
  const [one, two] = [openPostgres({ url, maxConnections: 3 }), openPostgres({ url, maxConnections: 3 })]
  t.after(() => Promise.all([one.close(), two.close()]))
  await migrate(one, toyMigrations, () => new Date())
  const toyInventory = makeToyInventory()
  let beforeBatch = async () => {}
  const inventory: ConnectionsParts['inventory'] = {
    ...toyInventory.part,
    async applyBatch(batch) {
      await beforeBatch()
      return toyInventory.part.applyBatch(batch)
    },
  }
  const { syncs, id } = await connected(t, one, 2000, { inventory })
  const other = await makeToyRoom(t, two, { inventory })
  const { id: run } = await syncs.start(id, 'full')
  beforeBatch = async () => {
    beforeBatch = async () => {}
    await other.connections.remove('Toy')
  }

  assert.notEqual(await problemOf(syncs.run(run, never)), null)
  assert.deepEqual([await other.connections.list(), toyInventory.seen.size], [[], 0])
})

testOnEach(
  'a run that shows life between the look and the verdict is not taken for dead',
  toyMigrations,
  async (database, t) => {
    const { syncs, id, clock } = await connected(t, database, 1)
    const store = makeSyncStore(database)
    const { id: run } = await syncs.start(id, 'auto')
    await store.claim(run, 'own_slow', clock.now().toISOString())
    const [seen] = await store.running()
    clock.forward(leaseMs)
    const progress = { stage: null, total: null, isFull: true, counts: { ...(await syncs.get(run)).counts } }
    assert.equal(await store.beat(run, 'own_slow', progress, clock.now().toISOString()), 'ok')

    assert.equal(await store.interrupt(seen!, clock.now().toISOString()), undefined)
    assert.equal((await syncs.get(run)).state, 'running')
  },
)

test('an edit during a run keeps the run from moving the cursor', async (t) => {
  const { connections, syncs, id, system, sync } = await connected(t, await freshSqlite(t, toyMigrations), 200)
  system.onPage = async () => {
    system.onPage = () => false
    await connections.edit('Toy', { name: 'Toy renamed' })
    return false
  }
  await sync()
  assert.equal((await sync('auto')).full, true)
  assert.equal((await syncs.list(id, 10)).items.length, 2)
})

test('a connection removed during its run leaves nothing behind', async (t) => {
  const { connections, syncs, id, system, inventory } = await connected(t, await freshSqlite(t, toyMigrations), 2000)
  const { id: run } = await syncs.start(id, 'auto')
  let removed: Promise<void> | undefined
  system.onPage = (page) => {
    if (page === 8) removed = connections.remove('Toy')
    return false
  }
  assert.equal(await problemOf(syncs.run(run, never)), 'cancelled')
  await removed
  assert.deepEqual([await connections.list(), inventory.seen.size], [[], 0])
})

test('runs are listed newest first, page by page', async (t) => {
  const { syncs, id, sync, clock } = await connected(t, await freshSqlite(t, toyMigrations), 1)
  const ids: string[] = []
  for (let i = 0; i < 5; i++) {
    ids.unshift((await sync()).id)
    clock.forward(1000)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const first = await syncs.list(id, 3)
  const second = await syncs.list(id, 3, first.next ?? undefined)
  assert.deepEqual(
    [...first.items, ...second.items].map((run) => run.id),
    ids,
  )
  assert.deepEqual([first.next, second.next], [ids[2], null])
})

test('a connection is due when its schedule has come round since it was last queued', async (t) => {
  const { connections, syncs, id, clock, sync } = await connected(t, await freshSqlite(t, toyMigrations), 1)
  const due: string[][] = []
  const look = async () => due.push(await syncs.due())
  await look()
  clock.forward(14 * 60_000)
  await look()
  clock.forward(60_000)
  await look()
  await sync()
  await look()
  clock.forward(15 * 60_000)
  await look()
  const { id: run } = await syncs.start(id, 'auto')
  clock.forward(15 * 60_000)
  await look()
  await syncs.cancel(run)
  await look()
  await connections.edit(id, { schedule: null })
  await look()
  assert.deepEqual(due, [[], [], [id], [], [id], [], [id], []])
})

test('reading never runs further ahead of writing than one page, however much there is', async (t) => {
  const ahead: number[] = []
  let written = 0
  const inventory: ConnectionsParts['inventory'] = {
    async applyBatch({ observations }) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      ahead.push(room.system.pages.length * 100 - written)
      written += observations.length
      return { created: observations.length, updated: 0, unchanged: 0, gone: 0 }
    },
    finishFullRun: async () => 0,
    removeConnection: async () => {},
  }
  const room = await connected(t, await freshSqlite(t, toyMigrations), 10_000, { inventory })
  await room.sync()

  assert.equal(written, 10_000)
  assert.ok(Math.max(...ahead) <= 1100, `${Math.max(...ahead)} read and not yet written`)
})

test('a system that sends without end ends in a fault', async (t) => {
  const observations = Array.from({ length: 1_000 }, (_, i) => ({
    kind: 'item',
    externalId: String(i),
    name: 'item',
    attributes: {},
  }))
  const endless = {
    ...toy,
    async *sync() {
      for (;;) yield { stage: 'items', observations }
    },
  }
  const inventory = {
    ...makeToyInventory().part,
    applyBatch: async () => ({ created: 0, updated: 0, unchanged: 1_000, gone: 0 }),
  }
  const { sync } = await connected(t, await freshSqlite(t, toyMigrations), 0, {
    connectors: [endless as unknown as Connector],
    inventory,
  })

  const { state, problem, thrown } = await sync()

  assert.deepEqual(
    [state, thrown, problem?.detail],
    ['failed', 'upstream-invalid', 'The system sent more than 10000000 things in one run'],
  )
})

test('a run that does not come to an end gives up its place after half a day', async (t) => {
  const { system, sync, clock } = await connected(t, await freshSqlite(t, toyMigrations), 250)
  system.onPage = (_page, response) => {
    clock.forward(7 * 3_600_000)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ items: [], gone: [], next: 1, total: 1 }))
    return true
  }

  const { state, problem, thrown } = await sync()

  assert.deepEqual([state, thrown, problem?.type], ['failed', 'upstream-timeout', 'upstream-timeout'])
})
