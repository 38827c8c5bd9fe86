import assert from 'node:assert/strict'
import { sql } from 'kysely'
import type { Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { fixedClock, testOnEach } from '../../testing/databases.ts'
import { makeInventory } from './inventory.ts'
import { inventoryMigrations } from './migrations.ts'

const everything = { kinds: [], source: undefined, statuses: [], sites: [], stale: false }
const device = (n: number, more: Partial<Observation> = {}): Observation => ({
  kind: 'device',
  externalId: `${n}`,
  name: `srv-${n}`,
  attributes: {},
  ...more,
})

function setUp(database: Database) {
  const clock = fixedClock()
  const inventory = makeInventory({ database, subjectsOf: () => [], now: clock.now })
  const apply = (
    runId: string,
    observations: readonly Observation[],
    gone: { kind: string; externalId: string }[] = [],
    connectionId = 'con_a',
  ) => inventory.applyBatch({ connectionId, connector: 'example', runId, observations, gone })
  const list = async (text = '', stale = false) => {
    const { items } = await inventory.search({ text, filter: { ...everything, stale }, sort: 'name', limit: 200 })
    return items
  }
  const names = async (text = '', stale = false) => (await list(text, stale)).map(({ name }) => name)
  const one = async (text: string) => inventory.get((await list(text))[0]!.id)
  return { clock, inventory, apply, list, names, one }
}

testOnEach('a batch creates, updates and leaves alone what it finds', inventoryMigrations, async (database) => {
  const { apply, clock, one } = setUp(database)

  const first = await apply('r1', [device(1), device(2), device(3)])
  clock.forward(60_000)
  const second = await apply('r2', [device(1), device(2, { status: 'offline' }), device(4)])

  assert.deepEqual(first, { created: 3, updated: 0, unchanged: 0, gone: 0 })
  assert.deepEqual(second, { created: 1, updated: 1, unchanged: 1, gone: 0 })
  const times = async (name: string) => {
    const { first_seen_at, changed_at, last_seen_at } = await one(name)
    return [first_seen_at, changed_at, last_seen_at].map((at) => at.slice(11, 16))
  }
  assert.deepEqual(await times('srv-1'), ['00:00', '00:00', '00:01'])
  assert.deepEqual(await times('srv-2'), ['00:00', '00:01', '00:01'])
  assert.deepEqual(await times('srv-3'), ['00:00', '00:00', '00:00'])
  assert.deepEqual(await times('srv-4'), ['00:01', '00:01', '00:01'])
})

testOnEach(
  'an asset keeps its id through changes, and each connection has its own',
  inventoryMigrations,
  async (database) => {
    const { apply, list } = setUp(database)
    await apply('r1', [device(1)])
    await apply('r1', [device(1)], [], 'con_b')
    const before = await list()

    await apply('r2', [device(1, { name: 'renamed' })])

    assert.equal(new Set(before.map(({ id }) => id)).size, 2)
    assert.ok(before.every(({ id }) => /^ast_[0-9a-z]{24}$/.test(id)))
    const [renamed] = await list('renamed')
    assert.ok(renamed)
    assert.equal(renamed.id, before.find(({ connection_id }) => connection_id === 'con_a')?.id)
  },
)

const changes: readonly [what: string, change: Partial<Observation>][] = [
  ['name', { name: 'other' }],
  ['status', { status: 'failed' }],
  ['site', { site: 'FRA1' }],
  ['serial', { serial: 'S1' }],
  ['addresses', { addresses: ['10.0.0.1'] }],
  ['url', { url: 'https://example.net/1' }],
  ['an attribute', { attributes: { a: 1 } }],
  ['a relation', { relations: [{ type: 'at', kind: 'site', externalId: '1' }] }],
]

testOnEach('a change of anything that is shown is an update, and only that', inventoryMigrations, async (database) => {
  const { apply } = setUp(database)
  for (const [what, change] of changes) {
    await apply('r', [device(1)])
    assert.deepEqual(
      { what, ...(await apply('r', [device(1, change)])) },
      { what, created: 0, updated: 1, unchanged: 0, gone: 0 },
    )
  }
  await apply('r', [device(1, { attributes: { a: 1, b: 2 } })])

  const reordered = await apply('r', [device(1, { attributes: { b: 2, a: 1 } })])

  assert.equal(reordered.unchanged, 1)
})

testOnEach('an old name, address or word no longer finds a changed asset', inventoryMigrations, async (database) => {
  const { apply, names } = setUp(database)
  await apply('r1', [device(1, { name: 'before', addresses: ['10.1.1.1'], attributes: { model: 'R640' } })])

  await apply('r2', [device(1, { name: 'after', addresses: ['10.2.2.2'], attributes: { model: 'R750' } })])

  for (const old of ['before', '10.1.1.1', 'r640']) assert.deepEqual([old, await names(old)], [old, []])
  for (const text of ['after', '10.2.2.2', 'r750']) assert.deepEqual([text, await names(text)], [text, ['after']])
})

testOnEach(
  'only a complete run marks what it has not seen as stale, and never deletes',
  inventoryMigrations,
  async (database) => {
    const { apply, inventory, names, clock, list } = setUp(database)
    await apply('r1', [device(1), device(2), device(3)])
    await apply('r1', [device(1)], [], 'con_b')
    clock.forward(1_000)
    await apply('r2', [device(2)])
    assert.deepEqual(await names(), ['srv-1', 'srv-1', 'srv-2', 'srv-3'])

    const marked = await inventory.finishFullRun({ connectionId: 'con_a', runId: 'r2' })

    assert.equal(marked, 2)
    assert.deepEqual(await names(), ['srv-1', 'srv-2'])
    assert.deepEqual(await names('srv', true), ['srv-1', 'srv-3'])
    assert.deepEqual(
      (await list('', true)).map(({ stale_at }) => stale_at),
      ['2026-01-01T00:00:01.000Z', '2026-01-01T00:00:01.000Z'],
    )
    assert.equal(await inventory.finishFullRun({ connectionId: 'con_a', runId: 'r2' }), 0)
    assert.equal(await inventory.finishFullRun({ connectionId: 'con_unknown', runId: 'r2' }), 0)
  },
)

testOnEach('a stale asset that returns is live again, changed or not', inventoryMigrations, async (database) => {
  const { apply, inventory, names, one } = setUp(database)
  await apply('r1', [device(1), device(2)])
  await inventory.finishFullRun({ connectionId: 'con_a', runId: 'r2' })
  assert.deepEqual(await names('', true), ['srv-1', 'srv-2'])

  const counts = await apply('r3', [device(1), device(2, { status: 'active' })])

  assert.deepEqual(counts, { created: 0, updated: 2, unchanged: 0, gone: 0 })
  assert.deepEqual(await names(), ['srv-1', 'srv-2'])
  assert.deepEqual(await names('', true), [])
  assert.equal((await one('srv-1')).stale_at, null)
})

testOnEach(
  'what a system says is gone becomes stale once, unless the same batch has seen it',
  inventoryMigrations,
  async (database) => {
    const { apply, names } = setUp(database)
    await apply('r1', [device(1), device(2), device(3)])
    const gone = ['1', '1', '2', '9'].map((externalId) => ({ kind: 'device', externalId }))

    const counts = await apply('r2', [device(2)], [...gone, { kind: 'rack', externalId: '3' }])
    const again = await apply('r2', [], gone.slice(0, 1))

    assert.deepEqual(counts, { created: 0, updated: 0, unchanged: 1, gone: 1 })
    assert.deepEqual(again, { created: 0, updated: 0, unchanged: 0, gone: 0 })
    assert.deepEqual(await names(), ['srv-2', 'srv-3'])
  },
)

testOnEach('of two observations of one thing in a batch the later counts', inventoryMigrations, async (database) => {
  const { apply, names } = setUp(database)

  const counts = await apply('r1', [device(1, { name: 'early' }), device(1, { name: 'late' })])

  assert.equal(counts.created, 1)
  assert.deepEqual(await names(), ['late'])
})

testOnEach('relations are found from both ends, whichever came first', inventoryMigrations, async (database) => {
  const { apply, one, inventory } = setUp(database)
  const at = (externalId: string) => ({ relations: [{ type: 'at', kind: 'site', externalId }] })
  const site: Observation = { kind: 'site', externalId: 'S', name: 'the-site', attributes: {} }
  await apply('r1', [device(1, at('S')), device(2, at('S')), device(3, at('nowhere'))])
  await apply('r1', [{ ...site, name: 'of another connection' }], [], 'con_b')
  const relations = async (name: string) =>
    (await one(name)).relations.map(({ direction, type, kind, external_id, name, stale }) => [
      direction,
      type,
      kind,
      external_id,
      name,
      stale,
    ])
  assert.deepEqual(await relations('srv-1'), [['out', 'at', 'site', 'S', null, null]])

  await apply('r1', [site])

  assert.deepEqual(await relations('srv-1'), [['out', 'at', 'site', 'S', 'the-site', 0]])
  assert.deepEqual(await relations('the-site'), [
    ['in', 'at', 'device', '1', 'srv-1', 0],
    ['in', 'at', 'device', '2', 'srv-2', 0],
  ])
  assert.deepEqual(await relations('of another'), [])
  await apply('r2', [device(1, at('T')), site])
  await inventory.finishFullRun({ connectionId: 'con_a', runId: 'r2' })
  assert.deepEqual(await relations('the-site'), [['in', 'at', 'device', '2', 'srv-2', 1]])
})

testOnEach(
  'an asset lists at most 200 relations in each direction and says so',
  inventoryMigrations,
  async (database) => {
    const { apply, one } = setUp(database)
    const relations = [{ type: 'at', kind: 'site', externalId: 'S' }]
    await apply('r1', [
      { kind: 'site', externalId: 'S', name: 'the-site', attributes: {} },
      ...Array.from({ length: 201 }, (_, n) => device(n, { relations })),
    ])

    const { relations: listed, moreRelations } = await one('the-site')

    assert.deepEqual([listed.length, moreRelations], [200, true])
    assert.equal((await one('srv-7')).moreRelations, false)
  },
)

testOnEach(
  'a removed connection leaves nothing behind, and the others whole',
  inventoryMigrations,
  async (database) => {
    const { apply, inventory, names } = setUp(database)
    await apply(
      'r1',
      Array.from({ length: 2_500 }, (_, n) =>
        device(n, { relations: [{ type: 'at', kind: 'site', externalId: 'S' }] }),
      ),
    )
    await apply('r1', [device(1, { name: 'kept', serial: 'KEPT1' })], [], 'con_b')

    await inventory.removeConnection('con_a')
    await inventory.removeConnection('con_a')

    assert.deepEqual(await names(), ['kept'])
    assert.deepEqual(await names('srv'), [])
    assert.deepEqual(await names('kept1'), ['kept'])
    assert.deepEqual(await inventory.counts(), [
      { connection: 'con_b', connector: 'example', kind: 'device', live: 1, stale: 0 },
    ])
    for (const [table, rows] of [
      ['asset', 1],
      ['asset_seen', 1],
      ['asset_relation', 0],
      ['asset_group', 1],
      ['asset_source', 1],
    ] as const) {
      const { rows: found } = await sql<{
        n: number
      }>`select cast(count(*) as integer) as n from ${sql.table(table)}`.execute(database.db)
      assert.deepEqual([table, found[0]?.n], [table, rows])
    }
  },
)

testOnEach('words of a removed connection alone are forgotten', inventoryMigrations, async (database) => {
  const { apply, inventory, names } = setUp(database)
  await apply('r1', [device(1, { attributes: { owner: 'Ada Example' } })])
  await apply('r1', [device(2, { attributes: { owner: 'Bob Example' } })], [], 'con_b')

  await inventory.removeConnection('con_a')

  assert.deepEqual(await names('exam'), ['srv-2'])
  if (database.dialect === 'sqlite') return
  const { rows } = await sql`select word from asset_word order by word`.execute(database.db)
  assert.deepEqual(rows, [{ word: 'bob' }, { word: 'example' }])
})

testOnEach('the kept counts equal a recount after any history', inventoryMigrations, async (database) => {
  const { apply, inventory } = setUp(database)
  const random = seeded(7)
  const words = ['active', 'offline', undefined]
  for (let run = 0; run < 12; run++) {
    const observations = Array.from({ length: 40 }, () =>
      device(random(60), {
        kind: ['device', 'rack'][random(2)]!,
        name: `srv-${random(4)}`,
        ...(random(3) > 0 && { status: words[random(2)]! }),
        ...(random(3) > 0 && { site: `site ${random(3)}` }),
      }),
    )
    const gone = Array.from({ length: 5 }, () => ({ kind: 'device', externalId: `${random(60)}` }))
    const connectionId = `con_${random(2)}`
    await apply(`r${run}`, observations, gone, connectionId)
    if (random(3) === 0) await inventory.finishFullRun({ connectionId, runId: `r${run}` })
  }

  const { rows: kept } =
    await sql`select source_no, kind, status, site, stale, count as n from asset_group where count <> 0
    order by source_no, kind, status, site, stale`.execute(database.db)
  const { rows: counted } =
    await sql`select source_no, kind, coalesce(status, '') as status, coalesce(site, '') as site,
      case when stale_at is null then 0 else 1 end as stale, cast(count(*) as integer) as n
    from asset group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5`.execute(database.db)

  assert.ok(kept.length > 10)
  assert.deepEqual(kept, counted)
})

testOnEach(
  'texts that a database cannot hold are stored without what it cannot hold',
  inventoryMigrations,
  async (database) => {
    const { apply, one } = setUp(database)
    const long = 'x'.repeat(5_000)

    await apply('r1', [
      device(1, {
        name: 'nul\0 half\ud800 name',
        attributes: { note: 'a\0b\ud800', list: ['1', '2'] },
        addresses: ['fe80::1\0'],
      }),
      device(2, {
        kind: long,
        externalId: long,
        status: long,
        site: long,
        serial: long,
        name: `long ${long}`,
        url: long,
      }),
      device(2, {
        kind: long,
        externalId: `${long}y`,
        name: 'as long',
        relations: [{ type: long, kind: long, externalId: long }],
      }),
    ])

    const odd = await one('half')
    assert.equal(odd.name, 'nul half\ufffd name')
    assert.deepEqual(odd.attributes, { note: 'a\0b\ud800', list: ['1', '2'] })
    assert.equal(odd.addresses, '["fe80::1"]')
    const relations = (await one('as long')).relations
    assert.deepEqual(
      relations.map(({ name }) => name?.length),
      [500],
    )
    const again = await apply('r2', [
      device(2, {
        kind: long,
        externalId: `${long}y`,
        name: 'as long',
        relations: [{ type: long, kind: long, externalId: long }],
      }),
    ])
    assert.equal(again.unchanged, 1)
  },
)

testOnEach('a batch that fails leaves nothing of itself', inventoryMigrations, async (database) => {
  const { apply, names, inventory } = setUp(database)
  await apply('r1', [device(1)])
  const broken = device(2, {
    attributes: {
      get a(): string {
        throw new Error('broken')
      },
    },
  })

  await assert.rejects(apply('r2', [device(3), broken]), /broken/)
  await sql`drop table asset_relation`.execute(database.db)
  await assert.rejects(apply('r2', [device(3, { relations: [{ type: 'a', kind: 'b', externalId: 'c' }] })]))

  assert.deepEqual(await names(), ['srv-1'])
  assert.deepEqual(await names('srv'), ['srv-1'])
  assert.deepEqual(
    (await inventory.counts()).map(({ live }) => live),
    [1],
  )
})

testOnEach('two batches of one connection at the same time both count', inventoryMigrations, async (database) => {
  const { apply, inventory, names } = setUp(database)

  await Promise.all([0, 1, 2, 3].map((part) => apply('r1', [device(0), device(part + 1, { site: 'S' })])))

  assert.equal((await names()).length, 5)
  assert.deepEqual(
    (await inventory.counts()).map(({ live }) => live),
    [5],
  )
})

testOnEach('an unknown asset is not found', inventoryMigrations, async (database) => {
  const { inventory } = setUp(database)
  await assert.rejects(inventory.get('ast_none'), (error) => error instanceof Problem && error.type === 'not-found')
})

function seeded(seed: number) {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % below
  }
}
