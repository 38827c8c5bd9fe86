import {
  type AuthInfo,
  type CallToolResult,
  createMcpHandler,
  type McpRequestContext,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type Tool,
} from '@modelcontextprotocol/server'
import type { Action, Principal } from '../../core/action.ts'
import { toProblem } from '../../core/problem.ts'
import type { Call, Invoke } from '../../gate/invoke.ts'
import { isSchema } from '../../lib/json-schema.ts'
import { type Cancellations, makeCancellations } from './cancellations.ts'
import { assetTemplate, readAction, readAsset } from './resources.ts'
import { isTool, outputResult, pendingResult, problemResult, toolName, toolOf } from './tools.ts'

export type McpDoorParts = {
  readonly actions: readonly Action[]
  readonly invoke: Invoke
  /** The actions that the principal may call. */
  readonly visible: (principal: Principal) => readonly Action[]
  /** Counts a message that is no call of an action; throws `rate-limited`. */
  readonly limit: (principal: Principal, name: string) => unknown
  /** Takes known secret values out of the protocol's own errors, which repeat what the caller sent. */
  readonly redact: (value: unknown) => unknown
  readonly version: string
  readonly log: { readonly error: (fields: Record<string, unknown>, message: string) => void }
}

/**
 * The MCP door, both revisions on one handler. Every message gets a server object of its own, bound to its own call:
 * nothing is shared between two clients, so colliding JSON-RPC ids cannot cross.
 */
export function makeMcpDoor(parts: McpDoorParts) {
  const calls = new WeakMap<AuthInfo, Call>()
  const cancellations = makeCancellations()
  const tools = new Map(parts.actions.filter(isTool).map((action) => [toolName(action), toolOf(action)]))
  const actionOf = new Map(parts.actions.map((action) => [toolName(action), action.name]))
  const hidden = new Set(parts.actions.filter((action) => !isTool(action)).map(({ name }) => name))

  const handler = createMcpHandler(
    ({ authInfo }: McpRequestContext) => {
      const call = authInfo && calls.get(authInfo)
      if (!call) throw new Error('an MCP message arrived without its call')
      return makeServer({ ...parts, tools, actionOf, hidden, cancellations }, call)
    },
    { onerror: () => {}, maxSubscriptions: 100 },
  )

  return {
    /** Answers one message of an authenticated principal; `message` is the parsed body of `request`. */
    async fetch(request: Request, call: Call, message: unknown): Promise<Response> {
      if (!isCall(message)) parts.limit(call.principal, 'mcp messages')
      // The protocol library only needs an identity to hand back to us; the token stays at the door.
      const authInfo: AuthInfo = { token: '', clientId: call.principal.id, scopes: [] }
      calls.set(authInfo, call)
      const cancelled = cancelledId(message)
      if (cancelled !== undefined) cancellations.cancel(call, cancelled)
      const response = await handler.fetch(request, { authInfo, parsedBody: message })
      return response.status < 400 ? response : redacted(response, parts.redact)
    },
    close: () => handler.close(),
  }
}

async function redacted(response: Response, redact: McpDoorParts['redact']): Promise<Response> {
  const { status, headers } = response
  return new Response(redact(await response.text()) as string, { status, headers })
}

function cancelledId(message: unknown): string | number | undefined {
  if (!isSchema(message) || message['method'] !== 'notifications/cancelled' || !isSchema(message['params']))
    return undefined
  const id = message['params']['requestId']
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}

/** The gate counts these itself, by action. */
function isCall(message: unknown): boolean {
  const method = typeof message === 'object' && message !== null && 'method' in message ? message.method : undefined
  return method === 'tools/call' || method === 'resources/read'
}

type ServerParts = McpDoorParts & {
  readonly tools: ReadonlyMap<string, Tool>
  /** The action of each tool. */
  readonly actionOf: ReadonlyMap<string, string>
  readonly hidden: ReadonlySet<string>
  readonly cancellations: Cancellations
}

function makeServer(parts: ServerParts, call: Call): Server {
  const server = new Server(
    { name: 'infrastructure-atlas', title: 'Infrastructure Atlas', version: parts.version },
    { capabilities: { tools: {}, resources: {} }, instructions, cacheHints },
  )
  /** Runs with a call that ends with the client's connection, the protocol's own signal, or a cancelled notification. */
  const cancellable = async <T>(req: { id: string | number; signal: AbortSignal }, run: (call: Call) => Promise<T>) => {
    const { signal, done } = parts.cancellations.track(call, req.id)
    try {
      return await run({ ...call, signal: AbortSignal.any([call.signal, req.signal, signal]) })
    } finally {
      done()
    }
  }
  const sees = (name: string) => parts.visible(call.principal).some((action) => action.name === name)

  server.setRequestHandler('tools/list', async () => ({ tools: listTools(parts, call) }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) =>
    server.projectCallToolResult(
      await cancellable(mcpReq, (running) => callTool(parts, running, params.name, params.arguments ?? {})),
      parts.tools.get(params.name)?.outputSchema,
    ),
  )
  server.setRequestHandler('resources/list', async () => ({ resources: [] }))
  server.setRequestHandler('resources/templates/list', async () => ({
    resourceTemplates: sees(readAction) ? [assetTemplate] : [],
  }))
  server.setRequestHandler('resources/read', async ({ params }, { mcpReq }) =>
    cancellable(mcpReq, (running) => readAsset(parts.invoke, running, params.uri)),
  )
  return server
}

function listTools({ visible, tools }: ServerParts, call: Call): Tool[] {
  return visible(call.principal)
    .map((action) => tools.get(toolName(action)))
    .filter((tool) => tool !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * A tool call is an `invoke`, nothing else. A name that is no tool for this principal gives the answer of a name that
 * does not exist; the gate still saw the attempt, so it is in the log. What hidden, takes or issues a secret exists only in the other doors.
 */
async function callTool(parts: ServerParts, call: Call, tool: string, input: unknown): Promise<CallToolResult> {
  const { invoke, visible, actionOf, hidden, log } = parts
  const name = actionOf.get(tool) ?? tool
  try {
    // The gate refuses a name with a space, and so records the attempt on what is not offered here.
    const answer = await invoke(call, hidden.has(name) ? `not a tool: ${name}` : name, input)
    return 'output' in answer ? outputResult(answer.output) : pendingResult(answer.pending)
  } catch (error) {
    const problem = toProblem(error)
    if (problem !== error) log.error({ requestId: call.requestId, tool: name, err: error }, 'a tool call failed')
    const isListed = !hidden.has(name) && visible(call.principal).some((action) => action.name === name)
    if (!isListed) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such tool')
    return problemResult(problem, call.requestId)
  }
}

const instructions =
  'Atlas knows the machines, addresses, sites and systems of this infrastructure. Start with inventory_search or machine_overview. ' +
  'Each call is decided by policy and written to an audit log. A result marked as error carries a problem: read its detail. ' +
  'A call that needs an approval was not carried out; repeat it unchanged after a person has approved it.'

/** Lists depend on who asks, so nothing may be shared between principals. */
const cacheHints = {
  'server/discover': { ttlMs: 3_600_000, cacheScope: 'private' },
  'tools/list': { ttlMs: 30_000, cacheScope: 'private' },
  'resources/list': { ttlMs: 30_000, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: 30_000, cacheScope: 'private' },
  'resources/read': { ttlMs: 0, cacheScope: 'private' },
} as const
