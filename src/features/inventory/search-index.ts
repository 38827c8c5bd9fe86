import type { Db } from '../../lib/db/database.ts'
import type { Position } from './cursor.ts'
import type { Filter } from './filter.ts'
import type { Document, TextQuery } from './text.ts'

/**
 * How an asset matches, best first: 0 the whole text is its name, an address or the serial; 1 the name begins with it;
 * 2 every word is a part of name, addresses or serial; 3 every word is that or a whole word elsewhere; 4 or begins one.
 * Each asset is in the first that fits. Tier 1 is read from the index of names, the others from the search index.
 */
export type Tier = 0 | 1 | 2 | 3 | 4
export type IndexTier = Exclude<Tier, 1>

export type Sort = { readonly by: 'name' | 'change'; readonly descending: boolean }

export type ListOptions = {
  readonly filter: Filter
  readonly sort: Sort
  readonly after: Position | undefined
  readonly limit: number
  /** Few assets pass the filter: go from their groups. Otherwise walk the order's index and test each asset. */
  readonly few: boolean
}

export type Order = Sort | 'relevance'

export type Ask = {
  readonly filter: Filter
  readonly order: Order
  readonly after: Position | undefined
  readonly limit: number
}

export type Ranked =
  | { readonly page: readonly Position[]; readonly total: number; readonly groups: GroupCounts | undefined }
  /** More than `countLimit` match, already in the tiers up to `widest`. */
  | { readonly many: { readonly widest: 3 | 4 } }
  | { readonly many: undefined }

/** Numbers of matches are exact up to here. */
export const countLimit = 10_000

/** An asset with the key that it is sorted by. */
export type Found = { readonly seq: number; readonly key: string }

export type Entry = { readonly seq: number; readonly group: number; readonly document: Document }
/** An asset and the number of its group. */
export type Move = { readonly seq: number; readonly group: number }

/** Assets per group, of the first so many matches. */
export type GroupCounts = readonly (readonly [group: number, count: number])[]

/** The native full-text search of one database: store-sqlite.ts or store-postgres.ts. */
export type SearchIndex = {
  /** New numbers for assets, ascending. */
  nextSeqs(tx: Db, count: number): Promise<readonly number[]>
  add(tx: Db, entries: readonly Entry[]): Promise<void>
  remove(tx: Db, seqs: readonly number[]): Promise<void>
  place(tx: Db, moves: readonly Move[]): Promise<void>
  /** Called after a complete run: what makes later searches faster and must not wait for a reader. */
  settle(): Promise<void>
  /** Called after a connection was removed: drops what only its assets had. */
  forget(): Promise<void>
  /** All matches put in order at once, when this database can do so; otherwise what it learned about their number. */
  ranked(query: TextQuery, ask: Ask): Promise<Ranked>
  /** Matches of all tiers up to `widest`, counted per group until `limit` are found. */
  groups(query: TextQuery, widest: 3 | 4, filter: Filter, limit: number): Promise<GroupCounts>
  /** Assets of one tier in the order of `seq`, after the given one. */
  tier(query: TextQuery, tier: IndexTier, filter: Filter, after: number, limit: number): Promise<readonly number[]>
  /** Tier 1, in the order of names. */
  byPrefix(query: TextQuery, options: ListOptions): Promise<readonly Found[]>
  /** Matches of all tiers in another order. `many`: more than can be sorted, so the order's own index is walked. */
  sorted(query: TextQuery, options: ListOptions, many: boolean): Promise<readonly Found[]>
}
