import assert from 'node:assert/strict'
import type { Observation, Subject } from '../../../core/connector.ts'
import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { fixedClock, testOnEach } from '../../../testing/databases.ts'
import { makeInventory } from '../inventory.ts'
import { inventoryMigrations } from '../migrations.ts'
import type { MachineFilter } from './store-read.ts'
import type { MachineView } from './view.ts'

const subjects: Readonly<Record<string, readonly Subject[]>> = {
  nb: ['registry'],
  vc: ['virtualization'],
  zb: ['monitoring'],
  bk: ['backup'],
  tk: ['tickets', 'documentation'],
}
const ada = { id: 'usr_1', name: 'Ada' }
const u1 = '4211a7d6-0000-4000-a000-000000000001'
const everything: MachineFilter = {
  site: undefined,
  form: undefined,
  connection: undefined,
  hasConflict: undefined,
  gone: false,
}

type Short = Partial<Observation> & { name: string }

function setUp(database: Database) {
  const clock = fixedClock()
  const inventory = makeInventory({ database, subjectsOf: (id) => subjects[id] ?? [], now: clock.now })
  let runs = 0
  /** One batch of one connection; the names of its assets are their ids there. */
  const see = (connector: string, ...given: readonly Short[]) =>
    inventory.applyBatch({
      connectionId: `con_${connector}`,
      connector,
      runId: `r${++runs}`,
      observations: given.map((one) => ({
        kind: 'machine',
        externalId: one.name,
        attributes: {},
        machine: {},
        ...one,
      })),
    })
  const lose = (connector: string, ...names: readonly string[]) =>
    inventory.applyBatch({
      connectionId: `con_${connector}`,
      connector,
      runId: `r${++runs}`,
      observations: [],
      gone: names.map((externalId) => ({ kind: 'machine', externalId })),
    })
  const search = (text?: string, filter: Partial<MachineFilter> = {}) =>
    inventory.machines.search({ text, filter: { ...everything, ...filter }, limit: 50, cursor: undefined })
  const views = async (since?: Date) => {
    const all: MachineView[] = []
    for await (const page of inventory.machineViews(since ? { since } : {})) all.push(...page)
    return all
  }
  /** `nb:web01 vc:web01` … of each machine; stale assets have a minus. */
  const partition = async () =>
    (await views())
      .map(({ assets }) =>
        assets
          .map(({ connector, name, staleAt }) => `${staleAt === null ? '' : '-'}${connector}:${name}`)
          .sort()
          .join(' '),
      )
      .sort()
  const idOf = async (name: string) => {
    const found = await views()
    const one = found.find(({ assets }) => assets.some((asset) => `${asset.connector}:${asset.name}` === name))
    assert.ok(one, name)
    return one.id
  }
  const assetOf = async (name: string) => {
    const assets = (await views()).flatMap((view) => view.assets)
    const one = assets.find((asset) => `${asset.connector}:${asset.name}` === name)
    assert.ok(one, name)
    return one.id
  }
  return { clock, inventory, see, lose, search, views, partition, idOf, assetOf }
}

const named = (name: string, address: string, more: Partial<Observation> = {}): Short => ({
  name,
  addresses: [address],
  machine: { hostNames: [name] },
  ...more,
})

testOnEach(
  'assets of several connections become one machine as they are seen',
  inventoryMigrations,
  async (database) => {
    const { see, partition, views, search } = setUp(database)

    await see('vc', named('WEB01', '10.0.0.1', { machine: { form: 'virtual', hostNames: ['WEB01'], uuids: [u1] } }))
    await see('zb', named('web01', '10.0.0.1'), named('web02', '10.0.0.2'))
    await see('nb', named('web01', '10.0.0.1/24', { site: 'FRA1', facts: { lifecycle: 'active' } }))

    assert.deepEqual(await partition(), ['nb:web01 vc:WEB01 zb:web01', 'zb:web02'])
    const [one] = await views()
    assert.deepEqual(
      { name: one?.name, form: one?.form, site: one?.site },
      { name: 'web01', form: 'virtual', site: 'FRA1' },
    )
    const registry = one?.assets.find(({ connector }) => connector === 'nb')
    assert.deepEqual([registry?.facts, registry?.subjects], [{ lifecycle: 'active' }, ['registry']])
    assert.deepEqual(
      (await search()).items.map(({ name, live }) => [name, live]),
      [
        ['web01', 3],
        ['web02', 1],
      ],
    )
  },
)

testOnEach('a machine keeps its id while it changes, joins and loses assets', inventoryMigrations, async (database) => {
  const { see, lose, idOf, partition, inventory } = setUp(database)
  await see('nb', named('app1', '10.0.0.1'))
  await see('vc', named('app1', '10.0.0.1', { externalId: 'vm-1', machine: { hostNames: ['app1'], uuids: [u1] } }))
  const id = await idOf('nb:app1')
  await see('zb', { name: 'other', machine: { uuids: [u1], hostNames: ['other'] } })
  assert.equal(await idOf('zb:other'), id)

  await see('zb', { name: 'other', machine: { hostNames: ['other'] } })
  assert.deepEqual(await partition(), ['nb:app1 vc:app1', 'zb:other'])
  assert.equal(await idOf('nb:app1'), id)
  const alone = await idOf('zb:other')

  await see('zb', { name: 'other', machine: { uuids: [u1], hostNames: ['other'] } })
  assert.deepEqual(await partition(), ['nb:app1 vc:app1 zb:other'])
  assert.equal((await inventory.machines.get(alone)).machine.id, id)

  // Restored from a backup: another id in the system, the same UUID.
  await lose('vc', 'vm-1')
  await see('vc', named('app1', '10.0.0.1', { externalId: 'vm-9', machine: { hostNames: ['app1'], uuids: [u1] } }))
  assert.deepEqual(await partition(), ['-vc:app1 nb:app1 vc:app1 zb:other'])
  assert.equal(await idOf('nb:app1'), id)
})

testOnEach(
  'a second asset with the same UUID ends what the UUID held together',
  inventoryMigrations,
  async (database) => {
    const { see, lose, partition, search } = setUp(database)
    await see('vc', { name: 'a', machine: { uuids: [u1] } })
    await see('zb', { name: 'x', machine: { uuids: [u1] } })
    assert.deepEqual(await partition(), ['vc:a zb:x'])

    await see('vc', { name: 'b', machine: { uuids: [u1] } })
    assert.deepEqual(await partition(), ['vc:a', 'vc:b', 'zb:x'])
    assert.equal((await search(undefined, { hasConflict: true })).items.length, 2)

    await lose('vc', 'b')
    assert.deepEqual(await partition(), ['-vc:b vc:a zb:x'])
    assert.equal((await search(undefined, { hasConflict: true })).items.length, 0)
  },
)

testOnEach('what a person split or joined stays through later syncs', inventoryMigrations, async (database) => {
  const { see, partition, idOf, assetOf, inventory } = setUp(database)
  const { machines } = inventory
  await see('nb', named('web01', '10.0.0.1'), named('db01', '10.0.0.5'))
  await see('vc', named('web01', '10.0.0.1'))
  await see('zb', named('web01', '10.0.0.1'), { name: 'database', machine: { hostNames: ['database'] } })

  const split = await machines.split(await idOf('nb:web01'), [await assetOf('zb:web01')], ada, 'another one')
  const joined = await machines.join([await idOf('nb:db01'), await idOf('zb:database')], ada, '')
  const decided = ['nb:db01 zb:database', 'nb:web01 vc:web01', 'zb:web01']
  assert.deepEqual(await partition(), decided)

  await see('zb', named('web01', '10.0.0.1', { status: 'up', serial: 'ABCD1' }))
  await see('vc', named('web01', '10.0.0.1', { serial: 'ABCD1' }))
  await see('nb', named('web01', '10.0.0.1', { serial: 'ABCD1' }), named('db01', '10.0.0.6', { serial: 'WXYZ1' }))
  await see('zb', { name: 'database', serial: 'OTHER1', machine: { hostNames: ['database'] } })
  assert.deepEqual(await partition(), decided)
  const { decisions } = await machines.decisions(undefined, 10)
  assert.deepEqual(
    decisions.map(({ verb, by, note, parts }) => [
      verb,
      by.name,
      note,
      parts.map((part) => part.map(({ name }) => name)),
    ]),
    [
      ['join', 'Ada', '', [['db01'], ['database']]],
      ['split', 'Ada', 'another one', [['web01'], ['web01', 'web01']]],
    ],
  )

  await machines.withdraw(split.decision, ada)
  await machines.withdraw(joined.decision, ada)
  assert.deepEqual(await partition(), ['nb:db01', 'nb:web01 vc:web01 zb:web01', 'zb:database'])
  await assert.rejects(
    machines.withdraw(split.decision, ada),
    (error) => error instanceof Problem && error.type === 'conflict',
  )
})

testOnEach('the removal of a connection leaves the rest of its machines', inventoryMigrations, async (database) => {
  const { see, partition, inventory, search, idOf } = setUp(database)
  await see('nb', named('web01', '10.0.0.1'), named('only', '10.0.0.9'))
  await see('zb', named('web01', '10.0.0.1'))
  const id = await idOf('zb:web01')
  const gone = await idOf('nb:only')

  await inventory.removeConnection('con_nb')

  assert.deepEqual(await partition(), ['zb:web01'])
  assert.deepEqual(
    (await search()).items.map(({ id, live }) => [id, live]),
    [[id, 1]],
  )
  await assert.rejects(inventory.machines.get(gone), (error) => error instanceof Problem && error.type === 'not-found')
})

testOnEach('a machine that is no machine any more leaves no trace', inventoryMigrations, async (database) => {
  const { see, partition, inventory } = setUp(database)
  await see('nb', named('web01', '10.0.0.1'))
  await see('zb', named('web01', '10.0.0.1'))
  const { machine: _, ...plain } = named('web01', '10.0.0.1')
  await inventory.applyBatch({
    connectionId: 'con_zb',
    connector: 'zb',
    runId: 'r',
    observations: [{ kind: 'machine', externalId: 'web01', attributes: {}, ...plain }],
  })
  assert.deepEqual(await partition(), ['nb:web01'])
})

testOnEach('only machines that something changed of are seen again', inventoryMigrations, async (database) => {
  const { see, lose, views, clock } = setUp(database)
  await see('nb', named('a', '10.0.0.1'), named('b', '10.0.0.2'), named('c', '10.0.0.3'), named('d', '10.0.0.4'))
  clock.forward(60_000)
  const since = clock.now()
  await see('nb', named('a', '10.0.0.1'), named('b', '10.0.0.2', { facts: { backupAt: '2026-01-01T00:00:00Z' } }))
  await lose('nb', 'd')

  const changed = await views(since)

  assert.deepEqual(
    changed.map(({ name }) => name),
    ['b', 'd'],
  )
  assert.deepEqual(changed[0]?.assets[0]?.facts, { backupAt: '2026-01-01T00:00:00Z' })
})

testOnEach(
  'things with facts that are no machines come with the machine they point to',
  inventoryMigrations,
  async (database) => {
    const { see, inventory, idOf } = setUp(database)
    const facts = { createdAt: '2025-11-01T00:00:00Z' }
    const relations = [{ type: 'snapshot-of', kind: 'machine', externalId: 'web01' }]
    await see('vc', named('web01', '10.0.0.1'))
    await inventory.applyBatch({
      connectionId: 'con_vc',
      connector: 'vc',
      runId: 'r',
      observations: [
        { kind: 'snapshot', externalId: 's1', name: 'before update', attributes: {}, facts, relations },
        { kind: 'datastore', externalId: 'd1', name: 'ds1', attributes: {} },
      ],
    })
    const things = []
    for await (const page of inventory.thingViews()) things.push(...page)
    assert.deepEqual(
      things.map(({ name, facts, machine }) => ({ name, facts, machine })),
      [{ name: 'before update', facts, machine: { id: await idOf('vc:web01'), name: 'web01' } }],
    )
  },
)

testOnEach(
  'a key that too many assets share is no evidence and costs no more',
  inventoryMigrations,
  async (database) => {
    const { see, partition } = setUp(database)
    const many = Array.from({ length: 80 }, (_, n) => ({
      name: `m${n}`,
      machine: { hostNames: [`m${n}`], macs: ['00:11:22:33:44:55'] },
    }))
    await see('nb', ...many.slice(0, 40))
    await see('zb', ...many.slice(40))
    await see('vc', { name: 'x', machine: { macs: ['00:11:22:33:44:55'] } })
    assert.equal((await partition()).length, 81)
  },
)

testOnEach(
  'machines are found by parts of names, by marks, by site and by connection',
  inventoryMigrations,
  async (database) => {
    const { see, search, lose } = setUp(database)
    await see(
      'nb',
      named('fra1-web01', '10.0.0.1', { site: 'FRA1', machine: { form: 'physical', hostNames: ['fra1-web01'] } }),
    )
    await see('zb', named('fra1-web01', '10.0.0.1'))
    await see(
      'vc',
      named('fra1-app01', '10.0.0.2', { machine: { form: 'virtual', hostNames: ['fra1-app01'], uuids: [u1] } }),
    )
    await see('zb', named('old', '10.0.0.3'))
    await lose('zb', 'old')
    const names = async (...asked: Parameters<typeof search>) => (await search(...asked)).items.map(({ name }) => name)

    assert.deepEqual(await names('web0'), ['fra1-web01'])
    assert.deepEqual(await names('10.0.0.2'), ['fra1-app01'])
    assert.deepEqual(await names('D6A71142-0000-0040-A000-000000000001'), ['fra1-app01'])
    assert.deepEqual(await names(undefined, { site: 'FRA1' }), ['fra1-web01'])
    assert.deepEqual(await names(undefined, { form: 'virtual' }), ['fra1-app01'])
    assert.deepEqual(await names(undefined, { connection: 'con_zb' }), ['fra1-web01'])
    assert.deepEqual(await names('fra1', { connection: 'con_vc' }), ['fra1-app01'])
    assert.deepEqual(await names('old'), [])
    assert.deepEqual(await names('old', { gone: true }), ['old'])
    assert.deepEqual(await names(undefined, { gone: true }), ['old'])
  },
)

testOnEach(
  'connections that are synced at the same time meet in the same machines',
  inventoryMigrations,
  async (database) => {
    const { see, partition } = setUp(database)
    const names = Array.from({ length: 40 }, (_, n) => `srv${n}`)
    const pages = [names.slice(0, 20), names.slice(20)]

    await Promise.all(
      ['nb', 'vc', 'zb', 'bk'].map(async (connector) => {
        for (const page of pages)
          await see(connector, ...page.map((name) => named(name, `10.0.0.${names.indexOf(name) + 1}`)))
      }),
    )

    assert.deepEqual(await partition(), names.map((name) => `bk:${name} nb:${name} vc:${name} zb:${name}`).sort())
  },
)

testOnEach('the history of an asset has a bounded length', inventoryMigrations, async (database) => {
  const { see, inventory, idOf, clock } = setUp(database)
  for (let n = 0; n <= 60; n++) {
    clock.forward(1_000)
    const attributes = { version: `v${n}`, lastReportAt: `2026-01-01T00:00:${n % 60}Z`, text: 'x'.repeat(n) }
    await see('nb', named('web01', '10.0.0.1', { attributes, facts: { reportAt: clock.now().toISOString() } }))
  }
  const { timeline } = await inventory.machines.get(await idOf('nb:web01'))
  assert.equal(timeline.filter(({ what }) => what === 'changed').length, 50)
  assert.deepEqual(Object.keys(timeline[0]?.fields ?? {}), ['text', 'version'])
})
