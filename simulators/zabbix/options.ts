import type { Row } from './hosts.ts'

/** The parameters of a `*.get` call. */
export type Params = Readonly<Record<string, unknown>>

/** What makes a call fail with one of Zabbix's errors. */
export class ApiError extends Error {
  readonly code: number
  constructor(code: number, data: string) {
    super(data)
    this.code = code
  }
}

export const noObject = () => new ApiError(-32500, 'No permissions to referred object or it does not exist!')

/** `hostids: '1'`, `1` and `['1', 2]` are all taken; undefined when the option is not there. */
export function idsOf(params: Params, name: string): Set<string> | undefined {
  const value = params[name]
  return value === undefined || value === null ? undefined : new Set([value].flat().map(String))
}

/** Only the fields that `output` names, or all; the id comes always. */
export function picked(row: Row, output: unknown, id: string): Row {
  if (output === undefined || output === 'extend') return row
  const names = new Set([id, ...(Array.isArray(output) ? output.map(String) : [])])
  return Object.fromEntries(Object.entries(row).filter(([name]) => names.has(name)))
}

/** `sortfield`, `sortorder` and `limit` over rows that are in the order of their ids. */
export function arranged<T extends Row>(rows: readonly T[], params: Params, sortable: readonly string[]): T[] {
  const fields = [params['sortfield'] ?? []]
    .flat()
    .map(String)
    .filter((name) => name !== '')
  const wrong = fields.find((name) => !sortable.includes(name))
  if (wrong !== undefined) throw new ApiError(-32500, `Sorting by field "${wrong}" not allowed.`)
  const [field] = fields
  const sorted = field === undefined ? [...rows] : rows.toSorted((a, b) => compare(a[field], b[field]))
  if ([params['sortorder'] ?? 'ASC'].flat()[0] === 'DESC') sorted.reverse()
  const limit = Number(params['limit'] ?? 0)
  return limit > 0 ? sorted.slice(0, limit) : sorted
}

/** `filter: { host: ['a'] }`: every field must have one of the values. */
export function fits(row: Row, filter: unknown): boolean {
  return Object.entries((filter ?? {}) as Row).every(([name, wanted]) =>
    [wanted].flat().map(String).includes(String(row[name])),
  )
}

function compare(a: unknown, b: unknown): number {
  const [left, right] = [Number(a), Number(b)]
  if (!Number.isNaN(left) && !Number.isNaN(right)) return left - right
  return String(a) < String(b) ? -1 : 1
}
