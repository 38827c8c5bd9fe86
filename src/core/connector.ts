import { z } from 'zod'
import { type Access, type Action, type Context, defineAction, type HttpRoute } from './action.ts'
import type { Secret } from './secret.ts'

export type Query = Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>

/** HTTP to one connected system: signed in, pinned to one https origin, with time, size and retry limits (lib/http-client). */
export type Http = {
  /** `path` starts with `/`, without a query. The answer is parsed by `schema`; a mismatch is `upstream-invalid`. */
  get<T>(path: string, schema: z.ZodType<T>, query?: Query): Promise<T>
  send<T>(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    schema: z.ZodType<T>,
    body?: unknown,
    options?: { readonly headers?: Readonly<Record<string, string>>; readonly query?: Query },
  ): Promise<T>
  /** As `get`, with the response headers (lower-case names), for ETags and paging links. */
  read<T>(
    path: string,
    schema: z.ZodType<T>,
    query?: Query,
  ): Promise<{ readonly body: T; readonly headers: Readonly<Record<string, string>> }>
}

/** What a connector sees of one connection. */
export type ConnectionContext<Config = unknown> = {
  readonly config: Config
  readonly http: Http
  readonly signal: AbortSignal
}

export type Attribute = string | number | boolean | null | readonly string[]

/** One fact seen in the connected system. The sync writes it; a connector only reports it. */
export type Observation = {
  readonly kind: string
  readonly externalId: string
  readonly name: string
  /** The system's own status word, lower case, when it has one. */
  readonly status?: string
  /** Name of the site or location that it belongs to, when known. */
  readonly site?: string
  readonly serial?: string
  /** IP addresses and prefixes, host part kept, without zone. */
  readonly addresses?: readonly string[]
  /** The page for a person in the system's own user interface. */
  readonly url?: string
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly relations?: readonly { readonly type: string; readonly kind: string; readonly externalId: string }[]
}

/** What one step of a sync reports; usually one page. */
export type SyncBatch = {
  /** What is being read, for a person: `devices`. */
  readonly stage: string
  /** How many the stage will report, when known. */
  readonly total?: number
  readonly observations?: readonly Observation[]
  /** Deleted in the system since the cursor (incremental runs). */
  readonly gone?: readonly { readonly kind: string; readonly externalId: string }[]
  /** The connector could not continue from the cursor and reports everything: unseen assets become stale at the end. */
  readonly full?: true
}

/** Where the next incremental run starts. Plain JSON, at most 16 KiB; only the connector reads it. */
export type Cursor = Readonly<Record<string, unknown>>

export type SyncContext<Config = unknown> = ConnectionContext<Config> & {
  /** Absent: a full run is wanted. */
  readonly cursor?: Cursor
  readonly now: () => Date
}

export type Connector<
  Id extends string = string,
  // biome-ignore lint/suspicious/noExplicitAny: a list of connectors holds every config shape
  C extends z.ZodObject<any> = z.ZodObject<any>,
  // biome-ignore lint/suspicious/noExplicitAny: the same for credentials
  K extends z.ZodObject<any> = z.ZodObject<any>,
> = {
  readonly id: Id
  readonly title: string
  /** Must have `url`: the https origin, with an optional base path. Further fields are settings. */
  readonly config: C
  /** Every field is stored in the vault and handed to `authenticate` as a `Secret`. */
  readonly credential: K
  /** Request headers for one signed-in request. */
  readonly authenticate: (credential: { readonly [F in keyof z.output<K>]: Secret }) => Record<string, string>
  /** A cheap signed-in probe. `warnings` name excess rights and old versions. */
  readonly check: (
    context: ConnectionContext<z.output<C>>,
  ) => Promise<{ readonly version: string; readonly account?: string; readonly warnings?: readonly string[] }>
  readonly sync?: (context: SyncContext<z.output<C>>) => AsyncGenerator<SyncBatch, Cursor>
  /** Turns the system's own error body into a sentence that is safe to show (no host, no secret). */
  readonly explain?: (status: number, body: unknown) => string | undefined
  readonly actions: readonly Action[]
  /** Versions this connector was run against, honestly. */
  readonly tested: readonly string[]
}

export function defineConnector<
  const Id extends string,
  // biome-ignore lint/suspicious/noExplicitAny: see Connector
  C extends z.ZodObject<any>,
  // biome-ignore lint/suspicious/noExplicitAny: see Connector
  K extends z.ZodObject<any>,
>(connector: Connector<Id, C, K>): Connector<Id, C, K> {
  return Object.freeze(connector)
}

/** An action on a connection. The `connection` input and the resource are added here, the same for every connector. */
export function connectionAction<const N extends string, I extends z.ZodRawShape, O extends z.ZodType>(spec: {
  name: N
  title: string
  description: string
  access: Access
  /** Path below `/api/v1/connections/{connection}`. */
  http: HttpRoute
  input: I
  output: O
  run: (input: z.output<z.ZodObject<I>>, context: ConnectionContext) => Promise<z.input<O>>
}) {
  const input = z.strictObject({
    connection: z.string().min(1).max(64).describe('Id or name of the connection to use.'),
    ...spec.input,
  })
  return defineAction({
    ...spec,
    http: { method: spec.http.method, path: `/connections/{connection}${spec.http.path}` },
    input,
    resource: (value) => ({ type: 'connection', id: (value as { connection: string }).connection }),
    connectionOf: (value) => (value as { connection: string }).connection,
    run: (value, { connection, signal }: Context) => {
      if (!connection) throw new TypeError(`${spec.name} ran without its connection`)
      const { config, http } = connection as { config: unknown; http: Http }
      return spec.run(value as never, { config, http, signal })
    },
  })
}
