import type { Subject } from '../../../core/connector.ts'
import type { SearchQuery, SearchResult } from '../search.ts'
import type { AssetRow } from '../store-assets.ts'
import type { SubjectsOf } from './match.ts'

/** A ticket or page that names a machine. */
export type Mention = {
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly status: string | null
  readonly url: string | null
  readonly connection: string
}

type Parts = {
  readonly search: (query: SearchQuery) => Promise<SearchResult>
  readonly counts: () => Promise<readonly { readonly connection: string; readonly connector: string }[]>
  readonly subjectsOf: SubjectsOf
}

const mostOfEach = 5

/** Finds what the ticket systems and the documentation say of a machine by its name. */
export function makeMentions({ search, counts, subjectsOf }: Parts) {
  return async function mentions(name: string): Promise<{ tickets: Mention[]; pages: Mention[] }> {
    const short = name.split('.')[0] ?? ''
    // Shorter words are in every second text.
    if (short.length < 3) return { tickets: [], pages: [] }
    const systems = new Map((await counts()).map(({ connection, connector }) => [connection, subjectsOf(connector)]))
    const of = async (subject: Subject) => {
      const sources = [...systems].flatMap(([connection, subjects]) => (subjects.includes(subject) ? [connection] : []))
      const filter = { kinds: [], statuses: [], sites: [], stale: false }
      const found = await Promise.all(
        sources.map((source) =>
          search({
            text: short.slice(0, 200),
            filter: { ...filter, source },
            sort: 'relevance',
            limit: 4 * mostOfEach,
          }),
        ),
      )
      const items = found.flatMap((result) => result.items).filter((item) => names(item, short))
      return items.slice(0, mostOfEach).map(mentionOf)
    }
    return { tickets: await of('tickets'), pages: await of('documentation') }
  }
}

/** The search finds parts of words as well: `web1` in `web10`. */
function names({ name, attributes }: AssetRow, host: string): boolean {
  const word = new RegExp(`(?<![\\p{L}\\p{N}-])${RegExp.escape(host)}(?![\\p{L}\\p{N}-])`, 'iu')
  return word.test(name) || word.test(attributes)
}

function mentionOf({ id, kind, name, status, url, connection_id }: AssetRow): Mention {
  return { id, kind, name, status, url, connection: connection_id }
}
