import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineAction } from '../../core/action.ts'
import { SecretValue } from '../../core/secret.ts'
import { testDoors } from '../../testing/doors.ts'
import { openapi } from './openapi.ts'

type Json = { [key: string]: Json } & { [index: number]: Json }

const Node: z.ZodType = z.lazy(() => z.object({ name: z.string(), children: z.array(Node) }))
const hard = defineAction({
  name: 'test.things.draw',
  title: 'Draw',
  description: 'Recursive, transformed, named schemas.',
  access: 'write',
  http: { method: 'PUT', path: '/things/{thing}' },
  input: z.strictObject({
    thing: z.string().describe('Id.'),
    tree: Node,
    named: z.object({ at: z.iso.datetime() }).meta({ id: 'Named' }),
    secret: SecretValue.optional(),
  }),
  output: z.object({ tree: Node, size: z.string().transform((text) => text.length) }),
  resource: () => ({ type: 'any', id: '*' }),
  run: async () => ({ tree: {}, size: '' }),
})

function documentOf(): Json {
  const { actions } = testDoors()
  const signIn = async () => ({ token: '', expiresAt: '' })
  return JSON.parse(
    JSON.stringify(openapi({ actions: [...actions, hard], version: '1.2.3', login: signIn, setup: signIn })),
  )
}

test('every $ref of the OpenAPI document resolves inside it', () => {
  const document = documentOf()
  const refs: string[] = []
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, child] of Object.entries(value)) {
      if (key === '$ref') refs.push(String(child))
      assert.notEqual(key, '$defs')
      walk(child)
    }
  }
  walk(document)
  assert.ok(refs.length > 20)
  for (const ref of refs) {
    const target = ref
      .split('/')
      .slice(1)
      .reduce<unknown>((node, part) => (node as Json)?.[part], document)
    assert.match(ref, /^#\/components\//)
    assert.ok(target, ref)
  }
})

test('operations are the actions: unique names, their tags, their access, all path parameters', () => {
  const document = documentOf()
  const { actions } = testDoors()
  const operations = Object.entries(document['paths'] ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation: operation as unknown as Json })),
  )
  const ids = operations.map(({ operation }) => String(operation['operationId']))
  assert.deepEqual(ids.toSorted(), [...actions.map(({ name }) => name), 'login', 'setup', hard.name].sort())
  for (const { path, operation } of operations) {
    const declared = Object.values(operation['parameters'] ?? {}) as unknown as {
      name: string
      in: string
      required: boolean
      schema: object
    }[]
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    assert.deepEqual(
      declared.filter((p) => p.in === 'path').map((p) => [p.name, p.required]),
      inPath.map((name) => [name, true]),
    )
    assert.equal(new Set(declared.map((p) => `${p.in} ${p.name}`)).size, declared.length)
    for (const parameter of declared) assert.ok(parameter.schema)
    assert.ok(operation['summary'] && operation['responses']?.['default'] && operation['responses']['200'])
  }
})

test('what the document says of one read and one write is exactly this', () => {
  const document = documentOf()
  const search = document['paths']?.['/assets']?.['get'] as unknown as Record<string, unknown>
  assert.deepEqual(
    [search['operationId'], search['tags'], search['x-atlas-access'], 'requestBody' in search],
    ['inventory.assets.search', ['inventory'], 'read', false],
  )
  assert.deepEqual((search['parameters'] as object[])[1], {
    name: 'kind',
    in: 'query',
    required: false,
    description: 'Only these kinds.',
    schema: { default: [], type: 'array', items: { type: 'string' } },
  })
  const edit = document['paths']?.['/connections/{connection}']?.['patch'] as unknown as Json
  assert.deepEqual(edit['requestBody'], {
    required: true,
    content: {
      'application/json': {
        schema: {
          type: 'object',
          properties: { name: { type: 'string', description: 'New name.' } },
          required: ['name'],
          additionalProperties: false,
        },
      },
    },
  })
  assert.deepEqual(document['security'], [{ token: [] }])
  assert.equal(document['openapi'], '3.1.1')
})

test('a secret field is write-only, and the document is served without a token', async () => {
  const { app } = testDoors()
  const answer = await app.inject({ url: '/api/v1/openapi.json' })
  assert.equal(answer.statusCode, 200)
  assert.match(answer.body, /"format":"password","writeOnly":true/)
})
