import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { vcenter } from '../../src/connectors/vcenter/index.ts'
import type { Observation, SyncBatch } from '../../src/core/connector.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startVcenter, type VcenterOptions } from './start.ts'

// The connector, the real HTTP client and the simulated vCenter, over TLS.

const now = new Date('2026-11-20T12:00:00.000Z')
const minutes = 60_000
const company = () => makeCompany({ devices: 96, vms: 80, copies: 1, now })

async function start(t: TestContext, options: VcenterOptions = {}) {
  const truth = options.truth ?? company()
  const sim = await startVcenter({ ...options, truth })
  t.after(sim.stop)
  return { truth, sim, ...connectTo(t, vcenter, sim) }
}

function countOf(observations: readonly Observation[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of observations) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

const names = (observations: readonly Observation[]) => observations.map((one) => `${one.kind} ${one.externalId}`)
const goneIn = (batches: readonly SyncBatch[]) =>
  batches.flatMap(({ gone = [] }) => gone.map((one) => `${one.kind} ${one.externalId}`))
const isFull = (batches: readonly SyncBatch[]) => batches.some(({ full }) => full)
const methods = (sim: { calls: readonly { method: string }[] }) => sim.calls.map(({ method }) => method)

test('A full sync reports everything that the truth has in the virtualization, each once', async (t) => {
  const { truth, sim, sync } = await start(t)

  const { observations, batches } = await sync()

  const { counts } = truth.estate
  assert.deepEqual(countOf(observations), {
    datacenter: counts.sites,
    network: counts.sites * 2,
    cluster: counts.clusters,
    'resource-pool': counts.clusters,
    datastore: counts.clusters * 3,
    host: [...truth.devices('virtualization')].length,
    'virtual-machine': [...truth.vms('virtualization')].length + 2,
    snapshot: 1,
  })
  assert.equal(new Set(names(observations)).size, observations.length)
  assert.ok(batches.every(({ full }) => full))
  assert.ok(sim.requests.every(({ method, path, query }) => `${method} ${path}${query}` === 'POST /sdk'))
  assert.ok(sim.calls.length <= 16, `${sim.calls.length} calls`)
})

test('A virtual machine, its host and its snapshot are told as they are', async (t) => {
  const { truth, sim, sync } = await start(t)
  const old = [...truth.vms('virtualization')].find(({ flaw }) => flaw === 'old-snapshot')
  assert.ok(old)
  const host = truth.device(old.host)
  const cluster = truth.estate.cluster(old.cluster)

  const { observations } = await sync()

  const id = `vm-${old.index}`
  const page = (what: string) => `${sim.url}/ui/app/${what}:5a0e0e5e-7a1b-4c55-9d7a-000000000001/summary`
  const clusterId = `domain-c${old.cluster + 1}`
  const inPlace = [
    { type: 'member-of', kind: 'cluster', externalId: clusterId },
    { type: 'located-in', kind: 'datacenter', externalId: 'datacenter-1' },
  ]
  const find = (kind: string, externalId?: string) =>
    observations.find((one) => one.kind === kind && (externalId === undefined || one.externalId === externalId))
  const vm = find('virtual-machine', id)
  const isDatabase = old.purpose === 'Database'
  assert.deepEqual(vm, {
    kind: 'virtual-machine',
    externalId: id,
    name: old.hostName,
    site: 'AMS1',
    url: page(`vm;nav=v/urn:vmomi:VirtualMachine:${id}`),
    status: 'poweredon',
    addresses: [old.address, ...(old.address6 === undefined ? [] : [old.address6])],
    attributes: {
      cpus: old.vcpus,
      memoryMib: old.memoryMb,
      platform: old.platform,
      hardware: 'vmx-19',
      instanceUuid: `50${old.uuid.slice(2)}`,
      connection: 'connected',
      tools: 'guestToolsRunning',
      host: host.fqdn,
      pool: isDatabase ? 'Databases' : null,
      datacenter: 'AMS1',
      cluster: cluster.name,
      folder: truth.estate.tenant(old.tenant).name,
    },
    relations: [
      { type: 'runs-on', kind: 'host', externalId: `host-${old.host}` },
      ...inPlace,
      ...(isDatabase
        ? [{ type: 'in-pool', kind: 'resource-pool', externalId: `resgroup-${old.cluster * 2 + 2}` }]
        : []),
      { type: 'stored-on', kind: 'datastore', externalId: `datastore-${old.cluster * 3 + (old.index % 3) + 1}` },
      { type: 'connected-to', kind: 'network', externalId: 'dvportgroup-1' },
    ],
    machine: { form: 'virtual', uuids: [old.uuid], macs: [old.mac], hostNames: [old.fqdn] },
    facts: { power: 'on', powerSince: old.powerSince.toISOString(), isTemplate: false },
  })
  assert.deepEqual(find('snapshot'), {
    kind: 'snapshot',
    externalId: `snapshot-9${old.index}`,
    name: 'before-patching',
    status: 'poweredon',
    site: 'AMS1',
    attributes: { virtualMachine: old.hostName, isCurrent: true },
    relations: [{ type: 'snapshot-of', kind: 'virtual-machine', externalId: id }],
    facts: { createdAt: '2026-10-06T12:00:00.000Z' },
  })
  assert.deepEqual(find('host', `host-${old.host}`), {
    kind: 'host',
    externalId: `host-${old.host}`,
    name: host.fqdn,
    site: 'AMS1',
    url: page(`host;nav=h/urn:vmomi:HostSystem:host-${old.host}`),
    status: 'connected',
    serial: host.serial,
    addresses: [host.address.replace(/\/.*/, '')],
    attributes: {
      vendor: host.model.manufacturer,
      model: host.model.name,
      platform: `${host.platform}.3 build-24022510`,
      cpuCores: 64,
      memoryMib: 524_288,
      inMaintenance: false,
      datacenter: 'AMS1',
      cluster: cluster.name,
    },
    relations: inPlace,
    machine: { form: 'physical', uuids: [host.uuid], macs: host.macs, hostNames: [host.fqdn], fqdns: [host.fqdn] },
    facts: { power: 'on', powerSince: host.powerSince.toISOString() },
  })
})

test('Templates are marked, stores tell how full they are, and a host that is not reached tells no power', async (t) => {
  const { truth, sync } = await start(t)

  const { observations } = await sync()

  const templates = observations.filter(({ facts }) => facts?.isTemplate)
  assert.deepEqual(
    templates.map(({ name, facts }) => [name, facts]),
    [
      ['tpl-debian-12', { power: 'off', isTemplate: true }],
      ['tpl-windows/2022', { power: 'off', isTemplate: true }],
    ],
  )
  const used = observations.flatMap(({ kind, facts }) => (kind === 'datastore' ? [facts?.usedPercent ?? 100] : []))
  assert.ok(used.every((percent) => percent > 0 && percent < 70))
  const down = [...truth.devices('virtualization')].filter(({ power }) => power === 'off')
  const hosts = new Map(observations.map((one) => [one.externalId, one]))
  assert.ok(down.length > 0)
  for (const { index } of down) {
    const { status, facts } = hosts.get(`host-${index}`) ?? {}
    assert.deepEqual([status, facts], ['notresponding', {}])
  }
})

test('Machines that are off tell since when, from the events', async (t) => {
  const { truth, sync } = await start(t)
  const { observations } = await sync()

  const off = [...truth.vms('virtualization')].filter(({ power }) => power === 'off')
  const seen = new Map(observations.map((one) => [one.externalId, one.facts]))
  assert.ok(off.some(({ flaw }) => flaw === 'long-off'))
  for (const { index, powerSince } of off)
    assert.deepEqual(seen.get(`vm-${index}`), { power: 'off', powerSince: powerSince.toISOString(), isTemplate: false })
})

test('Since when is left out where vCenter forgot the event, may not tell it, or it was not the last', async (t) => {
  const forgotten = await start(t, { eventDays: 30 })
  const { truth } = forgotten
  const long = [...truth.vms('virtualization')].find(({ flaw }) => flaw === 'long-off')
  assert.ok(long)
  const powerOf = (observations: readonly Observation[], id: string) =>
    observations.find(({ externalId }) => externalId === id)?.facts

  const forgot = await forgotten.sync()
  assert.deepEqual(powerOf(forgot.observations, `vm-${long.index}`), { power: 'off', isTemplate: false })

  const denied = await start(t)
  denied.sim.deny('QueryEvents')
  assert.deepEqual(powerOf((await denied.sync()).observations, `vm-${long.index}`), { power: 'off', isTemplate: false })

  const crashed = await start(t)
  crashed.sim.power('vm-0', 'poweredOff')
  crashed.sim.forward(minutes)
  crashed.sim.power('vm-0', 'poweredOn')
  crashed.sim.forward(minutes)
  crashed.sim.power('vm-0', 'poweredOff', true)
  assert.deepEqual(powerOf((await crashed.sync()).observations, 'vm-0'), { power: 'off', isTemplate: false })
})

test('More events than one answer holds are read in parts of the time', async (t) => {
  const truth = makeCompany({ devices: 240, vms: 1100, now })
  const { sim, sync } = await start(t, { truth })

  const { observations } = await sync()

  const off = [...truth.vms('virtualization')].filter(({ power }) => power === 'off')
  const seen = new Map(observations.map((one) => [one.externalId, one.facts?.powerSince]))
  assert.ok(off.every(({ index, powerSince }) => seen.get(`vm-${index}`) === powerSince.toISOString()))
  assert.ok(methods(sim).filter((method) => method === 'QueryEvents').length > 1)
})

test('Pages of any size add up to the same', async (t) => {
  const { sim, sync } = await start(t)
  const whole = await sync()
  sim.setPageSize(7)
  const paged = await sync()

  assert.deepEqual(names(paged.observations), names(whole.observations))
  assert.ok(methods(sim).includes('ContinueRetrievePropertiesEx'))
})

test('An incremental sync reads the changed, the added and the gone, and nothing else', async (t) => {
  const { truth, sim, sync } = await start(t)
  const [a, b, c, d] = [...truth.vms('virtualization')].filter(({ power, flaw }) => power === 'on' && !flaw)
  assert.ok(a && b && c && d)
  const [off, snapped, gone, renamed] = [a, b, c, d].map(({ index }) => `vm-${index}`) as [
    string,
    string,
    string,
    string,
  ]
  const first = await sync()
  sim.power(off, 'poweredOff')
  const snapshot = sim.snapshot(snapped, 'one')
  sim.remove(gone)
  sim.rename(renamed, 'shop%2f1')
  const added = sim.add()
  sim.calls.splice(0)

  const second = await sync(first.cursor)

  assert.equal(isFull(second.batches), false)
  assert.deepEqual(
    names(second.observations).sort(),
    [
      `virtual-machine ${off}`,
      `virtual-machine ${snapped}`,
      `snapshot ${snapshot}`,
      `virtual-machine ${renamed}`,
      `virtual-machine ${added}`,
    ].sort(),
  )
  assert.deepEqual(goneIn(second.batches), [`virtual-machine ${gone}`])
  const seen = new Map(second.observations.map((one) => [one.externalId, one]))
  assert.equal(seen.get(off)?.facts?.power, 'off')
  assert.ok(seen.get(off)?.facts?.powerSince)
  assert.equal(seen.get(renamed)?.name, 'shop/1')
  // Placement is the same whichever way a machine was read.
  const before = first.observations.find(({ externalId }) => externalId === renamed)
  assert.deepEqual({ ...seen.get(renamed), name: before?.name }, before)
  assert.deepEqual(methods(sim), [
    'RetrieveServiceContent',
    'CurrentTime',
    'RetrievePropertiesEx',
    'WaitForUpdatesEx',
    'QueryEvents',
    'RetrievePropertiesEx',
    'RetrievePropertiesEx',
  ])

  const third = await sync(second.cursor)
  assert.deepEqual([third.observations, goneIn(third.batches), third.batches], [[], [], []])
})

test('Snapshots that were removed, or went with their machine, are told as gone', async (t) => {
  const { sim, sync } = await start(t)
  const [one, two] = ['vm-0', 'vm-2']
  const first = sim.snapshot(one, 'first')
  const second = sim.snapshot(one, 'second')
  const third = sim.snapshot(two, 'third')
  const { cursor, observations } = await sync()
  sim.removeSnapshot(first, false)
  sim.remove(two)

  const next = await sync(cursor)

  const child = observations.find(({ externalId }) => externalId === second)
  assert.deepEqual(child?.relations?.[1], { type: 'based-on', kind: 'snapshot', externalId: first })
  assert.deepEqual(goneIn(next.batches), [`virtual-machine ${two}`, `snapshot ${third}`, `snapshot ${first}`])
  assert.deepEqual(names(next.observations), [`virtual-machine ${one}`, `snapshot ${second}`])
  assert.deepEqual((await sync(next.cursor)).batches, [])
})

test('Updates that come in parts are all read', async (t) => {
  const { sim, sync } = await start(t)
  const { cursor } = await sync()
  const added = Array.from({ length: 25 }, () => sim.add())
  sim.setPageSize(10)

  const next = await sync(cursor)

  assert.deepEqual(
    next.observations.map(({ externalId }) => externalId),
    added,
  )
})

test('A machine that vanishes between the update and the reading is left to the next run', async (t) => {
  const { sim, sync } = await start(t)
  const { cursor } = await sync()
  sim.power('vm-0', 'poweredOff')
  sim.power('vm-2', 'poweredOff')
  sim.listen((method) => {
    if (method === 'QueryEvents') sim.fault({ kind: 'vanish' })
  })

  const second = await sync(cursor)
  const third = await sync(second.cursor)

  assert.deepEqual(names(second.observations), ['virtual-machine vm-2'])
  assert.deepEqual(goneIn(third.batches), ['virtual-machine vm-0'])
})

test('When the only machine that changed vanishes, nothing is left to read', async (t) => {
  const { sim, sync } = await start(t)
  const { cursor } = await sync()
  sim.power('vm-0', 'poweredOff')
  sim.listen((method) => {
    if (method === 'QueryEvents') sim.fault({ kind: 'vanish' })
  })

  assert.deepEqual((await sync(cursor)).observations, [])
})

test('Machines that vanish while everything is read neither end the sync nor hide others', async (t) => {
  const { truth, sim, sync } = await start(t)
  sim.setPageSize(20)
  sim.listen((method) => {
    if (method === 'ContinueRetrievePropertiesEx' && sim.machine('vm-79')) sim.remove('vm-79')
  })

  const { observations, cursor } = await sync()

  const expected = [...truth.vms('virtualization')].length + 2
  assert.equal(countOf(observations)['virtual-machine'], expected - 1)
  assert.deepEqual(goneIn((await sync(cursor)).batches), ['virtual-machine vm-79'])
})

const everythingAgain: readonly { title: string; make: (sim: Awaited<ReturnType<typeof startVcenter>>) => void }[] = [
  { title: 'nobody used the session for half an hour', make: (sim) => sim.forward(31 * minutes) },
  { title: 'vCenter was restarted', make: (sim) => sim.restart() },
  { title: 'a cluster has a new name', make: (sim) => sim.rename('domain-c1', 'AMS1-NEW') },
  {
    title: 'vCenter does not know the version any more',
    make: (sim) => {
      for (const session of sim.sessions()) session.versions = []
    },
  },
]
for (const { title, make } of everythingAgain) {
  test(`Everything is read again when ${title}`, async (t) => {
    const { truth, sim, sync } = await start(t)
    const { cursor } = await sync()
    make(sim)

    const { batches, observations } = await sync(cursor)

    assert.ok(batches.length > 0 && batches.every(({ full }) => full))
    assert.equal(countOf(observations)['virtual-machine'], [...truth.vms('virtualization')].length + 2)
    assert.equal(sim.sessions().length, 1)
  })
}

test('A cursor of an earlier session is not gone on from, even where its version is known', async (t) => {
  const { sim, sync } = await start(t)
  const earlier = await sync()
  sim.restart()
  const later = await sync()
  assert.equal(earlier.cursor['version'], later.cursor['version'])

  assert.equal(isFull((await sync(earlier.cursor)).batches), true)
})

test('With more snapshots than the cursor holds, a change reads everything again', async (t) => {
  const { truth, sim, sync } = await start(t)
  const machines = [...truth.vms('virtualization')].map(({ index }) => `vm-${index}`)
  for (let n = 0; n < 12; n++) for (const id of machines) sim.snapshot(id, 'nightly')
  const { cursor } = await sync()

  assert.ok(Buffer.byteLength(JSON.stringify(cursor)) < 16_384)
  sim.add()
  assert.equal(isFull((await sync(cursor)).batches), true)
})

test('Views and filters of earlier runs are removed, and signing out ends the session', async (t) => {
  const { sim, sync, signOut } = await start(t)
  await sync()
  await sync()

  assert.deepEqual(
    sim.sessions().map(({ views, filters }) => [views.size, filters.size]),
    [[1, 1]],
  )
  await signOut()
  assert.deepEqual(sim.sessions(), [])
})

test('A cursor holds no key of a session', async (t) => {
  const { sim, sync } = await start(t)

  const text = JSON.stringify((await sync()).cursor)

  assert.ok(sim.sessions().every(({ key }) => !text.includes(key)))
})
