import type { z } from 'zod'
import type { ConnectionContext, Query } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { isoTime, type WikiPage } from './page.ts'
import { Ancestor, Space, V2List, V2Page, Written } from './schema.ts'
import { nextPosition } from './search.ts'
import { type Config, spacesOf } from './settings.ts'
import type { Draft, Listed, Stored, Wiki } from './wiki.ts'

/** Confluence Cloud, REST v2. https://developer.atlassian.com/cloud/confluence/rest/v2/ */
export function makeCloud({ http, config }: ConnectionContext<Config>): Wiki {
  let asked: Promise<ReadonlyMap<string, string>> | undefined
  /** Key → id of the chosen spaces. */
  const spaceIds = () => {
    asked ??= collect(lists('/api/v2/spaces', Space, { keys: spacesOf(config).join(','), limit: 250 })).then(
      (found) => new Map(found.map(({ key, id }) => [key, id])),
    )
    return asked
  }
  const spaceId = async (key: string) => {
    const id = (await spaceIds()).get(key)
    if (id === undefined) throw new Problem('upstream-denied', `The account does not see the space ${key}`)
    return id
  }

  async function* lists<T extends z.ZodType>(path: string, item: T, query: Query): AsyncGenerator<z.output<T>[]> {
    let cursor: string | undefined
    do {
      const { results, _links } = await http.get(path, V2List(item), { ...query, ...(cursor && { cursor }) })
      yield results
      cursor = nextPosition(_links?.next, cursor)
    } while (cursor !== undefined)
  }

  async function* pages(space: string, sort: string, status = 'current'): AsyncGenerator<Listed[]> {
    const query = { 'space-id': await spaceId(space), status, sort, limit: config.pageSize }
    for await (const rows of lists('/api/v2/pages', V2Page, query))
      yield rows.map(({ id, version }) => ({ id, modifiedAt: isoTime(version.createdAt) }))
  }

  async function stored(row: V2Page): Promise<Stored> {
    const space = [...(await spaceIds())].find(([, id]) => id === row.spaceId)?.[0]
    if (space === undefined) throw new Problem('not-found', 'The page is in none of the spaces of this connection')
    const ancestors = await collect(lists(`/api/v2/pages/${row.id}/ancestors`, Ancestor, { limit: 250 }))
    return { page: pageOf(row, space, ancestors), storage: row.body?.storage.value ?? '' }
  }

  return {
    seenSpaces: async () => new Set((await spaceIds()).keys()),
    list: (space) => pages(space, 'id'),
    newest: (space) => pages(space, '-modified-date'),
    async *removed(space) {
      for (const status of ['trashed', 'archived'])
        for await (const rows of pages(space, 'id', status)) yield rows.map(({ id }) => id)
    },
    async read(id) {
      const query = { 'body-format': 'storage', 'include-labels': true }
      return stored(await http.get(`/api/v2/pages/${id}`, V2Page, query))
    },
    async find(space, title) {
      const query = { 'space-id': await spaceId(space), title, status: 'current', 'body-format': 'storage', limit: 25 }
      const { results } = await http.get('/api/v2/pages', V2List(V2Page), query)
      const row = results.find((one) => one.title.toLowerCase() === title.toLowerCase())
      return row && stored(row)
    },
    async write(draft: Draft) {
      const { title, storage, message, parentId, replaces } = draft
      const common = { status: 'current', title, body: { representation: 'storage', value: storage } }
      const { id, version, _links } = replaces
        ? await http.send('PUT', `/api/v2/pages/${replaces.id}`, Written, {
            id: replaces.id,
            ...common,
            version: { number: replaces.version + 1, message },
          })
        : await http.send('POST', '/api/v2/pages', Written, {
            spaceId: await spaceId(draft.space),
            ...common,
            ...(parentId !== undefined && { parentId }),
          })
      return { id, version: version.number, webui: _links?.webui ?? undefined }
    },
  }
}

/** v2 gives people as ids only, and says nothing of restrictions. */
function pageOf(row: V2Page, space: string, ancestors: readonly { readonly id: string }[]): WikiPage {
  return {
    id: row.id,
    title: row.title,
    status: row.status ?? 'current',
    space,
    version: row.version.number,
    createdAt: isoTime(row.createdAt),
    modifiedAt: isoTime(row.version.createdAt),
    author: undefined,
    editor: undefined,
    labels: (row.labels?.results ?? []).map(({ name }) => name),
    ancestors: ancestors.map(({ id }) => id),
    isRestricted: undefined,
    webui: row._links?.webui ?? undefined,
    excerpt: undefined,
  }
}

async function collect<T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = []
  for await (const batch of batches) all.push(...batch)
  return all
}
