import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { zadaraVpsa } from '../../src/connectors/zadara-vpsa/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startServer } from '../lib/server.ts'
import { chapSecret } from './rows.ts'
import { startVpsa, type Vpsa } from './start.ts'

// The connector, the real HTTP client and the simulated VPSA, over TLS.

const truth = makeCompany({ devices: 48, vms: 60, now: new Date('2026-11-20T12:00:00Z') })
const hypervisors = [...truth.devices('virtualization')]

type Options = { readonly pageSize?: number; readonly write?: true; readonly limits?: Partial<HttpLimits> }

async function connect(t: TestContext, options: Options = {}) {
  const vpsa = await startVpsa({ truth })
  t.after(vpsa.stop)
  return { vpsa, ...reach(t, vpsa, options) }
}

function reach(t: TestContext, vpsa: Vpsa, { pageSize = 10, write, limits }: Options = {}, caPem = vpsa.caPem) {
  const credential = write ? vpsa.writeCredential : vpsa.credential
  return connectTo(t, zadaraVpsa, {
    config: { ...vpsa.config, pageSize },
    credential,
    caPem,
    ...(limits && { limits }),
  })
}

async function call(
  { context }: { context: { config: unknown; http: unknown; signal: AbortSignal } },
  name: string,
  input: object,
) {
  const action = zadaraVpsa.actions.find((one) => one.name === name)
  assert.ok(action, name)
  const { success, data } = action.input.safeParse({ connection: 'vpsa', ...input })
  if (!success) throw new Problem('invalid-input')
  const { config, http, signal } = context
  const given: Context = {
    principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
    door: 'http',
    requestId: 'req_1',
    signal,
    connection: { id: 'con_1', config, http },
  }
  return action.output.parse(await handlerOf(action).run(data, given)) as Record<string, unknown>
}

test('The check tells the version, and needs a key', async (t) => {
  const { check } = await connect(t)

  assert.deepEqual(await check(), { version: '23.09-sp1-120', warnings: [] })
})

test('A full sync reports everything there is, each thing once, over many pages', async (t) => {
  const { vpsa, sync } = await connect(t)

  const { observations, batches, cursor } = await sync()

  const kinds = Object.groupBy(observations, ({ kind }) => kind)
  assert.deepEqual(Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all?.length])), {
    pool: 4,
    server: hypervisors.length,
    volume: hypervisors.length,
    snapshot: Math.ceil(hypervisors.length / 4) * 2,
    controller: 2,
    disk: 24,
  })
  assert.equal(new Set(observations.map(({ kind, externalId }) => `${kind} ${externalId}`)).size, observations.length)
  assert.ok(batches.every(({ full }) => full))
  assert.deepEqual(cursor, {})
  assert.deepEqual(
    kinds['pool']?.map(({ name, facts }) => [name, facts?.usedPercent]),
    [
      ['ssd-1', 60],
      ['hybrid-1', 93],
      ['archive-1', 56],
      ['ssd-2', 54],
    ],
  )
  assert.deepEqual(
    kinds['server']?.map(({ machine, addresses }) => [machine?.hostNames, addresses]),
    hypervisors.map(({ hostName, address }) => [[hostName], [address.split('/')[0]]]),
  )
  assert.deepEqual(
    kinds['snapshot']?.slice(0, 2).map(({ facts }) => facts),
    [{ createdAt: '2026-11-20T06:00:00.000Z' }, { createdAt: '2026-11-19T06:00:00.000Z' }],
  )
  assert.ok(vpsa.requests.every(({ method }) => method === 'GET'))
})

test('The array shows its CHAP secrets, and the connector does not take them', async (t) => {
  const { vpsa, sync, http } = await connect(t, { pageSize: 1000 })

  const raw = await http.get('/api/vcontrollers.json', z.unknown())
  assert.match(JSON.stringify(raw), new RegExp(chapSecret))
  assert.match(JSON.stringify(vpsa.row('servers', 'srv-00000001')), new RegExp(chapSecret))
  assert.doesNotMatch(JSON.stringify(await sync()), /chap/i)
})

test('The next sync reads everything again and shows what changed', async (t) => {
  const { vpsa, sync } = await connect(t, { pageSize: 1000 })
  const first = await sync()
  vpsa.change('volumes', 'volume-00000002', { status: 'Failed' })
  vpsa.remove('snapshots', 'snap-00000001')
  vpsa.requests.splice(0)

  const second = await sync(first.cursor)

  const seen = (run: typeof first) => new Map(run.observations.map((one) => [`${one.kind} ${one.externalId}`, one]))
  const [before, after] = [seen(first), seen(second)]
  assert.deepEqual(
    [...before.keys()].filter((key) => !after.has(key)),
    ['snapshot snap-00000001'],
  )
  assert.deepEqual(
    [...after]
      .filter(([key, one]) => JSON.stringify(one) !== JSON.stringify(before.get(key)))
      .map(([key, { status }]) => [key, status]),
    [['volume volume-00000002', 'failed']],
  )
  assert.ok(second.batches.every(({ full }) => full))
  assert.equal(vpsa.requests.length, 6)
})

test('A volume deleted between two pages hides no other', async (t) => {
  const vpsa = await startVpsa({ truth })
  t.after(vpsa.stop)
  const { context } = reach(t, vpsa, { pageSize: 5 })
  const steps = zadaraVpsa.sync?.({ ...context, config: { ...vpsa.config, pageSize: 5 }, now: () => truth.now })
  assert.ok(steps)
  const seen = new Set<string>()
  let isRemoved = false
  for await (const { observations = [] } of steps) {
    for (const { kind, externalId } of observations) if (kind === 'volume') seen.add(externalId)
    if (seen.size >= 10 && !isRemoved) isRemoved = vpsa.remove('volumes', 'volume-00000003')
  }

  assert.equal(isRemoved, true)
  assert.equal(seen.size, hypervisors.length)
})

test('Actions create, grow, snapshot and delete, and asking again changes nothing', async (t) => {
  const { vpsa, ...connected } = await connect(t, { write: true })
  const wanted = { name: 'app-new', pool: 'pool-00000001', capacityGb: 100 }

  const made = await call(connected, 'vpsa.volume.create', wanted)
  const again = await call(connected, 'vpsa.volume.create', wanted)
  const id = String(made['id'])
  assert.deepEqual([made['created'], again['created'], again['id']], [true, false, id])

  const grown = await call(connected, 'vpsa.volume.expand', { id, capacityGb: 150 })
  const same = await call(connected, 'vpsa.volume.expand', { id, capacityGb: 150 })
  assert.deepEqual(
    [grown['capacityGb'], grown['changed'], same['capacityGb'], same['changed']],
    [150, true, 150, false],
  )

  const taken = await call(connected, 'vpsa.snapshot.create', { volume: id, name: 'before' })
  assert.equal((await call(connected, 'vpsa.snapshot.create', { volume: id, name: 'before' }))['created'], false)
  const snapshot = { id: taken['id'], confirmVolumeName: 'app-new' }
  await assert.rejects(call(connected, 'vpsa.snapshot.delete', { ...snapshot, confirmVolumeName: 'other' }), {
    type: 'invalid-input',
  })
  await call(connected, 'vpsa.snapshot.delete', snapshot)
  await assert.rejects(call(connected, 'vpsa.snapshot.delete', snapshot), { type: 'not-found' })

  await assert.rejects(call(connected, 'vpsa.volume.delete', { id, confirmVolumeName: 'other' }), {
    type: 'invalid-input',
  })
  await call(connected, 'vpsa.volume.delete', { id, confirmVolumeName: 'app-new' })
  await assert.rejects(call(connected, 'vpsa.volume.get', { id }), { type: 'not-found' })
  assert.deepEqual(
    vpsa.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`),
    [
      'POST /api/volumes.json',
      `POST /api/volumes/${id}/expand.json`,
      `POST /api/consistency_groups/${id.replace('volume', 'cg')}/snapshots.json`,
      `DELETE /api/snapshots/${taken['id']}.json`,
      `DELETE /api/volumes/${id}.json`,
    ],
  )
})

test('Volumes are listed page by page, and figures are read', async (t) => {
  const { vpsa: _, ...connected } = await connect(t)
  const ids: unknown[] = []
  for (let cursor: unknown = 0; cursor !== null; ) {
    const answer = await call(connected, 'vpsa.volumes.list', { limit: 7, cursor })
    ids.push(...(answer['items'] as { id: string }[]).map(({ id }) => id))
    cursor = answer['next']
  }
  const { samples } = await call(connected, 'vpsa.performance.get', { kind: 'controller', id: 'vsa-0000057a-vc-0' })

  assert.equal(new Set(ids).size, hypervisors.length)
  assert.equal((samples as unknown[]).length, 20)
})

test('A user without roles reads everything and changes nothing', async (t) => {
  const { vpsa, ...connected } = await connect(t)
  const id = 'volume-00000001'
  const writes = [
    ['vpsa.volume.create', { name: 'x', pool: 'pool-00000001', capacityGb: 1 }],
    ['vpsa.volume.expand', { id, capacityGb: 9999 }],
    ['vpsa.snapshot.create', { volume: id, name: 'x' }],
    ['vpsa.snapshot.delete', { id: 'snap-00000001', confirmVolumeName: vpsa.row('volumes', id)?.['display_name'] }],
  ] as const
  for (const [name, input] of writes)
    await assert.rejects(call(connected, name, input), { type: 'upstream-denied', message: /lacks a role/ }, name)
})

const faults = [
  { fault: { kind: 'key-revoked' }, type: 'upstream-denied', says: /refused the access key/ },
  { fault: { kind: '401' }, type: 'upstream-denied', says: /refused the access key/ },
  { fault: { kind: 'bare-failure' }, type: 'upstream-failed', says: /The VPSA says: The system is upgrading/ },
  { fault: { kind: 'error-list' }, type: 'upstream-failed', says: /status 1\): Internal error/ },
  { fault: { kind: 'lost-rows' }, type: 'upstream-invalid', says: /announced more volumes than it sent/ },
  { fault: { kind: '404' }, type: 'not-found', says: /answered 404/ },
  { fault: { kind: '500' }, type: 'upstream-failed', says: /answered 500/ },
  { fault: { kind: '503', count: 9 }, type: 'upstream-busy', says: /answered 503/ },
  { fault: { kind: '429', count: 9, retryAfter: 3600 }, type: 'upstream-busy', says: /answered 429/ },
  { fault: { kind: 'malformed' }, type: 'upstream-invalid', says: /not valid JSON/ },
  { fault: { kind: 'html' }, type: 'upstream-invalid', says: /html instead of JSON/ },
  { fault: { kind: 'redirect' }, type: 'upstream-invalid', says: /redirected/ },
  { fault: { kind: 'reset', count: 9 }, type: 'upstream-unreachable', says: /broke/ },
  { fault: { kind: 'hang', count: 9 }, type: 'upstream-timeout', says: /too long/ },
] as const
for (const { fault, type, says } of faults) {
  test(`A sync ends in ${type} on ${fault.kind} (claims: D30)`, async (t) => {
    const { vpsa, sync } = await connect(t, { limits: { headersMs: 300 } })
    vpsa.fault({ path: '/api/volumes', ...fault })

    await assert.rejects(sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|https?:/)
      return true
    })
  })
}

for (const fault of [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'slow', ms: 50 },
]) {
  test(`A sync gets over ${fault.kind} and misses nothing`, async (t) => {
    const { vpsa, sync } = await connect(t)
    vpsa.fault({ path: '/api/volumes', ...fault })

    const { observations } = await sync()

    assert.equal(observations.filter(({ kind }) => kind === 'volume').length, hypervisors.length)
    assert.deepEqual(vpsa.faults.planned, [])
  })
}

test('The sentence of a failure is found under each of its three names', async (t) => {
  const { vpsa: _, ...connected } = await connect(t)
  const said = []
  for (let n = 0; n < 3; n++)
    said.push(
      await call(connected, 'vpsa.volume.get', { id: 'volume-00000fff' }).catch((error: Problem) => [
        error.type,
        error.message,
      ]),
    )

  assert.deepEqual(said, Array(3).fill(['not-found', 'The VPSA says (status 10081): Volume volume-00000fff not found']))
})

test('A wrong key is refused with what to do', async (t) => {
  const { vpsa } = await connect(t)
  const { check } = connectTo(t, zadaraVpsa, {
    config: vpsa.config,
    credential: { accessKey: 'WRONG-KEY-0' },
    caPem: vpsa.caPem,
  })

  await assert.rejects(check(), { type: 'upstream-denied', message: /Take the key of the connection's user/ })
})

test('A VPSA whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const { vpsa } = await connect(t)
  const other = await startVpsa({ truth })
  t.after(other.stop)
  const { check } = reach(t, vpsa, {}, other.caPem)

  await assert.rejects(check(), { type: 'upstream-untrusted' })
  assert.deepEqual(vpsa.requests, [])
})

const hostile = [
  '../users',
  '..',
  'volume-1/../2',
  'volume-1?x=1',
  'volume-1#x',
  'volume-1%2e%2e',
  'volume-1\r\nhost: evil',
  'volume-1.json',
  '%2e%2e',
  '',
  'VOLUME-1',
  "volume-1'",
]

test('A hostile id is refused before a request is made (claims: D16)', async (t) => {
  const { vpsa, ...connected } = await connect(t, { write: true })
  for (const id of hostile)
    for (const [name, input] of [
      ['vpsa.volume.get', { id }],
      ['vpsa.volume.expand', { id, capacityGb: 1 }],
      ['vpsa.volume.delete', { id, confirmVolumeName: 'x' }],
      ['vpsa.snapshot.create', { volume: id, name: 'x' }],
      ['vpsa.snapshot.delete', { id, confirmVolumeName: 'x' }],
      ['vpsa.volume.create', { name: 'x', pool: id, capacityGb: 1 }],
      ['vpsa.performance.get', { kind: 'volume', id }],
    ] as const)
      await assert.rejects(call(connected, name, input), { type: 'invalid-input' }, `${name} ${JSON.stringify(id)}`)

  assert.deepEqual(vpsa.requests, [])
})

test('A hostile name is refused, or arrives as it is in a query or a body (claims: D16)', async (t) => {
  const { vpsa, ...connected } = await connect(t, { write: true })
  for (const name of ['../x', 'a&limit=0', 'a?b', 'a#b', 'a\r\nb', "a'b", 'a%2e%2e', '<b>', ' '])
    for (const [action, input] of [
      ['vpsa.volumes.list', { name }],
      ['vpsa.volume.create', { name, pool: 'pool-00000001', capacityGb: 1 }],
      ['vpsa.snapshot.create', { volume: 'volume-00000001', name }],
    ] as const)
      await assert.rejects(
        call(connected, action, input),
        { type: 'invalid-input' },
        `${action} ${JSON.stringify(name)}`,
      )
  assert.deepEqual(vpsa.requests, [])

  await call(connected, 'vpsa.volumes.list', { name: 'a+b (1) @x:y' })
  assert.deepEqual(
    vpsa.requests.map(({ method, path, query }) => `${method} ${path}?${query}`),
    ['GET /api/volumes.json?start=0&limit=50&display_name=a%2Bb+%281%29+%40x%3Ay'],
  )
})

test('An array that answers html to everything is no VPSA', async (t) => {
  const server = await startServer({
    handle: () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html></html>' }),
  })
  t.after(server.stop)
  const { check } = connectTo(t, zadaraVpsa, {
    config: { url: server.origin },
    credential: { accessKey: 'WRONG-KEY-0' },
    caPem: server.caPem,
  })

  await assert.rejects(check(), { type: 'upstream-invalid' })
})
