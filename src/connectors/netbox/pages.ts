import type { Query } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Rows } from './models.ts'

/**
 * Reads a list by key: `ordering=id&id__gt=<last>`. Unlike offsets, it neither skips nor repeats a row when rows are added or
 * deleted meanwhile, and it works on every 4.x.
 * NetBox ignores filters it does not know, so each page is checked: ids must rise past the last one. A repeated, unsorted or
 * endless list ends in `upstream-invalid`, before it can be believed.
 */
export async function* pagesById<T extends { readonly id: number }>(
  what: string,
  limit: number,
  read: (query: Query) => Promise<Rows<T>>,
): AsyncGenerator<{ readonly rows: readonly T[]; readonly total: number | undefined }> {
  let last = 0
  let seen = 0
  let total: number | undefined
  let emptyBefore = false
  for (;;) {
    const page = await named(what, read({ ordering: 'id', limit, id__gt: last }))
    total ??= page.count ?? undefined
    checkAscending(what, page.results, last)
    seen += page.results.length
    if (total !== undefined && seen > 2 * total + 10_000) {
      throw invalid(`NetBox keeps sending more ${what} than it says it has`)
    }
    yield { rows: page.results, total }

    // Rows and count are two queries in NetBox: a row deleted between them leaves a count that is one too high.
    const more = page.next !== null || (page.count ?? 0) > page.results.length
    if (!more) return
    const empty = page.results.length === 0
    if (empty && emptyBefore) throw invalid(`NetBox says that there are more ${what} but does not send them`)
    emptyBefore = empty
    last = page.results.at(-1)?.id ?? last
  }
}

/** A refusal is told with what was asked for: the account lacks the right to view exactly that. */
async function named<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof Problem) || error.type !== 'upstream-denied') throw error
    throw new Problem('upstream-denied', `Reading ${what}: ${error.message}`, { cause: error })
  }
}

function checkAscending(what: string, rows: readonly { readonly id: number }[], after: number): void {
  let last = after
  for (const { id } of rows) {
    if (id <= last) {
      throw invalid(
        `NetBox sent ${what} twice or out of order while they were read; nothing was concluded from that page`,
      )
    }
    last = id
  }
}

function invalid(detail: string): Problem {
  return new Problem('upstream-invalid', detail)
}
