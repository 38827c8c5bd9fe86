import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Account, Accounts } from './accounts.ts'
import { type Book, type Entry, entryJson } from './book.ts'
import { filterOf } from './filters.ts'
import type { Json } from './time.ts'
import { makeWrites, type Rules } from './write.ts'

type Parts = { readonly book: Book; readonly accounts: Accounts; readonly version: string; readonly rules: Rules }

const usualSize = 50
const mostSize = 500

const refusal = (code: number, message: string) => json(code, { code, message })

/** Kimai's REST API, as far as times, customers, projects and activities go. */
export function makeApi(parts: Parts) {
  const writes = makeWrites(parts)
  return async function handle(request: SimRequest): Promise<Reply> {
    const { method, path } = request
    if (!path.startsWith('/api/')) return { status: 302, headers: { location: '/en/login' } }
    const account = await parts.accounts.accountOf(request)
    if (account === 400) return refusal(400, 'Too many failed login attempts, try again later.')
    if (account === 401) return refusal(401, 'Unauthorized')
    const place = path.slice('/api/'.length)
    const [, id] = /^timesheets\/(\d+)$/.exec(place) ?? []
    if (id !== undefined && method !== 'GET') return writes.change(Number(id), request, account)
    if (method === 'POST' && place === 'timesheets') return writes.create(request, account)
    if (method !== 'GET') return refusal(405, 'Method Not Allowed')
    return id === undefined ? read(parts, place, request, account) : one(parts, Number(id), account)
  }
}

function read({ book, version }: Parts, place: string, request: SimRequest, account: Account): Reply {
  const { query } = request
  if (place === 'ping') return json(200, { message: 'pong' })
  if (place === 'version')
    return json(200, { version, versionId: 26_600, copyright: `Kimai ${version} by Kevin Papst`, candidate: 'stable' })
  if (place === 'users/me') {
    const { id, username, roles, timeZone } = account.person
    return json(200, { id, username, roles, timezone: timeZone, enabled: true, language: 'en' })
  }
  if (place === 'timesheets') return list(book, request, account)
  const masters: Readonly<Record<string, () => Json[]>> = {
    customers: book.customers,
    projects: book.projects,
    activities: book.activities,
  }
  const rows = masters[place]?.()
  if (!rows) return refusal(404, 'Not Found')
  const visible = query.get('visible') ?? '1'
  const shown = rows.filter((row) => visible === '3' || row['visible'] === (visible === '1'))
  return { ...json(200, shown), items: shown.length }
}

function list(book: Book, { query, fault }: SimRequest, account: Account): Reply {
  const filter = filterOf(query, account)
  if ('wrong' in filter) return refusal(400, `Query parameter "${filter.wrong}" is not valid.`)
  const size = Math.min(Number(query.get('size') ?? usualSize), mostSize)
  const page = fault === 'same-page' ? 1 : Number(query.get('page') ?? 1)
  const found = [...book.entries()].filter(filter.test).sort(orderOf(query))
  const pages = Math.max(1, Math.ceil(found.length / size))
  if (page > pages) return refusal(404, 'Not Found')
  const form = ['1', 'true'].includes(query.get('full') ?? '') ? 'full' : 'collection'
  const rows = found.slice((page - 1) * size, page * size).map((entry) => entryJson(book, entry, form))
  if (fault === 'unsorted') rows.reverse()
  const headers = {
    'x-page': String(page),
    'x-total-count': String(found.length),
    'x-total-pages': String(pages),
    'x-per-page': String(size),
  }
  return { ...json(200, rows, fault === 'no-headers' ? {} : headers), items: rows.length }
}

function orderOf(query: URLSearchParams): (a: Entry, b: Entry) => number {
  const sign = (query.get('order') ?? 'DESC') === 'ASC' ? 1 : -1
  const by = query.get('orderBy') ?? 'begin'
  const keyOf = (entry: Entry) => (by === 'id' ? entry.id : by === 'end' ? (entry.end ?? 0) : entry.begin)
  return (a, b) => sign * (keyOf(a) - keyOf(b) || a.id - b.id)
}

function one({ book }: Parts, id: number, { person, may }: Account): Reply {
  const entry = book.entry(id)
  if (!entry) return refusal(404, 'Not Found')
  if (entry.user !== person.id && !may.has('see others')) return refusal(403, 'Forbidden')
  return json(200, entryJson(book, entry, 'entity'))
}
