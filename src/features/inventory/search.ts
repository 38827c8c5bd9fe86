import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { decodeCursor, encodeCursor, type Position, questionOf } from './cursor.ts'
import { type Filter, narrows } from './filter.ts'
import { mayBeginMany } from './rank.ts'
import {
  type Ask,
  countLimit,
  type GroupCounts,
  type ListOptions,
  type Order,
  type SearchIndex,
  type Sort,
  type Tier,
} from './search-index.ts'
import { type AssetRow, readAssets } from './store-assets.ts'
import { countIn, type FacetRow, facetRows, facetRowsOf } from './store-groups.ts'
import { groupsByPrefix, listAssets } from './store-list.ts'
import { isShort, parseQuery, type TextQuery } from './text.ts'

export type SortName = 'relevance' | 'name' | '-name' | 'updated' | '-updated'

export type SearchQuery = {
  /** What a person typed; at most 200 characters. Empty or absent: everything that passes the filter. */
  readonly text?: string | undefined
  readonly filter: Filter
  readonly sort: SortName
  /** 1–200. */
  readonly limit: number
  readonly cursor?: string | undefined
  readonly facets?: boolean | undefined
}

export type Facets = {
  readonly kind: FacetCount[]
  readonly source: FacetCount[]
  readonly status: FacetCount[]
  readonly site: FacetCount[]
  /** The counts are of the first 10,000 matches only. */
  readonly capped: boolean
}

export type FacetCount = { readonly value: string; readonly count: number }

export type SearchResult = {
  readonly items: readonly AssetRow[]
  readonly next: string | null
  /** Exact up to 10,000, otherwise null. */
  readonly total: number | null
  readonly facets?: Facets
}

export const maxText = 200
// Below this share the assets of the chosen groups are fewer than what walking a sorted index would pass over.
const fewShare = 0.05

/** What was found and how to go on from it. `total` above `countLimit` means many. */
type Found = {
  readonly page: readonly Position[]
  readonly total: number
  readonly facets: () => Promise<Facets>
}

type Parts = { readonly database: Database; readonly index: SearchIndex }
/** Full-text search with filters, order, pages and counts over the assets of all connections. */
export function makeSearch(database: Database, index: SearchIndex) {
  const parts = { database, index }
  return async function search(asked: SearchQuery): Promise<SearchResult> {
    const { text = '', filter, sort, limit, cursor } = asked
    if (text.length > maxText) throw tooLong()
    const question = questionOf([text, filter, sort])
    const after = cursor === undefined ? undefined : decodeCursor(question, cursor)
    const query = parseQuery(text)
    // One more than asked for tells whether there is a next page.
    const ask = { filter, order: orderOf(sort), after, limit: limit + 1 }
    const byName = query.terms.length === 0 || isShort(query.whole)
    const { page, total, facets } = byName ? await list(parts, query.whole, ask) : await find(parts, query, ask)
    const items = page.slice(0, limit)
    const last = page.length > limit ? items.at(-1) : undefined
    return {
      items: await readAssets(
        database,
        items.map(({ seq }) => seq),
      ),
      next: last ? encodeCursor(question, last) : null,
      total: total > countLimit ? null : total,
      ...(asked.facets && { facets: await facets() }),
    }
  }
}

function orderOf(sort: SortName): Order {
  if (sort === 'relevance') return sort
  return { by: sort.endsWith('name') ? 'name' : 'change', descending: sort.startsWith('-') }
}

const byName: Sort = { by: 'name', descending: false }

/** All assets that pass the filter, or those whose name begins with a text that says nothing to the search index. */
async function list({ database }: Parts, prefix: string, { filter, order, after, limit }: Ask): Promise<Found> {
  const passing = await countIn(database.db, filter)
  const options = { filter, after, limit, few: await isFew(database, filter, passing) }
  const sort = order === 'relevance' ? byName : order
  const found = await listAssets(database, { ...options, sort, ...(prefix !== '' && { prefix }) })
  const page = found.map((asset) => ({ tier: 0, ...asset }))
  if (prefix === '')
    return { page, total: passing, facets: async () => facetsFrom(await facetRows(database.db, filter), false) }
  const groups = (most: number) => groupsByPrefix(database, prefix, filter, most)
  const total = sum(await groups(countLimit + 1))
  return { page, total, facets: () => countFacets(database, groups, total) }
}

/** Assets that match the words. */
async function find({ database, index }: Parts, query: TextQuery, ask: Ask): Promise<Found> {
  const { filter, order, after, limit } = ask
  const count = (widest: 3 | 4) => (most: number) => index.groups(query, widest, filter, most)
  const ranked = await index.ranked(query, ask)
  if ('page' in ranked) {
    const groups = async (most: number) => ranked.groups ?? (await count(4)(most))
    return { ...ranked, facets: () => countFacets(database, groups, ranked.total) }
  }
  const { total, widest } = ranked.many
    ? { total: countLimit + 1, widest: ranked.many.widest }
    : await countMatches(query, count)
  const options = { filter, after, limit, few: await isFew(database, filter) }
  const page =
    order === 'relevance'
      ? await readTiers(index, query, { ...options, sort: byName })
      : await readSorted(index, query, { ...options, sort: order }, total > countLimit)
  return { page, total, facets: () => countFacets(database, count(widest), total) }
}

/** Beginnings of words cost time in proportion to their matches, so first see whether whole words are enough. */
async function countMatches(
  query: TextQuery,
  count: (widest: 3 | 4) => (most: number) => Promise<GroupCounts>,
): Promise<{ total: number; widest: 3 | 4 }> {
  const whole = mayBeginMany(query) ? sum(await count(3)(countLimit + 1)) : 0
  if (whole > countLimit) return { total: whole, widest: 3 }
  return { total: sum(await count(4)(countLimit + 1)), widest: 4 }
}

async function readSorted(index: SearchIndex, query: TextQuery, options: ListOptions, many: boolean) {
  const found = await index.sorted(query, options, many)
  return found.map((asset) => ({ tier: 0, ...asset }))
}

async function isFew({ db }: Database, filter: Filter, passing?: number): Promise<boolean> {
  if (!narrows(filter)) return false
  const everything = await countIn(db, { kinds: [], source: undefined, statuses: [], sites: [], stale: filter.stale })
  return (passing ?? (await countIn(db, filter))) < everything * fewShare
}

/** Counts all matches, or the first 10,000 when there are more. */
async function countFacets(
  database: Database,
  groups: (most: number) => Promise<GroupCounts>,
  total: number,
): Promise<Facets> {
  return facetsFrom(await facetRowsOf(database, database.db, await groups(countLimit)), total > countLimit)
}

function facetsFrom(rows: readonly FacetRow[], capped: boolean): Facets {
  const of = (facet: string) =>
    rows
      .filter((row) => row.facet === facet)
      .map(({ value, count }) => ({ value, count }))
      .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
  return { kind: of('kind'), source: of('source'), status: of('status'), site: of('site'), capped }
}

/** Fills a page from the best tier on; each tier is read from an index and only as far as the page needs. */
async function readTiers(index: SearchIndex, query: TextQuery, options: ListOptions): Promise<readonly Position[]> {
  const { after, limit, filter } = options
  const page: Position[] = []
  for (const tier of tiersOf(query)) {
    if (tier < (after?.tier ?? 0) || page.length >= limit) continue
    const from = after?.tier === tier ? after : undefined
    const left = limit - page.length
    const found =
      tier === 1
        ? await index.byPrefix(query, { ...options, after: from, limit: left })
        : (await index.tier(query, tier, filter, from?.seq ?? 0, left)).map((seq) => ({ seq, key: '' }))
    page.push(...found.map((asset) => ({ tier, ...asset })))
  }
  return page
}

/** Tiers that can hold something: without words to look for elsewhere the last two cannot. */
function tiersOf({ terms }: TextQuery): readonly Tier[] {
  return terms.some(({ words }) => words.length > 0) ? [0, 1, 2, 3, 4] : [0, 1, 2]
}

function sum(groups: GroupCounts): number {
  return groups.reduce((total, [, n]) => total + n, 0)
}

function tooLong(): Problem {
  const rule = `has more than ${maxText} characters`
  return new Problem('invalid-input', `The search text ${rule}`, { faults: [{ field: '/q', rule }] })
}
