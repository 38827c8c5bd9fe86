import type { Http, Query } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { type Timesheet, Timesheets } from './schema.ts'

export type Page = {
  readonly rows: readonly Timesheet[]
  readonly total: number | undefined
  readonly pages: number | undefined
}

/** One page of timesheets. A page beyond the last is answered with 404, which is the end and no fault. */
export async function readPage(http: Http, query: Query, page: number, size: number): Promise<Page> {
  try {
    const { body, headers } = await http.read('/api/timesheets', Timesheets, { ...query, page, size })
    return { rows: body, total: numberOf(headers['x-total-count']), pages: numberOf(headers['x-total-pages']) }
  } catch (error) {
    if (page > 1 && error instanceof Problem && error.type === 'not-found')
      return { rows: [], total: undefined, pages: undefined }
    throw error
  }
}

/**
 * All timesheets of a query, by rising id. New ones come last; one that is deleted meanwhile moves the others to earlier
 * pages, so the pages behind us are then read again, which repeats some and misses none.
 */
export async function* timesheetPages(http: Http, query: Query, size: number) {
  let most = 0
  let before: number | undefined
  for (let page = 1; ; page++) {
    const { rows, total, pages } = await readPage(http, { ...query, orderBy: 'id', order: 'ASC' }, page, size)
    const lost = lostSince(before, total, rows.length === 0, size)
    before = total
    if (lost > 0) {
      page = Math.max(0, page - 1 - Math.ceil(lost / size))
      most = 0
      continue
    }
    const first = rows[0]?.id ?? Number.POSITIVE_INFINITY
    if (first <= most)
      throw new Problem(
        'upstream-invalid',
        'Kimai sent the same page of timesheets twice; nothing was concluded from it',
      )
    if (rows.some(({ id }, i) => i > 0 && id <= (rows[i - 1]?.id ?? 0)))
      throw new Problem('upstream-invalid', 'Kimai sent timesheets out of order')
    if (rows.length > 0) yield { rows, total }
    most = rows.at(-1)?.id ?? most
    if (rows.length === 0 || (pages === undefined ? rows.length < size : page >= pages)) return
  }
}

/** How many were deleted since the page before. A page that vanished was announced, so at least one page's worth moved. */
function lostSince(before: number | undefined, total: number | undefined, isEmpty: boolean, size: number): number {
  if (before === undefined) return 0
  if (total === undefined) return isEmpty ? size : 0
  return Math.max(0, before - total)
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined
}
