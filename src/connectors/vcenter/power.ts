import { z } from 'zod'
import { connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { TaskOutput, VmId, WaitSeconds } from './fields.ts'
import { retrieveAll, these } from './properties.ts'
import { type Service, serviceOf } from './service.ts'
import { type Call, type Ref, write } from './soap.ts'
import { pauseFor, runTask, type Task } from './tasks.ts'

const powers = { poweredOn: 'on', poweredOff: 'off', suspended: 'suspended' } as const
type Power = (typeof powers)[keyof typeof powers]
const changes = ['on', 'off', 'shutdown', 'reboot', 'reset', 'suspend'] as const

/** The method of each change, the state it leads to, and the state it needs. Those of the guest have no task. */
const methods: Readonly<Record<(typeof changes)[number], { method: string; leadsTo?: Power; needs?: Power }>> = {
  on: { method: 'PowerOnVM_Task', leadsTo: 'on' },
  off: { method: 'PowerOffVM_Task', leadsTo: 'off' },
  suspend: { method: 'SuspendVM_Task', leadsTo: 'suspended', needs: 'on' },
  reset: { method: 'ResetVM_Task', needs: 'on' },
  shutdown: { method: 'ShutdownGuest', leadsTo: 'off', needs: 'on' },
  reboot: { method: 'RebootGuest', needs: 'on' },
}

export const power = connectionAction({
  name: 'vcenter.vm.power',
  title: "Change a virtual machine's power in vCenter",
  description:
    'Switches one virtual machine on, off or to suspended, or restarts it. shutdown and reboot ask its operating system and need VMware Tools; off and reset are like pulling the plug. A machine that is in the wanted state already is left alone, so on, off, shutdown and suspend may be repeated; each reboot and reset restarts it once more.',
  access: 'write',
  http: { method: 'POST', path: '/vcenter/vms/{id}/power' },
  input: {
    id: VmId,
    change: z
      .enum(changes)
      .describe('on, off (hard), shutdown (by its operating system), reboot (the same), reset (hard), suspend.'),
    waitSeconds: WaitSeconds,
  },
  output: z.object({
    id: z.string(),
    power: z.enum(['on', 'off', 'suspended']).describe('What it is now.'),
    previousPower: z.enum(['on', 'off', 'suspended']),
    changed: z.boolean().describe('False: it was in the wanted state already.'),
    done: z.boolean().describe('False: vCenter is still at work; read the task or the machine later.'),
    task: TaskOutput.nullable().describe(
      'Null: nothing was to be done, or the operating system does it without a task.',
    ),
  }),
  async run({ id, change, waitSeconds }, { http, signal }) {
    const service = await serviceOf(http)
    const self = { type: 'VirtualMachine', id }
    const { method, leadsTo, needs } = methods[change]
    const readPower = () => powerOf({ http, service, self })
    const previousPower = await readPower()
    const same = (now: Power) => ({ id, power: now, previousPower: now, changed: false, done: true, task: null })
    if (previousPower === leadsTo) return same(previousPower)
    if (needs !== undefined && previousPower !== needs)
      throw new Problem('conflict', `Virtual machine ${id} is ${previousPower}; ${change} needs it ${needs}`)

    const waiting = { http, service, signal, waitSeconds }
    const outcome = await unlessThere(leadsTo, readPower, () => start(waiting, { method, self }))
    if (outcome === 'there') return same(await readPower())
    const task = outcome
    let now = await readPower()
    const end = Date.now() + waitSeconds * 1000
    while (task === null && leadsTo !== undefined && now !== leadsTo && Date.now() + 1000 <= end) {
      await pauseFor(1000, signal)
      now = await readPower()
    }
    const done = task === null ? leadsTo === undefined || now === leadsTo : task.state === 'success'
    return { id, power: now, previousPower, changed: true, done, task }
  },
})

/** The task, or null where the guest's operating system does it. */
async function start(waiting: Parameters<typeof runTask>[0], call: Call): Promise<Task | null> {
  if (call.method.endsWith('_Task')) return runTask(waiting, call)
  await write(waiting.http, call)
  return null
}

/** Somebody else may have done it between our look and our call; then vCenter refuses, and that is as good. */
async function unlessThere<T>(wanted: Power | undefined, look: () => Promise<Power>, act: () => Promise<T>) {
  try {
    return await act()
  } catch (error) {
    const isState = error instanceof Problem && error.type === 'conflict'
    if (isState && wanted !== undefined && (await look()) === wanted) return 'there'
    throw error
  }
}

async function powerOf({ http, service, self }: { http: Parameters<typeof write>[0]; service: Service; self: Ref }) {
  const wanted = { VirtualMachine: ['runtime.powerState'] }
  const [found] = await retrieveAll(http, service.propertyCollector, wanted, these([self]))
  if (!found) throw new Problem('not-found', `vCenter does not have the virtual machine ${self.id}, or not any more`)
  const state = found.properties.get('runtime.powerState')?.text ?? ''
  if (!Object.hasOwn(powers, state))
    throw new Problem('upstream-invalid', `vCenter does not say whether ${self.id} is on`)
  return powers[state as keyof typeof powers]
}
