import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Nodes } from './nodes.ts'
import { type Entity, type Plan, plan, QueryFault, type Row, valueAt } from './query.ts'

type Parts = {
  readonly version: string
  readonly nodes: Nodes
  readonly now: () => Date
  /** Why the client may not read, if it may not. */
  readonly refusal: (request: SimRequest) => Reply | undefined
}

const parameters = ['query', 'limit', 'offset', 'order_by', 'include_total', 'timeout', 'pretty']

/** PuppetDB's query API v4: nodes, inventory, facts, reports; and what is needed of its meta API. */
export function makeApi({ version, nodes, now, refusal }: Parts) {
  const entities = makeEntities(nodes)
  return function handle(request: SimRequest): Reply {
    const { method, path, headers } = request
    const refused = refusal(request)
    if (refused) return refused
    if (path === '/pdb/meta/v1/version') return json(200, { version })
    if (path === '/pdb/meta/v1/server-time') return json(200, { server_time: now().toISOString() })
    const entity = entities.find(({ name }) => path === `/pdb/query/v4/${name}`)
    if (!entity) return text(404, 'Not Found')
    if (method !== 'GET' && method !== 'POST') return text(405, 'PuppetDB queries must be made via GET/POST')
    if (!/\*\/\*|application\/(\*|json)/.test(headers.accept ?? '*/*')) return text(406, 'must accept application/json')
    try {
      return answer(entity, paramsOf(request))
    } catch (error) {
      if (error instanceof QueryFault || error instanceof SyntaxError) return text(400, error.message)
      throw error
    }
  }
}

type Params = Readonly<Record<string, unknown>>

function paramsOf({ method, query, body }: SimRequest): Params {
  const given: Params = method === 'POST' ? JSON.parse(body) : Object.fromEntries(query)
  const unknown = Object.keys(given).find((name) => !parameters.includes(name))
  if (unknown !== undefined) throw new QueryFault(`Unsupported query parameter '${unknown}'`)
  return given
}

type Listed = Entity & {
  /** The nodes that it is about, in the order of their certnames. */
  readonly refs: (nodeState: string) => readonly number[]
  readonly rowsOf: (ref: number) => readonly Row[]
}

function answer(entity: Listed, params: Params): Reply {
  const parsed = (name: string) => {
    const value = params[name]
    return typeof value === 'string' ? JSON.parse(value) : value
  }
  const limit = params['limit'] === undefined ? Number.POSITIVE_INFINITY : whole('limit', params['limit'], 1)
  const offset = params['offset'] === undefined ? 0 : whole('offset', params['offset'], 0)
  const query = plan(parsed('query'), entity)
  const order = ((parsed('order_by') ?? []) as { field: string; order?: string }[])[0]
  const { rows, total } = find(entity, query, { order, limit, offset })
  const { fields } = query
  const shown = fields
    ? rows.map((row) => Object.fromEntries(fields.map((name) => [name, valueAt(row, name) ?? null])))
    : rows
  const counted = String(params['include_total']) === 'true' ? { 'x-records': String(total) } : {}
  return { ...json(200, shown, counted), items: shown.length }
}

type Window = {
  readonly order: { readonly field: string; readonly order?: string } | undefined
  readonly limit: number
  readonly offset: number
}

function find({ refs, rowsOf, name }: Listed, { matches, nodeState }: Plan, { order, limit, offset }: Window) {
  const all = refs(nodeState)
  // A page of the whole list is computed alone, so that a large company can be read.
  if (!matches && order?.field === 'certname' && order.order !== 'desc' && name !== 'facts') {
    return { rows: all.slice(offset, offset + limit).flatMap(rowsOf), total: all.length }
  }
  const found: Row[] = []
  for (const ref of all) found.push(...rowsOf(ref).filter((row) => matches?.(row) ?? true))
  if (order) {
    const sign = order.order === 'desc' ? -1 : 1
    const by = (row: Row) => String(row[order.field] ?? '')
    found.sort((a, b) => (by(a) === by(b) ? 0 : by(a) < by(b) ? -sign : sign))
  }
  return { rows: found.slice(offset, offset + limit), total: found.length }
}

function whole(name: string, value: unknown, least: number): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new QueryFault(
    `Illegal value '${value}' for :${name}; expected a positive ${least > 0 ? 'non-zero ' : ''}integer.`,
  )
}

function makeEntities(nodes: Nodes): Listed[] {
  const refs = (nodeState: string) =>
    nodes.refs.filter((ref) => nodeState === 'any' || nodes.isActive(ref) === (nodeState === 'active'))
  const select: Entity['select'] = (name) => {
    const entity = entities.find((one) => one.name === name)
    return entity && { rows: entity.refs('any').flatMap(entity.rowsOf), entity }
  }
  const sample = nodes.refs[0] ?? 0
  const environment = 'production'
  const entities: Listed[] = [
    {
      name: 'nodes',
      fields: Object.keys(nodes.node(sample)),
      times: ['facts_timestamp', 'report_timestamp', 'catalog_timestamp'],
      select,
      refs,
      rowsOf: (ref) => [nodes.node(ref)],
    },
    {
      name: 'inventory',
      fields: ['certname', 'timestamp', 'environment', 'facts', 'trusted'],
      times: ['timestamp'],
      select,
      refs,
      rowsOf: (ref) => [
        {
          certname: nodes.certname(ref),
          environment,
          trusted: {},
          get timestamp() {
            return nodes.node(ref)['facts_timestamp']
          },
          get facts() {
            return nodes.facts(ref)
          },
        },
      ],
    },
    {
      name: 'facts',
      fields: ['certname', 'name', 'value', 'environment'],
      times: [],
      select,
      refs,
      rowsOf: (ref) => {
        const certname = nodes.certname(ref)
        return Object.entries(nodes.facts(ref)).map(([name, value]) => ({ certname, name, value, environment }))
      },
    },
    {
      name: 'reports',
      fields: Object.keys(nodes.report(sample)),
      times: ['start_time', 'end_time', 'producer_timestamp', 'receive_time'],
      select,
      refs: () => nodes.refs,
      rowsOf: (ref) => [nodes.report(ref)],
    },
  ]
  return entities
}

/** As the real one says it: not JSON. */
export function text(status: number, body: string): Reply {
  return { status, headers: { 'content-type': 'text/plain;charset=utf-8' }, body }
}
