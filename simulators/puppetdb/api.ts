import { json, type Reply, type SimRequest } from '../lib/server.ts'
import type { Nodes } from './nodes.ts'
import { type Entity, plan, QueryFault, type Row, valueAt } from './query.ts'

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

type Listed = Entity & { readonly rows: (nodeState: string) => Iterable<Row> }

function answer(entity: Listed, params: Params): Reply {
  const parsed = (name: string) => {
    const value = params[name]
    return typeof value === 'string' ? JSON.parse(value) : value
  }
  const limit = params['limit'] === undefined ? Number.POSITIVE_INFINITY : whole('limit', params['limit'], 1)
  const offset = params['offset'] === undefined ? 0 : whole('offset', params['offset'], 0)
  const { fields, matches, nodeState } = plan(parsed('query'), entity)
  const found = [...entity.rows(nodeState)].filter(matches)
  const order = ((parsed('order_by') ?? []) as { field: string; order?: string }[])[0]
  if (order) {
    const sign = order.order === 'desc' ? -1 : 1
    const by = (row: Row) => String(row[order.field] ?? '')
    found.sort((a, b) => (by(a) === by(b) ? 0 : by(a) < by(b) ? -sign : sign))
  }
  const rows = found.slice(offset, offset + limit)
  const shown = fields
    ? rows.map((row) => Object.fromEntries(fields.map((name) => [name, valueAt(row, name) ?? null])))
    : rows
  const total = String(params['include_total']) === 'true' ? { 'x-records': String(found.length) } : {}
  return { ...json(200, shown, total), items: shown.length }
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
    return entity && { rows: entity.rows('any'), entity }
  }
  const sample = nodes.refs[0] ?? 0
  const entities: Listed[] = [
    {
      name: 'nodes',
      fields: Object.keys(nodes.node(sample)),
      times: ['facts_timestamp', 'report_timestamp', 'catalog_timestamp'],
      select,
      rows: (nodeState) => refs(nodeState).map(nodes.node),
    },
    {
      name: 'inventory',
      fields: ['certname', 'timestamp', 'environment', 'facts', 'trusted'],
      times: ['timestamp'],
      select,
      rows: function* (nodeState) {
        // One at a time: facts are large.
        for (const ref of refs(nodeState)) {
          const row = {
            certname: nodes.certname(ref),
            timestamp: nodes.node(ref)['facts_timestamp'],
            environment: 'production',
          }
          yield { ...row, facts: nodes.facts(ref), trusted: {} }
        }
      },
    },
    {
      name: 'facts',
      fields: ['certname', 'name', 'value', 'environment'],
      times: [],
      select,
      rows: function* (nodeState) {
        for (const ref of refs(nodeState)) {
          for (const [name, value] of Object.entries(nodes.facts(ref)))
            yield { certname: nodes.certname(ref), name, value, environment: 'production' }
        }
      },
    },
    {
      name: 'reports',
      fields: Object.keys(nodes.report(sample)),
      times: ['start_time', 'end_time', 'producer_timestamp', 'receive_time'],
      select,
      rows: () => nodes.refs.map((ref) => nodes.report(ref)),
    },
  ]
  return entities
}

/** As the real one says it: not JSON. */
export function text(status: number, body: string): Reply {
  return { status, headers: { 'content-type': 'text/plain;charset=utf-8' }, body }
}
