import type { ConnectionContext, Query } from '../../core/connector.ts'
import { isoTime, pageOf } from './page.ts'
import { Content, ListedContent, Space, V1Page, Written } from './schema.ts'
import { expansions, inSpaces, nextPosition, searchPages } from './search.ts'
import { type Config, spacesOf } from './settings.ts'
import type { Draft, Listed, Stored, Wiki } from './wiki.ts'

const path = '/rest/api/content'
const expand = [...expansions, 'body.storage'].join(',')

/** Confluence Data Center, REST v1 alone. https://developer.atlassian.com/server/confluence/confluence-server-rest-api/ */
export function makeDataCenter(context: ConnectionContext<Config>): Wiki {
  const { http, config } = context

  async function* lists(query: Query): AsyncGenerator<Listed[]> {
    let start: string | undefined
    do {
      const { results, _links } = await http.get(path, V1Page(ListedContent), {
        type: 'page',
        ...query,
        expand: 'version',
        limit: config.pageSize,
        ...(start && { start }),
      })
      yield results.map(({ id, version }) => ({ id, modifiedAt: isoTime(version?.when) }))
      start = nextPosition(_links?.next, start)
    } while (start !== undefined)
  }

  const stored = (content: Content): Stored => ({
    page: pageOf(content),
    storage: content.body?.storage.value ?? '',
  })

  return {
    async seenSpaces() {
      const query = { spaceKey: spacesOf(config), limit: 200 }
      const { results } = await http.get('/rest/api/space', V1Page(Space), query)
      return new Set(results.map(({ key }) => key))
    },
    list: (space) => lists({ spaceKey: space, status: 'current' }),
    async *newest(space) {
      // No date in the query: CQL reads dates by the minute and in the account's own time zone.
      const cql = `${inSpaces([space])} order by lastmodified desc`
      let cursor: string | undefined
      do {
        const hits = await searchPages(context, { cql, limit: config.pageSize, excerpts: false, cursor })
        yield hits.pages
        cursor = hits.next
      } while (cursor !== undefined)
    },
    async *removed(space) {
      for await (const rows of lists({ spaceKey: space, status: 'trashed' })) yield rows.map(({ id }) => id)
    },
    read: async (id) => stored(await http.get(`${path}/${id}`, Content, { expand })),
    async find(space, title) {
      const query = { type: 'page', spaceKey: space, title, status: 'current', expand }
      const [found] = (await http.get(path, V1Page(Content), query)).results
      return found && stored(found)
    },
    async write(draft: Draft) {
      const { title, space, storage, message, parentId, replaces } = draft
      const common = { type: 'page', title, body: { storage: { value: storage, representation: 'storage' } } }
      const { id, version, _links } = replaces
        ? await http.send('PUT', `${path}/${replaces.id}`, Written, {
            id: replaces.id,
            ...common,
            version: { number: replaces.version + 1, message },
          })
        : await http.send('POST', path, Written, {
            ...common,
            space: { key: space },
            ...(parentId !== undefined && { ancestors: [{ id: parentId }] }),
          })
      return { id, version: version.number, webui: _links?.webui ?? undefined }
    },
  }
}
