export type Json = Record<string, unknown>

/** Objects of one NetBox model in the order of their ids. Rows nobody changed are made when asked for. */
export type Collection = {
  /** Below `/api/`: `dcim/devices`. */
  readonly path: string
  /** `dcim.device` */
  readonly type: string
  /** Ascending. */
  readonly ids: readonly number[]
  readonly row: (id: number) => Json | undefined
  /** Milliseconds; cheaper than the row. */
  readonly updatedAt: (id: number) => number
  readonly put: (id: number, row: Json) => void
  /** Gives the next free id to `make` and keeps what it answers. */
  readonly insert: (make: (id: number) => Json) => Json
  readonly remove: (id: number) => void
  /** Rises with every change. */
  readonly version: () => number
}

/** Gap after the first ids, so that the seeded changelog can name objects that are gone. */
const idGap = 1000

type Parts = {
  readonly path: string
  readonly type: string
  readonly ids: readonly number[]
  readonly make: (id: number) => Json
  readonly updatedAt?: (id: number) => number
}

export function makeCollection({ path, type, ids: first, make, updatedAt }: Parts): Collection {
  const ids = [...first]
  const present = new Set(ids)
  const changed = new Map<number, Json>()
  let nextId = (ids.at(-1) ?? 0) + idGap
  let version = 0
  const row = (id: number) => (present.has(id) ? (changed.get(id) ?? make(id)) : undefined)
  const stampOf = (id: number) => Date.parse(String(row(id)?.['last_updated'] ?? 0))
  return {
    path,
    type,
    ids,
    row,
    updatedAt: (id) => (updatedAt && !changed.has(id) ? updatedAt(id) : stampOf(id)),
    put(id, value) {
      changed.set(id, value)
      version++
    },
    insert(makeRow) {
      const id = nextId++
      const value = makeRow(id)
      ids.push(id)
      present.add(id)
      changed.set(id, value)
      version++
      return value
    },
    remove(id) {
      ids.splice(firstAfter(ids, id - 1), 1)
      present.delete(id)
      changed.delete(id)
      version++
    },
    version: () => version,
  }
}

/** The position of the first id greater than `id` in an ascending list. */
export function firstAfter(ids: readonly number[], id: number): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ids[middle] ?? 0) > id) high = middle
    else low = middle + 1
  }
  return low
}
