import { z } from 'zod'
import { connectionAction, type Http, type Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { SnapshotId, TaskId, TaskOutput, VmId, WaitSeconds } from './fields.ts'
import { properties } from './models.ts'
import { observe } from './observe.ts'
import { power } from './power.ts'
import { type Found, retrieveAll, these } from './properties.ts'
import { type Service, serviceOf } from './service.ts'
import { el } from './soap.ts'
import { treeAround } from './sync.ts'
import { readTask, runTask } from './tasks.ts'
import { snapshotsIn } from './vm.ts'

const Value = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string()).readonly()])

const getVm = connectionAction({
  name: 'vcenter.vm.get',
  title: 'Read one virtual machine from vCenter',
  description:
    'Reads one virtual machine from vCenter, now: power, placement, addresses and snapshots. Its id is the external id of the asset in the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/vcenter/vms/{id}' },
  input: { id: VmId },
  output: z.object({
    id: z.string(),
    name: z.string(),
    status: z.string().optional(),
    site: z.string().optional(),
    addresses: z.array(z.string()).readonly().optional(),
    url: z.string().optional(),
    attributes: z.record(z.string(), Value),
    relations: z
      .array(z.object({ type: z.string(), kind: z.string(), externalId: z.string() }))
      .readonly()
      .optional(),
    power: z.enum(['on', 'off', 'suspended']).nullable(),
    powerSince: z.string().nullable().describe('Null while it is off: vcenter keeps that only in its events.'),
    isTemplate: z.boolean(),
    snapshots: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        createdAt: z.string().nullable(),
        parent: z.string().nullable(),
        isCurrent: z.boolean(),
      }),
    ),
  }),
  async run({ id }, { http, config }) {
    const service = await serviceOf(http)
    const found = await readVm(http, service, id, properties.VirtualMachine)
    const tree = await treeAround({ http, service }, [found])
    const base = (config as { url: string }).url.replace(/\/+$/, '')
    const [vm] = observe({ service, base, tree, offSince: new Map() }, found) as [Observation]
    const { kind: _kind, externalId: _id, machine: _machine, facts, ...shown } = vm
    return {
      ...shown,
      id,
      power: facts?.power ?? null,
      powerSince: facts?.powerSince ?? null,
      isTemplate: facts?.isTemplate ?? false,
      snapshots: snapshotsIn(found).map(({ id, name, createdAt, parent, isCurrent }) => ({
        id,
        name,
        createdAt: createdAt ?? null,
        parent: parent ?? null,
        isCurrent,
      })),
    }
  },
})

const createSnapshot = connectionAction({
  name: 'vcenter.snapshot.create',
  title: 'Make a snapshot of a virtual machine in vCenter',
  description:
    'Makes a snapshot of one virtual machine. Each call makes one more. A snapshot is not a backup: it grows with every write and slows the machine down, so remove it within days.',
  access: 'write',
  http: { method: 'POST', path: '/vcenter/vms/{id}/snapshots' },
  input: {
    id: VmId,
    name: z.string().trim().min(1).max(80).describe("The snapshot's name, for example before-upgrade."),
    description: z.string().trim().max(500).default('').describe('Why it is made and until when it is needed.'),
    memory: z.boolean().default(false).describe("Keep the running machine's memory too. Takes longer and more space."),
    quiesce: z
      .boolean()
      .default(false)
      .describe('Let VMware Tools bring the file systems to rest first. Not together with memory.'),
    waitSeconds: WaitSeconds,
  },
  output: z.object({
    id: z.string().nullable().describe('The snapshot; null while the task is still at work.'),
    done: z.boolean(),
    task: TaskOutput,
  }),
  async run({ id, name, description, memory, quiesce, waitSeconds }, { http, signal }) {
    if (memory && quiesce) throw new Problem('invalid-input', 'memory and quiesce exclude each other')
    const service = await serviceOf(http)
    const args = [el('name', name), el('description', description), el('memory', memory), el('quiesce', quiesce)]
    const call = { method: 'CreateSnapshot_Task', self: { type: 'VirtualMachine', id }, args }
    const task = await runTask({ http, service, signal, waitSeconds }, call)
    return { id: task.result, done: task.state === 'success', task }
  },
})

const removeSnapshot = connectionAction({
  name: 'vcenter.snapshot.remove',
  title: 'Remove a snapshot in vCenter',
  description:
    'Removes one snapshot of one virtual machine for good: the machine keeps its present state, but cannot go back to the snapshot any more. Snapshots made on it stay, unless withChildren is set. A snapshot that is not there is not-found.',
  access: 'destroy',
  http: { method: 'DELETE', path: '/vcenter/vms/{id}/snapshots/{snapshot}' },
  input: {
    id: VmId,
    snapshot: SnapshotId,
    withChildren: z.stringbool().or(z.boolean()).default(false).describe('Remove the snapshots made on it too.'),
    waitSeconds: WaitSeconds,
  },
  output: z.object({ id: z.string(), done: z.boolean(), task: TaskOutput }),
  async run({ id, snapshot, withChildren, waitSeconds }, { http, signal }) {
    const service = await serviceOf(http)
    // An id alone could be a slip of the pen: it must be a snapshot of the machine that was named.
    const found = await readVm(http, service, id, ['snapshot'])
    if (!snapshotsIn(found).some((one) => one.id === snapshot))
      throw new Problem('not-found', `Virtual machine ${id} has no snapshot ${snapshot}`)
    const call = {
      method: 'RemoveSnapshot_Task',
      self: { type: 'VirtualMachineSnapshot', id: snapshot },
      args: [el('removeChildren', withChildren)],
    }
    const task = await runTask({ http, service, signal, waitSeconds }, call)
    return { id: snapshot, done: task.state === 'success', task }
  },
})

const getTask = connectionAction({
  name: 'vcenter.task.get',
  title: 'Read a task of vCenter',
  description:
    'Reads how far a task is that another action started. vCenter forgets a task about ten minutes after its end.',
  access: 'read',
  http: { method: 'GET', path: '/vcenter/tasks/{id}' },
  input: { id: TaskId },
  output: TaskOutput,
  run: async ({ id }, { http }) => readTask(http, await serviceOf(http), id),
})

export const actions = [getVm, power, createSnapshot, removeSnapshot, getTask] as const

async function readVm(
  http: Http,
  { propertyCollector }: Service,
  id: string,
  paths: readonly string[],
): Promise<Found> {
  const self = { type: 'VirtualMachine', id }
  const [found] = await retrieveAll(http, propertyCollector, { VirtualMachine: paths }, these([self]))
  if (!found) throw new Problem('not-found', `vCenter does not have the virtual machine ${id}, or not any more`)
  return found
}
