import type { z } from 'zod'
import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Audit, Host, Page } from './schema.ts'

const HostPage = Page(Host)
const AuditPage = Page(Audit)

type Rows<T> = { readonly rows: readonly T[]; readonly total: number }

/**
 * Hosts that match, in pages by key: `id > <last>` in the search and `order=id ASC`. Unlike page numbers it neither skips nor
 * repeats a host when others are deleted meanwhile. Hosts can be searched by id since Foreman 2.4.
 */
export async function* hostPages(http: Http, pageSize: number, search?: string): AsyncGenerator<Rows<Host>> {
  let last = 0
  let total: number | undefined
  for (;;) {
    const page = await listHosts(http, { search, after: last, limit: pageSize })
    total ??= page.subtotal
    yield { rows: page.results, total }
    if (page.subtotal <= page.results.length) return
    const next = page.results.at(-1)?.id
    if (next === undefined) throw invalid('Foreman says that there are more hosts but does not send them')
    last = next
  }
}

/** One page of hosts after an id. A page that is out of order says that the search or the order was ignored. */
export async function listHosts(
  http: Http,
  { search, after, limit }: { search?: string | undefined; after: number; limit: number },
): Promise<z.output<typeof HostPage>> {
  const page = await http.get('/api/hosts', HostPage, {
    search: search ? `${search} and id > ${after}` : `id > ${after}`,
    order: 'id ASC',
    page: 1,
    per_page: limit,
  })
  let last = after
  for (const { id } of page.results) {
    if (id <= last) throw invalid('Foreman sent hosts twice or out of order; nothing was concluded from that page')
    last = id
  }
  return page
}

/** Audits that match, oldest first: new ones come after the last page, so page numbers hold. */
export async function* auditPages(http: Http, pageSize: number, search: string): AsyncGenerator<Rows<Audit>> {
  for (let page = 1; ; page++) {
    const { subtotal, results } = await http.get('/api/audits', AuditPage, {
      search,
      order: 'time ASC',
      page,
      per_page: pageSize,
    })
    yield { rows: results, total: subtotal }
    if (results.length === 0 || page * pageSize >= subtotal) return
  }
}

/** Reading audits is a permission of its own. */
export async function mayReadAudits(http: Http): Promise<boolean> {
  try {
    await http.get('/api/audits', AuditPage, { search: 'type = host', order: 'time ASC', page: 1, per_page: 1 })
    return true
  } catch (error) {
    if (error instanceof Problem && error.type === 'upstream-denied') return false
    throw error
  }
}

function invalid(detail: string): Problem {
  return new Problem('upstream-invalid', detail)
}
