import type { Observation } from '../../core/connector.ts'

/**
 * What the search knows of one asset. Both databases index exactly these, so that they give the same answers.
 * `keys` can be found by any part; `heads` by the first one or two letters of a word; `words` whole or from the beginning.
 */
export type Document = {
  readonly nameKey: string
  /** Name, addresses and serial, folded, cut at white space. */
  readonly keys: readonly string[]
  /** Whole serial and addresses, with and without the prefix length. */
  readonly exact: readonly string[]
  readonly heads: readonly string[]
  /** Of the external id, the site and the attribute values. */
  readonly words: readonly string[]
  readonly filters: readonly string[]
}

/** What is looked for in one index: `g` parts of keys, `w` words, `n` numbers and identifiers, `e` exact keys, `h` beginnings of words, `f` filters. */
export const token = {
  gram: (text: string) => `g${text}`,
  /** Apart, because words are a vocabulary, while numbers, addresses and identifiers are endless. */
  word: (text: string) => `${isWord(text) ? 'w' : 'n'}${text}`,
  /** Only ever of `maxExactLength`; a longer query is cut to what no asset has, because PostgreSQL refuses long lexemes. */
  exact: (text: string) => `e${text.replaceAll(' ', '_').slice(0, maxExactLength + 1)}`,
  head: (text: string) => `h${text}`,
  /** Two values may share a token (long ones are cut): the asset's group decides, the token only makes it fast. */
  filter: (facet: 'kind' | 'source' | 'status' | 'site', value: string) =>
    `f${facet[0]}${facet[1]}${encodeURIComponent(value.toWellFormed()).replaceAll("'", '%27').slice(0, 100)}`,
}

export type Term = {
  readonly text: string
  /** Too short for a substring index: matches the beginning of a word of the name, or a whole word. */
  readonly short: boolean
  /** What must be among the words instead; empty when the term holds no word. */
  readonly words: readonly string[]
}

export type TextQuery = { readonly whole: string; readonly terms: readonly Term[] }

// Bounds on what one asset can put into the index; what is beyond them is stored and shown, but not found by these parts.
const maxKeyLength = 256
const maxNameKeyLength = 200
const maxExactLength = 128
const maxWordLength = 64
const maxWords = 500
const maxAddresses = 1_000
const maxKeys = 16_000

/**
 * The form in which texts are compared: NFKD without marks, case folded, quotes and control characters as white space.
 * No quote is left, so no folded text can end a quoted token of FTS5 or of tsquery.
 */
export function fold(text: string): string {
  const folded = isAscii(text) ? text.toLowerCase() : foldUnicode(text)
  if (!/["'\s]/.test(folded)) return folded
  return folded.replaceAll(/["'\s]+/g, ' ').trim()
}

/** The name as it is sorted and compared by its beginning; at most 200 code points. */
export function nameKeyOf(name: string): string {
  const folded = fold(name)
  return folded.length <= maxNameKeyLength ? folded : [...folded].slice(0, maxNameKeyLength).join('')
}

/** Makes the documents of one batch. Most values occur in many of its assets, so each is only cut into words once. */
export function makeDocuments(connectionId: string): (asset: Observation) => Document {
  const wordsOf = remembered(wordsIn)
  return (asset) => documentOf(asset, connectionId, wordsOf)
}

function documentOf(asset: Observation, connectionId: string, wordsOf: (value: string) => readonly string[]): Document {
  const serial = fold(asset.serial ?? '')
  const addresses = (asset.addresses ?? []).slice(0, maxAddresses).map(fold)
  const nameChunks = chunksOf(asset.name)
  const keys = upTo(maxKeys, [...new Set([...nameChunks, ...chunksOf(serial), ...addresses.flatMap(chunksOf)])])
  const exact = [serial, ...addresses, ...addresses.map((address) => address.replace(/\/\d+$/, ''))]
  const heads = [...nameChunks.flatMap(plainWords), ...keys.filter((key) => isShort(key))].flatMap(headsOf)
  const values = [asset.externalId, asset.site ?? '', ...Object.values(asset.attributes).flat()]
  const words = values.flatMap((value) =>
    typeof value === 'string' || typeof value === 'number' ? wordsOf(`${value}`) : [],
  )
  return {
    nameKey: nameKeyOf(asset.name),
    keys,
    exact: [...new Set(exact.filter((key) => key !== '' && key.length <= maxExactLength))],
    heads: [...new Set(heads)],
    words: [...new Set(words)].slice(0, maxWords),
    filters: [
      token.filter('kind', asset.kind),
      token.filter('source', connectionId),
      token.filter('status', asset.status ?? ''),
      token.filter('site', asset.site ?? ''),
    ],
  }
}

/** All tokens of a document except the grams, whose size is the index's own. */
export function tokensOf({ exact, heads, words, filters }: Document): string[] {
  return [...exact.map(token.exact), ...heads.map(token.head), ...words.map(token.word), ...filters]
}

/** The tokens that begin with the same letters as a word's. */
export function wordsBeginning(text: string): string[] {
  return isWord(text) ? [`w${text}`, `n${text}`] : [`n${text}`]
}

/** The terms of what a person typed. Terms of nothing but punctuation and under three characters say nothing. */
export function parseQuery(text: string): TextQuery {
  const whole = fold(text)
  const terms = whole.split(' ').flatMap((chunk): Term[] => {
    const short = isShort(chunk)
    const words = wordsOfTerm(chunk)
    return chunk === '' || (short && words.length === 0)
      ? []
      : [{ text: short ? (words[0] ?? chunk) : chunk, short, words }]
  })
  return { whole, terms: [...new Map(terms.map((term) => [term.text, term])).values()] }
}

/** One or two characters: too short for a substring. */
export function isShort(text: string): boolean {
  return [...text.slice(0, 6)].length < 3
}

/** Whether a text is one word with a letter in it, and neither a number nor made of several parts. */
export function isWord(text: string): boolean {
  return isAscii(text) ? /^[a-z0-9]*[a-z][a-z0-9]*$/.test(text) : /^(?=.*\p{L})[\p{L}\p{N}]+$/u.test(text)
}

/** Whether a text holds no digit. */
export function isLetters(text: string): boolean {
  return isAscii(text) ? !/[0-9]/.test(text) : !/\p{N}/u.test(text)
}

/** Every run of `size` characters; none when the text is shorter. */
export function gramsOf(text: string, size: number): string[] {
  const characters = isAscii(text) ? text : [...text]
  const grams: string[] = []
  for (let at = 0; at + size <= characters.length; at++) {
    const part = characters.slice(at, at + size)
    grams.push(typeof part === 'string' ? part : part.join(''))
  }
  return grams
}

function foldUnicode(text: string): string {
  const plain = text
    .toWellFormed()
    .normalize('NFKD')
    .replaceAll(/[\p{M}\p{Cf}]/gu, '')
  // Upper case first: ß and ﬁ become the two letters that they stand for.
  const cased = plain.toUpperCase().toLowerCase().normalize('NFKD').replaceAll(/\p{M}/gu, '').replaceAll('ς', 'σ')
  return cased.replaceAll(/[\p{C}\p{Z}]/gu, ' ')
}

function chunksOf(text: string): string[] {
  return fold(text)
    .split(' ')
    .filter((chunk) => chunk !== '')
    .map((chunk) => (chunk.length <= maxKeyLength ? chunk : [...chunk].slice(0, maxKeyLength).join('')))
}

/** The first texts, as long as they have at most so many characters together. */
function upTo(characters: number, texts: readonly string[]): string[] {
  let left = characters
  return texts.filter((text) => {
    left -= text.length
    return left >= 0
  })
}

function plainWords(chunk: string): string[] {
  return chunk.match(isAscii(chunk) ? /[a-z0-9]+/g : /[\p{L}\p{N}]+/gu) ?? []
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

function remembered<Result>(of: (text: string) => Result): (text: string) => Result {
  const known = new Map<string, Result>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const result = of(text)
    known.set(text, result)
    return result
  }
}

function headsOf(word: string): string[] {
  const [first = '', second] = word
  return second === undefined ? [first] : [first, first + second]
}

/** Addresses, MAC addresses, UUIDs, dates, versions: one word, because their parts alone would match everything. */
function isIdentifier(chunk: string): boolean {
  return /\d/.test(chunk) && plainWords(chunk).length >= 3
}

function trimmed(chunk: string): string {
  if (/^[a-z0-9]+$/.test(chunk)) return chunk
  return chunk.replaceAll(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, '')
}

function wordsIn(value: string): string[] {
  return fold(value)
    .split(' ')
    .map(trimmed)
    .flatMap((chunk) => {
      if (isLetters(chunk)) return plainWords(chunk)
      return isIdentifier(chunk) ? [chunk] : [chunk, ...plainWords(chunk)]
    })
    .filter((word) => word !== '' && word.length <= maxWordLength)
}

/** With a digit the whole chunk is meant, as `wordsIn` keeps it; the parts of a number alone would match everything. */
function wordsOfTerm(chunk: string): string[] {
  const whole = trimmed(chunk)
  if (whole === '' || whole.length > maxWordLength) return []
  return isLetters(whole) ? plainWords(whole) : [whole]
}
