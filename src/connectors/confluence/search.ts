import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { pageOf, type WikiPage } from './page.ts'
import { SearchPage } from './schema.ts'
import type { Config } from './settings.ts'

/** What each page is asked with, so that it can be judged: its space, its ancestors and who may read it. */
export const expansions = [
  'space',
  'version',
  'history',
  'ancestors',
  'metadata.labels',
  'restrictions.read.restrictions.user',
  'restrictions.read.restrictions.group',
]

export type Search = {
  readonly cql: string
  readonly limit: number
  readonly excerpts: boolean
  readonly cursor?: string | undefined
}

/** One page of hits of the v1 search, which both products have, and where the next one begins. */
export async function searchPages(
  { http, config }: { readonly http: Http; readonly config: Config },
  { cql, limit, excerpts, cursor }: Search,
): Promise<{ readonly pages: readonly WikiPage[]; readonly next: string | undefined }> {
  const { results, _links } = await http.get('/rest/api/search', SearchPage, {
    cql,
    limit,
    excerpt: excerpts ? 'indexed' : 'none',
    expand: expansions.map((name) => `content.${name}`).join(','),
    ...position(config.deployment, cursor),
  })
  return {
    pages: results.map(({ content, excerpt }) => pageOf(content, excerpts ? excerpt : undefined)),
    next: nextPosition(_links?.next, cursor),
  }
}

/** Cloud continues from an opaque cursor, Data Center from an offset. */
export function position(deployment: Config['deployment'], cursor: string | undefined) {
  if (cursor === undefined) return {}
  if (deployment === 'datacenter' && !/^\d{1,9}$/.test(cursor))
    throw new Problem('invalid-input', 'The cursor is not one that this connection gave')
  return deployment === 'cloud' ? { cursor } : { start: cursor }
}

/**
 * The position in a `next` link. Only that is taken of it: v1 links lack Cloud's `/wiki`, v2 links have it, and a link that
 * led elsewhere would not be followed.
 */
export function nextPosition(link: string | null | undefined, previous: string | undefined): string | undefined {
  if (!link) return undefined
  const query = new URLSearchParams(link.slice(link.indexOf('?') + 1))
  const next = query.get('cursor') ?? query.get('start')
  if (next === null || next === previous)
    throw new Problem('upstream-invalid', 'Confluence sent a list whose next page is not said, or is the same again')
  return next
}

/** A CQL text literal. */
export function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

export function inSpaces(keys: readonly string[]): string {
  return `type = page and space in (${keys.map(quoted).join(',')})`
}
