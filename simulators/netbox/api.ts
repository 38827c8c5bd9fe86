import { randomUUID } from 'node:crypto'
import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Changelog } from './changelog.ts'
import type { Collection, Json } from './collection.ts'
import { makeLists, shaperOf } from './list.ts'
import { authenticate, type Token, type Tokens, tokenJson, userJson } from './tokens.ts'
import type { makeWrites, Written } from './write.ts'

type Parts = {
  readonly origin: string
  readonly version: string
  readonly now: () => Date
  readonly tokens: Tokens
  readonly changelog: Changelog
  readonly changelogPath: string
  readonly lookup: (path: string) => Collection | undefined
  readonly writes: ReturnType<typeof makeWrites>
  /** Below `/api/`: what no token may see. */
  readonly denied: ReadonlySet<string>
  readonly maxPageSize: number
}

const notFound = json(404, { detail: 'Not found.' })
const forbidden = json(403, { detail: 'You do not have permission to perform this action.' })
const isRead = (method: string) => method === 'GET' || method === 'HEAD' || method === 'OPTIONS'

/** NetBox's REST API (4.6 by default) over the collections. */
export function makeApi(parts: Parts) {
  const { origin, version, now, tokens, lookup, changelog, changelogPath, denied } = parts
  const [major = 0, minor = 0] = version.split('.').map(Number)
  /** Cursor mode and ETags came with 4.6. */
  const isModern = major > 4 || (major === 4 && minor >= 6)
  const list = makeLists({ origin, maxPageSize: parts.maxPageSize, hasCursor: isModern, lookup })

  function route(request: SimRequest, requestId: string): Reply {
    const { method, path, query } = request
    if (!path.startsWith('/api/')) return path === '/api' ? moved(request) : notFound
    if (!path.endsWith('/')) return isRead(method) ? moved(request) : notFound
    if (method === 'OPTIONS') return json(200, { name: 'NetBox', parses: ['application/json'] })
    const token = authenticate(tokens, request, now())
    if (typeof token === 'string') return json(403, { detail: token })
    if (!isRead(method) && !(token.writeEnabled && token.user.superuser)) return forbidden
    const place = path.slice('/api/'.length, -1)
    if (denied.has(place)) return forbidden
    const special = own(place, token, query)
    if (special) return isRead(method) ? special : json(405, { detail: `Method "${method}" not allowed.` })

    const [, collectionPath = '', id] = /^([a-z-]+\/[a-z-]+)(?:\/(\d+))?$/.exec(place) ?? []
    const collection = collectionPath === changelogPath ? changelog.current() : lookup(collectionPath)
    if (!collection || denied.has(collectionPath)) return collection ? forbidden : notFound
    if (id !== undefined) return detail(collection, Number(id), token, request, requestId)
    if (isRead(method)) return list(collection, request)
    return method === 'POST'
      ? create(collection, token, request, requestId)
      : json(405, { detail: `Method "${method}" not allowed.` })
  }

  function own(place: string, token: Token, query: URLSearchParams): Reply | undefined {
    if (place === '')
      return json(
        200,
        Object.fromEntries(
          ['core', 'dcim', 'extras', 'ipam', 'tenancy', 'users', 'virtualization'].map((app) => [
            app,
            `${origin}/api/${app}/`,
          ]),
        ),
      )
    if (place === 'status') return json(200, statusJson(version))
    if (place === 'authentication-check') return json(200, userJson(token, origin))
    if (place !== 'users/tokens') return undefined
    if (!token.user.superuser) return forbidden
    const users = query.getAll('user_id').map(Number)
    const rows = tokens.all.filter(({ user }) => users.length === 0 || users.includes(user.id))
    return json(200, {
      count: rows.length,
      next: null,
      previous: null,
      results: rows.map((row) => tokenJson(row, origin)),
    })
  }

  function detail(collection: Collection, id: number, token: Token, request: SimRequest, requestId: string): Reply {
    const row = collection.row(id)
    if (!row) return notFound
    const { method, headers, query } = request
    if (isRead(method)) return withEtag(json(200, shaperOf(collection, query)(row)), row)
    const wanted = headers['if-match']
    if (isModern && wanted !== undefined && wanted !== etagOf(row)) {
      return withEtag(json(412, { detail: 'Precondition failed.' }), row)
    }
    const author = { user: token.user, requestId }
    if (collection.type === 'core.objectchange') return json(405, { detail: `Method "${method}" not allowed.` })
    if (method === 'DELETE') return parts.writes.erase(collection, id, author)
    if (method !== 'PATCH' && method !== 'PUT') return json(405, { detail: `Method "${method}" not allowed.` })
    const body = bodyOf(request)
    if (!('value' in body)) return body.reply
    return written(collection, parts.writes.patch(collection, id, body.value, author), 200, query)
  }

  function create(collection: Collection, token: Token, request: SimRequest, requestId: string): Reply {
    const body = bodyOf(request)
    if (!('value' in body)) return body.reply
    const author = { user: token.user, requestId }
    return written(collection, parts.writes.post(collection, body.value, author), 201, request.query)
  }

  function written(collection: Collection, outcome: Written, status: number, query: URLSearchParams): Reply {
    if (!('row' in outcome)) return outcome.reply
    return withEtag(json(status, shaperOf(collection, query)(outcome.row)), outcome.row)
  }

  function withEtag(reply: Reply, row: Json): Reply {
    return isModern ? { ...reply, headers: { ...reply.headers, etag: etagOf(row) } } : reply
  }

  return function handle(request: SimRequest): Reply {
    const requestId = randomUUID()
    const reply = route(request, requestId)
    const headers = {
      'api-version': `${major}.${minor}`,
      'x-request-id': requestId,
      vary: 'HX-Request, Accept, Cookie, origin',
    }
    return { ...reply, headers: { ...headers, ...reply.headers }, ...(request.method === 'HEAD' && { body: '' }) }
  }
}

function etagOf(row: Json): string {
  return `W/"${String(row['last_updated'] ?? '')}"`
}

function moved({ path, query }: SimRequest): Reply {
  return { status: 301, headers: { location: `${path}/${query.size > 0 ? `?${query}` : ''}` } }
}

/** The body's object, or the reply that says what is wrong with it. */
function bodyOf({ headers, body }: SimRequest): { readonly value: Json } | { readonly reply: Reply } {
  const type = headers['content-type'] ?? ''
  if (!/^application\/json\b/.test(type))
    return { reply: json(415, { detail: `Unsupported media type "${type}" in request.` }) }
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value: value as Json }
    return { reply: json(400, { non_field_errors: ['Invalid data. Expected a dictionary.'] }) }
  } catch {
    return { reply: json(400, { detail: 'JSON parse error - Expecting value: line 1 column 1 (char 0)' }) }
  }
}

function statusJson(version: string): Json {
  return {
    'django-version': '5.2.9',
    hostname: 'netbox',
    installed_apps: { django_filters: '25.2', rest_framework: '3.16.1' },
    'netbox-version': version,
    'netbox-full-version': `${version}-Docker-3.4.2`,
    plugins: {},
    'python-version': '3.12.3',
    'rq-workers-running': 1,
  }
}
