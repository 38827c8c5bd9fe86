import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { decodeCursor, encodeCursor, questionOf } from '../cursor.ts'
import type { SearchQuery, SearchResult } from '../search.ts'
import { hashOf, keysOf, keysOfText, type Marks } from './marks.ts'
import { readCandidates, readHolders } from './store-matching.ts'
import {
  filterMachines,
  listMachines,
  type MachineFilter,
  type MachineRow,
  machinesOfAssets,
  readMachines,
} from './store-read.ts'

export type MachineQuery = {
  readonly text: string | undefined
  readonly filter: MachineFilter
  readonly limit: number
  readonly cursor: string | undefined
}

export type MachinePage = {
  readonly items: readonly MachineRow[]
  readonly next: string | null
  /** Only the machines of the best matching assets were looked at; more words find the others. */
  readonly capped: boolean
}

/** How many matching assets a text search looks at. */
const mostAssets = 1_000

type SearchAssets = (query: SearchQuery) => Promise<SearchResult>

/** Finds machines: by what the search of assets finds and by exact marks, or all in the order of their names. */
export function makeMachineSearch(database: Database, searchAssets: SearchAssets) {
  /** Assets that have exactly this name, address, serial, UUID or MAC address, also where the search index does not hold it. */
  async function withMark(text: string): Promise<number[]> {
    const keys = keysOfText(text)
    const found = await readHolders(database, database.db, keys.map(hashOf), mostAssets)
    const rows = await readCandidates(database, database.db, [...found.values()].flat())
    return rows
      .filter(({ marks }) => keysOf(JSON.parse(marks) as Marks).some((key) => keys.includes(key)))
      .map(({ seq }) => seq)
  }

  async function bestOf(text: string, filter: MachineFilter) {
    const marked = await withMark(text)
    const assets = await searchAssets({
      text,
      filter: { kinds: [], source: filter.connection, statuses: [], sites: [], stale: filter.gone },
      sort: 'relevance',
      limit: mostAssets,
    })
    const seqs = [...marked, ...assets.items.map(({ seq }) => seq)]
    const machineOf = await machinesOfAssets(database, seqs)
    const nos = [...new Set(seqs.flatMap((seq) => machineOf.get(seq) ?? []))]
    const passing = new Map((await filterMachines(database, filter, nos)).map((row) => [row.no, row]))
    return { found: nos.flatMap((no) => passing.get(no) ?? []), capped: assets.next !== null }
  }

  async function search({ text = '', filter, limit, cursor }: MachineQuery): Promise<MachinePage> {
    const question = questionOf(['machines', text, filter])
    const after = cursor === undefined ? undefined : decodeCursor(question, cursor)
    if (text.trim() === '') {
      const from = after && { key: after.key, no: after.seq }
      const rows = await listMachines(database, filter, from, limit + 1)
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1) : undefined
      const next = last ? encodeCursor(question, { tier: 0, key: last.name_key, seq: last.no }) : null
      return { items, next, capped: false }
    }
    const { found, capped } = await bestOf(text, filter)
    const start = after ? found.findIndex(({ no }) => no === after.seq) + 1 : 0
    // The machine that the page before ended with is not found any more: going on anywhere could leave machines out.
    if (after && start === 0) throw new Problem('invalid-input', 'The results changed; search again without the cursor')
    const items = found.slice(start, start + limit)
    const last = start + limit < found.length ? items.at(-1) : undefined
    return { items, next: last ? encodeCursor(question, { tier: 0, key: '', seq: last.no }) : null, capped }
  }

  /** The machines that have exactly this name, address, serial, UUID or MAC address; else the best that a search finds. */
  async function resolve(text: string, limit: number): Promise<MachineRow[]> {
    const machineOf = await machinesOfAssets(database, await withMark(text))
    const exact = await readMachines(database, [...new Set(machineOf.values())])
    if (exact.length > 0) return exact.toSorted((a, b) => b.live - a.live || a.no - b.no).slice(0, limit)
    const any = { site: undefined, form: undefined, connection: undefined, hasConflict: undefined }
    const live = await bestOf(text, { ...any, gone: false })
    const found = live.found.length > 0 ? live.found : (await bestOf(text, { ...any, gone: true })).found
    return found.slice(0, limit)
  }

  return { search, resolve }
}
