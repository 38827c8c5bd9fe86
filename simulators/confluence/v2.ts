import { createHash } from 'node:crypto'
import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Account, canRead } from './accounts.ts'
import { type SimPage, spaces } from './rows.ts'
import type { Store } from './store.ts'

const error = (status: number, code: string, title: string): Reply =>
  json(status, { errors: [{ status, code, title, detail: null }] })
const notFound = error(404, 'NOT_FOUND', 'Not Found')

/** `/wiki/api/v2` of Cloud. What may not be seen is not found. */
export function makeV2({ store }: { readonly store: Store }) {
  const readable = (account: Account, id: number): SimPage | undefined => {
    const page = store.page(id)
    return page && canRead(account, store, page) ? page : undefined
  }

  function pageJson(page: SimPage, query: URLSearchParams): Record<string, unknown> {
    const { id, status, title, parent, author, editor, version } = page
    return {
      id: String(id),
      status,
      title,
      spaceId: String(store.spaceOf(page.space)?.id),
      parentId: parent === undefined ? null : String(parent),
      parentType: parent === undefined ? null : 'page',
      authorId: author.accountId,
      createdAt: page.createdAt.toISOString(),
      version: {
        number: version,
        message: '',
        minorEdit: false,
        authorId: editor.accountId,
        createdAt: page.modifiedAt.toISOString(),
      },
      body:
        query.get('body-format') === 'storage' ? { storage: { representation: 'storage', value: page.storage } } : {},
      ...(query.get('include-labels') === 'true' && {
        labels: { results: page.labels.map((name, i) => ({ id: String(i), name, prefix: 'global' })) },
      }),
      _links: {
        webui: `/spaces/${page.space}/pages/${id}`,
        editui: `/pages/resumedraft.action?draftId=${id}`,
        tinyui: `/x/${id}`,
      },
    }
  }

  /** A cursor belongs to the filters that it was made with. */
  function paged(path: string, query: URLSearchParams, all: readonly unknown[]): Reply {
    const limit = Number(query.get('limit') ?? 25)
    if (!(limit >= 1 && limit <= 250))
      return error(400, 'INVALID_REQUEST_PARAMETER', 'Provided value {limit} is not correct')
    const filters = createHash('sha256')
      .update([...query].filter(([name]) => name !== 'cursor').join('&'))
      .digest('hex')
      .slice(0, 8)
    const [position, made] = readCursor(query.get('cursor')) ?? [0, filters]
    if (made !== filters) return error(400, 'INVALID_REQUEST_PARAMETER', 'Provided cursor is not correct')
    const results = all.slice(position, position + limit)
    const next = new URLSearchParams(query)
    next.set('cursor', Buffer.from(JSON.stringify([position + limit, filters])).toString('base64url'))
    // v2 links begin with the context path, those of v1 do not.
    const link = `/wiki${path}?${next}`
    const hasMore = position + limit < all.length
    const body = { results, _links: { ...(hasMore && { next: link }), base: 'https://example.atlassian.net/wiki' } }
    return { ...json(200, body, hasMore ? { link: `<${link}>; rel="next"` } : {}), items: results.length }
  }

  function listPages(account: Account, path: string, query: URLSearchParams): Reply {
    const space = spaces.find(({ id }) => String(id) === query.get('space-id'))
    if (!space) return paged(path, query, [])
    const sort = query.get('sort') ?? 'id'
    if (!['id', '-modified-date'].includes(sort))
      return error(400, 'INVALID_REQUEST_PARAMETER', 'Provided value {sort} is not correct')
    const title = query.get('title')
    const ids = sort === 'id' ? store.ids(space.key) : store.newest(space.key)
    const found = ids
      .flatMap((id) => readable(account, id) ?? [])
      .filter((page) => page.status === (query.get('status') ?? 'current') && (title === null || page.title === title))
    const reply = paged(path, query, found)
    return reply.status === 200 ? { ...reply, body: shown(reply.body ?? '', query) } : reply
  }

  /** Only the rows of this answer are made into JSON. */
  function shown(body: string, query: URLSearchParams): string {
    const { results, _links } = JSON.parse(body) as { results: { id: number }[]; _links: unknown }
    return JSON.stringify({
      results: results.flatMap(({ id }) => (store.page(id) ? [pageJson(store.page(id) as SimPage, query)] : [])),
      _links,
    })
  }

  function create(account: Account, given: Record<string, unknown>): Reply {
    const space = spaces.find(({ id }) => String(id) === given['spaceId'])
    if (!space) return notFound
    if (!account.canWrite)
      return error(403, 'FORBIDDEN', 'User does not have permission to create a page in this space')
    const { title, body, parentId } = given as { title: string; body: { value: string }; parentId?: string }
    const isTaken = store
      .ids(space.key)
      .some((id) => store.page(id)?.status === 'current' && store.page(id)?.title === title)
    if (isTaken) return error(400, 'INVALID_REQUEST_PARAMETER', 'A page with this title already exists in the space')
    const parent = parentId === undefined ? {} : { parent: Number(parentId) }
    return json(
      200,
      pageJson(
        store.create({ space: space.key, title, storage: body.value, ...parent }, account.person),
        new URLSearchParams(),
      ),
    )
  }

  function replace(account: Account, page: SimPage, given: Record<string, unknown>): Reply {
    if (!account.canWrite) return error(403, 'FORBIDDEN', 'User does not have permission to edit this page')
    const { title, body, version } = given as { title: string; body: { value: string }; version: { number: number } }
    if (version.number !== page.version + 1)
      return error(
        409,
        'CONFLICT',
        `Version must be incremented when updating a page. Current Version: [${page.version}]`,
      )
    return json(
      200,
      pageJson(store.edit(page.id, { title, storage: body.value }, account.person), new URLSearchParams()),
    )
  }

  return function handle(
    account: Account | undefined,
    { method, query, body }: SimRequest,
    path: string,
  ): Reply | undefined {
    if (!path.startsWith('/api/v2/')) return undefined
    if (!account) return error(401, 'UNAUTHORIZED', 'Unauthorized')
    if (path === '/api/v2/spaces') {
      const keys = query.get('keys')?.split(',')
      const found = spaces.filter(({ key }) => (!keys || keys.includes(key)) && (account.isAdmin || key !== 'HR'))
      return paged(
        path,
        query,
        found.map(({ id, key, name }) => ({ id: String(id), key, name, type: 'global', status: 'current' })),
      )
    }
    if (path === '/api/v2/pages' && method === 'GET') return listPages(account, path, query)
    if (path === '/api/v2/pages' && method === 'POST')
      return create(account, JSON.parse(body) as Record<string, unknown>)
    const [, idText, tail = ''] = /^\/api\/v2\/pages\/(\d+)(\/ancestors)?$/.exec(path) ?? []
    const page = idText === undefined ? undefined : readable(account, Number(idText))
    if (!page) return notFound
    if (tail !== '')
      return paged(
        path,
        query,
        store.ancestors(page.id).map(({ id }) => ({ id: String(id), type: 'page' })),
      )
    return method === 'PUT'
      ? replace(account, page, JSON.parse(body) as Record<string, unknown>)
      : json(200, pageJson(page, query))
  }
}

function readCursor(text: string | null): [number, string] | undefined {
  if (text === null) return undefined
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString()) as [number, string]
  } catch {
    return [0, 'broken']
  }
}
