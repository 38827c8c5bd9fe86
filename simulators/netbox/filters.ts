import type { Collection, Json } from './collection.ts'
import { type Field, fieldOf } from './fields.ts'

/** What a list's query asks for; `faults` is the body of a 400. */
export type Filter = {
  readonly test: ((row: Json) => boolean) | undefined
  readonly ids: ((id: number) => boolean) | undefined
  readonly afterId: number
  readonly updated: ((at: number) => boolean) | undefined
  readonly faults: Readonly<Record<string, readonly string[]>> | undefined
}

/** Query names that shape an answer and filter nothing. */
const shaping = new Set(['limit', 'offset', 'start', 'ordering', 'brief', 'fields', 'omit', 'exclude', 'format'])

/** Reads a list's query as NetBox does: names it does not know are ignored, values it cannot read are a 400. */
export function readFilters(
  collection: Collection,
  query: URLSearchParams,
  lookup: (path: string) => Collection | undefined,
): Filter {
  const tests: ((row: Json) => boolean)[] = []
  const idTests: ((id: number) => boolean)[] = []
  const updatedTests: ((at: number) => boolean)[] = []
  const faults: Record<string, string[]> = {}
  let afterId = 0
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name).filter((value) => value !== '')
    if (shaping.has(name) || values.length === 0) continue
    const [base = '', operator = ''] = name.split('__')
    const known = fieldOf(collection, base)
    if (!known || !operators[known.type].includes(operator)) continue
    const fault = valueFault(known, operator, values, lookup)
    if (fault !== undefined) {
      faults[name] = [fault]
      continue
    }
    if (known.type === 'id') {
      const wanted = values.map(Number)
      if (operator === 'gt') afterId = Math.max(afterId, ...wanted)
      else idTests.push((id) => wanted.some((value) => compare(operator, id, value)) !== (operator === 'n'))
    } else if (known.type === 'updated') {
      const wanted = values.map((value) => Date.parse(value))
      updatedTests.push((at) => wanted.some((value) => compare(operator, at, value)))
    } else {
      tests.push(testOf(known, operator, values))
    }
  }
  return {
    afterId,
    ids: idTests.length > 0 ? (id) => idTests.every((test) => test(id)) : undefined,
    updated: updatedTests.length > 0 ? (at) => updatedTests.every((test) => test(at)) : undefined,
    test: tests.length > 0 ? (row) => tests.every((test) => test(row)) : undefined,
    faults: Object.keys(faults).length > 0 ? faults : undefined,
  }
}

const textOperators = ['', 'n', 'ic', 'nic', 'isw', 'nisw', 'iew', 'niew', 'ie', 'nie', 'empty', 'regex', 'iregex']
const numberOperators = ['', 'n', 'gt', 'gte', 'lt', 'lte', 'empty']
const operators: Readonly<Record<Field['type'], readonly string[]>> = {
  id: numberOperators,
  updated: numberOperators,
  time: numberOperators,
  number: numberOperators,
  text: textOperators,
  choice: textOperators,
  relation: ['', 'n'],
  relationId: ['', 'n'],
  tag: ['', 'n', 'any'],
  search: [''],
  present: [''],
  since: [''],
  until: [''],
  exact: ['', 'n'],
}

function valueFault(
  { type, target, choices }: Field,
  operator: string,
  values: readonly string[],
  lookup: (path: string) => Collection | undefined,
) {
  if (operator === 'empty' || type === 'present') return undefined
  for (const value of values) {
    if (
      (type === 'id' || type === 'number' || type === 'relationId') &&
      !/^-?\d+(\.\d+)?$/.test(value) &&
      value !== 'null'
    )
      return 'Enter a number.'
    if (['updated', 'time', 'since', 'until'].includes(type) && Number.isNaN(Date.parse(value)))
      return 'Enter a valid date/time.'
    const known =
      type === 'choice' && ['', 'n'].includes(operator) ? choices?.includes(value) : slugKnown(target, value, lookup)
    if (known === false) return `Select a valid choice. ${value} is not one of the available choices.`
  }
  return undefined
}

function slugKnown(
  target: string | undefined,
  value: string,
  lookup: (path: string) => Collection | undefined,
): boolean {
  const collection = target === undefined ? undefined : lookup(target)
  if (!collection || value === 'null') return true
  return collection.ids.some((id) => collection.row(id)?.['slug'] === value)
}

function testOf({ type, of }: Field, operator: string, values: readonly string[]): (row: Json) => boolean {
  if (type === 'search') return (row) => values.every((value) => searchable(row).includes(value.toLowerCase()))
  if (type === 'tag') return tagTest(of, operator, values)
  if (type === 'present') return (row) => (of(row) !== null && of(row) !== undefined) === (values.at(-1) === 'true')
  if (type === 'since') return (row) => Date.parse(String(of(row))) >= Date.parse(values.at(-1) ?? '')
  if (type === 'until') return (row) => Date.parse(String(of(row))) <= Date.parse(values.at(-1) ?? '')
  if (operator === 'empty')
    return (row) => ['', null, undefined].includes(of(row) as string) === (values.at(-1) === 'true')
  if (type === 'time')
    return (row) => values.some((value) => compare(operator, Date.parse(String(of(row))), Date.parse(value)))
  if (type === 'number')
    return (row) => values.some((value) => compare(operator, Number(of(row)), Number(value))) !== (operator === 'n')
  return textTest(of, operator, values)
}

/** A leading n negates: none of the values may match. */
function textTest(of: (row: Json) => unknown, operator: string, values: readonly string[]) {
  const negated = operator.startsWith('n')
  const plain = negated ? operator.slice(1) : operator
  const matchers = values.map((value) => matcher(plain, value))
  return (row: Json) => {
    const own = String(of(row) ?? 'null')
    return matchers.some((matches) => matches(own)) !== negated
  }
}

function matcher(operator: string, value: string): (own: string) => boolean {
  const low = value.toLowerCase()
  if (operator === 'ic') return (own) => own.toLowerCase().includes(low)
  if (operator === 'isw') return (own) => own.toLowerCase().startsWith(low)
  if (operator === 'iew') return (own) => own.toLowerCase().endsWith(low)
  if (operator === 'ie') return (own) => own.toLowerCase() === low
  if (operator === 'regex' || operator === 'iregex') {
    const pattern = new RegExp(value, operator === 'iregex' ? 'i' : '')
    return (own) => pattern.test(own)
  }
  return (own) => own === value
}

/** Repeated tags must all be there; `any` of them suffices; `n` none of them. */
function tagTest(of: (row: Json) => unknown, operator: string, values: readonly string[]) {
  return (row: Json) => {
    const slugs = ((of(row) as readonly Json[] | undefined) ?? []).map((tag) => tag['slug'])
    if (operator === '') return values.every((value) => slugs.includes(value))
    return values.some((value) => slugs.includes(value)) === (operator === 'any')
  }
}

function compare(operator: string, own: number, wanted: number): boolean {
  if (operator === 'gt') return own > wanted
  if (operator === 'gte') return own >= wanted
  if (operator === 'lt') return own < wanted
  if (operator === 'lte') return own <= wanted
  return own === wanted
}

const searched = [
  'name',
  'slug',
  'serial',
  'asset_tag',
  'description',
  'comments',
  'address',
  'prefix',
  'dns_name',
  'facility',
  'user_name',
  'object_repr',
]

function searchable(row: Json): string {
  const primary = row['primary_ip'] as Json | null | undefined
  return [...searched.map((key) => row[key] ?? ''), primary?.['address'] ?? ''].join('\n').toLowerCase()
}
