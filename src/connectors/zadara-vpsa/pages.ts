import type { z } from 'zod'
import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { ListOf } from './schema.ts'

/** One list of the VPSA: where it is, and under which key its rows come. */
export type List<T extends { readonly name: string }> = {
  readonly path: string
  readonly key: string
  readonly item: z.ZodType<T>
}

const restarts = 3

/**
 * All pages of a list. The VPSA pages by position (`start`), so a row that is deleted while the list is read would make the
 * next page skip another. Each page therefore begins with the last row of the page before; when that row moved, the list is
 * read again from its beginning. Rows may then come twice; none is missed.
 */
export async function* pagesOf<T extends { readonly name: string }>(
  http: Http,
  list: List<T>,
  limit: number,
): AsyncGenerator<{ readonly rows: readonly T[]; readonly total?: number }> {
  for (let attempt = 0; attempt < restarts; attempt++) {
    const moved = yield* onePass(http, list, limit)
    if (!moved) return
  }
  throw new Problem('upstream-busy', `The VPSA's ${list.key} changed again and again while they were read`)
}

/** Reads to the end; answers true when the list moved under the reader. */
async function* onePass<T extends { readonly name: string }>(http: Http, { path, key, item }: List<T>, limit: number) {
  let last: T | undefined
  for (let start = 0; ; ) {
    const { rows, count } = await http.get(path, ListOf(key, item), { start, limit })
    if (last !== undefined && rows[0]?.name !== last.name) return true
    const fresh = last === undefined ? rows : rows.slice(1)
    const seen = start + rows.length
    // Some versions count all matches, others the rows of the page: only a count above what was seen says that there is more.
    const isMore = rows.length === limit || (count ?? 0) > seen
    if (isMore && fresh.length === 0 && rows.length < limit)
      throw new Problem('upstream-invalid', `The VPSA announced more ${key} than it sent`)
    yield { rows: fresh, ...(count !== null && count !== undefined && count >= seen && { total: count }) }
    if (!isMore) return false
    last = rows.at(-1)
    start = seen - 1
  }
}
