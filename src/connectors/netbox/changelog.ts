import type { Http, Query } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Change, Page } from './schema.ts'

const ChangePage = Page(Change)

/** `/api/core/` since 4.1, `/api/extras/` before. */
const places = ['/api/core/object-changes/', '/api/extras/object-changes/'] as const

/** NetBox's changelog as this token sees it; `oldest` is undefined when it holds no rows. */
export type Changelog = { readonly path: string; readonly oldest: Date | undefined }

/** Finds the changelog and its oldest row. Undefined when the token may not read it or the server has none. */
export async function findChangelog(http: Http): Promise<Changelog | undefined> {
  for (const path of places) {
    try {
      const page = await http.get(path, ChangePage, { ordering: 'id', limit: 1 })
      const first = page.results[0]
      return { path, oldest: first && new Date(first.time) }
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      if (error.type === 'upstream-denied') return undefined
      if (error.type !== 'not-found') throw error
    }
  }
  return undefined
}

/** One page of the deletions of one model (`dcim.device`) at or after `since`. */
export async function readDeletions(http: Http, changelog: Changelog, type: string, since: string, query: Query) {
  return http.get(changelog.path, ChangePage, {
    action: 'delete',
    changed_object_type: type,
    time_after: since,
    ...query,
  })
}
