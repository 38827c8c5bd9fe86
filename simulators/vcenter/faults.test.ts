import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { vcenter } from '../../src/connectors/vcenter/index.ts'
import { Problem } from '../../src/core/problem.ts'
import type { HttpLimits } from '../../src/lib/http-client.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startVcenter, type VcenterOptions } from './start.ts'

// What goes wrong between the connector and the simulated vCenter, and what the check of a connection says.

const minutes = 60_000
const company = () => makeCompany({ devices: 48, vms: 30, now: new Date('2026-11-20T12:00:00.000Z') })

async function start(t: TestContext, { limits, ...options }: VcenterOptions & { limits?: Partial<HttpLimits> } = {}) {
  const truth = company()
  const sim = await startVcenter({ ...options, truth })
  t.after(sim.stop)
  const machines = [...truth.vms('virtualization')].length + 2
  return { machines, sim, ...connectTo(t, vcenter, { ...sim, ...(limits && { limits }) }) }
}

const methods = (sim: { calls: readonly { method: string }[] }) => sim.calls.map(({ method }) => method)

const passing = [
  { kind: '429', count: 2, retryAfter: 0 },
  { kind: '503', count: 2 },
  { kind: 'reset', count: 2 },
  { kind: 'drop', count: 2 },
  { kind: 'slow', count: 2, ms: 50 },
]
for (const fault of passing) {
  test(`A sync gets over ${fault.kind} ${fault.count} times and misses nothing`, async (t) => {
    const { machines, sim, check, sync } = await start(t)
    await check()
    sim.fault(fault)

    const { observations } = await sync()
    assert.equal(observations.filter(({ kind }) => kind === 'virtual-machine').length, machines)
    assert.deepEqual(sim.faults.planned, [])
  })
}

const ending = [
  { kind: 'html', type: 'upstream-invalid' },
  { kind: 'malformed', type: 'upstream-invalid' },
  { kind: 'redirect', type: 'upstream-invalid' },
  { kind: '500', type: 'upstream-failed' },
  { kind: '403', type: 'upstream-denied' },
  { kind: '503', count: 99, type: 'upstream-busy' },
  { kind: '429', count: 99, retryAfter: 3600, type: 'upstream-busy' },
  { kind: 'session-ends', count: 99, type: 'upstream-denied' },
  { kind: 'hang', count: 99, type: 'upstream-timeout' },
  { kind: 'reset', count: 99, type: 'upstream-unreachable' },
] as const
for (const { type, ...fault } of ending) {
  test(`A sync ends in ${type} on ${fault.kind}${'count' in fault ? ' that does not stop' : ''} (claims: D30)`, async (t) => {
    const { sim, check, sync } = await start(t, fault.kind === 'hang' ? { limits: { headersMs: 100 } } : {})
    await check()
    sim.fault(fault)

    await assert.rejects(sync(), (error) => {
      assert.ok(error instanceof Problem, String(error))
      assert.equal(error.type, type)
      assert.doesNotMatch(error.message, /127\.0\.0\.1|localhost|vsphere\.local|https?:|session\[/)
      return true
    })
  })
}

test('A session that ends while everything is read ends the sync with a sentence', async (t) => {
  const { sim, sync } = await start(t)
  sim.listen((method) => {
    if (method === 'QueryEvents') sim.fault({ kind: 'session-ends' })
  })

  await assert.rejects(sync(), {
    type: 'upstream-failed',
    detail: 'The vCenter session ended while everything was read. Run the sync again.',
  })
})

test('A refused right is told by its name', async (t) => {
  const { sim, sync } = await start(t)
  sim.deny('CreateContainerView')

  await assert.rejects(sync(), {
    type: 'upstream-denied',
    detail: 'The vCenter account lacks the privilege System.View for this.',
  })
})

test('A session that ended is renewed once, whatever asks', async (t) => {
  const { sim, check } = await start(t)
  await check()
  sim.forward(31 * minutes)
  sim.calls.splice(0)

  assert.equal((await check()).account, 'atlas@vsphere.local')
  assert.equal(methods(sim).filter((method) => method === 'Login').length, 1)
})

test('A wrong password says what to do, and nothing of itself', async (t) => {
  const { sim } = await start(t)
  const wrong = connectTo(t, vcenter, { ...sim, credential: { ...sim.credential, password: 'not-the-password' } })

  await assert.rejects(wrong.check(), {
    type: 'upstream-denied',
    detail: 'vCenter refused the user name or the password. Check both, and that the account is not locked or expired.',
  })
})

test('A vCenter whose certificate is of another authority is not spoken to (claims: D12)', async (t) => {
  const { sim } = await start(t)
  const other = await startVcenter({ truth: company() })
  t.after(other.stop)
  const { check } = connectTo(t, vcenter, { ...sim, caPem: other.caPem })

  await assert.rejects(check(), { type: 'upstream-untrusted' })
  assert.deepEqual(sim.requests, [])
})

test('Only https addresses are taken (claims: D11 D28)', () => {
  for (const url of [
    'http://vc.example.net',
    'https://u:p@vc.example.net',
    'https://vc.example.net/?a',
    'vc.example.net',
  ])
    assert.equal(vcenter.config.safeParse({ url }).success, false, url)
})

const warned = {
  credential: [],
  operator: ['On the whole inventory the account may switch virtual machines off, make snapshots, remove snapshots.'],
  administrator: [
    'The account is an administrator. Use one with the role Read-only.',
    'On the whole inventory the account may give permissions, delete virtual machines, switch virtual machines off, make snapshots, remove snapshots.',
  ],
} as const
for (const [account, warnings] of Object.entries(warned)) {
  test(`The check names the excess rights of the ${account === 'credential' ? 'reader' : account} (claims: A35)`, async (t) => {
    const { sim } = await start(t)
    const credential = sim[account as keyof typeof warned]
    const { check } = connectTo(t, vcenter, { ...sim, credential })

    assert.deepEqual(await check(), { version: '8.0.3', account: credential.username, warnings })
  })
}

test('An old vSphere is warned of', async (t) => {
  const { check } = await start(t, { version: '6.0.0' })

  assert.deepEqual((await check()).warnings, ['This vSphere is older than 6.5, with which Atlas was never tried.'])
})

test('Signing in is not repeated by itself when its answer is lost: each leaves a session behind', async (t) => {
  const { sim, check } = await start(t)
  sim.listen((method) => {
    if (method === 'RetrieveServiceContent') sim.fault({ kind: 'reset' })
  })

  await assert.rejects(check(), { type: 'upstream-unreachable' })
  // Once for each of the three tries of the call that needs the session.
  assert.equal(methods(sim).filter((method) => method === 'Login').length, 3)
})
