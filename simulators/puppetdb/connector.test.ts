import assert from 'node:assert/strict'
import { test } from 'node:test'
import { puppetdb } from '../../src/connectors/puppetdb/index.ts'
import { Problem } from '../../src/core/problem.ts'
import { makeCompany } from '../lib/company.ts'
import { as, canaries, company, connect, hours, type Sim } from './connected.ts'
import { startPuppetdb } from './start.ts'

const ways = [
  { auth: 'certificate', refused: { type: 'upstream-untrusted' } },
  { auth: 'token', refused: { type: 'upstream-denied' } },
  { auth: 'none', refused: undefined },
] as const
for (const { auth, refused } of ways) {
  test(`Signing in by ${auth} works${refused ? ', and not without it' : ''}`, async (t) => {
    const { sim, check } = await connect(t, { auth })

    assert.deepEqual(await check(), { version: '7.12.1', warnings: [] })
    if (refused) await assert.rejects(as(t, sim, {}).check(), isOneOf(['upstream-unreachable', refused.type]))
  })
}

/** Whether a refused handshake is seen as a TLS alert or as a broken connection depends on which arrives first. */
function isOneOf(types: readonly string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof Problem, String(error))
    assert.ok(types.includes(error.type), `${error.type}: ${error.message}`)
    assert.doesNotMatch(error.message, /127\.0\.0\.1|BEGIN|example/)
    return true
  }
}

test('A client certificate of another authority is refused', async (t) => {
  const { sim } = await connect(t)

  const refused = as(t, sim, sim.credentials.stranger).check()

  await assert.rejects(refused, isOneOf(['upstream-unreachable', 'upstream-untrusted']))
  assert.deepEqual(sim.requests, [])
})

test('A certificate that is not on the allowlist is refused with what to do', async (t) => {
  const { sim, check } = await connect(t)
  sim.allowOnly('compiler.example.net')

  await assert.rejects(check(), {
    type: 'upstream-denied',
    detail:
      'PuppetDB does not let this client read. Add the name of its certificate to the certificate allowlist, or give the token the right nodes:view_data.',
  })
})

test('A PuppetDB before 6 is warned of', async (t) => {
  const { check } = await connect(t, { version: '5.2.19' })

  assert.deepEqual((await check()).warnings, [
    'PuppetDB 5 is older than 6: it is read as far as it can be, but it was not tried.',
  ])
})

test('A full sync reports every active node of the company once, with the time of its report', async (t) => {
  const truth = makeCompany(company)
  const { sim, sync } = await connect(t, { truth })

  const { observations, batches } = await sync()

  const machines = [...truth.devices('configuration'), ...truth.vms('configuration')]
  assert.deepEqual(
    observations.map(({ externalId, facts }) => [externalId, facts?.reportAt]),
    machines.map(({ fqdn, reportAt }) => [fqdn, reportAt.toISOString()]).sort(),
  )
  assert.ok(batches.every(({ full, total }) => full && total === machines.length))
  assert.doesNotMatch(JSON.stringify(batches), canaries)
  assert.ok(sim.requests.every(({ method, path }) => method === 'GET' || path === '/pdb/query/v4/inventory'))
})

test('A virtual machine and a server are told with all that they can be recognised by', async (t) => {
  const truth = makeCompany({ ...company, now: new Date('2026-11-20T12:00:00.000Z') })
  const { sync } = await connect(
    t,
    { truth },
    { facts: ['role', 'app.version', 'app.port', 'backup_url', 'networking'] },
  )
  const [vm] = truth.vms('configuration')
  const [server] = truth.devices('configuration')
  assert.ok(vm && server)

  const { observations } = await sync()
  const seen = (name: string) => observations.find((one) => one.name === name)

  assert.deepEqual(seen(vm.fqdn), {
    kind: 'node',
    externalId: vm.fqdn,
    name: vm.fqdn,
    status: seen(vm.fqdn)?.status,
    addresses: [vm.address.split('/')[0], vm.address6?.split('/')[0]],
    attributes: {
      fqdn: vm.fqdn,
      environment: 'production',
      operatingSystem: seen(vm.fqdn)?.attributes['operatingSystem'],
      kernel: 'Linux',
      kernelRelease: '6.1.0-28-amd64',
      architecture: 'x86_64',
      manufacturer: 'VMware, Inc.',
      model: 'VMware Virtual Platform',
      virtual: 'vmware',
      macAddress: vm.mac,
      memoryMib: vm.memoryMb,
      processors: vm.vcpus,
      puppetVersion: '7.34.0',
      noop: false,
      factsAt: new Date(vm.reportAt.getTime() - 60_000).toISOString(),
      lastReport: vm.reportAt.toISOString(),
      'fact.role': 'base',
      'fact.app.version': '4.2.1',
      'fact.app.port': '8443',
    },
    machine: {
      form: 'virtual',
      fqdns: [vm.fqdn],
      hostNames: [vm.hostName],
      uuids: [vm.uuid],
      macs: [vm.mac],
    },
    facts: { reportAt: vm.reportAt.toISOString() },
  })
  assert.deepEqual(
    [seen(server.fqdn)?.serial, seen(server.fqdn)?.machine],
    [
      server.serial,
      {
        form: 'physical',
        fqdns: [server.fqdn],
        hostNames: [server.hostName],
        uuids: [server.uuid],
        macs: [server.macs[0]],
      },
    ],
  )
})

test('An incremental sync reads the nodes that sent something, and drops the inactive', async (t) => {
  const { sim, sync } = await connect(t)
  sim.forward(2 * hours)
  const { cursor, observations: before } = await sync()
  sim.forward(600_000)
  const ran = sim.run(7)
  const [a = '', b = ''] = before.map(({ externalId }) => externalId).filter((name) => !ran.includes(name))
  sim.setRole(ran[0] as string, 'database')
  sim.add('new01.vm.example.net')
  sim.deactivate(a)
  sim.expire(b)
  sim.requests.splice(0)

  const { observations, batches } = await sync(cursor)

  assert.deepEqual(
    observations.map(({ externalId }) => externalId),
    [...ran, 'new01.vm.example.net'].sort(),
  )
  assert.deepEqual(
    batches.flatMap(({ gone = [] }) => gone),
    [a, b].sort().map((externalId) => ({ kind: 'node', externalId })),
  )
  assert.ok(batches.every(({ full }) => full === undefined))
  // The time, the inactive nodes, the changed nodes, their facts.
  assert.deepEqual(
    sim.requests.map(({ items }) => items),
    [undefined, 2, 8, 8],
  )
})

test('A node that was inactive long before the last run is not said to be gone again', async (t) => {
  const { sim, sync } = await connect(t)
  const [first] = (await sync()).observations
  sim.deactivate(first?.externalId ?? '')
  sim.forward(30 * hours)
  const { cursor } = await sync()

  const { batches } = await sync(cursor)

  assert.deepEqual(
    batches.flatMap(({ gone = [] }) => gone),
    [],
  )
})

test('A report of an agent whose clock is an hour behind is not missed', async (t) => {
  const { sim, sync } = await connect(t)
  sim.forward(3 * hours)
  const { cursor, observations: before } = await sync()
  const name = before[3]?.externalId ?? ''
  sim.forward(300_000)
  sim.reportAlone(name, hours)

  const { observations } = await sync(cursor)

  assert.deepEqual(
    observations.map(({ externalId }) => externalId),
    [name],
  )
})

const everythingAgain = [
  { title: 'the last sync was two days ago', make: (sim: Sim) => sim.forward(48 * hours) },
  { title: "PuppetDB's clock went back", make: (sim: Sim) => sim.forward(-hours) },
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

test('Nodes that leave and come while a full sync runs hide no others', async (t) => {
  const { sim, context } = await connect(t, {}, { pageSize: 10 })
  const steps = puppetdb.sync?.({ ...context, now: () => new Date() } as never)
  assert.ok(steps)
  const seen: string[] = []
  let pages = 0
  for await (const { observations = [] } of steps) {
    seen.push(...observations.map(({ externalId }) => externalId))
    pages++
    // The node that the next page should begin with, and one far behind the reader.
    if (pages < 6) for (const name of [seen.at(-1) as string, seen[pages * 2] as string]) sim.deactivate(name)
    if (pages === 6) for (const n of [1, 2, 3]) sim.add(`aaa${n}.vm.example.net`)
  }

  const left = (await as(t, sim, sim.credential).sync()).observations.map(({ externalId }) => externalId)
  const missed = left.filter((name) => !seen.includes(name) && !name.startsWith('aaa'))
  assert.deepEqual(missed, [])
})

test('The connector only reads: it sends nothing but queries', async (t) => {
  assert.deepEqual([...new Set(puppetdb.actions.map(({ access }) => access))], ['read'])
  const { sim, sync } = await connect(t)
  const { cursor } = await sync()
  await sync(cursor)
  assert.deepEqual(
    sim.requests.filter(({ path }) => !/^\/pdb\/(query\/v4|meta\/v1)\//.test(path)),
    [],
  )
})

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 2, ms: 50 },
]
for (const fault of passing) {
  for (const path of ['/pdb/query/v4/nodes', '/pdb/query/v4/inventory']) {
    test(`A sync gets over ${fault.kind} ${fault.count} times on ${path} and misses nothing`, async (t) => {
      const { sim, sync } = await connect(t)
      sim.fault({ path, ...fault })

      assert.equal((await sync()).observations.length, sim.count())
      assert.deepEqual(sim.faults.planned, [])
    })
  }
}

const ending = [
  { kind: 'html', type: 'upstream-invalid' },
  // What an error in the middle of a stream looks like: status 200, and the array never ends.
  { kind: 'malformed', type: 'upstream-invalid' },
  { kind: 'redirect', type: 'upstream-invalid' },
  { kind: '400', type: 'upstream-failed' },
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
    sim.fault({ path: '/pdb/query', ...fault })

    await assert.rejects(sync(), isOneOf([type]))
  })
}

test('A PuppetDB whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const { sim } = await connect(t)
  const other = await startPuppetdb({ truth: makeCompany({ devices: 24, vms: 0 }) })
  t.after(other.stop)

  await assert.rejects(as(t, sim, sim.credential, {}, other.caPem).check(), { type: 'upstream-untrusted' })
  assert.deepEqual(sim.requests, [])
})

test('Only https addresses are taken (claims: D11 D28)', () => {
  for (const url of [
    'http://puppetdb.example.net:8080',
    'https://a:b@puppetdb.example.net',
    'https://puppetdb.example.net/?x',
  ]) {
    assert.equal(puppetdb.config.safeParse({ url }).success, false, url)
  }
})
