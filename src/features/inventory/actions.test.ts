import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type Context, handlerOf } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { jsonSchemaOf } from '../../lib/json-schema.ts'
import { fixedClock, testOnEach } from '../../testing/databases.ts'
import { inventoryActions } from './actions.ts'
import { makeInventory } from './inventory.ts'
import { inventoryMigrations } from './migrations.ts'

const context: Context = {
  principal: { id: 'usr_1', kind: 'user', name: 'Ada', bindings: [], version: '1' },
  door: 'http',
  requestId: 'req_1',
  signal: new AbortController().signal,
}
const connectionNames: Readonly<Record<string, string>> = { con_a: 'main' }

async function setUp(database: Database) {
  const inventory = makeInventory({ database, subjectsOf: () => [], now: fixedClock().now })
  await inventory.applyBatch({
    connectionId: 'con_a',
    connector: 'example',
    runId: 'r1',
    observations: [
      {
        kind: 'device',
        externalId: '1',
        name: 'web-1',
        status: 'active',
        site: 'FRA1',
        serial: 'S1',
        addresses: ['10.0.0.1/24'],
        url: 'https://systems.example.net/1',
        attributes: { model: 'R650', cores: 8, managed: true, note: null, tags: ['a', 'b'] },
        relations: [
          { type: 'at', kind: 'site', externalId: '9' },
          { type: 'in', kind: 'rack', externalId: '3' },
        ],
      },
      { kind: 'site', externalId: '9', name: 'FRA1', attributes: {} },
    ],
  })
  await inventory.applyBatch({
    connectionId: 'con_b',
    connector: 'other',
    runId: 'r1',
    observations: [{ kind: 'device', externalId: '1', name: 'db-1', attributes: {} }],
  })
  await inventory.finishFullRun({ connectionId: 'con_b', runId: 'r2' })
  return actionsOf(inventory)
}

function actionsOf(inventory: Parameters<typeof inventoryActions>[0]['inventory']) {
  const list = inventoryActions({
    inventory,
    connectionName: async (id) => connectionNames[id],
    resolveConnection: async (idOrName) => {
      if (idOrName === 'main') return 'con_a'
      if (idOrName.startsWith('con_')) return idOrName
      throw new Problem('not-found', 'There is no such connection')
    },
  })
  const actions = new Map(list.map((action) => [action.name, action]))
  const parse = (name: string, input: unknown) => actions.get(name)!.input.parse(input)
  const run = async (name: string, input: unknown) => {
    const action = actions.get(name)!
    return z.parse(action.output, await handlerOf(action).run(parse(name, input), context)) as Record<string, unknown>
  }
  const resource = (name: string, input: unknown) => handlerOf(actions.get(name)!).resource(parse(name, input))
  return { actions, parse, run, resource }
}

const webOne = {
  kind: 'device',
  name: 'web-1',
  status: 'active',
  site: 'FRA1',
  serial: 'S1',
  addresses: ['10.0.0.1/24'],
  source: { connection: 'con_a', name: 'main', connector: 'example' },
  url: 'https://systems.example.net/1',
  lastSeenAt: '2026-01-01T00:00:00.000Z',
  stale: false,
}

testOnEach('a search answers summaries, and facets when asked', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)

  const { items, ...rest } = await run('inventory.assets.search', { q: 'web', facets: true })

  assert.deepEqual(
    (items as { id: string }[]).map(({ id: _, ...item }) => item),
    [webOne],
  )
  assert.deepEqual(rest, {
    next: null,
    total: 1,
    facets: {
      kind: [{ value: 'device', count: 1 }],
      source: [{ value: 'con_a', count: 1, name: 'main' }],
      status: [{ value: 'active', count: 1 }],
      site: [{ value: 'FRA1', count: 1 }],
      capped: false,
    },
  })
  assert.equal('facets' in (await run('inventory.assets.search', {})), false)
})

testOnEach('a search takes query-string forms, and a source by id or name', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)
  const names = async (input: unknown) =>
    ((await run('inventory.assets.search', input))['items'] as { name: string }[]).map(({ name }) => name)

  assert.deepEqual(await names({ kind: 'device' }), ['web-1'])
  assert.deepEqual(await names({ kind: ['device', 'site'], limit: '10', stale: 'false' }), ['FRA1', 'web-1'])
  assert.deepEqual(await names({ stale: 'true' }), ['db-1'])
  assert.deepEqual(await names({ stale: true, source: 'con_b' }), ['db-1'])
  assert.deepEqual(await names({ source: 'main', sort: '-name' }), ['web-1', 'FRA1'])
  await assert.rejects(names({ source: 'nobody' }), (error) => error instanceof Problem && error.type === 'not-found')
})

testOnEach('an asset is answered whole', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)
  const { items } = (await run('inventory.assets.search', { q: 'web-1' })) as { items: { id: string }[] }
  const sites = (await run('inventory.assets.search', { kind: 'site' })) as { items: { id: string }[] }
  const id = items[0]!.id

  const asset = await run('inventory.assets.get', { asset: id })

  assert.deepEqual(asset, {
    id,
    ...webOne,
    externalId: '1',
    attributes: { model: 'R650', cores: 8, managed: true, note: null, tags: ['a', 'b'] },
    relations: [
      {
        direction: 'out',
        type: 'at',
        kind: 'site',
        externalId: '9',
        id: sites.items[0]!.id,
        name: 'FRA1',
        stale: false,
      },
      { direction: 'out', type: 'in', kind: 'rack', externalId: '3', id: null, name: null, stale: null },
    ],
    moreRelations: false,
    firstSeenAt: '2026-01-01T00:00:00.000Z',
    changedAt: '2026-01-01T00:00:00.000Z',
    staleAt: null,
  })
  await assert.rejects(
    run('inventory.assets.get', { asset: 'ast_x' }),
    (error) => error instanceof Problem && error.type === 'not-found',
  )
})

testOnEach('the summary counts per connection and kind', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)

  assert.deepEqual(await run('inventory.summary.get', {}), {
    total: 2,
    stale: 1,
    connections: [
      {
        connection: 'con_a',
        name: 'main',
        connector: 'example',
        total: 2,
        stale: 0,
        kinds: [
          { kind: 'device', count: 1, stale: 0 },
          { kind: 'site', count: 1, stale: 0 },
        ],
      },
      {
        connection: 'con_b',
        name: null,
        connector: 'other',
        total: 0,
        stale: 1,
        kinds: [{ kind: 'device', count: 0, stale: 1 }],
      },
    ],
  })
})

const fail = async () => assert.fail()
const none = actionsOf({
  search: fail,
  get: fail,
  counts: fail,
  machines: { search: fail, get: fail, resolve: fail, split: fail, join: fail, withdraw: fail, decisions: fail },
})

test('the actions on assets only read, and all name what they are about', () => {
  assert.deepEqual(
    [...none.actions.values()].map(({ name, access, http }) => `${name} ${access} ${http.method} ${http.path}`),
    [
      'inventory.assets.search read GET /assets',
      'inventory.assets.get read GET /assets/{asset}',
      'inventory.summary.get read GET /inventory/summary',
      'inventory.machines.search read GET /machines',
      'inventory.machines.get read GET /machines/{machine}',
      'inventory.machines.overview read GET /inventory/overview',
      'inventory.machines.context read GET /machines/{machine}/context',
      'inventory.machines.split write POST /machines/{machine}/split',
      'inventory.machines.join write POST /machines/join',
      'inventory.decisions.list read GET /inventory/decisions',
      'inventory.decisions.withdraw write POST /inventory/decisions/{decision}/withdraw',
    ],
  )
  assert.deepEqual(none.resource('inventory.assets.search', { q: 'x' }), { type: 'inventory', id: '*' })
  assert.deepEqual(none.resource('inventory.assets.search', { source: 'main' }), { type: 'connection', id: 'main' })
  assert.deepEqual(none.resource('inventory.assets.get', { asset: 'ast_1' }), { type: 'asset', id: 'ast_1' })
  assert.deepEqual(none.resource('inventory.summary.get', {}), { type: 'inventory', id: '*' })
  assert.deepEqual(none.resource('inventory.machines.search', { connection: 'main' }), {
    type: 'inventory',
    id: '*',
  })
  const split = { machine: 'mch_1', assets: ['ast_1'] }
  assert.deepEqual(none.resource('inventory.machines.split', split), { type: 'machine', id: 'mch_1' })
  assert.deepEqual(none.resource('inventory.machines.join', { machines: ['mch_1', 'mch_2'] }), {
    type: 'inventory',
    id: '*',
  })
})

const refusedInputs: readonly unknown[] = [
  { q: 'x'.repeat(201) },
  { limit: 0 },
  { limit: 201 },
  { limit: '5; drop' },
  { limit: 1.5 },
  { sort: 'id' },
  { kind: '' },
  { kind: [1] },
  { kind: Array.from({ length: 51 }, () => 'x') },
  { site: 'x'.repeat(501) },
  { stale: 'yes' },
  { stale: 1 },
  { facets: null },
  { cursor: '' },
  { unknown: 1 },
]

for (const input of refusedInputs) {
  test(`the search input ${JSON.stringify(input).slice(0, 60)} is refused`, () => {
    assert.equal(none.actions.get('inventory.assets.search')!.input.safeParse(input).success, false)
  })
}

test('the input can be shown as JSON Schema, lists as one value or many', () => {
  const schema = z.toJSONSchema(none.actions.get('inventory.assets.search')!.input, { io: 'input' })
  assert.equal(schema.required, undefined)
  assert.deepEqual(Object.keys(schema.properties ?? {}), [
    'q',
    'kind',
    'source',
    'status',
    'site',
    'stale',
    'sort',
    'limit',
    'cursor',
    'facets',
  ])
  const { kind } = jsonSchemaOf(none.actions.get('inventory.assets.search')!.input, 'input')['properties'] as {
    kind: { anyOf: { type: string }[] }
  }
  assert.deepEqual(
    kind.anyOf.map(({ type }) => type),
    ['string', 'array'],
  )
})
