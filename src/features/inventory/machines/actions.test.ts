import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type Context, handlerOf } from '../../../core/action.ts'
import type { Observation, Subject } from '../../../core/connector.ts'
import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { fixedClock, freshSqlite, testOnEach } from '../../../testing/databases.ts'
import { makeInventory } from '../inventory.ts'
import { inventoryMigrations } from '../migrations.ts'
import { machineActions } from './actions.ts'
import type { MachineFinding } from './shapes.ts'

const context: Context = {
  principal: { id: 'usr_1', kind: 'user', name: 'Ada', bindings: [], version: '1' },
  door: 'http',
  requestId: 'req_1',
  signal: new AbortController().signal,
}
const subjects: Readonly<Record<string, readonly Subject[]>> = {
  registry: ['registry'],
  hypervisor: ['virtualization'],
  watcher: ['monitoring'],
  vaulting: ['backup'],
  desk: ['tickets'],
  wiki: ['documentation'],
}
const uuid = '4211a7d6-0000-4000-a000-000000000001'
const at = '2025-12-31T22:00:00Z'
const finding: MachineFinding = { id: 'fnd_1', rule: 'no-backup', severity: 'high', title: 'No backup', since: at }

const estate: Readonly<Record<string, readonly (Partial<Observation> & { kind: string; name: string })[]>> = {
  registry: [
    {
      kind: 'virtual-machine',
      name: 'fra1-web01',
      status: 'active',
      site: 'FRA1',
      addresses: ['10.0.0.1'],
      machine: { form: 'virtual', hostNames: ['fra1-web01'] },
      facts: { lifecycle: 'active' },
      attributes: { vcpus: 2, lastUpdated: '2025-01-01T00:00:00Z' },
      relations: [{ type: 'runs-on', kind: 'cluster', externalId: 'FRA1-PROD' }],
    },
    { kind: 'cluster', name: 'FRA1-PROD' },
    { kind: 'virtual-machine', name: 'web02', machine: { hostNames: ['web02'] } },
  ],
  hypervisor: [
    {
      kind: 'virtual-machine',
      name: 'FRA1-WEB01',
      addresses: ['10.0.0.1', '10.0.0.2'],
      machine: { form: 'virtual', hostNames: ['FRA1-WEB01'], uuids: [uuid] },
      facts: { power: 'on', powerSince: at },
    },
  ],
  watcher: [
    {
      kind: 'host',
      name: 'fra1-web01',
      status: 'up',
      machine: { hostNames: ['fra1-web01'] },
      facts: { isMonitored: true },
      url: 'https://watcher.example.net/1',
    },
    {
      kind: 'problem',
      name: 'Disk is full\non fra1-web01',
      facts: { severity: 4, openedAt: at },
      relations: [{ type: 'affects', kind: 'host', externalId: 'fra1-web01' }],
    },
    { kind: 'host', name: 'web02', machine: { hostNames: ['web02'] } },
  ],
  vaulting: [{ kind: 'client', name: 'fra1-web01', machine: { hostNames: ['fra1-web01'] }, facts: { backupAt: at } }],
  desk: [
    { kind: 'ticket', name: 'fra1-web01 is slow', status: 'open' },
    { kind: 'ticket', name: 'fra1-web010 is slow', status: 'open' },
  ],
  wiki: [{ kind: 'page', name: 'Web servers', attributes: { excerpt: 'See fra1-web01.' } }],
}

async function setUp(database: Database) {
  const clock = fixedClock()
  const inventory = makeInventory({ database, subjectsOf: (id) => subjects[id] ?? [], now: clock.now })
  // One after the other, so that assets are always first seen in the same order.
  const sync = async (given: typeof estate, runId: string) => {
    for (const [connector, list] of Object.entries(given))
      await inventory.applyBatch({
        connectionId: `con_${connector}`,
        connector,
        runId,
        observations: list.map((one) => ({ externalId: one.name, attributes: {}, ...one })),
      })
  }
  await sync(estate, 'r1')
  clock.forward(3_600_000)
  const [web, ...others] = estate['registry'] ?? []
  assert.ok(web)
  const attributes = { vcpus: 4, lastUpdated: '2026-01-01T00:00:00Z' }
  await sync({ registry: [{ ...web, status: 'offline', attributes }, ...others] }, 'r2')
  const list = machineActions({
    machines: inventory.machines,
    connectionName: async (id) => id.slice(4),
    resolveConnection: async (id) => id,
    findingsOf: async () => [finding],
  })
  const run = async (name: string, input: unknown) => {
    const action = list.find((one) => one.name === name)
    assert.ok(action)
    // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
    return z.parse(action.output, await handlerOf(action).run(action.input.parse(input), context)) as any
  }
  return { inventory, run }
}

testOnEach('one machine is shown with all that the systems know of it', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)
  const { items } = await run('inventory.machines.search', { q: 'fra1-web01', form: 'virtual' })
  assert.equal(items.length, 1)

  const found = await run('inventory.machines.get', { machine: items[0].id })

  assert.deepEqual([found.name, found.form, found.site, found.assets], ['fra1-web01', 'virtual', 'FRA1', 4])
  const names = new Map(found.members.map((one: { id: string; source: { name: string } }) => [one.id, one.source.name]))
  assert.deepEqual(
    found.links
      .map((one: { assets: string[]; strength: string; reasons: string[] }) => [
        one.assets.map((id) => names.get(id)).join(' '),
        one.strength,
        one.reasons.join(', '),
      ])
      .sort()[0],
    ['registry hypervisor', 'weak', 'same host name fra1-web01, same address 10.0.0.1, same site FRA1'],
  )
  assert.deepEqual(
    found.placement.map((one: { relation: string; name: string }) => [one.relation, one.name]),
    [['runs-on', 'FRA1-PROD']],
  )
  assert.deepEqual([found.power, found.monitoring.isMonitored, found.backup.at], [{ power: 'on', since: at }, true, at])
  assert.deepEqual(found.addresses, [
    { address: '10.0.0.1', connections: ['con_registry', 'con_hypervisor'] },
    { address: '10.0.0.2', connections: ['con_hypervisor'] },
  ])
  assert.deepEqual(
    found.problems.map((one: { name: string; severity: number }) => [one.name, one.severity]),
    [['Disk is full\non fra1-web01', 4]],
  )
  assert.deepEqual(
    [...found.tickets, ...found.pages].map(({ name }: { name: string }) => name),
    ['fra1-web01 is slow', 'Web servers'],
  )
  assert.deepEqual(
    found.timeline.map((event: { what: string; asset: string; fields: unknown }) => [
      event.what,
      names.get(event.asset),
      event.fields,
    ])[0],
    ['changed', 'registry', { status: ['active', 'offline'], vcpus: [2, 4] }],
  )
})

testOnEach('a name, an address or a UUID is enough for an overview', inventoryMigrations, async (database) => {
  const { run } = await setUp(database)
  for (const text of ['fra1-web01', 'FRA1-WEB01', '10.0.0.2', uuid]) {
    const { machine } = await run('inventory.machines.overview', { machine: text })
    assert.deepEqual(
      [machine.name, machine.power, machine.isMonitored, machine.backupAt, machine.systems.length, machine.findings],
      ['fra1-web01', 'on', true, at, 4, [finding]],
      text,
    )
  }
  const { machine, others } = await run('inventory.machines.overview', { machine: 'web02' })
  assert.deepEqual([machine.name, others.map(({ name }: { name: string }) => name)], ['web02', ['web02']])
  await assert.rejects(
    run('inventory.machines.overview', { machine: 'nobody' }),
    (error) => error instanceof Problem && error.type === 'not-found',
  )
})

test('machines that only share a name are named as possible ones', async (t) => {
  const { run } = await setUp(await freshSqlite(t, inventoryMigrations))
  const { machine, others } = await run('inventory.machines.overview', { machine: 'web02' })

  const found = await run('inventory.machines.get', { machine: machine.id })

  assert.deepEqual(found.possible, [{ machine: others[0].id, name: 'web02', reasons: ['same host name web02'] }])
  await run('inventory.machines.join', { machines: [machine.id, others[0].id], note: 'both are ours' })
  const joined = await run('inventory.machines.get', { machine: machine.id })
  assert.deepEqual(joined.links[0].reasons, ['joined by a person', 'same host name web02'])
  assert.deepEqual(
    joined.decisions.map(({ verb, note }: { verb: string; note: string }) => [verb, note]),
    [['join', 'both are ours']],
  )
})

test('the context is a text in which what systems say stays on its line', async (t) => {
  const { run } = await setUp(await freshSqlite(t, inventoryMigrations))
  const { items } = await run('inventory.machines.search', { q: 'fra1-web01' })

  const { text, findings } = await run('inventory.machines.context', { machine: items[0].id })

  assert.deepEqual(findings, [finding])
  assert.deepEqual(text.split('\n').slice(1), [
    `form virtual, site FRA1, power on, since ${at}`,
    'addresses 10.0.0.1 10.0.0.2',
    'monitored yes',
    `last backup ${at}`,
    'In the systems:',
    '- registry: virtual-machine fra1-web01, offline',
    '- hypervisor: virtual-machine FRA1-WEB01, present',
    '- watcher: host fra1-web01, up',
    '- vaulting: client fra1-web01, present',
    'Open problems:',
    `- Disk is full on fra1-web01 (severity 4, ${at})`,
    'Findings:',
    `- high: No backup (since ${at})`,
    'Around it:',
    '- runs-on cluster FRA1-PROD',
    'Changes:',
    '- 2026-01-01T01:00:00.000Z registry status "active" → "offline", vcpus 2 → 4',
    'Named in:',
    '- ticket fra1-web01 is slow',
    '- page Web servers',
  ])
})

const refused: readonly [string, unknown][] = [
  ['inventory.machines.search', { q: 'x'.repeat(201) }],
  ['inventory.machines.search', { form: 'cloud' }],
  ['inventory.machines.search', { hasConflict: 'maybe' }],
  ['inventory.machines.join', { machines: ['mch_1'] }],
  ['inventory.machines.split', { machine: 'mch_1', assets: [] }],
  ['inventory.decisions.list', { before: 0 }],
]

test('inputs out of bounds are refused', async (t) => {
  const { run } = await setUp(await freshSqlite(t, inventoryMigrations))
  for (const [name, input] of refused) await assert.rejects(run(name, input), z.ZodError, JSON.stringify(input))
})

test('a split that names foreign assets, or all of them, is refused', async (t) => {
  const { run } = await setUp(await freshSqlite(t, inventoryMigrations))
  const { items } = await run('inventory.machines.search', { q: 'fra1-web01' })
  const [{ id: machine }] = items
  const { members } = await run('inventory.machines.get', { machine })
  const assets = members.map(({ id }: { id: string }) => id)
  for (const chosen of [['ast_x'], assets])
    await assert.rejects(
      run('inventory.machines.split', { machine, assets: chosen }),
      (error) => error instanceof Problem && error.type === 'invalid-input',
    )
})
