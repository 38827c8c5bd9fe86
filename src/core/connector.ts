import { z } from 'zod'
import { type Access, type Action, type Context, defineAction, type HttpRoute } from './action.ts'
import type { ProblemType } from './problem.ts'
import type { Secret } from './secret.ts'

export type Query = Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>

/** Everything that a request to a connected system can say. */
export type Exchange = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Query
  readonly headers?: Readonly<Record<string, string>>
  /** Text and bytes are sent as they are (name their `content-type` in `headers`); anything else as JSON. */
  readonly body?: unknown
  /** The request changes nothing, so it may be sent again after 429, 502–504 or a broken connection. GET and HEAD always may. */
  readonly safe?: boolean
  /** What `schema` gets to see: parsed JSON (default), the text, or an `XmlElement`. */
  readonly as?: 'json' | 'text' | 'xml'
}

/** XML as data: names without prefix, attributes by local name, the element's own text trimmed. */
export type XmlElement = {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
  readonly children: readonly XmlElement[]
}

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
  /** Any other request. While signing in, `headers` has `set-cookie` too, one cookie a line. */
  exchange<T>(
    exchange: Exchange,
    schema: z.ZodType<T>,
  ): Promise<{ readonly status: number; readonly body: T; readonly headers: Readonly<Record<string, string>> }>
}

/** One request as it is about to leave, for credentials that sign it. */
export type Outgoing = {
  readonly method: string
  /** Path and query as they are sent. */
  readonly target: string
  readonly host: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | undefined
  readonly now: Date
}

/** What signing in brought, kept in memory until it ends or `explain` says that it is over. */
export type Session = {
  readonly values: Readonly<Record<string, Secret>>
  readonly expiresAt?: Date
  /** New values of credential fields: written to the vault, all in one transaction, before the session is used. */
  readonly credential?: Readonly<Record<string, Secret>>
}

/** What a reply means when its status does not say it, as with systems that answer 200 on failure. */
export type Fault = {
  readonly type: ProblemType
  readonly detail?: string
  /** The session is over: sign in again and send the request once more. Only when the request was certainly not carried out. */
  readonly sessionOver?: true
}

/** What a connector sees of one connection. */
export type ConnectionContext<Config = unknown> = {
  readonly config: Config
  readonly http: Http
  readonly signal: AbortSignal
}

export type Attribute = string | number | boolean | null | readonly string[]

/** By what a machine can be recognised in other systems, as the system has it; the hub normalises. See also `serial`, `addresses`. */
export type MachineMarks = {
  readonly form?: 'physical' | 'virtual'
  /** SMBIOS (BIOS) UUIDs. */
  readonly uuids?: readonly string[]
  readonly macs?: readonly string[]
  /** Full names with domain. */
  readonly fqdns?: readonly string[]
  /** Short or full names of the operating system's host. The asset's own name counts only when it is listed here. */
  readonly hostNames?: readonly string[]
}

/** What findings are made of: the same words whatever the system. Times are ISO 8601 in UTC. */
export type Facts = {
  /** What the registry says that the thing should be. */
  readonly lifecycle?: 'planned' | 'active' | 'off' | 'failed' | 'spare' | 'leaving'
  readonly power?: 'on' | 'off' | 'suspended'
  readonly powerSince?: string
  readonly isTemplate?: boolean
  /** False: known to the monitoring, but switched off there. */
  readonly isMonitored?: boolean
  /** End of the last good backup; null: known to the backup system, and never backed up. */
  readonly backupAt?: string | null
  /** Last report of an agent; null: never. */
  readonly reportAt?: string | null
  readonly createdAt?: string
  readonly expiresAt?: string
  /** Of a pool or volume, 0 to 100. */
  readonly usedPercent?: number
  /** Of a problem: 0 (unknown) to 5 (disaster). */
  readonly severity?: number
  readonly openedAt?: string
}

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
  /** Things of the same connection that this one points to: `{ type: 'runs-on', kind: 'host', externalId: 'host-12' }`. */
  readonly relations?: readonly { readonly type: string; readonly kind: string; readonly externalId: string }[]
  /** Present when this is one system's view of one machine (device, virtual machine, host, client, node). */
  readonly machine?: MachineMarks
  readonly facts?: Facts
}

/** What a kind of system is the witness of; findings ask for the witnesses, never for vendors. */
export const subjects = [
  'registry',
  'virtualization',
  'monitoring',
  'backup',
  'configuration',
  'storage',
  'tickets',
  'documentation',
  'time',
] as const
export type Subject = (typeof subjects)[number]

/** How the system signs the requests that it sends us. The hub checks; a connector only says how. */
export type Webhook = {
  readonly signature: {
    readonly header: string
    /** HMAC over the raw body, or `shared`: the secret itself, for senders that sign nothing. */
    readonly scheme: 'hmac-sha1' | 'hmac-sha256' | 'hmac-sha512' | 'shared'
    /** What stands before the hex digest, for example `sha256=`. */
    readonly prefix?: string
  }
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
  /** What the system is the witness of. */
  readonly subjects: readonly Subject[]
  /** Request headers for one signed-in request. `session` is what `signIn` brought. */
  readonly authenticate: (
    credential: CredentialOf<K>,
    request: Outgoing,
    session: Session | undefined,
  ) => Record<string, string>
  /** For systems that want the credential in the body: the whole new body. Called before `authenticate`. */
  readonly signBody?: (
    credential: CredentialOf<K>,
    request: Outgoing,
    session: Session | undefined,
  ) => string | undefined
  /**
   * Opens a session (login, token renewal) with HTTP that is not signed in. One at a time per connection; `previous` is the
   * session that ended, if one did.
   */
  signIn?(context: {
    readonly config: z.output<C>
    readonly credential: CredentialOf<K>
    readonly http: Http
    readonly now: () => Date
    readonly previous: Session | undefined
  }): Promise<Session>
  /** Ends a session at the system, so that none is left behind. Best effort. */
  signOut?(context: { readonly config: z.output<C>; readonly http: Http }): Promise<void>
  /** Credential fields that `signIn` replaces (`Session.credential`): they are stored here and cannot be kept elsewhere. */
  readonly renews?: readonly string[]
  /** A TLS client certificate and its key, both PEM. */
  readonly clientCertificate?: (
    credential: CredentialOf<K>,
  ) => { readonly certificate: Secret; readonly key: Secret } | undefined
  /** A cheap signed-in probe. `warnings` name excess rights and old versions. */
  readonly check: (
    context: ConnectionContext<z.output<C>>,
  ) => Promise<{ readonly version: string; readonly account?: string; readonly warnings?: readonly string[] }>
  readonly sync?: (context: SyncContext<z.output<C>>) => AsyncGenerator<SyncBatch, Cursor>
  /**
   * Reads a reply. A sentence (safe to show: no host, no secret) explains a failed status; a `Fault` says what the reply means,
   * also when its status is 2xx. `body` is JSON, an `XmlElement`, or text.
   */
  readonly explain?: (status: number, body: unknown) => string | Fault | undefined
  readonly webhook?: Webhook
  readonly actions: readonly Action[]
  /** Versions this connector was run against, honestly. */
  readonly tested: readonly string[]
}

/** The credential's fields as secrets; optional ones may be missing. */
export type CredentialOf<K extends z.ZodType> = {
  readonly [F in keyof z.output<K>]: undefined extends z.output<K>[F] ? Secret | undefined : Secret
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
