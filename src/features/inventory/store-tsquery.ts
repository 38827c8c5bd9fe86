import { type RawBuilder, sql } from 'kysely'
import type { Filter } from './filter.ts'
import { inGroups } from './store-groups.ts'
import { beginsWith } from './store-list.ts'
import { type Document, gramsOf, isShort, type Term, type TextQuery, token, tokensOf, wordsBeginning } from './text.ts'

// What PostgreSQL's index holds of an asset, and the conditions that ask it. They are on `asset_search s`.

// Four characters, because the lists of three are so long that GIN takes three times as long to intersect them. Three only
// for words of three.
const gramSize = 4

export function docOf(document: Document): string {
  const grams = document.keys.flatMap((key) => [...gramsOf(key, gramSize), ...gramsOf(key, gramSize - 1)])
  return [...new Set([...grams.map(token.gram), ...tokensOf(document)])].join(' ')
}

/** Words that begin with a word of a query; absent for words that too many begin with. */
export type Known = ReadonlyMap<string, readonly string[]>

// A tsquery is only ever made of these: a quoted lexeme (which holds no quote; backslashes are doubled), `&` and `|`.
export function lexeme(text: string): string {
  return `'${text.replaceAll('\\', '\\\\')}'`
}

export function and(expressions: readonly string[]): string {
  return `(${expressions.join(' & ')})`
}

function or(expressions: readonly string[]): string {
  return `(${expressions.join(' | ')})`
}

export function holds(expression: string): RawBuilder<unknown> {
  return sql`s.doc @@ ${expression}::tsquery`
}

/**
 * All assets of the tiers 0 and 2 up to the given one; those of tier 1 are among them, see text.ts on `heads`. They hold all
 * of `parts` as well.
 */
export function matching(
  { terms }: TextQuery,
  widest: 2 | 3 | 4,
  filter: Filter,
  parts: readonly string[] = [],
  known?: Known,
): RawBuilder<unknown> {
  const words = (term: Term) => (widest === 2 ? [] : inWords(term, widest === 4, known))
  // Conditions of their own: GIN goes from one to the other in leaps, while within one tsquery it walks the rarest list whole.
  const index = [
    ...terms.map((term) => or([maybeInKeys(term), ...words(term)])),
    ...filterTokens(filter),
    ...parts,
  ].map(holds)
  const checks = terms
    .filter(({ short }) => !short)
    .map((term) => {
      const elsewhere = words(term)
      return elsewhere.length === 0 ? inKeys(term) : sql`(${inKeys(term)} or ${holds(or(elsewhere))})`
    })
  return sql.join([...index, ...checks], sql` and `)
}

function inKeys({ short, text }: Term): RawBuilder<unknown> {
  if (short) return holds(lexeme(token.head(text)))
  return sql`s.keys like ${`%${text.replaceAll(/[\\%_]/g, '\\$&')}%`}`
}

/** Each posting list costs time, so parts that only overlap others are left to `like`. */
function maybeInKeys({ short, text }: Term): string {
  if (short) return lexeme(token.head(text))
  const grams = gramsOf(text, gramSize)
  if (grams.length === 0) return lexeme(token.gram(text))
  const apart = grams.filter((_, at) => at % gramSize === 0 || at === grams.length - 1)
  return and([...new Set(apart)].map((gram) => lexeme(token.gram(gram))))
}

/**
 * The words of a term, the last of them also as a beginning; nothing when it has none. `known` are the words that begin so: GIN intersects their lists at once, while it would first gather all that `:*` stands for.
 */
function inWords({ short, words }: Term, prefixes: boolean, known?: Known): string[] {
  const each = words.map((word, at) => {
    if (!prefixes || short || at < words.length - 1 || isShort(word)) return lexeme(token.word(word))
    const whole = known?.get(word)
    if (!whole) return or(wordsBeginning(word).map((beginning) => `${lexeme(beginning)}:*`))
    return or([`${lexeme(`n${word}`)}:*`, ...whole.map((each) => lexeme(token.word(each)))])
  })
  return each.length === 0 ? [] : [and(each)]
}

export function matches(query: TextQuery, widest: 3 | 4, filter: Filter, known: Known): RawBuilder<unknown> {
  return sql`from asset_search s where ${matching(query, widest, filter, [], known)} and ${inGroups('s.group_no', filter, 'probe')}`
}

export function exactly({ whole }: TextQuery): string {
  return lexeme(token.exact(whole))
}

/** One tier without the better ones; the assets of tier 1 are left out by their names. */
export function onlyIn(tier: 2 | 3 | 4, query: TextQuery, filter: Filter, known: Known): RawBuilder<unknown> {
  const matches = matching(query, tier, filter, [], known)
  if (tier === 2) return sql`${matches} and not ${holds(exactly(query))}`
  const better = tier === 3 ? sql.join(query.terms.map(inKeys), sql` and `) : sql.join(inTierThree(query), sql` and `)
  return sql`${matches} and not (${better})`
}

/** That each term is in the keys or a whole word, without the index. */
function inTierThree({ terms }: TextQuery): RawBuilder<unknown>[] {
  return terms.map((term) => {
    const words = inWords(term, false)
    return words.length === 0 ? inKeys(term) : sql`(${inKeys(term)} or ${holds(or(words))})`
  })
}

export function filterTokens({ kinds, source, statuses, sites }: Filter): string[] {
  const facets = [
    kinds.map((kind) => token.filter('kind', kind)),
    source === undefined ? [] : [token.filter('source', source)],
    statuses.map((status) => token.filter('status', status)),
    sites.map((site) => token.filter('site', site)),
  ]
  return facets.filter((tokens) => tokens.length > 0).map((tokens) => or(tokens.map(lexeme)))
}

export function tierCase(query: TextQuery): RawBuilder<unknown> {
  const { whole, terms } = query
  return sql`case
    when s.name_key = ${whole} or ${holds(exactly(query))} then 0
    when ${beginsWith(whole, 's.name_key')} then 1
    when ${sql.join(terms.map(inKeys), sql` and `)} then 2
    when ${sql.join(inTierThree(query), sql` and `)} then 3 else 4 end`
}
