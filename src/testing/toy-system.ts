import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import { type Issued, type IssueOptions, makeCa } from '../../simulators/lib/ca.ts'
import { defineConnector, type Observation, type Query } from '../core/connector.ts'
import { makeConnections } from '../features/connections/connections.ts'
import { connectionsMigrations } from '../features/connections/migrations.ts'
import type { ConnectionsParts, InventoryPart } from '../features/connections/parts.ts'
import { vaultMigrations } from '../features/vault/migrations.ts'
import type { Given } from '../features/vault/references/reference.ts'
import { makeReferences, type Sources } from '../features/vault/references/resolver.ts'
import { makeVault } from '../features/vault/vault.ts'
import type { Database } from '../lib/db/database.ts'
import { makeHttp } from '../lib/http-client.ts'
import { fixedClock, testRootKey } from './databases.ts'

// For the tests of this room: a toy system behind real https, its connector, and a room around them.

export const toyMigrations = [...vaultMigrations, ...connectionsMigrations]
export const toyToken = 'toy-token-0123456789'
const ca = makeCa('Toy CA')
export const toyCa = ca.caPem
/** A certificate that a toy system can show. */
export const issueToy = (options: Partial<IssueOptions> = {}): Issued =>
  ca.issue({ commonName: 'toy', hosts: ['127.0.0.1'], ...options })

const Item = z.object({ id: z.int(), name: z.string() })
const Page = z.object({ items: z.array(Item), gone: z.array(z.int()), next: z.int().nullable(), total: z.int() })
type Item = z.output<typeof Item>

/** What the toy system holds and how it behaves; a test changes it while it runs. */
export type ToySystem = {
  items: Item[]
  gone: number[]
  token: string
  /** Answers the n-th page in its own way; true when it did. */
  onPage: (page: number, response: ServerResponse) => boolean | Promise<boolean>
  pages: string[]
  /** Requests that arrived, whatever they asked. */
  requests: number
  /** Shows another certificate from now on, to new connections. */
  show: (certificate: Issued) => void
  readonly url: string
}

const pageSize = 100

export async function startToy(t: TestContext): Promise<ToySystem> {
  const { certPem, keyPem } = issueToy()
  const state = {
    items: [] as Item[],
    gone: [] as number[],
    token: toyToken,
    onPage: (() => false) as ToySystem['onPage'],
    pages: [] as string[],
    requests: 0,
    show: ({ certPem, keyPem }: Issued): void => {
      server.setSecureContext({ cert: certPem, key: keyPem })
      server.closeIdleConnections()
    },
    url: '',
  }
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    state.requests++
    answer(state, new URL(request.url ?? '/', 'https://toy'), request.headers.authorization, response).catch(() =>
      response.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return state
}

async function answer(
  state: ToySystem,
  url: URL,
  authorization: string | undefined,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (authorization !== `Bearer ${state.token}`) return void send(403, { detail: 'Invalid token' })
  if (url.pathname === '/status') return void send(200, { version: '1.2' })
  const page = Number(url.searchParams.get('page'))
  state.pages.push(url.search)
  if (await state.onPage(page, response)) return
  const items = url.searchParams.has('since') ? state.items.slice(-1) : state.items
  const slice = items.slice(page * pageSize, (page + 1) * pageSize)
  const isLast = (page + 1) * pageSize >= items.length
  send(200, { items: slice, gone: isLast ? state.gone : [], next: isLast ? null : page + 1, total: items.length })
}

export const toy = defineConnector({
  id: 'toy',
  title: 'Toy system',
  subjects: ['registry'],
  config: z.object({ url: z.url(), site: z.string().min(2).optional() }),
  credential: z.object({ token: z.string().min(8), second: z.string().min(8).optional() }),
  authenticate: ({ token }) => ({ authorization: `Bearer ${token.reveal()}` }),
  async check({ http }) {
    const { version } = await http.get('/status', z.object({ version: z.string() }))
    return { version, account: 'atlas', warnings: ['The token may write'] }
  },
  webhook: { signature: { header: 'x-toy-signature', scheme: 'hmac-sha256', prefix: 'sha256=' } },
  explain: (_status, body) => z.object({ detail: z.string() }).safeParse(body).data?.detail,
  async *sync({ http, cursor }) {
    let page: number | null = 0
    while (page !== null) {
      const query: Query = { page, ...(cursor && { since: String(cursor['at']) }) }
      const { items, gone, next, total }: z.output<typeof Page> = await http.get('/items', Page, query)
      yield {
        stage: 'items',
        total,
        observations: items.map(observe),
        ...(gone.length > 0 && { gone: gone.map((id) => ({ kind: 'item', externalId: String(id) })) }),
      }
      page = next
    }
    return { at: Number(cursor?.['at'] ?? 0) + 1 }
  },
  actions: [],
  tested: ['1.2'],
})

function observe({ id, name }: Item): Observation {
  return { kind: 'item', externalId: String(id), name, attributes: {} }
}

export const manyItems = (count: number): Item[] =>
  Array.from({ length: count }, (_, i) => ({ id: i + 1, name: `item ${i + 1}` }))

/** Remembers what the room asked of the inventory; the room's own tests need no more of it. */
export function makeToyInventory() {
  const seen = new Map<string, string>()
  const stale: string[] = []
  const largest = { batch: 0 }
  const part: InventoryPart = {
    async applyBatch({ connectionId, runId, observations, gone }) {
      largest.batch = Math.max(largest.batch, observations.length + gone.length)
      const counts = { created: 0, updated: 0, unchanged: 0, gone: 0 }
      for (const { externalId } of observations) {
        const key = `${connectionId}/${externalId}`
        counts[seen.has(key) ? 'unchanged' : 'created']++
        seen.set(key, runId)
      }
      for (const { externalId } of gone) if (seen.delete(`${connectionId}/${externalId}`)) counts.gone++
      return counts
    },
    async finishFullRun({ connectionId, runId }) {
      const unseen = [...seen].filter(([key, last]) => key.startsWith(connectionId) && last !== runId)
      stale.push(...unseen.map(([key]) => key.split('/')[1] ?? ''))
      return unseen.length
    },
    async removeConnection(connection) {
      for (const key of [...seen.keys()]) if (key.startsWith(connection)) seen.delete(key)
    },
  }
  return { part, seen, stale, largest }
}

/** A room on `database` with the real vault, the real HTTP client and the toy connector. */
export async function makeToyRoom(
  t: TestContext,
  database: Database,
  { sources = {}, ...parts }: Partial<ConnectionsParts> & { sources?: Sources } = {},
) {
  const clock = fixedClock()
  const references = makeReferences({ sources, now: clock.now })
  const inventory = makeToyInventory()
  const vault = makeVault({ database, rootKey: testRootKey, now: clock.now, references, onIntegrityFailure: () => {} })
  await vault.init()
  const connections = makeConnections({
    database,
    vault,
    inventory: inventory.part,
    connectors: [toy],
    httpFor: (options) =>
      makeHttp({
        ...options,
        limits: { retryMs: 1, ...options.limits },
        allowLoopback: true,
        userAgent: 'atlas/test',
        now: clock.now,
      }),
    allowLoopback: true,
    now: clock.now,
    log: { info() {}, warn() {}, error() {} },
    onEvent: async () => {},
    ...parts,
  })
  t.after(connections.close)
  return { connections, vault, references, inventory, clock }
}

/** Secrets as the gate's parse makes them. */
export function credentialOf(room: { credentialValue: z.ZodType<Given> }, fields: Record<string, string>) {
  return Object.fromEntries(Object.entries(fields).map(([field, text]) => [field, room.credentialValue.parse(text)]))
}
