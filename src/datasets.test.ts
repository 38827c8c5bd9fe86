import assert from 'node:assert/strict'
import { findCanaries } from '../test/e2e/canaries.ts'
import type { Observation } from './core/connector.ts'
import { assetsDataset } from './dataset-assets.ts'
import { cmdbDataset } from './dataset-cmdb.ts'
import { findingsDataset } from './dataset-findings.ts'
import type { Dataset } from './features/exports/dataset.ts'
import { type FormatName, formats } from './features/exports/formats.ts'
import { sanitised } from './features/exports/sanitise.ts'
import type { Cell, Sheet } from './features/exports/table.ts'
import { findingStates } from './features/inventory/findings/finding.ts'
import { makeFindings } from './features/inventory/findings/findings.ts'
import { ago, asset, machine, sourceOf, testNow, thing, witness } from './features/inventory/findings/testing.ts'
import { makeInventory } from './features/inventory/inventory.ts'
import type { MachineView } from './features/inventory/machines/view.ts'
import { inventoryMigrations } from './features/inventory/migrations.ts'
import type { Database } from './lib/db/database.ts'
import { fixedClock, testOnEach } from './testing/databases.ts'
import { bytesOf, unzip } from './testing/workbook.ts'

// Everything that names an estate, in every place where a system can write it.
const canary = {
  name: 'CanaryHost-01.example.net',
  vm: 'canary-vm-7',
  status: 'canary-status',
  kind: 'canary-kind',
  site: 'Canary City 3',
  serial: 'CNRY5ER1AL',
  ipv4: '203.0.113.77',
  ipv6: '2001:db8:c0de::77',
  url: 'https://canary.example.net/1',
  attribute: 'canary attribute value',
  attributeName: 'canaryAttributeName',
  email: 'canary.person@example.net',
  role: 'canary-role',
  tenant: 'Canary Tenant GmbH',
  rack: 'canary-rack-9',
  tag: 'canary-tag',
  assetTag: 'CNRY-TAG-1',
  externalId: 'canary-external-id',
  connection: 'canary-connection',
  reason: 'canary reason',
  machine: 'canary-machine',
}

const device: Observation = {
  kind: 'device',
  externalId: canary.externalId,
  name: canary.name,
  status: canary.status,
  site: canary.site,
  serial: canary.serial,
  addresses: [`${canary.ipv4}/24`, canary.ipv6],
  url: canary.url,
  attributes: {
    role: canary.role,
    tenant: canary.tenant,
    rack: canary.rack,
    assetTag: canary.assetTag,
    // A number is expected here.
    position: canary.attribute,
    model: 'PowerEdge R660',
    primaryAddress: canary.ipv4,
    managementAddress: canary.name,
    description: canary.email,
    tags: [canary.tag],
    [canary.attributeName]: canary.attribute,
  },
}
const estate: readonly Observation[] = [
  device,
  { ...device, kind: 'virtual-machine', externalId: '2', name: canary.vm, status: 'active', attributes: { vcpus: 4 } },
  { ...device, kind: canary.kind, externalId: '3', name: canary.email },
]

const registry = asset(
  'registry',
  {},
  {
    ...{ name: canary.name, status: canary.status, site: canary.site, serial: canary.serial, url: canary.url },
    addresses: [canary.ipv4, canary.ipv6],
    attributes: { model: canary.attribute, tenant: canary.tenant, platform: canary.role },
  },
)
const monitored = asset('monitoring', { isMonitored: false }, { addresses: [canary.ipv4, '198.51.100.9'] })
const virtual = asset('virtualization', { power: 'on' }, { url: canary.url, staleAt: null })
const whole: MachineView = {
  ...machine('virtual', monitored, virtual, registry),
  name: canary.machine,
  site: canary.site,
}
const gone = machine('physical', asset('registry', {}, { staleAt: ago(9) }))
const pool = thing('pool', 'storage', { usedPercent: 97 }, { name: canary.vm, site: canary.site, url: canary.url })

async function setUp(database: Database): Promise<Readonly<Record<string, Dataset>>> {
  const { now } = fixedClock(testNow.toISOString())
  const inventory = makeInventory({ database, now, subjectsOf: () => [] })
  await inventory.applyBatch({ connectionId: 'con_a', connector: 'example', runId: 'r1', observations: estate })
  const other = { ...device, name: 'elsewhere', kind: 'device' }
  await inventory.applyBatch({ connectionId: 'con_b', connector: 'example', runId: 'r1', observations: [other] })
  const connections = [...(['registry', 'virtualization', 'storage'] as const)].map((subject) => witness(subject))
  const findings = makeFindings({
    database,
    source: sourceOf({ machines: [whole], things: [pool], connections: [...connections, witness('backup')] }),
    now,
  })
  await findings.evaluate(new AbortController().signal)
  for (const { id } of (await findings.list({ ...every, states: ['open'] }, { limit: 1, cursor: undefined })).items)
    await findings.acknowledge(id, 'usr_1', { reason: canary.reason, until: '2026-12-24T00:00:00.000Z' })
  const names = new Map(['con_a', 'con_storage', 'con_registry'].map((id) => [id, canary.connection]))
  const common = {
    inventory,
    resolveConnection: async (idOrName: string) => (idOrName === canary.connection ? 'con_a' : idOrName),
    connectionNames: async () => names,
  }
  const machines = async function* () {
    yield [whole, gone]
  }
  return {
    assets: assetsDataset(common),
    cmdb: cmdbDataset({ ...common, registries: async () => ['con_a'], machines }),
    findings: findingsDataset({ ...common, findings }),
  }
}

const every = {
  rules: [],
  states: [],
  severities: [],
  sites: [],
  machine: undefined,
  connection: undefined,
  q: undefined,
}
const signal = new AbortController().signal
const sheetsOf = (dataset: Dataset | undefined, params: object = {}): readonly Sheet[] =>
  dataset?.sheets(dataset.params.strict().parse(params) as never, signal) ?? []

async function rowsOf(sheet: Sheet | undefined): Promise<Record<string, Cell>[]> {
  const rows = sheet ? (await Array.fromAsync(sheet.rows())).flat() : []
  return rows.map((row) => Object.fromEntries(sheet!.columns.map(({ key }, i) => [key, row[i] ?? null])))
}

/** The bytes of a file, of a workbook those of its parts. */
async function written(sheets: readonly Sheet[], format: FormatName): Promise<Buffer> {
  const bytes = await bytesOf(formats[format].write(sheets))
  return format === 'xlsx' ? Buffer.concat([bytes, ...unzip(bytes).values()]) : bytes
}

testOnEach(
  'a sanitised export has none of what names the estate, in any dataset and format (claims: A34)',
  inventoryMigrations,
  async (database) => {
    const datasets = await setUp(database)
    const found = new Set<string>()
    // One table at a time, so that CSV can write it too.
    for (const [name, dataset] of Object.entries(datasets))
      for (const format of ['csv', 'xlsx', 'jsonl'] as const)
        for (const sheet of sheetsOf(dataset, name === 'findings' ? { state: [...findingStates] } : {})) {
          const where = `${name} ${sheet.name} ${format}`
          const full = await written([sheet], format)
          const clean = await written(sanitised([sheet]), format)
          for (const hit of findCanaries(canary, [{ where: '', bytes: full }])) found.add(hit.split(' ')[1] ?? '')
          assert.deepEqual(findCanaries(lowerAndUpper(canary), [{ where, bytes: clean }]), [])
          assert.ok(clean.length > 100, where)
        }
    // What is nowhere in a full export would prove nothing by its absence.
    assert.deepEqual(
      [...found].sort(),
      Object.keys(canary)
        .filter((name) => !absent.includes(name))
        .sort(),
    )
  },
)

/** Never exported at all. */
const absent = ['externalId']

function lowerAndUpper(all: Record<string, string>): Record<string, string> {
  const each = Object.entries(all).flatMap(([name, value]) => [
    [name, value],
    [`${name} in small`, value.toLowerCase()],
    [`${name} in capitals`, value.toUpperCase()],
  ])
  return Object.fromEntries(each)
}

testOnEach(
  'assets are exported with the filters of the search, all pages of them',
  inventoryMigrations,
  async (database) => {
    const { assets } = await setUp(database)
    const inventory = makeInventory({ database, now: () => testNow, subjectsOf: () => [] })
    const many = Array.from({ length: 450 }, (_, n): Observation => {
      return { kind: 'issue', externalId: `${n}`, name: `many-${String(n).padStart(3, '0')}`, attributes: {} }
    })
    await inventory.applyBatch({ connectionId: 'con_a', connector: 'example', runId: 'r2', observations: many })
    const names = async (params: object) => (await rowsOf(sheetsOf(assets, params)[0])).map(({ name }) => name)

    assert.deepEqual(
      await names({ kind: 'issue' }),
      many.map(({ name }) => name),
    )
    assert.deepEqual(await names({ q: 'canary-vm' }), [canary.vm])
    assert.deepEqual(await names({ source: canary.connection, kind: ['device'] }), [canary.name])
    assert.deepEqual(await names({ stale: true }), [])
    const [row] = await rowsOf(sheetsOf(assets, { q: 'canary-vm' })[0])
    assert.deepEqual(
      { ...row, id: '' },
      {
        ...{ id: '', name: canary.vm, kind: 'virtual-machine', status: 'active', site: canary.site },
        ...{ serial: canary.serial, addresses: `${canary.ipv4}/24, ${canary.ipv6}`, system: canary.connection },
        ...{ stale: false, firstSeenAt: testNow.toISOString(), lastSeenAt: testNow.toISOString() },
        ...{ url: canary.url, attributes: '{"vcpus":4}' },
      },
    )
  },
)

testOnEach(
  'the CMDB has the registry’s devices and virtual machines, and each machine once',
  inventoryMigrations,
  async (database) => {
    const { cmdb } = await setUp(database)

    const [devices, vms, merged, ...more] = await Promise.all(sheetsOf(cmdb).map(rowsOf))

    assert.deepEqual([devices?.length, vms?.length, merged?.length, more], [1, 1, 1, []])
    const shown = { ...devices?.[0], firstSeenAt: '', lastSeenAt: '' }
    assert.deepEqual(shown, {
      ...{ name: canary.name, status: canary.status, site: canary.site, serial: canary.serial, role: canary.role },
      ...{ manufacturer: null, model: 'PowerEdge R660', assetTag: canary.assetTag, location: null, rack: canary.rack },
      ...{ position: canary.attribute, cluster: null, platform: null, primaryAddress: canary.ipv4 },
      ...{ managementAddress: canary.name, tenant: canary.tenant, addresses: `${canary.ipv4}/24, ${canary.ipv6}` },
      ...{ description: canary.email, tags: canary.tag, system: canary.connection, url: canary.url },
      ...{ firstSeenAt: '', lastSeenAt: '' },
    })
    assert.deepEqual([vms?.[0]?.['name'], vms?.[0]?.['vcpus']], [canary.vm, 4])
    assert.deepEqual(merged?.[0], {
      ...{ name: canary.machine, form: 'virtual', site: canary.site, status: canary.status, serial: canary.serial },
      ...{ addresses: `${canary.ipv4}, 198.51.100.9, ${canary.ipv6}`, model: canary.attribute, platform: canary.role },
      ...{ tenant: canary.tenant, power: 'on', inRegistry: true, inVirtualization: true, isMonitored: false },
      ...{ inBackup: false, backupAt: null, inConfiguration: false, reportAt: null, systems: 3, lastSeenAt: ago(0) },
      ...{ url: canary.url, id: 'mch_1' },
    })
  },
)

testOnEach('one table of the CMDB can be chosen', inventoryMigrations, async (database) => {
  const { cmdb } = await setUp(database)

  assert.deepEqual(
    [{}, { sheet: 'merged' }].map((params) => sheetsOf(cmdb, params).map(({ name }) => name)),
    [['Devices', 'Virtual machines', 'Merged'], ['Merged']],
  )
})

testOnEach('findings are exported with the filters of their list', inventoryMigrations, async (database) => {
  const { findings } = await setUp(database)

  const open = await rowsOf(sheetsOf(findings)[0])
  const accepted = await rowsOf(sheetsOf(findings, { state: 'acknowledged' })[0])

  assert.deepEqual(open.map(({ rule, severity, name }) => [rule, severity, name]).sort(), [
    ['no-backup', 'high', canary.machine],
  ])
  assert.deepEqual(
    accepted.map(({ rule, state, reason, acceptedUntil }) => [rule, state, reason, acceptedUntil]),
    [['pool-full', 'acknowledged', canary.reason, '2026-12-24T00:00:00.000Z']],
  )
  assert.match(String(accepted[0]?.['evidence']), /^canary-connection \(canary-vm-7\): /)
})
