import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Account, Accounts } from './accounts.ts'
import { search, window } from './search.ts'
import type { Json, Tickets } from './tickets.ts'

type Parts = {
  readonly tickets: Tickets
  readonly accounts: Accounts
  readonly version: string
  /** Whether Elasticsearch is there. */
  readonly index: { present: boolean; seenAt: (id: number) => number }
  readonly changed: (ticket: number, article?: Json) => void
}

const fault = (status: number, error: string, headers: Readonly<Record<string, string>> = {}) =>
  json(status, { error, error_human: error }, headers)

/** Zammad's REST API, as far as tickets and the time on them go. */
export function makeApi(parts: Parts) {
  return function handle(request: SimRequest): Reply {
    const { method, path, headers, fault: planned } = request
    if (!path.startsWith('/api/v1/'))
      return { status: 404, headers: { 'content-type': 'text/html' }, body: '<html></html>' }
    if (planned === 'masked-500') return fault(500, 'Error ID a1B2c3D4: Please contact your administrator.')
    const account = parts.accounts.accountOf(headers.authorization)
    if (typeof account === 'string') return fault(401, account, { 'x-failure': account })
    const place = path.slice('/api/v1/'.length)
    if (place === 'users/me') return json(200, userJson(account, isExpanded(request)))
    if (place === 'version')
      return account.permissions.includes('admin') ? json(200, { version: parts.version }) : notAuthorized
    if (!account.permissions.includes('ticket.agent')) return notAuthorized
    return method === 'GET' ? read(parts, place, request) : write(parts, place, request, account)
  }
}

const notAuthorized = fault(403, 'Not authorized')

function read(parts: Parts, place: string, request: SimRequest): Reply {
  const { tickets } = parts
  const expand = isExpanded(request)
  if (place === 'tickets') return list(parts, request)
  if (place === 'tickets/search') return found(parts, request)
  const [, id = '', rest = ''] = /^tickets\/(\d+)(\/time_accountings)?$/.exec(place) ?? []
  const [, articlesOf] = /^ticket_articles\/by_ticket\/(\d+)$/.exec(place) ?? []
  const ticket = Number(articlesOf ?? id)
  if (!id && !articlesOf) return fault(404, 'No route matches')
  if (!tickets.isThere(ticket)) return fault(404, `Couldn't find Ticket with 'id'=${ticket}`)
  if (articlesOf) return listed(tickets.articlesOf(ticket))
  if (rest) return listed(tickets.timeOf(ticket).map((entry) => tickets.timeJson(entry, expand)))
  return json(200, tickets.ticket(ticket, expand))
}

/** By id, at most 100 a page. */
function list({ tickets }: Parts, request: SimRequest): Reply {
  const { page, size } = pageOf(request, 100, 100)
  const ids = [...tickets.ids()].slice((page - 1) * size, page * size)
  return listed(ids.map((id) => tickets.ticket(id, isExpanded(request))))
}

/** At most 200 a page. Without `expand`, ids with their tickets beside them. */
function found({ tickets, index }: Parts, request: SimRequest): Reply {
  const { query, fault: planned } = request
  const { page, size } = pageOf(request, 50, 200)
  const ids = search(tickets, query.get('query') ?? '', index.present, index.seenAt)
  const by = query.get('sort_by') ?? 'updated_at'
  const sign = query.get('order_by') === 'asc' ? 1 : -1
  const keyOf = (id: number) => (by === 'id' ? id : index.seenAt(id))
  const sorted = ids.sort((a, b) => sign * (keyOf(a) - keyOf(b)))
  if (page * size > window) return fault(500, 'Error ID e5F6: Please contact your administrator.')
  const hits = sorted.slice((page - 1) * size, page * size)
  if (planned === 'unsorted') hits.reverse()
  if (isExpanded(request) && planned !== 'no-expand') return listed(hits.map((id) => tickets.ticket(id, true)))
  return {
    ...json(200, {
      tickets: hits,
      tickets_count: hits.length,
      assets: { Ticket: Object.fromEntries(hits.map((id) => [id, tickets.ticket(id, false)])) },
    }),
    items: hits.length,
  }
}

function write({ tickets, changed }: Parts, place: string, { method, body }: SimRequest, account: Account): Reply {
  if (method !== 'POST' || place !== 'ticket_articles') return fault(404, 'No route matches')
  const values = bodyOf(body)
  const id = Number(values?.['ticket_id'])
  if (!values || !tickets.isThere(id)) return fault(422, `Couldn't find Ticket with 'id'=${id}`)
  if (!account.mayChange) return notAuthorized
  if (typeof values['body'] !== 'string' || values['body'] === '')
    return fault(422, "Need at least an 'article body' field.")
  const article = tickets.write(id, { ...values, from: account.login, sender: 'Agent' })
  changed(id, article)
  return json(201, article)
}

function userJson({ login, roles }: Account, expand: boolean): Json {
  return { id: 3, login, email: login, active: true, role_ids: [2], ...(expand && { roles }) }
}

function pageOf({ query }: SimRequest, usual: number, most: number) {
  const size = Number(query.get('per_page') ?? query.get('limit') ?? usual)
  return { page: Math.max(1, Number(query.get('page') ?? 1)), size: Math.min(Math.max(1, size), most) }
}

function listed(rows: readonly Json[]): Reply {
  return { ...json(200, rows), items: rows.length }
}

function isExpanded({ query }: SimRequest): boolean {
  return query.get('expand') === 'true'
}

function bodyOf(body: string): Json | undefined {
  try {
    return JSON.parse(body) as Json
  } catch {
    return undefined
  }
}
