import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { netbox } from '../../src/connectors/netbox/index.ts'
import type { Cursor, SyncBatch } from '../../src/core/connector.ts'
import { Problem } from '../../src/core/problem.ts'
import { Secret } from '../../src/core/secret.ts'
import { type HttpLimits, makeHttp } from '../../src/lib/http-client.ts'
import { makeCompany } from '../lib/company.ts'
import { type Netbox, type NetboxOptions, startNetbox } from './start.ts'

// The connector, the real HTTP client and the simulated NetBox, over TLS.

const quick: Partial<HttpLimits> = { retryMs: 5, breakerFailures: 1000 }

async function connect(t: TestContext, options: NetboxOptions = {}, pageSize = 50, limits = quick) {
  const nb = await startNetbox({ devices: 240, vms: 100, seed: 2, ...options })
  t.after(nb.stop)
  const token = new Secret(nb.tokens.readOnly)
  return { nb, ...contextFor(t, nb, token, pageSize, nb.caPem, limits) }
}

function contextFor(t: TestContext, nb: Netbox, token: Secret, pageSize = 50, caPem = nb.caPem, limits = quick) {
  const client = makeHttp({
    url: nb.url,
    caPem,
    sign: async (request) => ({ headers: netbox.authenticate({ token }, request, undefined) }),
    ...(netbox.explain && { explain: netbox.explain }),
    allowLoopback: true,
    userAgent: 'atlas-test',
    now: () => new Date(),
    limits,
  })
  t.after(client.close)
  const config = { url: nb.url, pageSize }
  const context = { config, http: client.forCall(), signal: new AbortController().signal, now: () => new Date() }
  return { context, sync: (cursor?: Cursor) => run(context, cursor) }
}

async function run(context: Parameters<NonNullable<typeof netbox.sync>>[0], cursor?: Cursor) {
  const steps = netbox.sync?.({ ...context, ...(cursor && { cursor }) })
  assert.ok(steps)
  const batches: SyncBatch[] = []
  for (;;) {
    const step = await steps.next()
    if (step.done) return { cursor: step.value, ...summary(batches) }
    batches.push(step.value)
  }
}

function summary(batches: readonly SyncBatch[]) {
  const seen = batches.flatMap((batch) => batch.observations ?? [])
  const kinds = Object.groupBy(seen, (one) => one.kind)
  return {
    counts: Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all?.length])),
    ids: Object.groupBy(seen, (one) => one.kind),
    gone: batches.flatMap((batch) => batch.gone ?? []),
    full: batches.some((batch) => batch.full),
  }
}

test('A full sync reports everything there is, each object once', async (t) => {
  const { sync } = await connect(t)

  const { counts, ids, full } = await sync()

  assert.deepEqual(counts, {
    tenant: 15,
    site: 1,
    rack: 10,
    cluster: 3,
    device: 240,
    'virtual-machine': 100,
    prefix: 20,
    'ip-address': 530,
  })
  assert.equal(new Set(ids['device']?.map((one) => one.externalId)).size, 240)
  assert.equal(full, true)
})

test('An incremental sync reads the changed, the added and the deleted, and nothing else', async (t) => {
  const { nb, sync } = await connect(t, { devices: 2400 }, 500)
  const { cursor } = await sync()
  const touched = nb.touch(100)
  const added = nb.add(2)
  const removed = nb.remove(3, 'virtualization/virtual-machines')
  nb.requests.splice(0)

  const { counts, ids, gone, full } = await sync(cursor)

  assert.deepEqual({ counts, full }, { counts: { device: 102 }, full: false })
  assert.deepEqual(
    ids['device']?.map((one) => Number(one.externalId)),
    [...touched, ...added],
  )
  assert.deepEqual(
    gone,
    removed.map((id) => ({ kind: 'virtual-machine', externalId: String(id) })),
  )
  // Two to begin with, then one page of deletions and one of changes for each of the eight kinds.
  assert.equal(nb.requests.length, 18)
  assert.equal(
    nb.requests.reduce((sum, one) => sum + (one.items ?? 0), 0),
    102 + 3 + 1,
  )
  assert.ok(nb.requests.every((one) => one.method === 'GET'))
})

test('Objects deleted and added while a full sync runs are neither skipped nor repeated', async (t) => {
  const { nb, context } = await connect(t, {}, 20)
  const steps = netbox.sync?.(context)
  assert.ok(steps)
  const seen: string[] = []
  let cursor: Cursor = {}
  for (;;) {
    const step = await steps.next()
    if (step.done) {
      cursor = step.value
      break
    }
    const devices = (step.value.observations ?? []).filter((one) => one.kind === 'device')
    seen.push(...devices.map((one) => one.externalId))
    // Behind and ahead of the reader: with offsets, each deletion behind would make it skip a device.
    if (devices.length > 0) nb.remove(0, 'dcim/devices', [Number(seen.at(-1)) - 5])
    if (seen.length === 60) nb.add(3)
  }

  const { gone } = await run(context, cursor)
  assert.equal(seen.length, new Set(seen).size)
  assert.equal(seen.length, 243)
  assert.equal(gone.filter((one) => one.kind === 'device').length, 13)
})

const everythingAgain = [
  {
    title: 'the changelog was cut after the cursor',
    options: { changelogDays: 3 },
    make: (nb: Netbox) => nb.forward(4 * 86_400_000),
  },
  { title: 'the changelog may not be read', make: (nb: Netbox) => nb.deny('core/object-changes') },
  {
    title: 'the last sync was 81 days ago',
    options: { changelogDays: 0 },
    make: (nb: Netbox) => nb.forward(81 * 86_400_000),
  },
]
for (const { title, options, make } of everythingAgain) {
  test(`Everything is read again when ${title}`, async (t) => {
    const { nb, sync } = await connect(t, { devices: 48, vms: 0, ...options })
    const { cursor } = await sync()
    make(nb)

    const { full, counts } = await sync(cursor)

    assert.deepEqual([full, counts['device']], [true, 48])
  })
}

test('An old NetBox with its changelog below extras is read incrementally too', async (t) => {
  const { nb, sync, context } = await connect(t, { version: '4.0.11', devices: 48, vms: 0 })
  const { cursor } = await sync()
  nb.remove(1)

  const { full, gone } = await sync(cursor)

  assert.deepEqual([full, gone.length], [false, 1])
  assert.equal((await netbox.check(context)).version, '4.0.11')
})

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: '502', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 2, ms: 50 },
  { kind: 'lost-rows', count: 1 },
]
for (const fault of passing) {
  test(`A sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
    const { nb, sync } = await connect(t)
    nb.fault({ path: '/api/dcim/devices/', ...fault })

    assert.equal((await sync()).counts['device'], 240)
    assert.deepEqual(nb.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid' },
  { kind: 'malformed', type: 'upstream-invalid' },
  { kind: 'redirect', type: 'upstream-invalid' },
  { kind: 'duplicate-page', count: 99, type: 'upstream-invalid' },
  { kind: 'unsorted', type: 'upstream-invalid' },
  { kind: '500', type: 'upstream-failed' },
  { kind: '403', type: 'upstream-denied' },
  { kind: '503', count: 99, type: 'upstream-busy' },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy' },
  { kind: 'hang', count: 99, type: 'upstream-timeout' },
  { kind: 'reset', count: 99, type: 'upstream-unreachable' },
] as const
for (const { type, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''}`, async (t) => {
    const limits = fault.kind === 'hang' ? { ...quick, headersMs: 100 } : quick
    const { nb, sync } = await connect(t, {}, 50, limits)
    nb.fault({ path: '/api/dcim/devices/', ...fault })

    await assert.rejects(sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|nbt_|https?:/)
      return true
    })
  })
}

test('A NetBox whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const { nb } = await connect(t, { devices: 24, vms: 0 })
  const other = await startNetbox({ devices: 0 })
  t.after(other.stop)
  const { context } = contextFor(t, nb, new Secret(nb.tokens.readOnly), 50, other.caPem)

  await assert.rejects(netbox.check(context), { type: 'upstream-untrusted' })
  assert.deepEqual(nb.requests, [])
})

test('Each way that a token is refused has its own sentence', async (t) => {
  const { nb } = await connect(t, { devices: 24, vms: 0 })
  const cases = [
    ['expired', 'The NetBox token has expired.'],
    ['disabled', 'The NetBox token is disabled.'],
    ['inactive', 'The NetBox user of this token is inactive.'],
    ['elsewhere', "The NetBox token does not allow this server's address."],
  ] as const
  for (const [name, sentence] of cases) {
    const { context } = contextFor(t, nb, new Secret(nb.tokens[name]))
    await assert.rejects(netbox.check(context), {
      type: 'upstream-denied',
      detail: `The connected system answered 403: ${sentence}`,
    })
  }
  const unknown = contextFor(t, nb, new Secret('0'.repeat(40))).context
  await assert.rejects(netbox.check(unknown), { type: 'upstream-denied' })
})

test('A token that may write is warned of, a reader is not (claims: A35)', async (t) => {
  const { nb, context } = await connect(t, { devices: 24, vms: 0 })

  const reader = await netbox.check(context)
  const writer = await netbox.check(contextFor(t, nb, new Secret(nb.tokens.v1)).context)

  assert.deepEqual(reader, { version: '4.6.8', account: 'atlas', warnings: [] })
  assert.equal(writer.warnings?.[0], 'The account is a superuser. Use an account that may only view.')
})

const demo = new URL('../../../shared/data/netbox-demo.json', import.meta.url).pathname
test("The community's demo estate comes in with its counts", {
  skip: existsSync(demo) ? false : 'the demo data is not on this machine',
}, async (t) => {
  const { sync } = await connect(t, { data: demo })

  assert.deepEqual((await sync()).counts, {
    tenant: 11,
    site: 24,
    rack: 42,
    cluster: 32,
    device: 72,
    'virtual-machine': 180,
    prefix: 90,
    'ip-address': 180,
  })
})

test('With a truth it is the registry of that company, wrong only where a flaw was planted', async (t) => {
  const truth = makeCompany({ devices: 288, vms: 400, copies: 2 })
  const { sync } = await connect(t, { truth })

  const { ids } = await sync()

  const seen = new Map((ids['virtual-machine'] ?? []).map((one) => [one.name, one]))
  const expected = [...truth.vms('registry')]
  assert.deepEqual(
    [...seen.keys()],
    expected.map(({ hostName }) => hostName),
  )
  const statuses = {
    'in-service': 'active',
    planned: 'planned',
    staged: 'staged',
    spare: 'paused',
    failed: 'failed',
    off: 'offline',
    leaving: 'decommissioning',
  }
  for (const vm of expected) {
    const one = seen.get(vm.hostName)
    const address = vm.addressIn('registry').split('/')[0] ?? ''
    assert.deepEqual(
      [one?.status, one?.addresses?.[0], one?.machine],
      [statuses[vm.state], address, { form: 'virtual', hostNames: [vm.hostName] }],
    )
  }
  const devices = ids['device'] ?? []
  assert.equal(devices.filter(({ serial, machine }) => serial && machine?.hostNames?.length === 1).length, 288)
  const addresses = (ids['ip-address'] ?? []).flatMap((one) => one.addresses ?? [])
  for (const [index, flaw] of truth.planted) {
    const [own = ''] = truth.estate.vm(index).address.split('/')
    const isShown = !['address-differs', 'not-in-registry', 'monitored-but-gone'].includes(flaw)
    assert.equal(addresses.includes(own), isShown, flaw)
  }
})
