import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { vcenter } from '../../src/connectors/vcenter/index.ts'
import { type Context, handlerOf } from '../../src/core/action.ts'
import { connectTo } from '../../src/testing/connector.ts'
import { makeCompany } from '../lib/company.ts'
import { startVcenter, type VcenterOptions } from './start.ts'

// The connector's actions against the simulated vCenter. `vm-0` is on and has VMware Tools.

const now = new Date('2026-11-20T12:00:00.000Z')

async function start(t: TestContext, options: VcenterOptions = {}, account: 'operator' | 'credential' = 'operator') {
  const sim = await startVcenter({ truth: makeCompany({ devices: 96, vms: 80, copies: 1, now }), ...options })
  t.after(sim.stop)
  const { config, http, context, sync } = connectTo(t, vcenter, { ...sim, credential: sim[account] })
  const abort = new AbortController()
  const signal = AbortSignal.any([context.signal, abort.signal])
  /** Runs an action as the gate does: parsed input, a connection, a checked output. */
  async function call(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
    const action = vcenter.actions.find((one) => one.name === name)
    assert.ok(action, name)
    const context: Context = {
      principal: { id: 'usr_1', kind: 'user', name: 'Ana', bindings: [], version: '1' },
      door: 'http',
      requestId: 'req_1',
      signal,
      connection: { id: 'con_1', config, http },
    }
    const parsed = action.input.parse({ connection: 'vc', ...input })
    return action.output.parse(await handlerOf(action).run(parsed, context)) as Record<string, unknown>
  }
  const power = (change: string, more: object = {}) => call('vcenter.vm.power', { id: 'vm-0', change, ...more })
  return { sim, call, power, sync, abort }
}

const reads = ['RetrieveServiceContent', 'RetrievePropertiesEx', 'ContinueRetrievePropertiesEx', 'Login']
const writesOf = (sim: { calls: readonly { method: string }[] }) =>
  sim.calls.map(({ method }) => method).filter((method) => !reads.includes(method))

test('Each action has its access, its route and the connection as resource', () => {
  assert.deepEqual(
    vcenter.actions.map(({ name, access, http }) => [name, access, http.method, http.path]),
    [
      ['vcenter.vm.get', 'read', 'GET', '/connections/{connection}/vcenter/vms/{id}'],
      ['vcenter.vm.power', 'write', 'POST', '/connections/{connection}/vcenter/vms/{id}/power'],
      ['vcenter.snapshot.create', 'write', 'POST', '/connections/{connection}/vcenter/vms/{id}/snapshots'],
      [
        'vcenter.snapshot.remove',
        'destroy',
        'DELETE',
        '/connections/{connection}/vcenter/vms/{id}/snapshots/{snapshot}',
      ],
      ['vcenter.task.get', 'read', 'GET', '/connections/{connection}/vcenter/tasks/{id}'],
    ],
  )
})

test('A virtual machine is read with its placement and its snapshots', async (t) => {
  const { sim, call, sync } = await start(t)
  const id = sim.snapshot('vm-0', 'before')
  const { observations } = await sync()

  const vm = await call('vcenter.vm.get', { id: 'vm-0' })

  const seen = observations.find(({ externalId }) => externalId === 'vm-0')
  const made = observations.find(({ externalId }) => externalId === id)
  assert.ok(seen)
  const { kind: _kind, externalId: _id, machine: _machine, facts, ...shown } = seen
  assert.deepEqual(vm, {
    ...shown,
    id: 'vm-0',
    power: 'on',
    powerSince: facts?.powerSince,
    isTemplate: false,
    snapshots: [{ id, name: 'before', createdAt: made?.facts?.createdAt, parent: null, isCurrent: true }],
  })
})

const powerChanges = [
  { change: 'off', from: 'poweredOn', power: 'off', method: 'PowerOffVM_Task' },
  { change: 'shutdown', from: 'poweredOn', power: 'off', method: 'ShutdownGuest' },
  { change: 'suspend', from: 'poweredOn', power: 'suspended', method: 'SuspendVM_Task' },
  { change: 'reboot', from: 'poweredOn', power: 'on', method: 'RebootGuest' },
  { change: 'reset', from: 'poweredOn', power: 'on', method: 'ResetVM_Task' },
  { change: 'on', from: 'poweredOff', power: 'on', method: 'PowerOnVM_Task' },
  { change: 'on', from: 'suspended', power: 'on', method: 'PowerOnVM_Task' },
  { change: 'off', from: 'suspended', power: 'off', method: 'PowerOffVM_Task' },
] as const
for (const { change, from, power: wanted, method } of powerChanges) {
  test(`${change} of a machine that is ${from} is ${method}, and it is then ${wanted}`, async (t) => {
    const { sim, power } = await start(t)
    if (from !== 'poweredOn') sim.power('vm-0', from)

    const { task, ...outcome } = await power(change)

    const previousPower = { poweredOn: 'on', poweredOff: 'off', suspended: 'suspended' }[from]
    assert.deepEqual(outcome, { id: 'vm-0', power: wanted, previousPower, changed: true, done: true })
    assert.equal(task === null, !method.endsWith('_Task'))
    assert.deepEqual(writesOf(sim), [method])
  })
}

test('A machine that is in the wanted state already is left alone', async (t) => {
  const { sim, power } = await start(t)
  const same = (now: string) => ({ id: 'vm-0', power: now, previousPower: now, changed: false, done: true, task: null })

  assert.deepEqual(await power('on'), same('on'))
  sim.power('vm-0', 'poweredOff')
  for (const change of ['off', 'shutdown']) assert.deepEqual(await power(change), same('off'))
  sim.power('vm-0', 'suspended')
  assert.deepEqual(await power('suspend'), same('suspended'))
  assert.deepEqual(writesOf(sim), [])
})

test('A machine that somebody else switched in the same moment is in the wanted state as well', async (t) => {
  const { sim, power } = await start(t)
  sim.listen((method) => {
    if (method === 'PowerOffVM_Task') sim.power('vm-0', 'poweredOff')
  })

  const outcome = await power('off')

  assert.deepEqual([outcome['power'], outcome['changed'], outcome['done']], ['off', false, true])
})

test('What the state of a machine does not allow is a conflict', async (t) => {
  const { sim, power, call } = await start(t)
  sim.power('vm-0', 'poweredOff')
  for (const change of ['reboot', 'reset', 'suspend'])
    await assert.rejects(power(change), {
      type: 'conflict',
      detail: `Virtual machine vm-0 is off; ${change} needs it on`,
    })
  const bare = sim.add()
  sim.power(bare, 'poweredOn')
  await assert.rejects(call('vcenter.vm.power', { id: bare, change: 'shutdown' }), {
    type: 'conflict',
    detail: 'VMware Tools do not run in the virtual machine, so its operating system cannot be asked.',
  })
  assert.deepEqual(writesOf(sim), ['ShutdownGuest'])
})

test('A task that takes longer than the call waits is answered with its id and goes on', async (t) => {
  const { sim, call, power } = await start(t, { taskMs: 60_000 })

  const { task, ...outcome } = await power('off', { waitSeconds: 0 })
  const { id } = task as { id: string }
  const running = await call('vcenter.task.get', { id })
  sim.forward(60_000)
  const ended = await call('vcenter.task.get', { id })

  assert.deepEqual(outcome, { id: 'vm-0', power: 'on', previousPower: 'on', changed: true, done: false })
  assert.deepEqual(running, task)
  const { startedAt, ...plain } = running
  assert.deepEqual(plain, {
    id,
    name: 'VirtualMachine.powerOff',
    state: 'running',
    progressPercent: 42,
    target: 'vm-0',
    endedAt: null,
    result: null,
    problem: null,
  })
  assert.deepEqual([ended['state'], ended['startedAt'], ended['progressPercent']], ['success', startedAt, null])
  assert.equal(sim.machine('vm-0')?.power, 'poweredOff')
})

test('A task is awaited until it ends', async (t) => {
  const { sim, power } = await start(t, { taskMs: 60_000 })
  let looks = 0
  sim.listen((method) => {
    if (method === 'RetrievePropertiesEx' && ++looks === 3) sim.forward(60_000)
  })

  const outcome = await power('off', { waitSeconds: 30 })

  assert.deepEqual([outcome['power'], outcome['done'], writesOf(sim)], ['off', true, ['PowerOffVM_Task']])
})

test('A call that is cancelled stops waiting; the task goes on in vCenter', async (t) => {
  const { sim, power, abort } = await start(t, { taskMs: 60_000 })
  let looks = 0
  sim.listen((method) => {
    if (method === 'RetrievePropertiesEx' && ++looks === 2) abort.abort()
  })

  await assert.rejects(power('off', { waitSeconds: 60 }), { type: 'cancelled' })
  assert.deepEqual(writesOf(sim), ['PowerOffVM_Task'])
})

test('A task that fails is told as what its fault means, with its id', async (t) => {
  const { sim, power } = await start(t)
  sim.listen((method) => {
    if (method === 'ResetVM_Task') sim.power('vm-0', 'poweredOff')
  })

  await assert.rejects(power('reset'), {
    type: 'conflict',
    detail: /^The power state of the virtual machine does not allow this\. \(task task-\d+\)$/,
  })
})

test('A change is sent once, also when its answer is lost', async (t) => {
  const { sim, power } = await start(t)
  sim.listen((method) => {
    if (method === 'RetrievePropertiesEx') sim.fault({ kind: 'reset' })
  })

  await assert.rejects(power('off'), { type: 'upstream-unreachable' })
  assert.deepEqual(writesOf(sim), ['PowerOffVM_Task'])
})

test('A change in a session that ended is sent again, because nothing was done', async (t) => {
  const { sim, power } = await start(t)
  let looks = 0
  sim.listen((method) => {
    if (method === 'RetrievePropertiesEx' && ++looks === 1) sim.fault({ kind: 'session-ends' })
  })

  const outcome = await power('off')

  assert.deepEqual([outcome['power'], outcome['changed']], ['off', true])
  assert.deepEqual(writesOf(sim), ['PowerOffVM_Task', 'PowerOffVM_Task'])
  assert.equal(sim.calls.filter(({ method }) => method === 'Login').length, 2)
})

test('Snapshots are made and removed, and only of the machine that is named', async (t) => {
  const { sim, call } = await start(t)
  const input = { id: 'vm-0', name: 'before', description: 'until Friday', waitSeconds: 10 }

  const first = await call('vcenter.snapshot.create', input)
  const second = await call('vcenter.snapshot.create', { ...input, name: 'after', quiesce: true })

  assert.deepEqual([first['done'], second['done'], first['id'] === second['id']], [true, true, false])
  assert.deepEqual(sim.calls.find(({ method }) => method === 'CreateSnapshot_Task')?.args, {
    name: 'before',
    description: 'until Friday',
    memory: 'false',
    quiesce: 'false',
  })
  await assert.rejects(call('vcenter.snapshot.remove', { id: 'vm-2', snapshot: first['id'] }), { type: 'not-found' })
  const removed = await call('vcenter.snapshot.remove', { id: 'vm-0', snapshot: first['id'] })
  assert.deepEqual([removed['id'], removed['done']], [first['id'], true])
  assert.deepEqual(
    sim.machine('vm-0')?.snapshots.map(({ id }) => id),
    [second['id']],
  )
  await assert.rejects(call('vcenter.snapshot.remove', { id: 'vm-0', snapshot: first['id'] }), {
    type: 'not-found',
    detail: `Virtual machine vm-0 has no snapshot ${String(first['id'])}`,
  })
})

test('A snapshot takes those made on it along only when that is asked for', async (t) => {
  const { sim, call } = await start(t)
  const parent = sim.snapshot('vm-0', 'parent')
  sim.snapshot('vm-0', 'child')

  await call('vcenter.snapshot.remove', { id: 'vm-0', snapshot: parent, withChildren: true })

  assert.deepEqual(sim.machine('vm-0')?.snapshots, [])
})

test('Memory and quiesce exclude each other', async (t) => {
  const { sim, call } = await start(t)

  await assert.rejects(call('vcenter.snapshot.create', { id: 'vm-0', name: 'a', memory: true, quiesce: true }), {
    type: 'invalid-input',
  })
  assert.deepEqual(sim.calls, [])
})

test('A reader may read; every change is refused by vCenter with the privilege that it lacks', async (t) => {
  const { sim, call } = await start(t, {}, 'credential')
  const snapshot = sim.snapshot('vm-0', 'one')

  assert.equal((await call('vcenter.vm.get', { id: 'vm-0' }))['power'], 'on')
  const changeTo = (change: string) => ['vcenter.vm.power', { id: 'vm-0', change }] as const
  const refused = [
    [...changeTo('off'), 'VirtualMachine.Interact.PowerOff'],
    [...changeTo('shutdown'), 'VirtualMachine.Interact.PowerOff'],
    [...changeTo('suspend'), 'VirtualMachine.Interact.Suspend'],
    [...changeTo('reset'), 'VirtualMachine.Interact.Reset'],
    ['vcenter.snapshot.create', { id: 'vm-0', name: 'a' }, 'VirtualMachine.State.CreateSnapshot'],
    ['vcenter.snapshot.remove', { id: 'vm-0', snapshot }, 'VirtualMachine.State.RemoveSnapshot'],
  ] as const
  for (const [name, input, privilege] of refused)
    await assert.rejects(call(name, input), {
      type: 'upstream-denied',
      detail: `The vCenter account lacks the privilege ${privilege} for this.`,
    })
  assert.equal(sim.machine('vm-0')?.power, 'poweredOn')
})

test('What vCenter does not have is not-found', async (t) => {
  const { call } = await start(t)
  const missing = [
    ['vcenter.vm.get', { id: 'vm-9999' }],
    ['vcenter.vm.get', { id: 'host-6' }],
    ['vcenter.vm.power', { id: 'vm-9999', change: 'on' }],
    ['vcenter.snapshot.create', { id: 'vm-9999', name: 'a' }],
    ['vcenter.snapshot.remove', { id: 'vm-9999', snapshot: 'snapshot-1' }],
    ['vcenter.task.get', { id: 'task-9999' }],
  ] as const
  for (const [name, input] of missing) await assert.rejects(call(name, input), { type: 'not-found' }, name)
})

const hostileIds = [
  '../vm-0',
  'vm-0/../host-6',
  'vm-0?x=1',
  'vm-0#x',
  'vm-0\r\nx: y',
  '%2e%2e/vm-0',
  '<a/>',
  'vm-0</_this>',
  '&amp;',
  '',
  '.',
  '-vm',
  'v'.repeat(101),
]
test('Ids that could leave their place are refused before anything is sent (claims: D16)', async (t) => {
  const { sim, call } = await start(t)
  const inputs: Readonly<Record<string, (id: string) => Record<string, unknown>>> = {
    'vcenter.vm.get': (id) => ({ id }),
    'vcenter.vm.power': (id) => ({ id, change: 'off' }),
    'vcenter.snapshot.create': (id) => ({ id, name: 'a' }),
    'vcenter.snapshot.remove': (snapshot) => ({ id: 'vm-0', snapshot }),
    'vcenter.task.get': (id) => ({ id }),
  }
  for (const [name, inputOf] of Object.entries(inputs))
    for (const id of hostileIds) await assert.rejects(call(name, inputOf(id)), { name: 'ZodError' }, `${name} ${id}`)
  assert.deepEqual(sim.requests, [])
})

test('Words of a caller arrive as text, whatever they hold, and never as markup (claims: D16)', async (t) => {
  const { sim, call } = await start(t)
  const words = [
    '</name><memory>true</memory><name>',
    ']]><!-- & -->',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>&x;',
    `quotes " and '`,
    '../..?a=b#c %2e%2e',
    'line\r\nbreak',
    'Grüße 🚀',
  ]
  for (const name of words) {
    sim.calls.splice(0)
    sim.requests.splice(0)
    await call('vcenter.snapshot.create', { id: 'vm-0', name, description: name })

    const sent = sim.calls.find(({ method }) => method === 'CreateSnapshot_Task')
    assert.deepEqual(sent?.args, { name, description: name, memory: 'false', quiesce: 'false' })
    assert.ok(sim.requests.every(({ method, path, query }) => `${method} ${path}${query}` === 'POST /sdk'))
  }
})

test('Input out of its bounds is refused', () => {
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ['vcenter.vm.power', { id: 'vm-0', change: 'explode' }],
    ['vcenter.vm.power', { id: 'vm-0', change: 'on', waitSeconds: 91 }],
    ['vcenter.vm.power', { id: 'vm-0', change: 'on', waitSeconds: -1 }],
    ['vcenter.vm.power', { id: 'vm-0', change: 'on', force: true }],
    ['vcenter.snapshot.create', { id: 'vm-0', name: '  ' }],
    ['vcenter.snapshot.create', { id: 'vm-0', name: 'x'.repeat(81) }],
    ['vcenter.snapshot.create', { id: 'vm-0', name: 'x', description: 'x'.repeat(501) }],
    ['vcenter.snapshot.remove', { id: 'vm-0', snapshot: 'snapshot-1', withChildren: 'perhaps' }],
  ]
  for (const [name, input] of refused) {
    const action = vcenter.actions.find((one) => one.name === name)
    assert.equal(action?.input.safeParse({ connection: 'vc', ...input }).success, false, JSON.stringify(input))
  }
})
