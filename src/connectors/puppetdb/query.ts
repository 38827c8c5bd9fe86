import type { z } from 'zod'
import type { Http, Query } from '../../core/connector.ts'

/** A query in PuppetDB's AST: `["=", "certname", "db01.example.net"]`. Values are JSON strings in it, so nothing needs quoting. */
export type Ast = readonly (string | number | boolean | Ast)[]

export type Listing = {
  readonly fields: readonly string[]
  readonly where?: Ast | undefined
  readonly orderBy: string
  readonly descending?: boolean
  readonly limit: number
  readonly offset?: number
}

/** `GET` on an entity: nodes, inventory, facts, reports. There is always a limit: PuppetDB has none of its own. */
export async function list<T>(
  http: Http,
  entity: 'nodes' | 'facts' | 'reports',
  row: z.ZodType<readonly T[]>,
  { fields, where, orderBy, descending, limit, offset = 0 }: Listing,
): Promise<{ readonly rows: readonly T[]; readonly total: number | undefined }> {
  const query: Query = {
    query: JSON.stringify(extract(fields, where)),
    order_by: JSON.stringify([{ field: orderBy, order: descending ? 'desc' : 'asc' }]),
    limit,
    offset,
    include_total: true,
  }
  const { body, headers } = await http.read(`/pdb/query/v4/${entity}`, row, query)
  const total = Number(headers['x-records'] ?? Number.NaN)
  return { rows: body, total: Number.isSafeInteger(total) ? total : undefined }
}

export function extract(fields: readonly string[], where?: Ast): Ast {
  return where ? ['extract', fields, where] : ['extract', fields]
}

/** All of the given; undefined when there is nothing to ask. */
export function and(...terms: readonly (Ast | undefined)[]): Ast | undefined {
  const given = terms.filter((term) => term !== undefined)
  return given.length > 1 ? ['and', ...given] : given[0]
}

/** A text as a regular expression that matches it and nothing else. */
export function literal(text: string): string {
  return text.replaceAll(/[^\w]/g, '\\$&')
}
