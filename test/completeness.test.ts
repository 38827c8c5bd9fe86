import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startNetbox } from '../simulators/netbox/start.ts'
import { migrations } from '../src/app.ts'
import type { Action } from '../src/core/action.ts'
import type { ListedRoute } from '../src/doors/http/door.ts'
import type { Route } from '../src/doors/http/route.ts'
import { catalogue, type EventCode } from '../src/features/audit/catalogue.ts'
import type { AuditEvent } from '../src/features/audit/event.ts'
import { roleNames } from '../src/features/identity/roles.ts'
import { isSchema, type JsonSchema, jsonSchemaOf, propertiesOf } from '../src/lib/json-schema.ts'
import { testOnEach } from '../src/testing/databases.ts'
import { testDoors } from '../src/testing/doors.ts'
import { startInProcess, type World } from './in-process.ts'

// AUD-4. Every route and every MCP method and tool is called as every shipped role, with nothing and with an input that fits its
// schema, and with a wrong token; each call must leave exactly the entries of its outcome, and none that its route does not declare.

type Call = { what: string; declared: readonly EventCode[]; status: number; found: readonly string[] }
type Ids = Readonly<Record<string, string>>

/** What is wrong with what calls have left, in sentences. */
function complaints(calls: readonly Call[]): string[] {
  return calls.flatMap(({ what, declared, status, found }) => {
    const wrong = found.filter((code) => !declared.includes(code as EventCode))
    const left = `${what} answered ${status} and left "${found.join(' ')}"`
    if (wrong.length > 0) return [`${left}; it does not declare ${wrong.join(' ')}`]
    return expected(declared, status).some((fits) => fits.test(found.join(' '))) ? [] : [left]
  })
}

const more = String.raw`( (?!action\.)\S+)*`
const gate = {
  asked: /^action\.asked$/,
  succeeded: new RegExp(`^action\\.started${more} action\\.succeeded$`),
  refused: /^action\.failed$/,
  failed: new RegExp(`^action\\.started${more} action\\.failed$`),
}

/** The entries that an outcome may have left. */
function expected(declared: readonly EventCode[], status: number): readonly RegExp[] {
  const nothing = /^$/
  if (status === 401)
    return declared.includes('auth.failed') ? [/^auth\.failed$/] : [/^(login|setup)\.failed$/, nothing]
  if (declared.includes('action.started')) {
    if (status === 202) return [gate.asked]
    return status < 400 ? [gate.succeeded] : [gate.refused, gate.failed]
  }
  if (declared.includes('login.failed'))
    return status === 400 ? [nothing, /^login\.failed$/] : [/^login\.(failed|succeeded)$/]
  if (declared.includes('setup.failed')) return [nothing, /^setup\.failed$/]
  if (declared.includes('webhook.refused')) return [/^webhook\.(refused|received)$/]
  return [nothing]
}

const backupEnds: readonly string[] = ['backup.created', 'backup.failed', 'backup.removed']

/** Runs `call` alone and answers the codes that the log has gained by it. */
async function left({ app, clock }: World, call: () => Promise<{ status: number }>) {
  // Refusals beyond thirty a minute would only be counted.
  clock.forward(3_000)
  const before = app.audit.size()
  const { status } = await call()
  const found: string[] = []
  for (let index = before; index < app.audit.size(); index++) found.push((await app.audit.read(index)).record.code)
  // A backup ends in the background, during whichever call comes then.
  return { status, found: found.filter((code) => !backupEnds.includes(code)) }
}

/** A value for a field: a real thing of that kind where there is one, else the smallest that the schema takes. */
function sample(schema: JsonSchema, ids: Ids, name = ''): unknown {
  if (ids[name] !== undefined && schema['type'] !== 'array') return ids[name]
  if (schema['default'] !== undefined) return schema['default']
  if ('const' in schema) return schema['const']
  const choices = [schema['enum'], schema['anyOf'], schema['oneOf']].find(Array.isArray) as unknown[] | undefined
  if (choices) return isSchema(choices[0]) ? sample(choices[0], ids, name) : choices[0]
  switch (schema['type']) {
    case 'object': {
      const fields = propertiesOf(schema)
      const required = (schema['required'] ?? []) as string[]
      return Object.fromEntries(required.map((field) => [field, sample(fields[field] ?? {}, ids, field)]))
    }
    case 'array':
      return Number(schema['minItems'] ?? 0) > 0 ? [sample((schema['items'] ?? {}) as JsonSchema, ids, name)] : []
    case 'integer':
    case 'number':
      return Math.max(Number(schema['minimum'] ?? 1), 0)
    case 'boolean':
      return false
    default:
      return schema['format'] === 'date-time'
        ? '2026-01-01T00:00:00Z'
        : 'x'.repeat(Math.max(1, Number(schema['minLength'] ?? 1)))
  }
}

const asText = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))
const isBodyless = (method: string) => method === 'GET' || method === 'DELETE'

type Input = { readonly url: string; readonly body?: unknown }

/** The two ways in which a route is called: with nothing, and with what fits. */
function inputsOf(route: ListedRoute, actions: readonly Action[], ids: Ids): readonly [Input, Input?] {
  const action = actions.find(
    ({ http }) => http.method === route.method && `/api/v1${http.path.replaceAll(/\{(\w+)\}/g, ':$1')}` === route.path,
  )
  const bare = route.path.replaceAll(/:\w+/g, 'x1').replace('*', '0/000.p/1')
  const empty = { url: bare, ...(isBodyless(route.method) ? {} : { body: {} }) }
  if (!action) return [empty]
  const fitting = sample(jsonSchemaOf(action.input, 'input'), ids) as Record<string, unknown>
  const url = route.path.replaceAll(/:(\w+)/g, (_all, name: string) =>
    encodeURIComponent(asText(fitting[name] ?? ids[name] ?? 'x1')),
  )
  for (const [, name = ''] of route.path.matchAll(/:(\w+)/g)) delete fitting[name]
  // A long wait would be a wait.
  if (action.name === 'audit.events.follow') fitting['waitSeconds'] = 0
  const query = new URLSearchParams(Object.entries(fitting).map(([name, value]) => [name, asText(value)]))
  return [empty, isBodyless(route.method) ? { url: query.size > 0 ? `${url}?${query}` : url } : { url, body: fitting }]
}

/** One thing of each kind, so that calls with its id do something. */
async function furnish(t: TestContext, { api, app }: World): Promise<Ids> {
  const netbox = await startNetbox({ devices: 24, vms: 0, seed: 4 })
  t.after(netbox.stop)
  const { id: connection } = await api<{ id: string }>('POST', '/connections', {
    ...{ connector: 'netbox', name: 'lab', config: { url: netbox.url }, credential: { token: netbox.tokens.v2 } },
    ...{ caCertificate: netbox.caPem, schedule: null, allowWrites: true },
  })
  const { id: sync } = await api<{ id: string }>('POST', `/connections/${connection}/syncs`, { mode: 'full' })
  await app.connections.syncs.run(sync, new AbortController().signal)
  const first = async (path: string) => (await api<{ items: { id: string }[] }>('GET', path)).items[0]?.id ?? 'x1'
  const { id: secret } = await api<{ id: string }>('POST', '/secrets', { name: 'spare', value: 'spare value 4711' })
  const { id: token } = await api<{ id: string }>('POST', '/tokens', { name: 'spare', agent: 'spare', role: 'viewer' })
  const { id: user } = await api<{ id: string }>('POST', '/users', {
    ...{ username: 'spare', password: 'Vltava otter 83 gravel sings', role: 'viewer' },
  })
  const { id: made } = await api<{ id: string }>('POST', '/exports', { dataset: 'assets', format: 'csv' })
  for (let state = 'running'; state === 'running'; )
    ({ state } = await api<{ state: string }>('GET', `/exports/${made}`))
  const [asset, machine] = [await first('/assets?limit=1'), await first('/machines?limit=1')]
  return {
    connection,
    sync,
    secret,
    token,
    user,
    principal: user,
    export: made,
    asset,
    machine,
    index: '0',
    username: 'x1',
  }
}

async function callRoutes(world: World, tokens: Ids, ids: Ids): Promise<Call[]> {
  const calls: Call[] = []
  const { routes } = world.app.http
  for (const route of routes.filter(({ path }) => path !== '/mcp')) {
    const { method, path, events } = route
    const call = async (role: string, token: string | undefined, { url, body }: Input) => {
      const ask = () => world.ask(method, url, { token, ...(body !== undefined && { body }) })
      // Without any token there is nobody to write about.
      const declared = token === undefined && !route.public ? [] : events
      calls.push({ what: `${method} ${path} as ${role}`, declared, ...(await left(world, ask)) })
    }
    const [empty, fitting = empty] = inputsOf(route, world.app.actions, ids)
    await call('nobody', undefined, empty)
    if (route.public) continue
    await call('a wrong token', 'atl_wrong', empty)
    await call('admin, with nothing', tokens['admin'], empty)
    for (const [role, token] of Object.entries(tokens)) await call(role, token, fitting)
  }
  return calls
}

const messages: readonly [string, Readonly<Record<string, unknown>>][] = [
  ['server/discover', {}],
  ['tools/list', {}],
  ['resources/list', {}],
  ['resources/templates/list', {}],
  ['ping', {}],
  ['prompts/list', {}],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'x' }, argument: { name: 'x', value: 'x' } }],
  ['logging/setLevel', { level: 'debug' }],
  ['subscriptions/listen', {}],
  ['no/such-method', {}],
]

/** Messages that call nothing leave nothing; a call of a tool or the read of a resource leaves what the gate leaves. */
async function callMcp(world: World, tokens: Ids, ids: Ids): Promise<Call[]> {
  const calls: Call[] = []
  const declared = world.app.http.routes.find(({ path }) => path === '/mcp')?.events ?? []
  const tools = world.app.actions.map((action) => [action.tool ?? action.name, action] as const)
  const say = async (role: string, method: string, params: Record<string, unknown>, isCall: boolean) => {
    const token = tokens[role]
    let text = ''
    const { found } = await left(world, async () => {
      const answer = await world.mcp(method, params, { token })
      text = answer.text
      return answer
    })
    const what = `MCP ${method} ${params['name'] ?? params['uri'] ?? ''} as ${role}`
    calls.push({ what, declared: isCall ? declared : [], status: isCall ? statusOf(text) : 200, found })
  }
  for (const role of Object.keys(tokens)) {
    for (const [method, params] of messages) await say(role, method, params, false)
    await say(role, 'resources/read', { uri: `atlas://assets/${ids['asset']}` }, true)
    await say(role, 'resources/read', { uri: 'atlas://assets/x1' }, true)
    await say(role, 'tools/call', { name: 'no_such_tool', arguments: {} }, true)
    for (const [name, action] of tools) {
      const args = sample(jsonSchemaOf(action.input, 'input'), ids) as Record<string, unknown>
      if (action.name === 'audit.events.follow') args['waitSeconds'] = 0
      await say(role, 'tools/call', { name, arguments: args }, true)
    }
  }
  return calls
}

/** What the answer to a call means, as a status of HTTP. */
function statusOf(text: string): number {
  const { error, result } = JSON.parse(text.slice(text.indexOf('{'))) as {
    error?: object
    result?: { isError?: boolean; structuredContent?: { pending?: string } }
  }
  if (error) return 404
  if (result?.structuredContent?.pending !== undefined) return 202
  return result?.isError ? 400 : 200
}

testOnEach(
  'every route, MCP method and tool as every role leaves exactly the events of its outcome, all of them declared (AUD-4, claims: B16 C24 E20)',
  migrations,
  async (database, t) => {
    const world = await startInProcess(database)
    try {
      const ids = await furnish(t, world)
      const tokens: Record<string, string> = {}
      for (const role of roleNames)
        tokens[role] = (await world.api<{ token: string }>('POST', '/tokens', { name: role, agent: role, role })).token

      const routes = await callRoutes(world, tokens, ids)
      const messages = await callMcp(world, tokens, ids)

      const calls = [...routes, ...messages]
      assert.deepEqual(complaints(calls), [])
      const count = (fits: RegExp) => calls.filter(({ found }) => fits.test(found.join(' '))).length
      const [succeeded, refused, failed, asked] = [gate.succeeded, gate.refused, gate.failed, gate.asked].map(count)
      assert.ok(Math.min(succeeded ?? 0, refused ?? 0) > 200 && Math.min(failed ?? 0, asked ?? 0) > 10)
      t.diagnostic(
        `${routes.length} requests and ${messages.length} messages: ${succeeded} succeeded, ${refused} refused, ${failed} failed, ${asked} asked`,
      )
      const paths = Object.keys(JSON.parse((await world.ask('GET', '/api/v1/openapi.json')).text).paths as object)
      const listed = new Set(world.app.http.routes.map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}')))
      assert.deepEqual(
        paths.filter((path) => !listed.has(path) && !listed.has(`/api/v1${path}`)),
        [],
        'every path of the OpenAPI page was called',
      )
    } finally {
      await world.stop()
    }
  },
)

test('a route whose declaration lacks an event is found by the first call that leaves it (AUD-4)', () => {
  const found = ['action.started', 'action.succeeded']
  const { routes } = testDoors()
  const route = routes.find(({ path }) => path === '/api/v1/assets')
  const call = { what: 'GET /api/v1/assets', declared: route?.events ?? [], status: 200, found }

  assert.deepEqual(complaints([call]), [])
  for (const removed of found)
    assert.deepEqual(
      complaints([{ ...call, declared: call.declared.filter((code) => code !== removed) }]).length,
      1,
      `without ${removed}`,
    )
  for (const wrong of [[], ['action.started'], ['action.failed'], [...found, ...found]])
    assert.equal(complaints([{ ...call, found: wrong }]).length, 1, wrong.join(' '))
})

/** Written by the server for itself, by no call. */
const own: readonly EventCode[] = [
  'anomaly.detected',
  'audit.subject.forgotten',
  'backup.created',
  'backup.failed',
  'backup.removed',
  'backup.restored',
  'log.clock-accepted',
  'log.gap',
  'log.signer-changed',
  'log.sink-failed',
  'log.sink-recovered',
  'log.witness-contradicts',
  'server.started',
  'server.stopped',
  'vault.rekey-started',
  'vault.rekeyed',
]

testOnEach(
  'every event of the catalogue is declared by a route, or is the server’s own (AUD-4)',
  migrations,
  async (database) => {
    const world = await startInProcess(database)
    const declared = new Set(world.app.http.routes.flatMap(({ events }) => events))
    await world.stop()

    const codes = Object.keys(catalogue) as EventCode[]
    assert.deepEqual(
      codes.filter((code) => !declared.has(code) && !own.includes(code)),
      [],
    )
  },
)

// What does not compile does not build. Were a declaration no longer demanded, tsc would say that these lines expect an error in vain.

// @ts-expect-error A route says which events it leaves.
export const silentRoute: Route = { method: 'GET', path: '/x', public: true, handle: async () => undefined }
// @ts-expect-error A route can only declare events of the catalogue.
export const inventedRoute: Route = { method: 'GET', path: '/x', public: true, events: ['x.y'], handle: async () => 1 }
// @ts-expect-error Only events of the catalogue can be recorded.
export const inventedEvent: AuditEvent = { code: 'x.happened' }
