import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foreman } from '../../src/connectors/foreman/index.ts'
import { Problem } from '../../src/core/problem.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { as, canaries, company, connect } from './connected.ts'
import { type Foreman, startForeman } from './start.ts'

test('The check names the version and the account, and has nothing to say against a reader (claims: A35)', async (t) => {
  const { sim, check } = await connect(t)

  assert.deepEqual(await check(), { version: '3.13.0', account: 'atlas', warnings: [] })
  assert.deepEqual((await as(t, sim, 'writer').check()).warnings, [
    'The account may do more with hosts than view: edit_hosts.',
  ])
  assert.deepEqual((await as(t, sim, 'admin').check()).warnings, [
    'The account is an administrator. Use one whose role may only view.',
  ])
  assert.deepEqual((await as(t, sim, 'narrow').check()).warnings, [
    'The account may not view audits (view_audit_logs): every sync reads all hosts.',
  ])
})

test('The check of an old Foreman says that it cannot be read', async (t) => {
  const { check } = await connect(t, { version: '2.3.5' })

  assert.deepEqual((await check()).warnings, [
    'Foreman 2.3 is older than 2.4: its hosts cannot be searched by id, so they cannot be read.',
  ])
})

for (const times of ['plain', 'iso'] as const) {
  test(`A full sync reports every host of the company once, with times printed ${times}`, async (t) => {
    const truth = makeCompany(company)
    const { sync } = await connect(t, { truth, times })

    const { observations, batches } = await sync()

    const machines = [...truth.devices('configuration'), ...truth.vms('configuration')]
    assert.deepEqual(observations.map(({ name }) => name).sort(), machines.map(({ fqdn }) => fqdn).sort())
    assert.equal(new Set(observations.map(({ externalId }) => externalId)).size, machines.length)
    assert.ok(batches.every(({ full, total }) => full && (total ?? 0) >= 0))
    const reports = new Map(observations.map(({ name, facts }) => [name, facts?.reportAt?.slice(0, 19)]))
    for (const { fqdn, reportAt } of machines) assert.equal(reports.get(fqdn), reportAt.toISOString().slice(0, 19))
    assert.doesNotMatch(JSON.stringify(batches), canaries)
  })
}

test('A virtual machine and a server are told with all that they can be recognised by', async (t) => {
  const now = new Date('2026-11-20T12:00:00.500Z')
  const truth = makeCompany({ ...company, now })
  const { sim, sync } = await connect(t, { truth })
  const [vm] = truth.vms('configuration')
  const [server] = truth.devices('configuration')
  assert.ok(vm && server)

  const { observations } = await sync()
  const seen = (name: string) => observations.find((one) => one.name === name)

  const whole = (at: Date) => `${at.toISOString().slice(0, 19)}.000Z`
  assert.deepEqual(seen(vm.fqdn), {
    kind: 'host',
    externalId: '241',
    name: vm.fqdn,
    status: 'ok',
    site: truth.estate.site(vm.site).name,
    addresses: [vm.address.split('/')[0], vm.address6?.split('/')[0]],
    url: `${sim.url}/hosts/${vm.fqdn}`,
    attributes: {
      fqdn: vm.fqdn,
      operatingSystem: vm.platform,
      architecture: 'x86_64',
      model: 'VMware Virtual Platform',
      hostgroup: seen(vm.fqdn)?.attributes['hostgroup'],
      organization: 'Example',
      location: truth.estate.site(vm.site).name,
      domain: 'vm.example.net',
      owner: 'admin',
      configurationStatus: 'no changes',
      macAddress: vm.mac,
      enabled: true,
      managed: false,
      building: false,
      cores: vm.vcpus,
      sockets: 1,
      memoryMib: vm.memoryMb,
      bootedAt: whole(vm.powerSince),
      installedAt: seen(vm.fqdn)?.attributes['createdAt'],
      createdAt: seen(vm.fqdn)?.attributes['createdAt'],
      lastReport: whole(vm.reportAt),
    },
    machine: { form: 'virtual', fqdns: [vm.fqdn], hostNames: [vm.fqdn], macs: [vm.mac] },
    facts: { reportAt: whole(vm.reportAt) },
  })
  assert.deepEqual(seen(server.fqdn)?.machine, {
    form: 'physical',
    fqdns: [server.fqdn],
    hostNames: [server.fqdn],
    macs: [server.macs[0]],
  })
})

test('A silent agent is seen by the age of its report', async (t) => {
  const truth = makeCompany({ seed: 2, devices: 240, vms: 400, copies: 2 })
  const { sync } = await connect(t, { truth })
  const silent = [...truth.planted].filter(([, flaw]) => flaw === 'silent-agent').map(([index]) => truth.vm(index).fqdn)

  const { observations } = await sync()

  const old = observations.filter(
    ({ facts }) => truth.now.getTime() - Date.parse(facts?.reportAt ?? '') > 5 * 86_400_000,
  )
  const off = new Set(
    [...truth.planted].filter(([, flaw]) => flaw === 'long-off').map(([index]) => truth.vm(index).fqdn),
  )
  assert.deepEqual(
    old
      .map(({ name }) => name)
      .filter((name) => !off.has(name))
      .sort(),
    silent.sort(),
  )
})

test('An incremental sync reads what reported, was edited, added or deleted, and nothing else', async (t) => {
  const { sim, sync } = await connect(t)
  // Everything reported within the last half hour; a first run long after that leaves only what happens now.
  sim.forward(2 * 3_600_000)
  const { cursor, observations: before } = await sync()
  sim.forward(600_000)
  const reported = sim.report(10)
  const edited = sim.edit(3)
  const added = sim.add('new01.vm.example.net')
  const removed = [Number(before.at(-1)?.externalId)]
  sim.remove(removed)
  sim.requests.splice(0)

  const { observations, batches } = await sync(cursor)

  assert.deepEqual(
    [...new Set(observations.map(({ externalId }) => Number(externalId)))].sort((a, b) => a - b),
    [...new Set([...reported, ...edited, added])].sort((a, b) => a - b),
  )
  assert.deepEqual(
    batches.flatMap(({ gone = [] }) => gone),
    removed.map((id) => ({ kind: 'host', externalId: String(id) })),
  )
  assert.ok(batches.every(({ full }) => full === undefined))
  assert.doesNotMatch(JSON.stringify(batches), canaries)
  assert.ok(sim.requests.every(({ method }) => method === 'GET'))
  assert.ok(sim.requests.reduce((sum, { items = 0 }) => sum + items, 0) < 25)
})

test('A report within the hour after the last run is not missed, though Foreman moves the time of a `>` by an hour', async (t) => {
  const { sim, sync } = await connect(t)
  sim.forward(2 * 3_600_000)
  const { cursor } = await sync()
  sim.forward(300_000)
  const [reported] = sim.report(1)
  sim.forward(60_000)

  const { observations } = await sync(cursor)

  assert.deepEqual(
    observations.map(({ externalId }) => Number(externalId)),
    [reported],
  )
})

test('More edits than a page of audits has are all read', async (t) => {
  const { sim, sync } = await connect(t, {}, 10)
  sim.forward(2 * 3_600_000)
  const { cursor } = await sync()
  sim.forward(300_000)
  const edited = sim.edit(35)

  const { observations } = await sync(cursor)

  assert.deepEqual(new Set(observations.map(({ externalId }) => Number(externalId))), new Set(edited))
})

const everythingAgain = [
  { title: 'the last sync was eight days ago', make: (sim: Foreman) => sim.forward(8 * 86_400_000) },
  { title: "Foreman's clock went back", make: (sim: Foreman) => sim.forward(-3_600_000) },
]
for (const { title, make } of everythingAgain) {
  test(`Everything is read again when ${title}`, async (t) => {
    const { sim, sync } = await connect(t)
    const { cursor } = await sync()
    make(sim)

    const { batches, observations } = await sync(cursor)

    assert.ok(batches.every(({ full }) => full))
    assert.equal(observations.length, sim.count())
  })
}

test('An account that may not view audits reads everything each time', async (t) => {
  const { sim } = await connect(t)
  const { sync } = as(t, sim, 'narrow')
  const { cursor } = await sync()

  const { batches, observations } = await sync(cursor)

  assert.ok(batches.every(({ full }) => full))
  assert.equal(observations.length, sim.count())
})

test('Hosts deleted and added while a full sync runs are neither skipped nor repeated', async (t) => {
  const { sim, context } = await connect(t, {}, 10)
  const before = sim.count()
  const steps = foreman.sync?.({ ...context, now: () => new Date() } as never)
  assert.ok(steps)
  const seen: string[] = []
  let deleted = 0
  for await (const { observations = [] } of steps) {
    seen.push(...observations.map(({ externalId }) => externalId))
    // Behind the reader: with page numbers, each would make it skip a host.
    if (seen.length < 60) {
      sim.remove([Number(seen.at(-2))])
      deleted++
    }
    if (seen.length === 60) sim.add('late.vm.example.net')
  }
  assert.ok(deleted > 3)
  assert.equal(seen.length, before + 1)
  assert.equal(new Set(seen).size, seen.length)
})

const wrongCredentials = [
  ['disabled', {}, 'The Foreman user is disabled.'],
  [
    'reader',
    { token: 'not-the-token' },
    'Foreman does not know this login and token, or the token is revoked or expired. Renew the credential.',
  ],
] as const
for (const [account, wrong, detail] of wrongCredentials) {
  test(`A refused credential (${account}) is told in words and asked once only`, async (t) => {
    const { sim } = await connect(t)
    const credential = { ...sim.credentials[account], ...wrong }
    const { sync } = connectTo(t, foreman, { config: sim.config, credential, caPem: sim.caPem })

    await assert.rejects(sync(), { type: 'upstream-denied', detail })
    assert.equal(sim.requests.length, 1)
  })
}

test('An address that Foreman blocks for too many tries is told so, and not tried again', async (t) => {
  const { sim, check } = await connect(t, { failureLimit: 1 })
  const wrong = { ...sim.credential, token: 'not-the-token' }
  await assert.rejects(connectTo(t, foreman, { config: sim.config, credential: wrong, caPem: sim.caPem }).check())
  sim.requests.splice(0)

  await assert.rejects(check(), {
    type: 'upstream-denied',
    detail:
      'Foreman blocks this server for some minutes after too many failed sign-ins. Correct the credential, then wait.',
  })
  assert.equal(sim.requests.length, 1)
})

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 2, ms: 50 },
]
for (const fault of passing) {
  test(`A sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
    const { sim, sync } = await connect(t)
    sim.fault({ path: '/api/hosts', ...fault })

    assert.equal((await sync()).observations.length, sim.count())
    assert.deepEqual(sim.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid' },
  { kind: 'malformed', type: 'upstream-invalid' },
  { kind: 'redirect', type: 'upstream-invalid' },
  { kind: 'search-ignored', count: 9, type: 'upstream-invalid' },
  { kind: 'short-page', type: 'upstream-invalid' },
  { kind: '500', type: 'upstream-failed' },
  { kind: '401', type: 'upstream-denied' },
  { kind: '403', type: 'upstream-denied' },
  { kind: '503', count: 99, type: 'upstream-busy' },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy' },
  { kind: 'reset', count: 99, type: 'upstream-unreachable' },
] as const
for (const { type, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const { sim, sync } = await connect(t)
    sim.fault({ path: '/api/hosts', ...fault })

    await assert.rejects(sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|https?:|canary/)
      return true
    })
  })
}

test('A Foreman whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const { sim } = await connect(t)
  const other = await startForeman({ truth: makeCompany({ devices: 24, vms: 0 }) })
  t.after(other.stop)

  await assert.rejects(as(t, sim, 'reader', {}, other.caPem).check(), { type: 'upstream-untrusted' })
  assert.deepEqual(sim.requests, [])
})

test('Only https addresses are taken (claims: D11 D28)', () => {
  for (const url of [
    'http://foreman.example.net',
    'https://a:b@foreman.example.net',
    'https://foreman.example.net/?x',
    'ftp://x',
  ]) {
    assert.equal(foreman.config.safeParse({ url }).success, false, url)
  }
})
