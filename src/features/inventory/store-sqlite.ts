import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { Filter } from './filter.ts'
import { isAfter, mayBeginMany, rank } from './rank.ts'
import type { IndexTier, Move, SearchIndex } from './search-index.ts'
import { readAssets } from './store-assets.ts'
import { inGroups } from './store-groups.ts'
import { beginsWith, listAssets, sortedBy } from './store-list.ts'
import { all, first, int, rowsFrom } from './store-tables.ts'
import { type Document, gramsOf, isShort, type Term, type TextQuery, token, tokensOf, wordsBeginning } from './text.ts'

// FTS5 with our own tokens instead of its trigram tokenizer: parts of names, words and filters are then one index and one
// expression, which FTS5 walks in the order of row ids and leaves as soon as a page is full.
// A part of a key is a phrase of trigrams; `|` keeps a phrase from running from one key into the next.

/**
 * Search in SQLite's FTS5. Up to `rankedLimit` matches are read whole and put in order here, which is one walk through the
 * index instead of six; more are read tier by tier.
 */
export function makeSqliteIndex(database: Database, rankedLimit = 200): SearchIndex {
  const { db } = database
  return {
    ...writes,
    // FTS5 merges its segments as it writes.
    async settle() {},
    async forget() {},

    async ranked(query, { filter, order, after, limit }) {
      const found = await findFew(database, query, filter, rankedLimit)
      if (!found) return { many: undefined }
      const seqs = found.map(({ seq }) => seq)
      const all = rank(await readAssets(database, seqs), query, order)
      const page = all.filter((position) => !after || isAfter(position, after, order)).slice(0, limit)
      return { page, total: found.length, groups: found.map(({ group }) => [group, 1]) }
    },

    async groups(query, widest, filter, limit) {
      const rows = await all(
        db,
        sql<{ group_no: number; n: number }>`select group_no, count(*) as n from
          (select m.group_no ${matches(query, widest, filter)} limit ${int(limit)}) group by group_no`,
      )
      return rows.map(({ group_no, n }) => [group_no, n])
    },

    async tier(query, tier, filter, after, limit) {
      const matches = sql`select m.seq from asset_search cross join asset_match m on m.seq = asset_search.rowid
        where asset_search match ${onlyIn(tier, query, filter)} and asset_search.rowid > ${int(after)}
          and ${inGroups('m.group_no', filter, 'probe')}`
      const page = sql`order by asset_search.rowid limit ${int(limit)}`
      const rows = await all(
        db,
        tier === 0
          ? sql<{ seq: number }>`select seq from (${matches} ${page}) union
              select seq from (select asset.seq from asset where asset.name_key = ${query.whole}
                and asset.seq > ${int(after)} and ${inGroups('asset.group_no', filter, 'probe')}
                order by asset.name_key, asset.seq limit ${int(limit)}) order by seq limit ${int(limit)}`
          : sql<{ seq: number }>`${matches} and not exists
              (select 1 from asset where asset.seq = m.seq and ${beginsWith(query.whole)}) ${page}`,
      )
      return rows.map(({ seq }) => seq)
    },

    byPrefix(query, options) {
      const also = sql`asset.name_key <> ${query.whole} and asset.seq not in
        (select rowid from asset_search where asset_search match ${exactly(query)})`
      return listAssets(database, { ...options, prefix: query.whole, also })
    },

    sorted(query, options, many) {
      const match = filtered(matching(query, 4), options.filter)
      if (many) {
        const also = sql`exists (select 1 from asset_search where asset_search match ${match} and rowid = asset.seq)`
        return listAssets(database, { ...options, few: false, also })
      }
      const source = sql`asset_search cross join asset on asset.seq = asset_search.rowid`
      return sortedBy(database, options, source, sql`asset_search match ${match}`)
    },
  }
}

/** All matches when there are at most `most`. */
async function findFew(
  { db }: Database,
  query: TextQuery,
  filter: Filter,
  most: number,
): Promise<readonly Move[] | undefined> {
  const first = (widest: 3 | 4) =>
    all(db, sql<Move>`select m.seq, m.group_no as "group" ${matches(query, widest, filter)} limit ${int(most + 1)}`)
  // Beginnings of words are gathered before the first match comes, so first see whether whole words are already too many.
  if (mayBeginMany(query) && (await first(3)).length > most) return undefined
  const found = await first(4)
  return found.length > most ? undefined : found
}

const writes: Pick<SearchIndex, 'nextSeqs' | 'add' | 'remove' | 'place'> = {
  // One process writes, and this runs inside its transaction.
  async nextSeqs(tx, count) {
    const row = await first(tx, sql<{ last: number | null }>`select max(seq) as last from asset`)
    return Array.from({ length: count }, (_, at) => (row?.last ?? 0) + 1 + at)
  },
  async add(tx, entries) {
    if (entries.length === 0) return
    const docs = entries.map(({ seq, document }) => [seq, docOf(document)])
    await sql`insert into asset_search (rowid, doc) select r.seq, r.doc
      from ${rowsFrom('sqlite', { seq: 'int', doc: 'text' }, docs)}`.execute(tx)
    const places = entries.map(({ seq, group }) => [seq, group])
    await sql`insert into asset_match (seq, group_no) select r.seq, r.group_no
      from ${rowsFrom('sqlite', { seq: 'int', group_no: 'int' }, places)}`.execute(tx)
  },
  async remove(tx, seqs) {
    if (seqs.length === 0) return
    const list = sql`(select value from json_each(${JSON.stringify(seqs)}))`
    await sql`delete from asset_search where rowid in ${list}`.execute(tx)
    await sql`delete from asset_match where seq in ${list}`.execute(tx)
  },
  async place(tx, moves) {
    if (moves.length === 0) return
    const rows = moves.map(({ seq, group }) => [seq, group])
    await sql`update asset_match set group_no = r.group_no
      from ${rowsFrom('sqlite', { seq: 'int', group_no: 'int' }, rows)} where asset_match.seq = r.seq`.execute(tx)
  },
}

const gramSize = 3

function docOf(document: Document): string {
  const keys = document.keys.flatMap((key) => ['|', ...gramsOf(key, gramSize).map(token.gram)])
  return [...keys, '|', ...tokensOf(document)].join(' ')
}

// An FTS5 expression is only ever made of these three: a quoted phrase of tokens (which hold no quote), `and` and `or`.
function phrase(...tokens: readonly string[]): string {
  return `"${tokens.join(' ')}"`
}

function and(expressions: readonly string[]): string {
  return `(${expressions.join(' AND ')})`
}

function or(expressions: readonly string[]): string {
  return `(${expressions.join(' OR ')})`
}

/** All assets of the tiers 0 and 2 up to the given one; those of tier 1 are among them, see text.ts on `heads`. */
function matching({ terms }: TextQuery, widest: 2 | 3 | 4): string {
  return and(terms.map((term) => (widest === 2 ? inKeys(term) : or([inKeys(term), ...inWords(term, widest === 4)]))))
}

function inKeys({ short, text }: Term): string {
  return short ? phrase(token.head(text)) : phrase(...gramsOf(text, gramSize).map(token.gram))
}

/** The words of a term, the last of them also as a beginning; nothing when it has none. */
function inWords({ short, words }: Term, prefixes: boolean): string[] {
  const each = words.map((word, at) => {
    if (!prefixes || short || at < words.length - 1 || isShort(word)) return phrase(token.word(word))
    return or(wordsBeginning(word).map((beginning) => `${phrase(beginning)} *`))
  })
  return each.length === 0 ? [] : [and(each)]
}

function matches(query: TextQuery, widest: 3 | 4, filter: Filter): RawBuilder<unknown> {
  return sql`from asset_search cross join asset_match m on m.seq = asset_search.rowid
    where asset_search match ${filtered(matching(query, widest), filter)} and ${inGroups('m.group_no', filter, 'probe')}`
}

function exactly({ whole }: TextQuery): string {
  return phrase(token.exact(whole))
}

/** Index tier without the better ones; the assets of tier 1 are left out by their names. */
function onlyIn(tier: IndexTier, query: TextQuery, filter: Filter): string {
  if (tier === 0) return filtered(exactly(query), filter)
  const better = { 2: () => exactly(query), 3: () => matching(query, 2), 4: () => matching(query, 3) }[tier]()
  return `${filtered(matching(query, tier), filter)} NOT ${better}`
}

function filtered(expression: string, { kinds, source, statuses, sites }: Filter): string {
  const facets = [
    kinds.map((kind) => token.filter('kind', kind)),
    source === undefined ? [] : [token.filter('source', source)],
    statuses.map((status) => token.filter('status', status)),
    sites.map((site) => token.filter('site', site)),
  ]
  // Filters first: FTS5 then tests the words only where these match.
  return and([
    ...facets.filter((tokens) => tokens.length > 0).map((tokens) => or(tokens.map((t) => phrase(t)))),
    expression,
  ])
}
