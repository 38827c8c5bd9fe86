import type { FastifyRequest } from 'fastify'
import type { Action } from '../../core/action.ts'
import { type FieldFault, Problem } from '../../core/problem.ts'
import { isSchema, type JsonSchema, jsonSchemaOf, propertiesOf } from '../../lib/json-schema.ts'
import { readJson } from './body.ts'

/**
 * How one action's input is put together: path parameters, and the query (GET, DELETE) or the JSON body (the others).
 * Only the encoding is undone here; whether the value is right is for the gate's one parse.
 */
export function makeInputReader({ input, http }: Action): (request: FastifyRequest) => Promise<unknown> {
  const fields = propertiesOf(jsonSchemaOf(input, 'input'))
  const inQuery = http.method === 'GET' || http.method === 'DELETE'

  return async function readInput(request) {
    const params = pathParams(request.params)
    const given = inQuery ? readQuery(request.raw.url ?? '', fields) : await readBody(request)
    const twice: FieldFault[] = Object.keys(params)
      .filter((name) => Object.hasOwn(given, name))
      .map((name) => ({ field: `/${name}`, rule: 'is given by the path' }))
    if (twice.length > 0)
      throw new Problem('invalid-input', 'A field is given both in the path and in the input', { faults: twice })
    return { ...given, ...params }
  }
}

async function readBody(request: FastifyRequest): Promise<JsonSchema> {
  if (request.raw.url?.includes('?')) throw new Problem('invalid-input', 'This route takes no query')
  const body = (await readJson(request.raw)) ?? {}
  if (!isSchema(body)) throw new Problem('invalid-input', 'The body is not a JSON object')
  return body
}

/** A parameter that could be read as more than one path segment, or as none, names nothing. */
export function pathParams(params: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(isSchema(params) ? params : {}).map(([name, value]) => [name, String(value)] as const)
  for (const [, value] of entries)
    if (value === '' || /^\.\.?$|[/\\\p{Cc}]/u.test(value)) throw new Problem('not-found')
  return Object.fromEntries(entries)
}

function readQuery(url: string, fields: Readonly<Record<string, JsonSchema>>): Readonly<Record<string, unknown>> {
  const start = url.indexOf('?')
  const sent = new URLSearchParams(start < 0 ? '' : url.slice(start + 1))
  const result: Record<string, unknown> = {}
  for (const name of new Set(sent.keys())) {
    if (name in Object.prototype)
      throw new Problem('invalid-input', 'A query parameter has a name that is not accepted')
    result[name] = fromText(sent.getAll(name), fields[name])
  }
  return result
}

/** Query text as the type that the field's schema wants; text that is not of that type stays text, and zod says so. */
function fromText(values: readonly string[], schema: JsonSchema = {}): unknown {
  const types = typesOf(schema)
  if (types.has('array')) {
    const items = arrayItems(schema)
    return values.map((value) => one(value, items === undefined ? new Set() : typesOf(items)))
  }
  return values.length === 1 ? one(values[0] ?? '', types) : values
}

function one(value: string, types: ReadonlySet<string>): unknown {
  if (types.has('boolean') && (value === 'true' || value === 'false')) return value === 'true'
  if ((types.has('integer') || types.has('number')) && /^-?(0|[1-9]\d{0,15})(\.\d{1,15})?$/.test(value))
    return Number(value)
  return value
}

function typesOf(schema: JsonSchema): ReadonlySet<string> {
  const types = new Set([schema['type']].flat().filter((type) => typeof type === 'string'))
  for (const branch of branches(schema)) for (const type of typesOf(branch)) types.add(type)
  return types
}

function arrayItems(schema: JsonSchema): JsonSchema | undefined {
  if (isSchema(schema['items'])) return schema['items']
  return branches(schema)
    .map(arrayItems)
    .find((items) => items !== undefined)
}

function branches(schema: JsonSchema): readonly JsonSchema[] {
  return [schema['anyOf'], schema['oneOf'], schema['allOf']].flat().filter(isSchema)
}
