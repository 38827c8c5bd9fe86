import type { Http, XmlElement } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { meaningOf } from './explain.ts'
import { retrieveAll, these } from './properties.ts'
import type { Service } from './service.ts'
import { at, type Call, numberAt, type Ref, textAt, timeAt, write } from './soap.ts'

export type TaskState = 'queued' | 'running' | 'success' | 'error'
export type Task = {
  readonly id: string
  readonly name: string
  readonly state: TaskState
  readonly progressPercent: number | null
  readonly target: string | null
  readonly startedAt: string | null
  readonly endedAt: string | null
  /** Id of what the task made. */
  readonly result: string | null
  readonly problem: string | null
}

const firstPause = 250
const longestPause = 2000

export async function readTask(http: Http, { propertyCollector }: Service, id: string): Promise<Task> {
  return (await readState(http, propertyCollector, id)).task
}

async function readState(http: Http, collector: Ref, id: string) {
  const [found] = await retrieveAll(http, collector, { Task: ['info'] }, these([{ type: 'Task', id }]))
  const info = found?.properties.get('info')
  if (!info) throw new Problem('not-found', `vCenter does not have the task ${id}, or not any more`)
  return { task: taskOf(id, info), fault: at(info, 'error', 'fault') }
}

/**
 * Starts a task and waits for its end at most `waitSeconds`; then it is answered as it is, and goes on in vCenter. A task that
 * failed is thrown as what its fault means.
 */
export async function runTask(
  { http, service, signal, waitSeconds }: { http: Http; service: Service; signal: AbortSignal; waitSeconds: number },
  call: Call,
): Promise<Task> {
  const [started] = await write(http, call)
  const id = started?.text
  if (!id) throw new Problem('upstream-invalid', 'vCenter started a task without saying which')
  const end = Date.now() + waitSeconds * 1000
  for (let pause = firstPause; ; pause = Math.min(pause * 2, longestPause)) {
    const { task, fault } = await readState(http, service.propertyCollector, id)
    if (task.state === 'error') {
      const { type, detail } = meaningOf(fault)
      throw new Problem(type, `${detail ?? 'vCenter could not do it.'} (task ${id})`)
    }
    if (task.state === 'success' || Date.now() + pause > end) return task
    await pauseFor(pause, signal)
  }
}

/** @throws Problem cancelled, as soon as the call is. */
export async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
  if (signal.aborted) throw new Problem('cancelled', 'Nobody waits for the task any more; it goes on in vCenter')
}

const states: readonly string[] = ['queued', 'running', 'success', 'error'] satisfies TaskState[]

function taskOf(id: string, info: XmlElement): Task {
  const state = textAt(info, 'state') ?? ''
  const fault = at(info, 'error', 'fault')
  return {
    id,
    name: /^[\w.]{1,100}$/.exec(textAt(info, 'descriptionId') ?? '')?.[0] ?? 'task',
    state: states.includes(state) ? (state as TaskState) : 'running',
    progressPercent: numberAt(info, 'progress') ?? null,
    target: textAt(info, 'entity') ?? null,
    startedAt: timeAt(info, 'startTime') ?? null,
    endedAt: timeAt(info, 'completeTime') ?? null,
    result: textAt(info, 'result') ?? null,
    problem: fault ? (meaningOf(fault).detail ?? 'vCenter could not do it.') : null,
  }
}
