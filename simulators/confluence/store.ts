import type { Truth } from '../lib/truth.ts'
import { makeRows, type Person, people, type SimPage, type Space, spaces } from './rows.ts'

export type Store = ReturnType<typeof makeStore>
export type Attachment = {
  readonly id: string
  readonly fileName: string
  readonly version: number
  readonly bytes: number
  readonly contentType: string
  readonly comment: string
}

/** The pages: those of the truth, and on top what was changed since. The search index can be held back. */
export function makeStore({ truth, seed, now }: { truth: Truth; seed: number; now: () => Date }) {
  const rows = makeRows(truth, seed)
  const changed = new Map<number, SimPage>()
  const purged = new Set<number>()
  const ids = new Map<string, number[]>(spaces.map((space) => [space.key, [...rows.ids(space)]]))
  const attachments = new Map<number, Attachment[]>()
  const newestFirst = new Map<string, readonly number[]>()
  /** What the index still has of pages that changed while it was held; undefined: it does not know them. */
  let held: Map<number, SimPage | undefined> | undefined
  let lastId = 70_000_000

  const page = (id: number) => (purged.has(id) ? undefined : (changed.get(id) ?? rows.row(id)))

  function put(next: SimPage): SimPage {
    if (held && !held.has(next.id)) held.set(next.id, page(next.id))
    changed.set(next.id, next)
    newestFirst.delete(next.space)
    return next
  }

  function ancestors(id: number | undefined): SimPage[] {
    const chain: SimPage[] = []
    for (let at = id === undefined ? undefined : page(id)?.parent; at !== undefined; at = page(at)?.parent) {
      const one = page(at)
      if (!one || chain.length > 50) break
      chain.unshift(one)
    }
    return chain
  }

  return {
    page,
    ancestors,
    /** As the search sees it. */
    indexed: (id: number) => (held?.has(id) ? held.get(id) : page(id)),
    ids: (space: string): readonly number[] => (ids.get(space) ?? []).filter((id) => !purged.has(id)),
    newest(space: string): readonly number[] {
      const known = newestFirst.get(space)
      if (known) return known
      const times = (ids.get(space) ?? []).flatMap((id) => {
        const one = page(id)
        return one ? [[id, one.modifiedAt.getTime()] as const] : []
      })
      const sorted = times.sort(([a, x], [b, y]) => y - x || b - a).map(([id]) => id)
      newestFirst.set(space, sorted)
      return sorted
    },
    create(given: Pick<SimPage, 'space' | 'title' | 'storage'> & Partial<SimPage>, by: Person = people[0]!): SimPage {
      const id = ++lastId
      ids.get(given.space)?.push(id)
      const at = now()
      const home = spaces.find(({ key }) => key === given.space)?.first
      return put({
        id,
        parent: home,
        labels: [],
        author: by,
        editor: by,
        createdAt: at,
        modifiedAt: at,
        version: 1,
        status: 'current',
        ...given,
      })
    },
    /** A new version. */
    edit(id: number, change: Partial<SimPage>, by: Person = people[1]!): SimPage {
      const before = page(id)
      if (!before) throw new RangeError(`no page ${id}`)
      return put({ ...before, editor: by, modifiedAt: now(), version: before.version + 1, ...change })
    },
    /** What changes no version and no time: restrictions, labels, the trash, a move. */
    touch(id: number, change: Partial<SimPage>): SimPage {
      const before = page(id)
      if (!before) throw new RangeError(`no page ${id}`)
      return put({ ...before, ...change })
    },
    purge(id: number): void {
      const before = page(id)
      purged.add(id)
      if (before) newestFirst.delete(before.space)
    },
    attachments: (id: number): readonly Attachment[] => attachments.get(id) ?? [],
    attach(id: number, file: Omit<Attachment, 'id' | 'version'>): Attachment {
      const all = attachments.get(id) ?? []
      const before = all.find(({ fileName }) => fileName === file.fileName)
      const kept = { ...file, id: before?.id ?? `att${++lastId}`, version: (before?.version ?? 0) + 1 }
      attachments.set(id, [...all.filter((one) => one !== before), kept])
      return kept
    },
    /** Holds the search index back, or lets it catch up. */
    holdIndex: (isHeld: boolean) => {
      held = isHeld ? (held ?? new Map()) : undefined
    },
    spaceOf: (key: string): Space | undefined => spaces.find((space) => space.key === key),
  }
}
