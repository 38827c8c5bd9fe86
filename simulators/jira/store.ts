import type { Truth } from '../lib/truth.ts'
import { makeRows, type Person, people, projects, type SimComment, type SimIssue } from './rows.ts'

export type Store = ReturnType<typeof makeStore>

/** The issues: those of the truth, and on top what was changed since. The search index can be held back. */
export function makeStore({ truth, seed, now }: { truth: Truth; seed: number; now: () => Date }) {
  const rows = makeRows(truth, seed)
  const changed = new Map<number, SimIssue>()
  const removed = new Set<number>()
  const ids = new Map<string, number[]>(projects.map((project) => [project.key, [...rows.ids(project)]]))
  const comments = new Map<number, SimComment[]>()
  let held: Map<number, SimIssue | undefined> | undefined
  let lastId = 9_000_000

  const issue = (id: number) => (removed.has(id) ? undefined : (changed.get(id) ?? rows.row(id)))

  function put(next: SimIssue): SimIssue {
    if (held && !held.has(next.id)) held.set(next.id, issue(next.id))
    changed.set(next.id, next)
    return next
  }

  function edit(id: number, change: Partial<SimIssue> = {}): SimIssue {
    const before = issue(id)
    if (!before) throw new RangeError(`no issue ${id}`)
    return put({ ...before, updatedAt: now(), ...change })
  }

  return {
    issue,
    edit,
    /** By id or key. */
    find(idOrKey: string): SimIssue | undefined {
      if (/^\d+$/.test(idOrKey)) return issue(Number(idOrKey))
      const moved = [...changed.values()].find(({ key, id }) => key === idOrKey && !removed.has(id))
      const [key = '', number = ''] = idOrKey.split('-')
      const project = projects.find((one) => one.key === key)
      return moved ?? (project && issue(project.first + Number(number) - 1))
    },
    /** As the search sees it. */
    indexed: (id: number) => (held?.has(id) ? held.get(id) : issue(id)),
    ids: (project: string): readonly number[] => (ids.get(project) ?? []).filter((id) => !removed.has(id)),
    create(given: Pick<SimIssue, 'project' | 'summary'> & Partial<SimIssue>): SimIssue {
      const id = ++lastId
      ids.get(given.project)?.push(id)
      const at = now()
      const reporter = people[0] as Person
      const rest = {
        description: '',
        status: 'To Do',
        type: 'Task',
        priority: 'Medium',
        labels: [],
        assignee: undefined,
      } as const
      return put({ id, key: `${given.project}-${id}`, reporter, createdAt: at, updatedAt: at, ...rest, ...given })
    },
    remove(id: number): SimIssue | undefined {
      const before = issue(id)
      removed.add(id)
      return before
    },
    comments: (id: number): readonly SimComment[] => comments.get(id) ?? [],
    comment(id: number, author: Person, body: unknown, visibility?: string): SimComment {
      const made = { id: ++lastId, author, createdAt: now(), body, ...(visibility !== undefined && { visibility }) }
      comments.set(id, [...(comments.get(id) ?? []), made])
      edit(id)
      return made
    },
    /** Holds the search index back, or lets it catch up. */
    holdIndex: (isHeld: boolean) => {
      held = isHeld ? (held ?? new Map()) : undefined
    },
  }
}
