import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { commvault } from '../../src/connectors/commvault/index.ts'
import type { Observation } from '../../src/core/connector.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { movableClock } from '../lib/server.ts'
import type { Flaw, Truth } from '../lib/truth.ts'
import { startCommvault } from './start.ts'

// The connector, the real HTTP client and the simulated CommServe, over TLS.

async function connect(t: TestContext, truth = makeCompany({ devices: 96, vms: 88 })) {
  const clock = movableClock()
  const cv = await startCommvault({ truth, clock })
  t.after(cv.stop)
  const config = { ...cv.config, pageSize: 50 }
  const to = connectTo(t, commvault, { config, credential: cv.credential, caPem: cv.caPem, now: clock.now })
  return { cv, truth, clock, ...to }
}

function byKind(observations: readonly Observation[]) {
  const kinds = Object.groupBy(observations, ({ kind }) => kind)
  return {
    counts: Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all?.length])),
    of: (kind: string) => kinds[kind] ?? [],
  }
}

const iso = (date: Date | undefined) => (date ? new Date(Math.floor(date.getTime() / 1000) * 1000).toISOString() : null)

test('A full sync reports each machine once with its last good backup, as the truth has it', async (t) => {
  const { truth, sync, cv } = await connect(t, makeCompany({ devices: 96, vms: 88, copies: 2 }))

  const { observations, batches } = await sync()

  const { counts, of } = byKind(observations)
  const servers = [...truth.devices('backup')]
  const vms = [...truth.vms('backup')]
  assert.deepEqual(counts, {
    'storage-pool': 2,
    job: counts['job'],
    'virtual-machine': vms.length,
    // The hypervisor, and every server; agents inside virtual machines are the same machine again.
    client: servers.length + 1,
  })
  assert.ok(batches.every(({ full }) => full))
  const seen = new Map(
    [...of('virtual-machine'), ...of('client')].map((one) => [
      (one.machine?.fqdns?.[0] ?? one.machine?.hostNames?.[0] ?? one.name).toLowerCase(),
      one.facts?.backupAt,
    ]),
  )
  const expected = [
    ...servers.map(({ fqdn, backupAt }) => [fqdn, iso(backupAt)] as const),
    ...vms.map(({ hostName, backupAt }) => [hostName, iso(backupAt)] as const),
  ]
  assert.deepEqual(new Map([...seen].filter(([name]) => name !== 'vcenter-ams1')), new Map(expected))
  assert.equal(
    cv.requests.every(({ method, path }) => method === 'GET' || /\/(Login|Jobs)$/.test(path)),
    true,
  )
})

const agesInDays: readonly (readonly [Flaw, (backupAt: string | null | undefined, truth: Truth) => boolean])[] = [
  ['no-backup', (backupAt) => backupAt === null],
  ['old-backup', (backupAt, { now }) => now.getTime() - Date.parse(String(backupAt)) > 8.9 * 86_400_000],
  ['status-differs', (backupAt, { now }) => now.getTime() - Date.parse(String(backupAt)) > 2 * 86_400_000],
  ['long-off', (backupAt, { now }) => now.getTime() - Date.parse(String(backupAt)) > 90 * 86_400_000],
]
test('Failed jobs, jobs with errors and synthetic fulls are no backups; a warning is', async (t) => {
  const { truth, sync } = await connect(t, makeCompany({ devices: 96, vms: 88, copies: 2 }))

  const { observations } = await sync()

  const vms = new Map(
    byKind(observations)
      .of('virtual-machine')
      .map((one) => [one.attributes['vm'], one]),
  )
  for (const [flaw, isRight] of agesInDays) {
    const planted = [...truth.planted].filter(([, kind]) => kind === flaw).map(([index]) => truth.vm(index).hostName)
    assert.equal(planted.length, 2)
    for (const name of planted) {
      const vm = vms.get(name) ?? vms.get(name.toUpperCase())
      assert.ok(isRight(vm?.facts?.backupAt, truth), `${flaw}: ${name} ${vm?.facts?.backupAt}`)
    }
  }
  const statuses = new Set(
    byKind(observations)
      .of('job')
      .map(({ status }) => status),
  )
  assert.deepEqual([...statuses].sort(), [
    'completed',
    'completed w/ one or more errors',
    'completed w/ one or more warnings',
    'failed',
  ])
})

test('What is known of a virtual machine, a server, a hypervisor, a pool and a job is told', async (t) => {
  const truth = makeCompany({ devices: 96, vms: 88, now: new Date('2026-11-20T12:00:00Z') })
  const { sync, cv } = await connect(t, truth)

  const { of } = byKind((await sync()).observations)

  const { facts: _, ...vm } = of('virtual-machine')[0] as Observation
  assert.deepEqual(vm, {
    kind: 'virtual-machine',
    externalId: cv.clientId('ams1-web0001'),
    name: 'ams1-web0001',
    status: 'protected',
    attributes: {
      vm: vm.attributes['vm'],
      guid: vm.attributes['guid'],
      host: 'ams1-esx001.dc.example.net',
      operatingSystem: vm.attributes['operatingSystem'],
      hypervisor: 'vcenter-ams1',
      subclient: 'ams1-vms',
      subclientId: '200',
      plan: 'Gold',
      diskBytes: vm.attributes['diskBytes'],
    },
    relations: [{ type: 'backed-up-through', kind: 'client', externalId: '100' }],
    machine: { form: 'virtual', hostNames: [vm.attributes['vm']] },
  })
  assert.equal(typeof vm.attributes['diskBytes'], 'number')
  assert.deepEqual(of('client')[0], {
    kind: 'client',
    externalId: '100',
    name: 'vcenter-ams1',
    attributes: { type: 'hypervisor', client: 'vcenter-ams1', hostName: 'vcenter-ams1.example.net' },
  })
  const server = of('client')[1] as Observation
  assert.equal(server.attributes['client'], server.name.toUpperCase(), 'administrators wrote it in upper case')
  assert.deepEqual(server.machine, { fqdns: [`${server.name}.dc.example.net`] })
  assert.deepEqual(
    of('storage-pool').map(({ name, facts }) => [name, facts]),
    [
      ['ams1-disk', { usedPercent: 25 }],
      ['cloud-archive', undefined],
    ],
  )
})

test('An incremental sync reads the jobs since, and only the machines they were about', async (t) => {
  const { cv, clock, sync } = await connect(t)
  const { cursor } = await sync()
  clock.forward(3_600_000)
  const good = cv.finish('ams1-web0001')
  const bad = cv.finish('ams1-ldap0002', 'Failed')
  const running = cv.startJob('ams1-web0001')
  const added = cv.addClient('ams1-new001')

  const { observations, batches } = await sync(cursor)

  const { of } = byKind(observations)
  assert.equal(
    batches.some(({ full }) => full),
    false,
  )
  assert.deepEqual(
    of('job').map(({ externalId, status }) => [Number(externalId), status]),
    [
      [running, 'queued'],
      [bad, 'failed'],
      [good, 'completed'],
    ],
  )
  const [web, ldap] = of('virtual-machine')
  assert.equal(of('virtual-machine').length, 2)
  assert.equal(Math.abs(Date.parse(String(web?.facts?.backupAt)) - clock.now().getTime()) < 60_000, true)
  assert.equal(Date.parse(String(ldap?.facts?.backupAt)) < clock.now().getTime() - 3_600_000, true)
  assert.deepEqual(
    of('client').map(({ externalId, facts }) => [Number(externalId), facts]),
    [[added, { backupAt: null }]],
  )
})

test('Everything is read again after a cursor that is too old, of the future, or of another version', async (t) => {
  const { clock, sync } = await connect(t)
  const { cursor } = await sync()
  clock.forward(31 * 86_400_000)

  assert.equal(
    (await sync(cursor)).batches.every(({ full }) => full),
    true,
  )
  assert.equal(
    (await sync({ from: 1 })).batches.every(({ full }) => full),
    true,
  )
  assert.ok((await sync({ since: '2100-01-01T00:00:00.000Z', lastClient: 0 })).batches.every(({ full }) => full))
})

test('A machine that its hypervisor deleted stays as a backup and is no machine any more', async (t) => {
  const { cv, sync } = await connect(t)
  cv.deleteVm('ams1-web0001')

  const vm = byKind((await sync()).observations)
    .of('virtual-machine')
    .find(({ externalId }) => externalId === cv.clientId('ams1-web0001'))

  assert.deepEqual([vm?.status, vm?.machine, vm?.facts], ['deleted', undefined, undefined])
})

for (const order of ['newest first', 'oldest first'] as const) {
  test(`No job is missed when jobs start and grow old while the list is read, ${order}`, async (t) => {
    const { cv, clock, context, sync } = await connect(t)
    cv.sortJobs(order)
    const all = byKind((await sync()).observations).of('job')
    const seen = new Set<string>()
    for await (const { stage, observations = [] } of commvault.sync?.({
      ...(context as object),
      now: clock.now,
    } as never) ?? []) {
      if (stage !== 'jobs') continue
      for (const { externalId } of observations) seen.add(externalId)
      cv.startJob('ams1-web0001')
      clock.forward(3_600_000)
    }

    assert.ok(all.length > 100)
    assert.deepEqual(
      all.filter(({ externalId }) => !seen.has(externalId)),
      [],
    )
  })
}
