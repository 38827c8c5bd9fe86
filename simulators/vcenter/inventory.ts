import type { Truth } from '../lib/truth.ts'
import { type Machine, makeMachines } from './machines.ts'
import { makePlaces } from './places.ts'
import { makeState, type SnapshotNode } from './state.ts'
import type { ManagedObject, Ref } from './values.ts'

export type Inventory = ReturnType<typeof makeInventory>

/** Everything in the vCenter, computed from the truth when it is asked for, and the ways to change it. */
export function makeInventory(truth: Truth, now: () => Date) {
  const state = makeState()
  const places = makePlaces(truth, state)
  const machines = makeMachines(truth, places, state)

  const refOf = (id: string): Ref => ({ type: 'VirtualMachine', id })
  const changed = (id: string, ...names: string[]) =>
    state.note(refOf(id), 'modify', [...names, 'config.changeVersion'])
  const needed = (id: string): Machine => {
    const vm = machines.machine(id)
    if (!vm) throw new RangeError(`no virtual machine ${id}`)
    return vm
  }
  const events = { poweredOn: 'VmPoweredOnEvent', poweredOff: 'VmPoweredOffEvent', suspended: 'VmSuspendedEvent' }

  const changes = {
    /** As if somebody had done it in the vSphere Client. `isSilent`: without an event, as when a host fails. */
    power(id: string, power: Machine['power'], isSilent = false): void {
      needed(id)
      Object.assign(state.change(id), { power, powerSince: now() })
      if (!isSilent) state.events.push({ vm: id, type: events[power], at: now() })
      state.note(refOf(id), 'modify', ['runtime.powerState', 'runtime.bootTime', 'guest.net', 'guest.hostName'])
    },
    snapshot(id: string, name: string, description = ''): string {
      const { snapshots, currentSnapshot, power } = needed(id)
      const node: SnapshotNode = {
        id: state.newId('snapshot'),
        name,
        description,
        createdAt: now(),
        state: power,
        children: [],
      }
      const tree = structuredClone([...snapshots])
      const parent = [...nodesOf(tree)].find((one) => one.id === currentSnapshot)
      if (parent) parent.children.push(node)
      else tree.push(node)
      Object.assign(state.change(id), { snapshots: tree, currentSnapshot: node.id })
      changed(id, 'snapshot')
      return node.id
    },
    removeSnapshot(snapshot: string, withChildren: boolean): void {
      const id = changes.machineOf(snapshot)
      if (id === undefined) return
      const without = (nodes: readonly SnapshotNode[]): SnapshotNode[] =>
        nodes.flatMap((node) => {
          const children = without(node.children)
          if (node.id === snapshot) return withChildren ? [] : children
          return [{ ...node, children }]
        })
      const snapshots = without(needed(id).snapshots)
      const current = [...nodesOf(snapshots)].at(-1)?.id
      const change = state.change(id)
      change.snapshots = snapshots
      if (current === undefined) delete change.currentSnapshot
      else change.currentSnapshot = current
      changed(id, 'snapshot')
    },
    /** The machine that has a snapshot. */
    machineOf(snapshot: string): string | undefined {
      for (const { id } of machines.all())
        if ([...nodesOf(machines.machine(id)?.snapshots ?? [])].some((one) => one.id === snapshot)) return id
      return undefined
    },
    rename(id: string, name: string): void {
      const object = find(id)
      if (!object) throw new RangeError(`nothing has the id ${id}`)
      if (object.ref.type === 'VirtualMachine') state.change(id).name = name
      else state.names.set(id, name)
      state.note(object.ref, 'modify', ['name'])
    },
    remove(id: string): void {
      needed(id)
      state.removed.add(id)
      state.note(refOf(id), 'leave')
    },
    /** A new virtual machine that was never on. */
    add(): string {
      const index = machines.nextIndex()
      state.added.push(index)
      state.note(refOf(`vm-${index}`), 'enter')
      return `vm-${index}`
    },
  }

  function find(id: string): ManagedObject | undefined {
    return /^vm-/.test(id) ? machines.find(id) : places.find(id)
  }

  return {
    state,
    find,
    changes,
    machine: machines.machine,
    /** Machines only where they are wanted: there are many. */
    *all(wants: (type: string) => boolean): Generator<Ref> {
      for (const ref of places.all()) if (wants(ref.type)) yield ref
      if (wants('VirtualMachine')) yield* machines.all()
    },
    machines: machines.all,
  }
}

function* nodesOf(nodes: readonly SnapshotNode[]): Generator<SnapshotNode> {
  for (const node of nodes) {
    yield node
    yield* nodesOf(node.children)
  }
}
