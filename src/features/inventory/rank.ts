import type { Observation } from '../../core/connector.ts'
import type { Position } from './cursor.ts'
import type { Order, Tier } from './search-index.ts'
import type { AssetRow } from './store-assets.ts'
import { type Document, isLetters, makeDocuments, nameKeyOf, type Term, type TextQuery, token } from './text.ts'

/**
 * Puts few matches in the order in which the index would list many, so that a page may come from either.
 * With `relevance`: by tier, in tier 1 by name, otherwise in the order of first sight.
 */
export function rank(assets: readonly AssetRow[], query: TextQuery, sort: Order): Position[] {
  const documentOf = makeDocuments('')
  const positions = assets.map((asset): Position => {
    if (sort !== 'relevance') {
      return { tier: 0, key: sort.by === 'name' ? nameKeyOf(asset.name) : asset.changed_at, seq: asset.seq }
    }
    const document = documentOf(observationOf(asset))
    const tier = tierOf(document, query)
    return { tier, key: tier === 1 ? document.nameKey : '', seq: asset.seq }
  })
  const direction = sort !== 'relevance' && sort.descending ? -1 : 1
  return positions.sort((a, b) => direction * compare(a, b))
}

/** Whether a position comes after another one in the given order. */
export function isAfter(position: Position, other: Position, sort: Order): boolean {
  const order = compare(position, other)
  return sort !== 'relevance' && sort.descending ? order < 0 : order > 0
}

/** The tier of an asset that matches; the same rules as the expressions of the two stores. */
export function tierOf(document: Document, { whole, terms }: TextQuery): Tier {
  const exact = token.exact(whole)
  if (document.nameKey === whole || document.exact.some((key) => token.exact(key) === exact)) return 0
  if (document.nameKey.startsWith(whole)) return 1
  if (terms.every((term) => inKeys(document, term))) return 2
  return terms.every((term) => inKeys(document, term) || inWords(document, term)) ? 3 : 4
}

function inKeys({ heads, keys }: Document, { short, text }: Term): boolean {
  return short ? heads.includes(text) : keys.some((key) => key.includes(text))
}

function inWords({ words }: Document, term: Term): boolean {
  return term.words.length > 0 && term.words.every((word) => words.includes(word))
}

/** Whether looking for beginnings of words may find far more than whole words do: numbers seldom begin others. */
export function mayBeginMany({ terms }: TextQuery): boolean {
  return terms.some(({ short, words }) => !short && isLetters(words.at(-1) ?? '0'))
}

function compare(a: Position, b: Position): number {
  return a.tier - b.tier || compareText(a.key, b.key) || a.seq - b.seq
}

/** The order of the databases: by code points, which UTF-16 units only give without surrogates. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  if (/[\ud800-\udfff]/.test(a) || /[\ud800-\udfff]/.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : 1
}

function observationOf(asset: AssetRow): Observation {
  return {
    kind: asset.kind,
    externalId: asset.external_id,
    name: asset.name,
    ...(asset.site !== null && { site: asset.site }),
    ...(asset.serial !== null && { serial: asset.serial }),
    addresses: JSON.parse(asset.addresses),
    attributes: JSON.parse(asset.attributes),
  }
}
