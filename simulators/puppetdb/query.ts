// The part of PuppetDB's AST that a client needs, with the limits of the real 7.12: what it refuses is refused here in its words.

export type Ast = unknown
export type Row = Record<string, unknown>
type Test = (row: Row) => boolean

/** PuppetDB answers 400 with this text. */
export class QueryFault extends Error {}

type Entity = {
  readonly name: string
  readonly fields: readonly string[]
  readonly times: readonly string[]
  /** Rows of an entity for `["select_<entity>", ...]`. */
  readonly select: (entity: string) => { readonly rows: Iterable<Row>; readonly entity: Entity } | undefined
}

export type { Entity }

export type Plan = {
  readonly fields: readonly string[] | undefined
  readonly matches: Test | undefined
  readonly nodeState: string
}

/** @throws QueryFault */
export function plan(query: Ast, entity: Entity): Plan {
  const [isExtract, fields, where] =
    Array.isArray(query) && query[0] === 'extract' ? [true, query[1], query[2]] : [false, undefined, query]
  const state = { nodeState: 'active' }
  const matches = where === undefined ? undefined : compile(where, entity, state)
  const names = isExtract ? [fields].flat().map(String) : undefined
  for (const name of names ?? []) checkField(name, entity)
  return { fields: names, matches, ...state }
}

/** `facts.networking.ip` of a row, or undefined. */
export function valueAt(row: Row, field: string): unknown {
  return field.split('.').reduce<unknown>((value, name) => (isRow(value) ? value[name] : undefined), row)
}

function compile(query: Ast, entity: Entity, state: { nodeState: string }): Test {
  if (!Array.isArray(query)) throw new QueryFault(`Query is not an array: ${JSON.stringify(query)}`)
  const [operator, ...rest] = query as [string, ...unknown[]]
  if (operator === 'and' || operator === 'or') {
    const tests = rest.map((one) => compile(one, entity, state))
    return (row) => (operator === 'and' ? tests.every((one) => one(row)) : tests.some((one) => one(row)))
  }
  if (operator === 'not') {
    const inner = compile(rest[0], entity, state)
    return (row) => !inner(row)
  }
  if (operator === 'in') return membership(rest, entity)
  if (!['=', '~', '>', '>=', '<', '<='].includes(operator))
    throw new QueryFault(`'${operator}' is not a valid operator`)
  if (rest.length !== 2) throw new QueryFault(`${operator} requires exactly two arguments`)
  const [field, value] = rest as [string, string]
  if (field === 'node_state') {
    state.nodeState = value
    return () => true
  }
  checkField(field, entity)
  return comparison(operator, field, value, entity)
}

function comparison(operator: string, field: string, value: string, { times }: Entity): Test {
  if (operator === '=') return (row) => valueAt(row, field) === value
  if (operator === '~') {
    const pattern = new RegExp(value)
    return (row) => pattern.test(String(valueAt(row, field) ?? ''))
  }
  if (!times.includes(field)) throw new QueryFault(`Query operators >,>=,<,<= are not allowed on field ${field}`)
  const limit = Date.parse(value)
  if (Number.isNaN(limit)) throw new QueryFault(`Argument "${value}" is incompatible with a timestamp`)
  return (row) => {
    const at = Date.parse(String(valueAt(row, field) ?? ''))
    if (operator === '>') return at > limit
    if (operator === '>=') return at >= limit
    return operator === '<' ? at < limit : at <= limit
  }
}

/** `["in", "certname", ["array", [..]]]` or `["in", "certname", ["extract", "certname", ["select_reports", ..]]]` */
function membership([field, source]: readonly unknown[], entity: Entity): Test {
  const [kind, ...rest] = source as [string, ...unknown[]]
  const wanted = new Set<unknown>()
  if (kind === 'array') for (const one of rest[0] as unknown[]) wanted.add(one)
  else if (kind === 'extract') {
    const [column, [select, where]] = rest as [string, [string, Ast]]
    const found = entity.select(select.replace(/^select_/, ''))
    if (!found) throw new QueryFault(`Unsupported subquery ${select}`)
    const { matches } = plan(where, found.entity)
    for (const row of found.rows) if (matches?.(row) ?? true) wanted.add(row[column])
  } else throw new QueryFault(`Unrecognized operator '${kind}'`)
  return (row) => wanted.has(valueAt(row, String(field)))
}

function checkField(field: string, { name, fields }: Entity): void {
  const [first = ''] = field.split('.')
  if (!fields.includes(first)) {
    throw new QueryFault(
      `Can't extract unknown '${name}' field '${field}'. Acceptable fields are: ${fields.join(', ')}`,
    )
  }
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null
}
