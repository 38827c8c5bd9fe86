import type { z } from 'zod'

/** What an action does to the world. Policies and MCP annotations are written against this. */
export const accesses = ['read', 'reveal', 'write', 'destroy'] as const
export type Access = (typeof accesses)[number]

/** A role given on a scope: `*` (everything) or `<resource type>/<id>`, for example `connection/con_…`. */
export type RoleBinding = { readonly role: string; readonly scope: string }

/** Who acts. `version` changes whenever bindings or scopes change, so a cached decision never outlives them. */
export type Principal = {
  readonly id: string
  readonly kind: 'user' | 'agent' | 'system'
  readonly name: string
  readonly bindings: readonly RoleBinding[]
  /** Token scopes: exact action names, `area.*` patterns, or an access word. Absent: no narrowing beyond the roles. */
  readonly scopes?: readonly string[]
  /** The token used, when one was. */
  readonly tokenId?: string
  /** RFC 8693 `act`: the user an agent works for. */
  readonly onBehalfOf?: string
  readonly version: string
}

export type Resource = { readonly type: string; readonly id: string }

export type Door = 'http' | 'mcp' | 'schedule' | 'cli'

/** Everything a handler may touch besides its input. */
export type Context = {
  readonly principal: Principal
  readonly door: Door
  readonly requestId: string
  readonly signal: AbortSignal
  /** Where the call came from, when it came over a network. */
  readonly remoteAddress?: string
  /** Present for actions on a connection only: its settings, and HTTP signed in and pinned to its origin. */
  readonly connection?: OpenConnection
}

/** A connection opened for one call. `http` and `config` are typed by core/connector.ts. */
export type OpenConnection = { readonly id: string; readonly config: unknown; readonly http: unknown }

export type HttpRoute = { readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'; readonly path: string }

type Spec<N extends string, I extends z.ZodType, O extends z.ZodType> = {
  /** `area.noun.verb` */
  name: N
  title: string
  /** One or two sentences for a person or a model that has never seen this action. */
  description: string
  access: Access
  /** The tool's name for agents, where a short one helps; otherwise the action's name. `a-z` and `_`. */
  tool?: string
  /** Path below `/api/v1`, parameters as `{name}`, for example `/connections/{connection}`. */
  http: HttpRoute
  /** Codes that it leaves in the audit log besides those that the gate writes for every call. */
  events?: readonly string[]
  input: I
  output: O
  resource: (input: z.output<I>) => Resource
  /** For actions on a connection: which one the gate must open. */
  connectionOf?: (input: z.output<I>) => string
  run: (input: z.output<I>, context: Context) => Promise<z.input<O>>
}

/** What the rest of the program sees of an action. There is no `run` to call. */
export type Action<N extends string = string, I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> = {
  readonly name: N
  readonly title: string
  readonly description: string
  readonly access: Access
  readonly tool?: string
  readonly http: HttpRoute
  readonly events?: readonly string[]
  readonly input: I
  readonly output: O
}

export type Handler = {
  readonly resource: (input: unknown) => Resource
  readonly connectionOf?: (input: unknown) => string
  readonly run: (input: unknown, context: Context) => Promise<unknown>
}

const handlers = new WeakMap<object, Handler>()

/** Makes an action. Its handler goes to a map that only the gate can open. */
export function defineAction<const N extends string, I extends z.ZodType, O extends z.ZodType>(
  spec: Spec<N, I, O>,
): Action<N, I, O> {
  const { resource, run, connectionOf, ...visible } = spec
  const action: Action<N, I, O> = Object.freeze(visible)
  handlers.set(action, { resource, run, ...(connectionOf && { connectionOf }) } as Handler)
  return action
}

/** The gate's key. No other file may import this; test/architecture.test.ts checks. */
export function handlerOf(action: Action): Handler {
  const handler = handlers.get(action)
  if (!handler) throw new TypeError(`${action.name} was not made by defineAction`)
  return handler
}
