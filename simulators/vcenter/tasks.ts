import { VimFault } from './fault.ts'
import type { Inventory } from './inventory.ts'
import type { ManagedObject, Ref } from './values.ts'
import { escaped, refTag, tag, typed } from './values.ts'

type Task = {
  readonly id: string
  readonly description: string
  readonly entity: Ref
  readonly startedAt: Date
  readonly endsAt: number
  /** What it does when it ends; answers the id of what it made. */
  readonly work: () => Ref | undefined
  outcome?: { readonly result?: Ref | undefined; readonly fault?: VimFault }
}

/** Tasks end after `taskMs()` of the simulator's time; what they do happens then. */
export function makeTasks(inventory: Inventory, now: () => Date, taskMs: () => number) {
  const tasks = new Map<string, Task>()

  function end(task: Task): void {
    try {
      task.outcome = { result: task.work() }
    } catch (error) {
      if (!(error instanceof VimFault)) throw error
      task.outcome = { fault: error }
    }
  }

  return {
    start(description: string, entity: Ref, work: Task['work']): Ref {
      const id = inventory.state.newId('task')
      tasks.set(id, { id, description, entity, startedAt: now(), endsAt: now().getTime() + taskMs(), work })
      return { type: 'Task', id }
    },
    /** Ends what is due. */
    settle(): void {
      for (const task of tasks.values()) if (!task.outcome && task.endsAt <= now().getTime()) end(task)
    },
    find(id: string): ManagedObject | undefined {
      const task = tasks.get(id)
      return task && { ref: { type: 'Task', id }, properties: { info: () => info(task) } }
    },
  }
}

function info({ id, description, entity, startedAt, endsAt, outcome }: Task): string {
  const state = outcome ? (outcome.fault ? 'error' : 'success') : 'running'
  const fault = outcome?.fault
  const { result } = outcome ?? {}
  return typed(
    'TaskInfo',
    tag('key', id) +
      refTag('task', { type: 'Task', id }) +
      tag('descriptionId', description) +
      refTag('entity', entity) +
      tag('entityName', entity.id) +
      tag('state', state) +
      tag('cancelled', false) +
      (fault
        ? `<error><fault xsi:type="${fault.type}">${fault.inner}</fault>${tag('localizedMessage', fault.message)}</error>`
        : '') +
      (result ? `<result type="${result.type}" xsi:type="ManagedObjectReference">${escaped(result.id)}</result>` : '') +
      (outcome ? '' : tag('progress', 42)) +
      tag('startTime', startedAt.toISOString()) +
      (outcome ? tag('completeTime', new Date(endsAt).toISOString()) : ''),
  )
}
