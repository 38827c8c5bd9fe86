// The part of scoped_search's language that a client of Foreman needs: terms joined by `and`, with its real quirks.

export type Field =
  | { readonly type: 'text' | 'number'; readonly of: (id: number) => string | number | null }
  | { readonly type: 'time'; readonly of: (id: number) => Date | null }
  | { readonly type: 'set'; readonly values: Readonly<Record<string, number>>; readonly of: (id: number) => number }

type Term = { readonly field: string; readonly operator: string; readonly value: string }

/** Foreman answers 400 with this message. */
export class SearchFault extends Error {}

const hour = 3_600_000
const day = 24 * hour
const operators = ['<=', '>=', '!=', '=', '<', '>', '~', '^'] as const

/** Which rows match, or all for an empty text. @throws SearchFault */
export function compile(text: string, fields: Readonly<Record<string, Field>>): (id: number) => boolean {
  const tests = parse(text).map((term) => test(term, fields))
  return (id) => tests.every((one) => one(id))
}

/** The greatest `n` of `id > n` in the search: a sorted list can be entered there. */
export function lowestId(text: string): number {
  return Math.max(
    0,
    ...parse(text).flatMap(({ field, operator, value }) => (field === 'id' && operator === '>' ? [Number(value)] : [])),
  )
}

function parse(text: string): Term[] {
  const tokens = tokenize(text)
  const terms: Term[] = []
  for (let at = 0; at < tokens.length; at++) {
    if (tokens[at]?.toLowerCase() === 'and') continue
    const [field, operator, value] = tokens.slice(at, at + 3)
    if (field === undefined || operator === undefined || value === undefined)
      throw new SearchFault(`Cannot parse '${text}'`)
    terms.push({ field, operator, value })
    at += 2
  }
  return terms
}

/** Words, operators, `"quoted words"` with backslashes, and `(1,2,3)` as one. */
function tokenize(text: string): string[] {
  const tokens: string[] = []
  let rest = text.trim()
  while (rest !== '') {
    const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(rest)
    const found =
      quoted?.[0] ??
      operators.find((one) => rest.startsWith(one)) ??
      /^\([^)]*\)|^[^\s=<>~^!"]+/.exec(rest)?.[0] ??
      rest
    tokens.push(quoted ? (quoted[1] ?? '').replaceAll(/\\(.)/g, '$1') : found.replace(/^\(|\)$/g, ''))
    rest = rest.slice(found.length).trimStart()
  }
  return tokens
}

function test(
  { field: name, operator, value }: Term,
  fields: Readonly<Record<string, Field>>,
): (id: number) => boolean {
  const field = fields[name]
  if (!field) throw new SearchFault(`Field '${name}' not recognized for searching!`)
  if (operator === '^') {
    const wanted = new Set(value.split(',').map((item) => item.trim()))
    return (id) => wanted.has(String(field.of(id)))
  }
  if (field.type === 'time') return timeTest(field.of, operator, value)
  if (field.type === 'set') {
    const wanted = field.values[value]
    if (wanted === undefined)
      throw new SearchFault(`'${name}' should be one of '${Object.keys(field.values).join(', ')}'`)
    return (id) => field.of(id) === wanted
  }
  if (operator === '~') {
    const part = value.toLowerCase()
    return (id) =>
      String(field.of(id) ?? '')
        .toLowerCase()
        .includes(part)
  }
  if (field.type === 'text') return (id) => compare(operator, String(field.of(id) ?? ''), value)
  return (id) => compare(operator, Number(field.of(id)), Number(value))
}

/** As scoped_search does: `>` and `<=` move by an hour, or by a day when the time is midnight; nonsense matches everything. */
function timeTest(of: (id: number) => Date | null, operator: string, value: string): (id: number) => boolean {
  const at = Date.parse(value.replace(/^(\S+) (\S+) UTC$/, '$1T$2Z'))
  if (Number.isNaN(at)) return () => true
  const span = at % day === 0 ? day : hour
  const limit = operator === '>' || operator === '<=' ? at + span : at
  const upwards = operator === '>' || operator === '>='
  return (id) => {
    const time = of(id)?.getTime()
    return time !== undefined && (upwards ? time >= limit : time < limit)
  }
}

function compare<T extends string | number>(operator: string, left: T, right: T): boolean {
  if (operator === '=') return left === right
  if (operator === '!=') return left !== right
  if (operator === '>') return left > right
  if (operator === '>=') return left >= right
  return operator === '<' ? left < right : left <= right
}
