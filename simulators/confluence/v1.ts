import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Account, canRead } from './accounts.ts'
import { type Cql, parseCql } from './cql.ts'
import { readUpload } from './multipart.ts'
import type { SimPage } from './rows.ts'
import { spaces } from './rows.ts'
import { makeShapes } from './shapes.ts'
import type { Attachment, Store } from './store.ts'

export type V1Parts = {
  readonly store: Store
  readonly now: () => Date
  readonly isCloud: boolean
  readonly utcOffsetHours: number
  /** The most hits that one search answers. */
  readonly searchCap: number
  readonly version: string
}

export const v1Error = (status: number, message: string): Reply =>
  json(status, {
    statusCode: status,
    data: { authorized: status !== 403, valid: false, errors: [], successful: false },
    message,
  })
const notFound = v1Error(404, 'No content found with id')
const forbidden = v1Error(403, 'Could not create content with type page')

/** `/rest/api`: on Cloud only what is left of it; on Data Center everything. `account` undefined: an anonymous visitor. */
export function makeV1(parts: V1Parts) {
  const { store, isCloud } = parts
  const { contentJson, personJson } = makeShapes({ store, isCloud })

  const visible = (account: Account, id: number): SimPage | undefined => {
    const page = store.page(id)
    return page && canRead(account, store, page) ? page : undefined
  }

  function search(account: Account, { query }: SimRequest): Reply {
    const position = isCloud ? decode(query.get('cursor')) : Number(query.get('start') ?? 0)
    const cql = parseCql(query.get('cql') ?? '', { now: parts.now(), utcOffsetHours: parts.utcOffsetHours })
    if (!cql || position === undefined) return v1Error(400, `Could not parse cql : ${query.get('cql')}`)
    const asked = Number(query.get('limit') ?? 25)
    const limit = query.has('expand') ? Math.min(asked, parts.searchCap) : asked
    const all = hits(account, cql)
    const found = all.slice(position, position + limit)
    const expand = new Set((query.get('expand') ?? '').split(',').map((one) => one.replace(/^content\./, '')))
    const results = found.map((page) => ({
      content: contentJson(page, expand),
      title: page.title,
      excerpt: query.get('excerpt') === 'none' ? '' : page.storage.replaceAll(/<[^>]*>/g, ' ').slice(0, 400),
      url: `/spaces/${page.space}/pages/${page.id}`,
      entityType: 'content',
      lastModified: page.modifiedAt.toISOString(),
    }))
    const next = position + limit
    const more = next < all.length ? { next: link('/rest/api/search', query, limit, next) } : {}
    const body = {
      results,
      start: position,
      limit,
      size: results.length,
      totalSize: all.length,
      _links: { ...more, context: '/wiki' },
    }
    return { ...json(200, body), items: results.length }
  }

  /** The links of v1 lack the context path on both products. */
  function link(path: string, query: URLSearchParams, limit: number, next: number): string {
    const rest = new URLSearchParams(query)
    rest.delete('cursor')
    rest.set('limit', String(limit))
    rest.set('start', String(next))
    if (isCloud) rest.set('cursor', encode(next))
    return `${path}?next=true&${rest}`
  }

  function hits(account: Account, cql: Cql): SimPage[] {
    const chosen = cql.spaces ?? spaces.map(({ key }) => key)
    const ids = cql.ids ?? chosen.flatMap((space) => store.newest(space))
    const found = [...new Set(ids)].flatMap((id) => {
      const page = store.indexed(id)
      const isHit = page?.status === 'current' && chosen.includes(page.space) && cql.matches(page)
      // What is found is shown as the database has it.
      const shown = isHit ? visible(account, id) : undefined
      return shown ? [shown] : []
    })
    const { order } = cql
    if (!order) return found
    const time = (page: SimPage) =>
      (order.field === 'created' ? page.createdAt : (store.indexed(page.id) ?? page).modifiedAt).getTime()
    return found.sort((a, b) => (order.isDescending ? time(b) - time(a) : time(a) - time(b)))
  }

  function list(account: Account, { query }: SimRequest): Reply {
    const space = query.get('spaceKey') ?? ''
    const status = query.get('status') ?? 'current'
    const title = query.get('title')
    const start = Number(query.get('start') ?? 0)
    const limit = Math.min(Number(query.get('limit') ?? 25), 200)
    const all = store
      .ids(space)
      .flatMap((id) => visible(account, id) ?? [])
      .filter((page) => page.status === status && (title === null || page.title.toLowerCase() === title.toLowerCase()))
    const results = all.slice(start, start + limit)
    const expand = new Set((query.get('expand') ?? '').split(','))
    const more = start + limit < all.length ? { next: link('/rest/api/content', query, limit, start + limit) } : {}
    const body = {
      results: results.map((page) => contentJson(page, expand)),
      start,
      limit,
      size: results.length,
      _links: { ...more, context: '/confluence' },
    }
    return { ...json(200, body), items: results.length }
  }

  function create(account: Account, given: Record<string, unknown>): Reply {
    if (!account.canWrite) return forbidden
    const { title, space, body, ancestors } = given as {
      title: string
      space: { key: string }
      body: { storage: { value: string } }
      ancestors?: { id: string }[]
    }
    const isTaken = store
      .ids(space.key)
      .some((id) => store.page(id)?.status === 'current' && store.page(id)?.title === title)
    if (isTaken)
      return v1Error(
        400,
        'A page with this title already exists: A page already exists with the same TITLE in this space',
      )
    const parent = ancestors?.at(-1)
    const made = store.create(
      { space: space.key, title, storage: body.storage.value, ...(parent && { parent: Number(parent.id) }) },
      account.person,
    )
    return json(200, contentJson(made, new Set(['version', 'space'])))
  }

  function replace(account: Account, page: SimPage, given: Record<string, unknown>): Reply {
    if (!account.canWrite) return forbidden
    const { title, version, body } = given as {
      title: string
      version: { number: number }
      body: { storage: { value: string } }
    }
    if (version.number !== page.version + 1)
      return v1Error(409, `Version must be incremented on update. Current version is: ${page.version}`)
    return json(
      200,
      contentJson(store.edit(page.id, { title, storage: body.storage.value }, account.person), new Set(['version'])),
    )
  }

  const fileJson = ({ id, fileName, version, bytes, contentType, comment }: Attachment) => ({
    id,
    type: 'attachment',
    status: 'current',
    title: fileName,
    version: { number: version },
    metadata: { mediaType: contentType, comment },
    extensions: { mediaType: contentType, fileSize: bytes, comment },
  })

  function upload(account: Account, page: SimPage, request: SimRequest, attachmentId: string | undefined): Reply {
    if (request.headers['x-atlassian-token'] !== 'no-check') return v1Error(403, 'XSRF check failed')
    if (!account.canWrite) return forbidden
    const file = readUpload(request)
    if (!file) return v1Error(415, 'Expected multipart/form-data')
    const before = store
      .attachments(page.id)
      .find(({ id, fileName }) => (attachmentId === undefined ? fileName === file.fileName : id === attachmentId))
    if (attachmentId === undefined && before)
      return v1Error(400, `Cannot add a new attachment with same file name as an existing attachment: ${file.fileName}`)
    if (attachmentId !== undefined && !before) return notFound
    const kept = fileJson(store.attach(page.id, file))
    return json(200, attachmentId === undefined ? { results: [kept], size: 1 } : kept)
  }

  function contents(account: Account, request: SimRequest, rest: string): Reply | undefined {
    const [, idText = '', tail = ''] = /^\/(\d+)(\/.*)?$/.exec(rest) ?? []
    const page = visible(account, Number(idText))
    if (!page) return notFound
    const { method, query, body } = request
    if (tail === '/restriction/byOperation/read') {
      const { read } = contentJson(page, new Set(['restrictions.read']))['restrictions'] as { read: unknown }
      return json(200, read)
    }
    const file = /^\/child\/attachment(?:\/(att\d+)\/data)?$/.exec(tail)
    if (file && method === 'POST') return upload(account, page, request, file[1])
    if (file && method === 'GET') {
      const found = store.attachments(page.id).filter(({ fileName }) => fileName === query.get('filename'))
      return json(200, { results: found.map(fileJson), size: found.length, _links: {} })
    }
    if (isCloud || tail !== '') return undefined
    if (method === 'PUT') return replace(account, page, JSON.parse(body) as Record<string, unknown>)
    return json(200, contentJson(page, new Set((query.get('expand') ?? 'space,history,version').split(','))))
  }

  return function handle(account: Account | undefined, request: SimRequest, path: string): Reply | undefined {
    const { method, query } = request
    if (path === '/rest/api/user/current')
      return json(200, account ? userJson(account, query) : { type: 'anonymous', displayName: 'Anonymous' })
    if (!account)
      return path === '/rest/api/search'
        ? json(200, { results: [], size: 0, _links: {} })
        : v1Error(401, 'Unauthorized')
    if (path === '/rest/api/search' && method === 'GET') return search(account, request)
    if (path.startsWith('/rest/api/content/')) return contents(account, request, path.slice('/rest/api/content'.length))
    if (isCloud)
      return path.startsWith('/rest/api/') ? v1Error(410, 'This deprecated endpoint has been removed.') : undefined
    if (path === '/rest/applinks/1.0/manifest')
      return {
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: `<?xml version="1.0"?><manifest><name>Confluence</name><version>${parts.version}</version></manifest>`,
      }
    if (path === '/rest/api/space') {
      const keys = query.getAll('spaceKey')
      const found = spaces.filter(
        ({ key }) => (keys.length === 0 || keys.includes(key)) && (account.isAdmin || key !== 'HR'),
      )
      return json(200, {
        results: found.map(({ id, key, name }) => ({ id, key, name, type: 'global' })),
        start: 0,
        limit: 25,
        size: found.length,
        _links: {},
      })
    }
    if (path === '/rest/api/content' && method === 'GET') return list(account, request)
    if (path === '/rest/api/content' && method === 'POST')
      return create(account, JSON.parse(request.body) as Record<string, unknown>)
    return undefined
  }

  function userJson({ person, isAdmin }: Account, query: URLSearchParams): Record<string, unknown> {
    const operations = ['use', ...(isAdmin ? ['administer'] : [])].map((operation) => ({
      operation,
      targetType: 'application',
    }))
    return { ...personJson(person), ...(query.get('expand') === 'operations' && isCloud && { operations }) }
  }
}

const encode = (position: number) => `_f_${Buffer.from(String(position)).toString('base64url')}_sa_WyJcdG`
const decode = (cursor: string | null): number | undefined => {
  if (cursor === null) return 0
  const [, inner] = /^_f_([\w-]+)_sa_/.exec(cursor) ?? []
  const position = Number(Buffer.from(inner ?? '', 'base64url').toString() || Number.NaN)
  return Number.isNaN(position) ? undefined : position
}
