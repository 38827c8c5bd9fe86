import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Collection, firstAfter, type Json } from './collection.ts'
import { readFilters } from './filters.ts'

const defaultLimit = 50

type Lists = {
  readonly origin: string
  readonly maxPageSize: number
  /** Cursor mode came with 4.6. */
  readonly hasCursor: boolean
  readonly lookup: (path: string) => Collection | undefined
}

/** Answers `GET /api/<app>/<model>/`: filters, order, one page, and the fields asked for. */
export function makeLists({ origin, maxPageSize, hasCursor, lookup }: Lists) {
  const sorted = new Map<string, { version: number; ids: readonly number[] }>()

  function inOrder(collection: Collection, ordering: string): readonly number[] {
    if (ordering === 'id') return collection.ids
    const key = `${collection.path}?${ordering}`
    const known = sorted.get(key)
    if (known?.version === collection.version()) return known.ids
    const ids = sortIds(collection, ordering)
    sorted.set(key, { version: collection.version(), ids })
    return ids
  }

  return function list(collection: Collection, { query: given, path, fault }: SimRequest): Reply {
    const query = fault === 'duplicate-page' ? without(given, ['id__gt', 'offset', 'start']) : given
    const filter = readFilters(collection, query, lookup)
    if (filter.faults) return json(400, filter.faults)
    const start = hasCursor ? query.get('start') : null
    if (start !== null) {
      if (query.has('offset')) return json(400, ["'start' and 'offset' are mutually exclusive."])
      if (query.has('ordering')) return json(400, ["'start' and 'ordering' are mutually exclusive."])
      if (!/^\d+$/.test(start)) return json(400, ["Invalid 'start' parameter: must be a non-negative integer."])
    }

    const ordering = start === null ? orderingOf(collection, query.get('ordering')) : 'id'
    const after = start === null ? filter.afterId : Math.max(filter.afterId, Number(start) - 1)
    const all = inOrder(collection, ordering)
    const beyond = ordering === 'id' ? all.slice(firstAfter(all, after)) : all.filter((id) => id > after)
    const found =
      filter.ids || filter.updated || filter.test
        ? beyond.filter(
            (id) =>
              (!filter.ids || filter.ids(id)) &&
              (!filter.updated || filter.updated(collection.updatedAt(id))) &&
              (!filter.test || filter.test(collection.row(id) as Json)),
          )
        : beyond

    const limit = limitOf(query.get('limit'), maxPageSize)
    const offset = start === null ? wholeOf(query.get('offset')) : 0
    const ids = found.slice(offset, offset + limit)
    const shape = shaperOf(collection, query)
    const rows = ids.map((id) => shape(collection.row(id) as Json))
    if (fault === 'unsorted') rows.reverse()
    if (fault === 'lost-rows') rows.splice(Math.floor(rows.length / 2))
    const link = (more: Readonly<Record<string, string | number>>, less: readonly string[] = []) => {
      const search = without(query, less)
      for (const [name, value] of Object.entries({ limit, ...more })) search.set(name, String(value))
      return `${origin}${path}?${search}`
    }
    const isLast = offset + limit >= found.length || fault === 'lost-rows'
    const next = isLast
      ? null
      : start === null
        ? link({ offset: offset + limit })
        : link({ start: (ids.at(-1) ?? 0) + 1 })
    const before = Math.max(offset - limit, 0)
    const previous = offset === 0 ? null : before === 0 ? link({}, ['offset']) : link({ offset: before })
    const page = { count: start === null ? found.length : null, next, previous, results: rows }
    return { ...json(200, page), items: rows.length }
  }
}

/** What a query makes of a row: `fields`, else `brief`, less `omit`, and without `exclude`. */
export function shaperOf({ type }: Collection, query: URLSearchParams): (row: Json) => Json {
  const words = (name: string) => query.getAll(name).flatMap((text) => text.split(',').filter((word) => word !== ''))
  const fields = words('fields')
  const brief = query.get('brief') ? (briefFields[type] ?? briefNamed) : undefined
  const only = fields.length > 0 ? fields : brief
  if (only) return (row) => kept(row, (name) => only.includes(name))
  const hidden = [...words('omit'), ...words('exclude')]
  const hasConfigContext = hasContext.has(type) && !hidden.includes('config_context')
  const others = hidden.filter((name) => name !== 'config_context')
  return (row) => {
    const full = hasConfigContext ? { ...row, config_context: configContext } : row
    return others.length > 0 ? kept(full, (name) => !others.includes(name)) : full
  }
}

function kept(row: Json, test: (name: string) => boolean): Json {
  return Object.fromEntries(Object.entries(row).filter(([name]) => test(name)))
}

const briefNamed = ['id', 'url', 'display', 'name', 'slug', 'description']
const briefFields: Readonly<Record<string, readonly string[]>> = {
  'ipam.ipaddress': ['id', 'url', 'display', 'family', 'address', 'description'],
  'ipam.prefix': ['id', 'url', 'display', 'family', 'prefix', 'description'],
}
const hasContext = new Set(['dcim.device', 'virtualization.virtualmachine'])
/** Rendered for each row in a real NetBox; only its weight is imitated. */
const configContext = {
  ntp: { servers: ['192.0.2.1', '192.0.2.2'] },
  syslog: { level: 'info', targets: ['192.0.2.9'] },
}

/** NetBox orders what people look at by name, which is not the order of ids. */
function orderingOf({ type }: Collection, asked: string | null): string {
  const known = (asked ?? '')
    .split(',')
    .filter((field) => /^-?(id|name|last_updated|created|serial|time|status|address|prefix)$/.test(field))
  if (known[0] !== undefined) return known[0]
  if (type === 'core.objectchange' || type === 'extras.journalentry') return '-id'
  if (type === 'ipam.ipaddress' || type === 'ipam.prefix') return 'id'
  return 'name'
}

function sortIds(collection: Collection, ordering: string): readonly number[] {
  const isDown = ordering.startsWith('-')
  const field = isDown ? ordering.slice(1) : ordering
  if (field === 'id') return collection.ids.toReversed()
  const keyed = collection.ids.map((id) => ({
    id,
    key: field === 'last_updated' ? collection.updatedAt(id) : sortKey(collection.row(id)?.[field]),
  }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id - b.id))
  return (isDown ? keyed.reverse() : keyed).map(({ id }) => id)
}

/** Empty comes last, as PostgreSQL sorts nulls. */
function sortKey(value: unknown): string {
  if (value === null || value === undefined) return '\uffff'
  return String(typeof value === 'object' ? (value as Json)['value'] : value)
}

/** A missing, negative or unreadable limit is 50; 0 means the largest page; more than that is cut to it. */
function limitOf(text: string | null, maxPageSize: number): number {
  if (text === null || !/^\d+$/.test(text)) return Math.min(defaultLimit, maxPageSize)
  const wanted = Number(text)
  return wanted === 0 ? maxPageSize : Math.min(wanted, maxPageSize)
}

function wholeOf(text: string | null): number {
  return text !== null && /^\d+$/.test(text) ? Number(text) : 0
}

function without(query: URLSearchParams, names: readonly string[]): URLSearchParams {
  const copy = new URLSearchParams(query)
  for (const name of names) copy.delete(name)
  return copy
}
