import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { Filter } from './filter.ts'
import { mayBeginMany } from './rank.ts'
import { type Ask, countLimit, type Ranked, type SearchIndex } from './search-index.ts'
import { inGroups } from './store-groups.ts'
import { beginsWith, listAssets, sortedBy } from './store-list.ts'
import { all, int, rowsFrom } from './store-tables.ts'
import {
  and,
  docOf,
  exactly,
  filterTokens,
  holds,
  type Known,
  lexeme,
  matches,
  matching,
  onlyIn,
  tierCase,
} from './store-tsquery.ts'
import { isWord, type TextQuery } from './text.ts'

// One GIN index over our own tokens instead of pg_trgm: pg_trgm drops punctuation, so that every part of an address is a
// common word, and its trigrams need three times as many posting lists as the four-letter parts used here.
// GIN says which rows may hold the parts; `keys like` then says which do.

/** Search in PostgreSQL's GIN over tsvector. Up to `rankedLimit` matches are put in order in one pass, more tier by tier. */
export function makePostgresIndex(database: Database, rankedLimit = countLimit): SearchIndex {
  const { db } = database
  return {
    ...writes,
    async settle() {
      // New entries wait in a list that every search reads whole.
      await sql`select gin_clean_pending_list('asset_search_doc')`.execute(db)
      await sql`analyze asset_search`.execute(db)
      await sql`analyze asset`.execute(db)
    },

    // The words of a removed connection may be personal data; no other asset may need them.
    async forget() {
      await sql`delete from asset_word where not exists
        (select 1 from asset_search s where s.doc @@ ('w' || word)::tsquery)`.execute(db)
    },

    async ranked(query, ask) {
      if (await areSurelyMany(database, query, 3, ask.filter)) return { many: { widest: 3 } }
      const mayBeMany = mayBeginMany(query)
      if (mayBeMany && (await areSurelyMany(database, query, 4, ask.filter))) return { many: { widest: 4 } }
      return rankMatches(database, query, ask, rankedLimit)
    },

    async groups(query, widest, filter, limit) {
      const rows = await all(
        db,
        sql<{ group_no: number; n: number }>`select group_no, cast(count(*) as integer) as n from
          (select s.group_no ${matches(query, widest, filter, await knownFor(database, query, widest))}
          limit ${int(limit)}) as found group by group_no`,
      )
      return rows.map(({ group_no, n }) => [group_no, n])
    },

    tier(query, tier, filter, after, limit) {
      if (tier === 0) return readExact(database, query, filter, after, limit)
      return readTier(database, query, tier, filter, after, limit)
    },

    byPrefix(query, options) {
      const also = sql`asset.name_key <> ${query.whole} and asset.seq not in
        (select s.seq from asset_search s where ${holds(exactly(query))})`
      return listAssets(database, { ...options, prefix: query.whole, also })
    },

    // Whether to walk the order's index or to sort the matches, PostgreSQL decides from its statistics.
    async sorted(query, options) {
      const source = sql`asset_search s join asset on asset.seq = s.seq`
      const known = await knownFor(database, query, 4)
      return sortedBy(database, options, source, matching(query, 4, options.filter, [], known))
    },
  }
}

// Each asset is in one of 64 samples, by a hash so that no pattern of the data can meet it. More than 300 matches in one
// sample are about 19,200 in all; that it were not even 10,000 is less likely than that the disk fails meanwhile.
const samples = 64
const surelyMany = 300

function sampleOf(seq: number): string {
  return `b${(Math.imul(seq, 0x9e3779b1) >>> 0) % samples}`
}

/** Assets that were made after each other share a range, so that GIN can be asked for a part of the order. */
const rangeSize = 16_384

function rangeNo(seq: number): number {
  return Math.floor(seq / rangeSize)
}

/** Whether more than `countLimit` match in the tiers up to `widest`, as one sample tells. */
async function areSurelyMany(database: Database, query: TextQuery, widest: 3 | 4, filter: Filter): Promise<boolean> {
  const known = await knownFor(database, query, widest)
  const rows = await all(
    database.db,
    sql`select 1 from asset_search s where ${matching(query, widest, filter, [lexeme(sampleOf(1))], known)}
      and ${inGroups('s.group_no', filter, 'probe')} limit ${int(surelyMany + 1)}`,
  )
  return rows.length > surelyMany
}

async function readExact(
  { db }: Database,
  query: TextQuery,
  filter: Filter,
  after: number,
  limit: number,
): Promise<number[]> {
  const rows = await all(
    db,
    sql<{ seq: number }>`(select s.seq from asset_search s
        where ${holds(and([exactly(query), ...filterTokens(filter)]))} and s.seq + 0 > ${int(after)}
          and ${inGroups('s.group_no', filter, 'probe')} order by s.seq + 0 limit ${int(limit)})
      union (select asset.seq from asset where asset.name_key = ${query.whole}
        and asset.seq > ${int(after)} and ${inGroups('asset.group_no', filter, 'probe')}
        order by asset.name_key, asset.seq limit ${int(limit)}) order by seq limit ${int(limit)}`,
  )
  return rows.map(({ seq }) => seq)
}

/**
 * Assets of one tier after the given one, from one range after the other until the page is full: asked for all at once,
 * PostgreSQL would either gather every match to sort them or walk all assets in the order of `seq`. A range without a match
 * costs a look into GIN; the outer loop goes through the ranges in their order, so what it gives is in order as well.
 */
async function readTier(
  database: Database,
  query: TextQuery,
  tier: 2 | 3 | 4,
  filter: Filter,
  after: number,
  limit: number,
): Promise<number[]> {
  const known = await knownFor(database, query, tier)
  const inRange = sql`s.doc @@ ('r' || range.no)::tsquery`
  // `+ 0` keeps PostgreSQL from reading the primary key instead of asking GIN, or as well.
  const rows = await all(
    database.db,
    sql<{ seq: number }>`select found.seq
      from generate_series(${int(rangeNo(after + 1))}, (select max(seq) / ${sql.lit(rangeSize)} from asset_search)) as range (no)
      cross join lateral (
        select s.seq from asset_search s where ${onlyIn(tier, query, filter, known)} and ${inRange}
          and s.seq + 0 > ${int(after)} and ${inGroups('s.group_no', filter, 'probe')}
          and not ${beginsWith(query.whole, 's.name_key')} order by s.seq + 0 limit ${int(limit)}) as found
      limit ${int(limit)}`,
  )
  return rows.map(({ seq }) => seq)
}

/** The words that begin like the last word of a term; only tier 4 looks for beginnings. */
async function knownFor({ db }: Database, { terms }: TextQuery, widest: 2 | 3 | 4): Promise<Known> {
  const lasts = widest < 4 ? [] : terms.flatMap(({ short, words }) => (short ? [] : words.slice(-1)))
  const found = lasts.filter(isWord).map(async (last) => {
    const rows = await all(
      db,
      sql<{ word: string }>`select word from asset_word
        where word >= ${last} and word < ${`${last}\u{10ffff}`} order by word limit ${int(mostWords + 1)}`,
    )
    return [last, rows.map(({ word }) => word)] as const
  })
  return new Map((await Promise.all(found)).filter(([, words]) => words.length <= mostWords))
}

const mostWords = 64

/** Gives each match its tier in one pass over the matches, which GIN finds all at once anyway. */
async function rankMatches(
  database: Database,
  query: TextQuery,
  { filter, order, after, limit }: Ask,
  most: number,
): Promise<Ranked> {
  const known = await knownFor(database, query, 4)
  const relevant = order === 'relevance'
  const key = relevant
    ? sql`case when m.tier = 1 then m.name_key else '' end`
    : order.by === 'name'
      ? sql`m.name_key`
      : sql`(select asset.changed_at from asset where asset.seq = m.seq)`
  const [direction, beyond] = !relevant && order.descending ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`]
  const rest =
    after && sql`where (p.tier, p.key, p.seq) ${beyond} (${int(after.tier)}, ${after.key}, ${int(after.seq)})`
  const rows = await all(
    database.db,
    sql<{ total: number; tier: number | null; key: string; seq: number }>`
      with m as materialized (
        select s.seq, s.name_key, ${relevant ? tierCase(query) : sql`0`} as tier ${matches(query, 4, filter, known)}
        limit ${int(most + 1)})
      select t.total, p.tier, p.key, p.seq from (select cast(count(*) as integer) as total from m) as t left join (
        select p.* from (select m.tier, ${key} as key, m.seq from m) as p ${rest ?? sql``}
        order by p.tier ${direction}, p.key ${direction}, p.seq ${direction} limit ${int(limit)}) as p on true
      order by p.tier ${direction}, p.key ${direction}, p.seq ${direction}`,
  )
  const total = rows[0]?.total ?? 0
  if (total > most) return { many: total > countLimit ? { widest: 4 } : undefined }
  const page = rows.flatMap(({ tier, key, seq }) => (tier === null ? [] : [{ tier, key, seq }]))
  return { page, total, groups: undefined }
}

const writes: Pick<SearchIndex, 'nextSeqs' | 'add' | 'remove' | 'place'> = {
  async nextSeqs(tx, count) {
    const rows = await all(
      tx,
      sql<{
        seq: number
      }>`select cast(nextval('asset_seq') as integer) as seq from generate_series(1, ${int(count)})`,
    )
    return rows.map(({ seq }) => seq).sort((a, b) => a - b)
  },
  async add(tx, entries) {
    if (entries.length === 0) return
    // In one order, so that two batches that bring the same words cannot wait for each other.
    const words = [...new Set(entries.flatMap(({ document }) => document.words))].filter(isWord).sort()
    await sql`insert into asset_word (word)
      select r.word from ${rowsFrom(
        'postgres',
        { word: 'text' },
        words.map((word) => [word]),
      )}
      on conflict (word) do nothing`.execute(tx)
    const rows = entries.map(({ seq, group, document }) => {
      return [
        seq,
        group,
        document.nameKey,
        document.keys.join(' '),
        `${docOf(document)} ${sampleOf(seq)} r${rangeNo(seq)}`,
      ]
    })
    const columns = { seq: 'int', group_no: 'int', name_key: 'text', keys: 'text', doc: 'text' } as const
    await sql`insert into asset_search (seq, group_no, name_key, keys, doc)
      select r.seq, r.group_no, r.name_key, r.keys, array_to_tsvector(string_to_array(r.doc, ' '))
      from ${rowsFrom('postgres', columns, rows)}`.execute(tx)
  },
  async remove(tx, seqs) {
    if (seqs.length === 0) return
    await sql`delete from asset_search where seq = any(${seqs}::integer[])`.execute(tx)
  },
  async place(tx, moves) {
    if (moves.length === 0) return
    const rows = moves.map(({ seq, group }) => [seq, group])
    await sql`update asset_search set group_no = r.group_no
      from ${rowsFrom('postgres', { seq: 'int', group_no: 'int' }, rows)} where asset_search.seq = r.seq`.execute(tx)
  },
}
