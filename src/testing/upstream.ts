import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { z } from 'zod'
import type { Http, Query, SyncContext } from '../core/connector.ts'
import { Problem } from '../core/problem.ts'

/** One request that a connector must make, and what the connected system answers. */
export type Exchange = {
  /** Method, path and query exactly as sent: `GET /api/dcim/sites/?ordering=id&limit=2&id__gt=0`. */
  readonly request: string
  /** The request's body: a fixture's file name, or the value. */
  readonly body?: unknown
  /** Request headers that the connector sets itself. */
  readonly requestHeaders?: Readonly<Record<string, string>>
  /** The answer: a fixture's file name, the value itself, or the problem that lib/http-client would throw. */
  readonly reply: unknown
  readonly headers?: Readonly<Record<string, string>>
}

type Options<Config> = {
  readonly config: Config
  readonly cursor?: SyncContext['cursor']
  readonly now?: () => Date
}

/**
 * A connected system that answers only the listed requests, each exactly once, from `folder`/fixtures.
 * An unlisted request fails at once; one that was never made fails when the test ends.
 */
export function upstream<Config>(
  t: TestContext,
  folder: string,
  exchanges: readonly Exchange[],
  options: Options<Config>,
): SyncContext<Config> {
  const left = [...exchanges]
  t.after(() =>
    assert.deepEqual(
      left.map((exchange) => exchange.request),
      [],
      'these requests were never made',
    ),
  )
  const fixture = (value: unknown) =>
    typeof value === 'string' && value.endsWith('.json')
      ? JSON.parse(readFileSync(join(folder, 'fixtures', value), 'utf8'))
      : value

  const answer = <T>(request: string, schema: z.ZodType<T>, body?: unknown, requestHeaders?: unknown) => {
    const at = left.findIndex((exchange) => exchange.request === request)
    const exchange = left[at]
    assert(exchange, `unexpected request: ${request}`)
    left.splice(at, 1)
    assert.deepEqual(body, fixture(exchange.body), `the body of ${request}`)
    assert.deepEqual(requestHeaders, exchange.requestHeaders, `the headers of ${request}`)
    if (exchange.reply instanceof Problem) throw exchange.reply
    const parsed = schema.safeParse(fixture(exchange.reply))
    if (!parsed.success) throw new Problem('upstream-invalid', parsed.error.issues[0]?.message)
    return { body: parsed.data, headers: exchange.headers ?? {} }
  }
  const http: Http = {
    get: async (path, schema, query) => answer(`GET ${path}${queryText(query)}`, schema).body,
    read: async (path, schema, query) => answer(`GET ${path}${queryText(query)}`, schema),
    send: async (method, path, schema, body, { query, headers } = {}) =>
      answer(`${method} ${path}${queryText(query)}`, schema, body, headers).body,
    exchange: async ({ method, path, query, body, headers }, schema) => ({
      status: 200,
      ...answer(`${method} ${path}${queryText(query)}`, schema, body, headers),
    }),
  }
  return {
    config: options.config,
    http,
    signal: new AbortController().signal,
    now: options.now ?? (() => new Date('2026-01-01T00:00:00.000Z')),
    ...(options.cursor && { cursor: options.cursor }),
  }
}

/** In the order given; an array repeats its name, an undefined value is left out (as in lib/http-path). */
function queryText(query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const item of Array.isArray(value) ? value : [value]) search.append(name, String(item))
  }
  return search.size > 0 ? `?${search}` : ''
}
