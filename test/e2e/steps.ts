import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import type { Netbox } from '../../simulators/netbox/start.ts'
import { type Atlas, adminToken, compiled, newFolder } from '../../src/testing/server.ts'

// What several of these tests do, in the words of a person who does it.

export type Asset = {
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly serial: string | null
  readonly addresses: readonly string[]
  readonly stale: boolean
}
export type Sync = {
  readonly id: string
  readonly state: string
  readonly full: boolean | null
  readonly stage: string | null
  readonly counts: Readonly<Record<'read' | 'created' | 'updated' | 'unchanged' | 'gone' | 'stale', number>>
  readonly problem: { readonly type: string; readonly detail?: string } | null
}
export type Connection = {
  readonly id: string
  readonly state: string
  readonly problem: { readonly type: string; readonly detail?: string } | null
  readonly activeSync: string | null
}
export type AuditEvent = {
  readonly index: number
  readonly code: string
  readonly requestId?: string
  readonly action?: string
  readonly door?: string
  readonly outcome?: string
  readonly principal?: { readonly id?: string; readonly kind?: string; readonly name?: string }
}

/** Adds a connection that syncs only when it is told to, and takes changes. */
export async function connect(atlas: Atlas, netbox: Netbox, name: string, config: object = {}): Promise<string> {
  const { id } = await atlas.api<Connection>('POST', '/connections', {
    connector: 'netbox',
    name,
    config: { url: netbox.url, ...config },
    credential: { token: netbox.tokens.v2 },
    caCertificate: netbox.caPem,
    schedule: null,
    allowWrites: true,
  })
  return id
}

/** Starts a sync run and waits for its end, however it ends. */
export async function sync(atlas: Atlas, connection: string, mode: 'auto' | 'full' = 'auto'): Promise<Sync> {
  const { id } = await atlas.api<Sync>('POST', `/connections/${connection}/syncs`, { mode })
  return eventually(async () => {
    const run = await atlas.api<Sync>('GET', `/syncs/${id}`)
    return run.state === 'queued' || run.state === 'running' ? undefined : run
  })
}

/** Asks again until there is an answer; gives up after `seconds`, which only a hanging product needs. */
export async function eventually<T>(look: () => Promise<T | undefined>, seconds = 90): Promise<T> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(50)) {
    const answer = await look()
    if (answer !== undefined) return answer
  }
  throw new Error(`Nothing after ${seconds} seconds`)
}

/** Live assets per kind. */
export async function counts(atlas: Atlas): Promise<Record<string, number>> {
  const { connections } = await atlas.api<{ connections: { kinds: { kind: string; count: number }[] }[] }>(
    'GET',
    '/inventory/summary',
  )
  return Object.fromEntries(connections.flatMap(({ kinds }) => kinds.map(({ kind, count }) => [kind, count])))
}

/** The assets that match, best first. */
export async function search(atlas: Atlas, query: Readonly<Record<string, string>>): Promise<Asset[]> {
  const { items } = await atlas.api<{ items: Asset[] }>('GET', `/assets?${new URLSearchParams(query)}`)
  return items
}

/** Every event of the log, oldest first. */
export async function events(atlas: Atlas, query: Readonly<Record<string, string>> = {}): Promise<AuditEvent[]> {
  const all: AuditEvent[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = new URLSearchParams({ limit: '200', ...query, ...(cursor !== undefined && { cursor }) })
    const answer = await atlas.api<{ items: AuditEvent[]; next: string | null }>('GET', `/audit/events?${page}`)
    all.push(...answer.items)
    cursor = answer.next
  }
  return all.reverse()
}

/** The log verifies in the server, and exported by the CLI with the offline verifier. Answers the exported folder. */
export async function assertLogVerifies(t: TestContext, atlas: Atlas): Promise<string> {
  const folder = join(newFolder(t), 'export')
  const online = await atlas.cli(['audit', 'verify', '--json'])
  const exported = await atlas.cli(['audit', 'export', folder])
  const offline = await atlas.cli(['audit', 'verify', '--offline', folder, '--json'], { env: { ATLAS_TOKEN: 'none' } })
  assert.deepEqual(
    [online.code, exported.code, offline.code],
    [0, 0, 0],
    online.stderr + exported.stderr + offline.stderr,
  )
  assert.equal(JSON.parse(online.stdout).ok, true)
  assert.equal(JSON.parse(offline.stdout).ok, true)
  return folder
}

export const revisions = { '2026-07-28': { pin: '2026-07-28' }, '2025-11-25': 'legacy' } as const
export type Revision = keyof typeof revisions

/** The official MCP client over HTTP, or with `stdio` over `atlas mcp`. */
export async function mcpClient(
  t: TestContext,
  atlas: Atlas,
  {
    revision = '2026-07-28',
    token = adminToken,
    stdio = false,
  }: { revision?: Revision; token?: string; stdio?: boolean } = {},
): Promise<Client> {
  const client = new Client({ name: 'e2e', version: '0' }, { versionNegotiation: { mode: revisions[revision] } })
  t.after(() => client.close())
  await client.connect(
    stdio
      ? new StdioClientTransport({
          command: process.execPath,
          args: [join(import.meta.dirname, '../../bin/atlas.js'), 'mcp'],
          env: { ATLAS_URL: atlas.url, ATLAS_TOKEN: token, NODE_COMPILE_CACHE: compiled },
        })
      : new StreamableHTTPClientTransport(new URL('/mcp', atlas.url), {
          requestInit: { headers: { authorization: `Bearer ${token}` } },
        }),
  )
  return client
}
