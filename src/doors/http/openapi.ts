import type { z } from 'zod'
import type { Action } from '../../core/action.ts'
import { isSchema, type JsonSchema, jsonSchemaOf } from '../../lib/json-schema.ts'
import { faultSchema, pendingSchema, problemSchema, rateHeaders } from './openapi-common.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Route } from './route.ts'
import { loginInput, setupInput, signedIn } from './sign-in.ts'

type Components = Record<string, JsonSchema>

/** `GET /api/v1/openapi.json`, made once: the catalog does not change while the server runs. */
export function openapiRoute(parts: Pick<HttpDoorParts, 'actions' | 'version' | 'login' | 'setup'>): Route {
  let text: string | undefined
  return {
    method: 'GET',
    path: '/api/v1/openapi.json',
    public: true,
    events: [],
    handle: async ({ reply }) => {
      text ??= JSON.stringify(openapi(parts))
      return reply.type('application/json; charset=utf-8').send(text)
    },
  }
}

/** The OpenAPI 3.1 description of the REST door, from the zod schemas of the actions. */
export function openapi({
  actions,
  version,
  login,
  setup,
}: Pick<HttpDoorParts, 'actions' | 'version' | 'login' | 'setup'>) {
  const schemas: Components = { Problem: problemSchema, FieldFault: faultSchema, Pending: pendingSchema }
  const paths: Record<string, Record<string, unknown>> = {}
  const sorted = [...actions].sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const action of sorted) {
    const { method, path } = action.http
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(action, schemas) }
  }
  if (login) paths['/login'] = { post: signIn('login', 'Sign in with name and password', loginInput, schemas) }
  if (setup) paths['/setup'] = { post: signIn('setup', 'Create the first administrator', setupInput, schemas) }
  return {
    openapi: '3.1.1',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'Infrastructure Atlas',
      version,
      description:
        'Every operation is one action of the catalog and passes the same gate as the MCP tools and the command line.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }],
    tags: [...new Set(sorted.map(areaOf))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'An API token or a token from login.' },
      },
      schemas,
      responses: {
        Problem: {
          description: 'A problem; `type` says which',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
        Pending: {
          description: 'Nothing was done yet: another person must approve this exact call',
          headers: { Location: { description: 'The approval', schema: { type: 'string' } } },
          content: json({ $ref: '#/components/schemas/Pending' }),
        },
      },
      headers: rateHeaders,
    },
  }
}

function operation(action: Action, schemas: Components) {
  const input = embed(`${action.name}.input`, jsonSchemaOf(action.input, 'input'), schemas)
  const output = embed(`${action.name}.output`, jsonSchemaOf(action.output, 'output'), schemas)
  const inPath = [...action.http.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const { properties, required } = fieldsOf(input)
  const rest = Object.keys(properties).filter((name) => !inPath.includes(name))
  const inQuery = action.http.method === 'GET' || action.http.method === 'DELETE'
  const parameters = [
    ...inPath.map((name) => ({ name, in: 'path', required: true, ...described(properties[name]) })),
    ...(inQuery
      ? rest.map((name) => ({ name, in: 'query', required: required.includes(name), ...described(properties[name]) }))
      : []),
    ...(action.access === 'read' ? [] : [approvalHeader]),
  ]
  return {
    operationId: action.name,
    summary: action.title,
    description: action.description,
    tags: [areaOf(action)],
    'x-atlas-access': action.access,
    parameters,
    ...(!inQuery && {
      requestBody: { required: required.some((name) => rest.includes(name)), content: json(without(input, inPath)) },
    }),
    responses: {
      200: { description: 'Done', headers: rateHeaderRefs, content: json(output) },
      202: { $ref: '#/components/responses/Pending' },
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

function signIn(operationId: string, summary: string, input: z.ZodType, schemas: Components) {
  return {
    operationId,
    summary,
    tags: ['identity'],
    security: [],
    requestBody: {
      required: true,
      content: json(embed(`${operationId}.input`, jsonSchemaOf(input, 'input'), schemas)),
    },
    responses: {
      200: { description: 'Done', content: json(jsonSchemaOf(signedIn, 'output')) },
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

const approvalHeader = {
  name: 'Atlas-Approval',
  in: 'header',
  required: false,
  description: 'Id of the approval for this exact call.',
  schema: { type: 'string' },
}

const rateHeaderRefs = Object.fromEntries(
  Object.keys(rateHeaders).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
)

function areaOf({ name }: Action): string {
  return name.split('.', 1)[0] ?? name
}

function json(schema: JsonSchema) {
  return { 'application/json': { schema } }
}

function described(schema: JsonSchema = {}) {
  const { description, ...rest } = schema
  return { ...(typeof description === 'string' && { description }), schema: rest }
}

function fieldsOf(schema: JsonSchema): { properties: Record<string, JsonSchema>; required: readonly string[] } {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : []
  return {
    properties: Object.fromEntries(Object.entries(properties).map(([k, v]) => [k, isSchema(v) ? v : {}])),
    required,
  }
}

/** The input as it is sent in the body: without what the path carries. */
function without(schema: JsonSchema, names: readonly string[]): JsonSchema {
  const { properties, required } = fieldsOf(schema)
  const { properties: _, required: __, ...rest } = schema
  const left = required.filter((name) => !names.includes(name))
  return {
    ...rest,
    ...(isSchema(schema['properties']) && {
      properties: Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name))),
    }),
    ...(left.length > 0 && { required: left }),
  }
}

/** Moves a schema's own `$defs` to the document's components: a `#` in it would mean another document here. */
function embed(name: string, schema: JsonSchema, schemas: Components): JsonSchema {
  const { $defs, ...root } = schema
  const rename = (ref: string) =>
    ref === '#' ? `#/components/schemas/${name}` : ref.replace(/^#\/\$defs\//, `#/components/schemas/${name}.`)
  const moved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(moved)
    if (!isSchema(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, v]) => [key, key === '$ref' && typeof v === 'string' ? rename(v) : moved(v)]),
    )
  }
  for (const [key, value] of Object.entries(isSchema($defs) ? $defs : {}))
    schemas[`${name}.${key}`] = moved(value) as JsonSchema
  const result = moved(root) as JsonSchema
  if (JSON.stringify(root).includes('"$ref":"#"')) schemas[name] = result
  return result
}
