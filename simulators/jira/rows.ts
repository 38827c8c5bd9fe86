import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'

export type Person = { readonly id: string; readonly name: string }
export type SimComment = {
  readonly id: number
  readonly author: Person
  readonly createdAt: Date
  readonly body: unknown
  readonly visibility?: string
}
export type SimIssue = {
  readonly id: number
  readonly key: string
  readonly project: string
  readonly summary: string
  readonly description: string
  readonly status: keyof typeof statuses
  readonly type: string
  readonly priority: string
  readonly labels: readonly string[]
  readonly assignee: Person | undefined
  readonly reporter: Person
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly parent?: { readonly id: number; readonly key: string }
  /** The security level; undefined: everyone in the project sees it. */
  readonly level?: string
}

/** Status → key of its category. */
export const statuses = { 'To Do': 'new', 'In Progress': 'indeterminate', Done: 'done' } as const

export const projects = [
  { id: 10000, key: 'OPS', name: 'Operations', first: 10_001 },
  { id: 10001, key: 'NET', name: 'Network', first: 5_000_001 },
  { id: 10002, key: 'HRX', name: 'People', first: 8_000_001 },
] as const
export type Project = (typeof projects)[number]

export const people: readonly Person[] = ['Ana Novak', 'Ben Visser', 'Clara Weiss', 'Dario Kos'].map((name, i) => ({
  id: `5b10a2844c20165700ede21${i}`,
  name,
}))

const topics = [
  ['Disk full on', 'capacity'],
  ['High load on', 'performance'],
  ['Certificate expires on', 'certificate'],
  ['Backup failed for', 'backup'],
  ['Update the system of', 'patching'],
] as const
const days = 86_400_000
const hidden = 2

type Words = Pick<SimIssue, 'summary' | 'description' | 'labels' | 'type' | 'level'>

/** Issues about the machines of the truth, made from their number when asked for: one for every virtual machine and switch. */
export function makeRows(truth: Truth, seed: number) {
  const { estate, now } = truth
  const dice = makeDice(seed)
  const switches = estate.counts.racks * 2
  const counts: Readonly<Record<string, number>> = { OPS: estate.counts.vms + hidden, NET: switches, HRX: 3 }

  function row(id: number): SimIssue | undefined {
    const project = projects.find(({ key, first }) => id >= first && id < first + (counts[key] ?? 0))
    if (!project) return undefined
    const n = id - project.first
    const words = project.key === 'OPS' ? operations(n) : project.key === 'NET' ? network(n) : confidential(n)
    const age = (10 + (dice.whole(1, id) % 200)) * days
    const createdAt = new Date(now.getTime() - age - (dice.whole(2, id) % days))
    const isLate = dice.part(3, id) < 0.7
    return {
      id,
      key: `${project.key}-${n + 1}`,
      project: project.key,
      status: isLate ? 'Done' : dice.pick(['To Do', 'In Progress'] as const, 4, id),
      priority: dice.pick(['Low', 'Medium', 'High', 'Highest'], 5, id),
      assignee: dice.part(6, id) < 0.2 ? undefined : dice.pick(people, 7, id),
      reporter: dice.pick(people, 8, id),
      createdAt,
      // Older than two days, so that a test's own changes stand out.
      updatedAt: new Date(Math.min(createdAt.getTime() + dice.part(9, id) * 9 * days, now.getTime() - 2 * days)),
      ...words,
    }
  }

  function operations(n: number): Words {
    if (n >= estate.counts.vms) {
      const summary = 'Credentials found in a script'
      return {
        summary,
        description: 'The code of the safe is 4711.',
        labels: ['security'],
        type: 'Incident',
        level: 'Security team',
      }
    }
    const vm = estate.vm(n)
    const [topic, label] = dice.pick(topics, 10, n)
    const description = `${vm.fqdn} is a ${vm.purpose} in ${estate.cluster(vm.cluster).name}.\nSee its runbook.`
    return {
      summary: `${topic} ${vm.hostName}`,
      description,
      labels: [label],
      type: dice.pick(['Task', 'Incident'], 11, n),
    }
  }

  function network(n: number): Words {
    const { hostName, model } = estate.device(Math.floor(n / 2) * 24 + (n % 2))
    return {
      summary: `Port flaps on ${hostName}`,
      description: `A ${model.manufacturer} ${model.name}.`,
      labels: ['network'],
      type: 'Incident',
    }
  }

  const confidential = (n: number): Words => ({
    summary: `Complaint ${n + 1}`,
    description: 'Confidential.',
    labels: [],
    type: 'Task',
  })

  return {
    row,
    ids: ({ key, first }: Project): readonly number[] => Array.from({ length: counts[key] ?? 0 }, (_, n) => first + n),
  }
}
