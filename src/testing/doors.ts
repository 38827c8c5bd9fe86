import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { type Action, defineAction, type Principal } from '../core/action.ts'
import { Problem } from '../core/problem.ts'
import { SecretValue } from '../core/secret.ts'
import { makeHttpDoor } from '../doors/http/door.ts'
import type { HttpDoorConfig, HttpDoorParts } from '../doors/http/parts.ts'
import { makeMcpDoor } from '../doors/mcp/door.ts'
import { makeCatalog, makeVisible } from '../gate/catalog.ts'
import { makeCheck } from '../gate/check.ts'
import { type GateParts, makeInvoke } from '../gate/invoke.ts'

/** Tokens of the test doors: their principals' names. */
export const tokens = { admin: 'atl_admin', viewer: 'atl_viewer', nobody: 'atl_nobody' }

const Asset = z.object({ id: z.string(), name: z.string() })
const any = { type: 'any', id: '*' }

/** A small catalog with one action of each kind of trouble. `seen` gets every parsed input. */
export function doorActions(seen: unknown[], aborted: string[]): readonly Action[] {
  return [
    defineAction({
      name: 'inventory.assets.search',
      title: 'Search assets',
      description: 'Finds assets by text.',
      access: 'read',
      http: { method: 'GET', path: '/assets' },
      input: z.strictObject({
        q: z.string().max(200).optional().describe('Text to find.'),
        kind: z.array(z.string()).default([]).describe('Only these kinds.'),
        limit: z.int().min(1).max(200).default(50).describe('At most this many.'),
        stale: z.boolean().default(false).describe('Also those no longer seen.'),
        sort: z.enum(['name', '-name']).nullable().default(null).describe('Order.'),
      }),
      output: z.object({ items: z.array(Asset), next: z.string().nullable() }),
      resource: () => any,
      run: async (input) => {
        seen.push(input)
        return { items: [{ id: 'ast_1', name: input.q ?? 'all' }], next: null }
      },
    }),
    defineAction({
      name: 'inventory.assets.get',
      title: 'Get an asset',
      description: 'One asset.',
      access: 'read',
      http: { method: 'GET', path: '/assets/{asset}' },
      input: z.strictObject({ asset: z.string().describe('Id of the asset.') }),
      output: Asset,
      resource: ({ asset }) => ({ type: 'asset', id: asset }),
      run: async ({ asset }) => {
        if (asset === 'missing') throw new Problem('not-found', 'There is no such asset')
        return { id: asset, name: 'sw-01' }
      },
    }),
    defineAction({
      name: 'connections.connections.add',
      title: 'Add a connection',
      description: 'Connects a system.',
      access: 'write',
      http: { method: 'POST', path: '/connections' },
      input: z.strictObject({
        name: z.string().min(1).describe('Name.'),
        config: z.record(z.string(), z.unknown()).optional().describe('Settings.'),
        credential: z.record(z.string(), SecretValue).optional().describe('Credential.'),
      }),
      output: z.object({ id: z.string() }),
      resource: () => any,
      run: async (input) => {
        seen.push(input)
        return { id: 'con_1' }
      },
    }),
    defineAction({
      name: 'connections.connections.edit',
      title: 'Edit a connection',
      description: 'Renames it.',
      access: 'write',
      http: { method: 'PATCH', path: '/connections/{connection}' },
      input: z.strictObject({ connection: z.string().describe('Id.'), name: z.string().describe('New name.') }),
      output: z.object({ id: z.string() }),
      resource: ({ connection }) => ({ type: 'connection', id: connection }),
      run: async ({ connection }) => ({ id: connection }),
    }),
    defineAction({
      name: 'connections.connections.remove',
      title: 'Remove a connection',
      description: 'Removes it. Needs an approval in this catalog.',
      access: 'destroy',
      http: { method: 'DELETE', path: '/connections/{connection}' },
      input: z.strictObject({ connection: z.string().describe('Id.') }),
      output: z.object({ removed: z.boolean() }),
      resource: ({ connection }) => ({ type: 'connection', id: connection }),
      run: async () => ({ removed: true }),
    }),
    defineAction({
      name: 'vault.secrets.reveal',
      title: 'Reveal a secret',
      description: 'Shows a value.',
      access: 'reveal',
      http: { method: 'POST', path: '/secrets/{secret}/reveal' },
      input: z.strictObject({ secret: z.string().describe('Id.') }),
      output: z.object({ value: z.string() }),
      resource: ({ secret }) => ({ type: 'secret', id: secret }),
      run: async () => ({ value: 'canary-value' }),
    }),
    defineAction({
      name: 'audit.log.read',
      title: 'Read the log',
      description: 'The files of the log.',
      access: 'read',
      http: { method: 'GET', path: '/audit/log' },
      input: z.strictObject({}),
      output: z.object({}),
      resource: () => ({ type: 'audit', id: '*' }),
      run: async () => ({}),
    }),
    defineAction({
      name: 'test.calls.wait',
      title: 'Wait',
      description: 'Waits until it is cancelled, at most ten seconds.',
      access: 'read',
      http: { method: 'GET', path: '/wait' },
      input: z.strictObject({ ms: z.int().default(10_000).describe('How long.') }),
      output: z.object({}),
      resource: () => any,
      run: async ({ ms }, { signal, requestId }) => {
        seen.push('waiting')
        await wait(ms, undefined, { signal }).catch(() => aborted.push(requestId))
        return {}
      },
    }),
    defineAction({
      name: 'test.calls.break',
      title: 'Break',
      description: 'Has a bug.',
      access: 'read',
      http: { method: 'GET', path: '/break' },
      input: z.strictObject({}),
      output: z.object({}),
      resource: () => any,
      run: async () => {
        throw new Error('select * from secret at /srv/atlas/store.ts: canary-value')
      },
    }),
  ]
}

type Options = { config?: HttpDoorConfig; parts?: Partial<HttpDoorParts>; limit?: number; actions?: readonly Action[] }

/** The two doors over the real gate, with a policy of three words: admin may all, viewer may read, nobody nothing. */
export function testDoors({ config = {}, parts = {}, limit = 1_000_000, actions }: Options = {}) {
  const seen: unknown[] = []
  const aborted: string[] = []
  const events: Record<string, unknown>[] = []
  const logged: Record<string, unknown>[] = []
  const deliveries: string[] = []
  const approved = new Set<string>()
  const used = new Map<string, number>()
  const all = actions ?? doorActions(seen, aborted)
  const log = { error: (fields: Record<string, unknown>) => void logged.push(fields) }

  const gate: GateParts = {
    catalog: makeCatalog(all),
    resolve: async (resource) => ({ resource }),
    whyClosed: async () => undefined,
    limit: ({ id }) => {
      const count = (used.get(id) ?? 0) + 1
      used.set(id, count)
      if (count > limit) throw new Problem('rate-limited', 'Too many calls', { retryAfterSeconds: 7 })
      return { limit, remaining: limit - count, resetSeconds: 9, windowSeconds: 60 }
    },
    note: () => {},
    decide: ({ principal, action, approved: granted }) => {
      const permits = principal.name === 'admin' || (principal.name === 'viewer' && action.access === 'read')
      const asks = permits && action.access === 'destroy' && !granted
      return { effect: asks ? 'ask' : permits ? 'permit' : 'forbid', reason: 'the test', policies: [], version: '1' }
    },
    hashInput: (action, input) => `${action} ${JSON.stringify(input)}`,
    approvals: {
      find: async ({ inputHash }, id) => (approved.has(inputHash) ? (id ?? 'apr_1') : undefined),
      request: async ({ inputHash }) => {
        queueMicrotask(() => pending.push(inputHash))
        return 'apr_1'
      },
      redeem: async (_id, { inputHash }) => approved.delete(inputHash),
    },
    open: async () => {
      throw new Problem('not-found')
    },
    redact: (value) => value,
    record: async (event) => void events.push(event),
    recordRefusal: async (event) => void events.push(event),
    onBug: (err) => void logged.push({ err }),
  }
  const pending: string[] = []
  const invoke = makeInvoke(gate)
  const mcp = makeMcpDoor({
    actions: all,
    invoke,
    visible: makeVisible({ ...gate, isOffered: () => true }),
    limit: gate.limit,
    redact: gate.redact,
    version: '0.0.0',
    log,
  })
  const door = makeHttpDoor({
    actions: all,
    invoke,
    check: makeCheck(gate),
    authenticate: async (bearer) => principalOf(bearer),
    unauthenticatedLimit: () => {},
    login: async ({ username }) => ({ token: `for ${username}`, expiresAt: '2026-01-01T00:00:00.000Z' }),
    setup: async ({ username }) => ({ token: `for ${username}`, expiresAt: '2026-01-01T00:00:00.000Z' }),
    receive: async (connection, { body }) => {
      if (connection !== 'con_1') throw new Problem('denied', 'The signature of this delivery is missing or wrong')
      deliveries.push(Buffer.from(body).toString())
    },
    audit: {
      checkpoint: async () => 'atlas\n1\nAAAA\n',
      tile: async (path) => (path === '0/000.p/1' ? Buffer.alloc(32, 1) : undefined),
      vkey: 'atlas+00000000+AAAA',
    },
    exportFile: async () => undefined,
    backupFile: async () => undefined,
    health: { ready: async () => ({ database: true }) },
    metrics: { render: async () => 'atlas_up 1\n' },
    rateLimitHeaders: (state) => ({
      'ratelimit-policy': `"default";q=${state.limit};w=${state.windowSeconds}`,
      ratelimit: `"default";r=${state.remaining};t=${state.resetSeconds}`,
    }),
    mcp: mcp.fetch,
    config,
    log,
    version: '0.0.0',
    ...parts,
  })
  /** Says yes to everything that was asked for so far. */
  const approveAll = () => {
    for (const inputHash of pending.splice(0)) approved.add(inputHash)
  }
  return { ...door, mcp, actions: all, seen, aborted, events, logged, deliveries, approveAll }
}

function principalOf(bearer: string): Principal {
  const name = /^atl_(admin|viewer|nobody)$/.exec(bearer)?.[1]
  if (name === undefined) throw new Problem('unauthenticated', 'The token is not valid')
  const bindings = [{ role: name, scope: '*' }]
  return { id: `usr_${name}`, kind: 'user', name, bindings, version: '1' }
}

/** Sends bytes exactly as written to a listening server and gives back everything it answers until it closes. */
export async function rawExchange(port: number, text: string, options: { end?: boolean } = {}): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  if (options.end) socket.end()
  await once(socket, 'close').catch(() => undefined)
  return answer
}
