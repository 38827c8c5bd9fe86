import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeApp } from '../src/app.ts'
import { readConfig } from '../src/config.ts'
import { Secret } from '../src/core/secret.ts'
import type { Database } from '../src/lib/db/database.ts'
import { makeLog } from '../src/lib/log.ts'
import { fixedClock, testRootKey } from '../src/testing/databases.ts'
import type { Place } from './e2e/canaries.ts'

// The whole program but its process: all rooms and doors over a given database, asked without a network.

const bootstrap = 'e2e-1Zq8mW4vRt7Ky2Lx9Pb5Nc3Hd6Fg0Js'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
/** `token: undefined` asks as nobody. */
type Ask = { body?: unknown; headers?: Readonly<Record<string, string>>; token?: string | undefined }
export type World = Awaited<ReturnType<typeof startInProcess>>

export async function startInProcess(database: Database) {
  const clock = fixedClock()
  const lines: string[] = []
  const dataDir = mkdtempSync(join(tmpdir(), 'atlas-in-process-'))
  const app = await makeApp({
    config: readConfig({
      ATLAS_API_TOKEN: bootstrap,
      ATLAS_RATE_LIMIT_RPM: '1000000',
      ATLAS_DATA_DIR: dataDir,
      ATLAS_ALLOW_LOOPBACK_CONNECTIONS: 'true',
    }),
    database,
    rootKey: testRootKey,
    makeLog: (redact) => makeLog({ level: 'trace', redact, write: (line) => void lines.push(line) }),
    redact: (value) => value,
    version: '0.0.0',
    now: clock.now,
  })
  await app.identity.ensureBootstrapToken(new Secret(bootstrap))
  const asking = askers(app)
  return {
    app,
    clock,
    /** What the server has logged. */
    lines,
    ...asking,
    /** Before the database is closed, which is before what a test registers with `after`. */
    async stop(): Promise<void> {
      await app.http.app.close()
      await app.exports.close()
      await app.connections.close()
      await app.usage.stop()
      await app.identity.close()
      await app.vault.close()
      await app.settle()
      await app.audit.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

function askers({ http }: Awaited<ReturnType<typeof makeApp>>) {
  /** Everything that was answered, to be searched. */
  const places: Place[] = []
  let asked = 0

  const ask = async (method: Method, url: string, options: Ask = {}) => {
    const token = 'token' in options ? options.token : bootstrap
    const answer = await http.app.inject({
      method,
      url,
      // The limits of guessing are not what is tested here.
      remoteAddress: `127.${(asked >> 8) & 255}.${asked++ & 255}.1`,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(options.body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body !== undefined && { payload: JSON.stringify(options.body) }),
    })
    const where = `the answer ${answer.statusCode} to ${method} ${url.slice(0, 40)}`
    places.push({ where, bytes: Buffer.concat([Buffer.from(JSON.stringify(answer.headers)), answer.rawPayload]) })
    const requestId = String(answer.headers['x-request-id'] ?? '')
    return { status: answer.statusCode, payload: answer.rawPayload, text: answer.body, requestId }
  }

  /** Like `ask` below /api/v1, and fails for any answer that is not 2xx. */
  const api = async <T>(method: Method, path: string, body?: unknown): Promise<T> => {
    const { status, text } = await ask(method, `/api/v1${path}`, body === undefined ? {} : { body })
    assert.ok(status < 300, `${method} ${path}: ${status} ${text}`)
    return JSON.parse(text) as T
  }

  /** One message to /mcp. */
  const mcp = (method: string, params: Readonly<Record<string, unknown>>, options: Pick<Ask, 'token'> = {}) => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
    }
    const name = String(params['name'] ?? params['uri'] ?? '')
    const headers = {
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      ...(isHeader(method) && { 'mcp-method': method }),
      ...(isHeader(name) && { 'mcp-name': name }),
    }
    const body = { jsonrpc: '2.0', id: 1, method, params: { _meta, ...params } }
    return ask('POST', '/mcp', { ...options, headers, body })
  }
  return { ask, api, mcp, places }
}

/** Whether a text can stand in a header field as it is. */
export const isHeader = (text: string): boolean => /^[\x21-\x7e]{1,2000}$/.test(text)
