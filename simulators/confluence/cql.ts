import { literals, split } from './clauses.ts'
import type { SimPage } from './rows.ts'

export type Cql = {
  readonly spaces: readonly string[] | undefined
  readonly ids: readonly number[] | undefined
  readonly matches: (page: SimPage) => boolean
  readonly order: { readonly field: 'lastmodified' | 'created'; readonly isDescending: boolean } | undefined
}

const minute = 60_000

/**
 * The part of CQL that a connector needs: `type`, `space`, `id`, `label` with = and in, `text` and `title` with ~, `lastmodified`
 * with >=, joined by `and`, one bracket of `or`, `order by`. Dates are read by the minute, in the account's time zone.
 * Anything else is undefined: could not be parsed.
 */
export function parseCql(
  text: string,
  { now, utcOffsetHours }: { now: Date; utcOffsetHours: number },
): Cql | undefined {
  const [, where = '', field, direction] =
    /^(.*?)(?:\s+order by (lastmodified|created)(?: (asc|desc))?)?$/i.exec(text) ?? []
  const tests: ((page: SimPage) => boolean)[] = []
  let spaces: readonly string[] | undefined
  let ids: readonly number[] | undefined
  for (const clause of split(where, ' and ')) {
    const bracket = /^\((.*)\)$/.exec(clause)?.[1]
    if (bracket !== undefined) {
      const parts = split(bracket, ' or ').map((one) => parseCql(one, { now, utcOffsetHours }))
      if (parts.some((one) => one === undefined)) return undefined
      tests.push((page) => parts.some((one) => one?.matches(page)))
      continue
    }
    const [, name = '', sign = '', value = ''] = /^(\w+)\s*(=|~|>=|in)\s*(.+)$/i.exec(clause) ?? []
    const values = literals(value)
    if (!values || values.length === 0) return undefined
    const key = `${name.toLowerCase()} ${sign.toLowerCase()}`
    if (key === 'type =' || key === 'type in') tests.push(() => values.includes('page'))
    else if (key === 'space =' || key === 'space in') spaces = values
    else if (key === 'id =' || key === 'id in') ids = values.map(Number)
    else if (key === 'label =' || key === 'label in')
      tests.push(({ labels }) => values.some((one) => labels.includes(one)))
    else if (key === 'title ~') tests.push((page) => hasWords(page.title, values[0]))
    else if (key === 'text ~') tests.push((page) => hasWords(`${page.title} ${page.storage}`, values[0]))
    else if (key === 'lastmodified >=') {
      const from = timeOf(values[0] ?? '', now, utcOffsetHours)
      if (from === undefined) return undefined
      tests.push(({ modifiedAt }) => Math.floor(modifiedAt.getTime() / minute) * minute >= from)
    } else return undefined
  }
  const order = field
    ? { field: field.toLowerCase() as 'created', isDescending: direction?.toLowerCase() === 'desc' }
    : undefined
  return { spaces, ids, order, matches: (page) => tests.every((passes) => passes(page)) }
}

function timeOf(text: string, now: Date, utcOffsetHours: number): number | undefined {
  const [, count, unit] = /^now\("-(\d+)([mhd])"\)$/.exec(text) ?? []
  if (count) return now.getTime() - Number(count) * { m: 1, h: 60, d: 1440 }[unit as 'm'] * minute
  const [, day, time = '00:00'] = /^(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d))?$/.exec(text) ?? []
  return day === undefined ? undefined : Date.parse(`${day}T${time}:00Z`) - utcOffsetHours * 60 * minute
}

function hasWords(text: string, wanted = ''): boolean {
  const low = text.toLowerCase()
  return wanted
    .toLowerCase()
    .split(' ')
    .every((word) => low.includes(word))
}
