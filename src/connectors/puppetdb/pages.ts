import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { type Ast, extract, list } from './query.ts'
import { Inventory, type Node, Nodes } from './schema.ts'

export const nodeFields = Object.keys(Nodes.element.shape)

/** How often a reader steps back before it gives up. */
const mostSteps = 50

/**
 * Nodes by certname, in pages by offset: PuppetDB cannot compare certnames. Each page begins with the last node of the page before.
 * Where it does not, nodes left the list meanwhile and others moved up unseen: it is read again from earlier, until it meets
 * a node of the page before.
 */
export async function* nodePages(
  http: Http,
  pageSize: number,
  where?: Ast,
): AsyncGenerator<{ readonly nodes: readonly Node[]; readonly total: number | undefined }> {
  const query = { fields: nodeFields, where, orderBy: 'certname', limit: pageSize }
  let before: ReadonlySet<string> = new Set()
  let steps = 0
  for (let offset = 0; ; ) {
    const { rows, total } = await list(http, 'nodes', Nodes, { ...query, offset })
    const met = rows.findLastIndex(({ certname }) => before.has(certname))
    if (met < 0 && offset > 0) {
      if (++steps > mostSteps) throw invalid('PuppetDB changes its list of nodes faster than it can be read')
      offset = Math.max(0, offset - pageSize + 1)
      continue
    }
    yield { nodes: rows.slice(met + 1), total }
    if (rows.length < pageSize) return
    before = new Set(rows.map(({ certname }) => certname))
    offset += pageSize - 1
  }
}

/** The facts of these nodes, by certname. The names go in the body: a page of them is too long for an address. */
export async function readFacts(http: Http, fields: readonly string[], nodes: readonly Node[]) {
  if (nodes.length === 0) return new Map<string, Inventory[number]>()
  const names = nodes.map(({ certname }) => certname)
  const { body } = await http.exchange(
    {
      method: 'POST',
      path: '/pdb/query/v4/inventory',
      body: { query: extract(['certname', ...fields], ['in', 'certname', ['array', names]]), limit: names.length },
      safe: true,
    },
    Inventory,
  )
  return new Map(body.map((values) => [values.certname, values]))
}

function invalid(detail: string): Problem {
  return new Problem('upstream-invalid', detail)
}
