import type { FileHandle } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import type { Action, Principal, Resource } from '../../core/action.ts'
import type { Secret } from '../../core/secret.ts'
import type { Answer, Call } from '../../gate/invoke.ts'

export type LimitState = Parameters<NonNullable<Call['onLimit']>>[0]

export type SignedIn = { readonly token: string; readonly expiresAt: string }

/** The MCP door: a fetch-shaped handler for one already authenticated, already parsed message. */
export type McpFetch = (request: Request, call: Call, message: unknown) => Promise<Response>

export type HttpDoorConfig = {
  /** The origin under which people and agents reach this server, when it is not the listening address. */
  readonly publicUrl?: string
  /** Addresses or CIDR ranges whose `X-Forwarded-*` headers count. Never "all". */
  readonly trustedProxies?: readonly string[]
  /** Exact origins that a browser may call from. */
  readonly corsOrigins?: readonly string[]
  /** More `Host` values to answer for, with port when it is not the scheme's own. */
  readonly allowedHosts?: readonly string[]
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer }
  /** Issuers that clients can get tokens from (RFC 9728 `authorization_servers`). */
  readonly authorizationServers?: readonly string[]
}

export type HttpDoorParts = {
  readonly actions: readonly Action[]
  readonly invoke: (call: Call, name: string, rawInput: unknown) => Promise<Answer>
  /** Steps 4 and 5 of the gate alone, for reads that are not events. Throws a `Problem`. */
  readonly check: (call: Call, name: string, resource: Resource) => void
  /** Throws `unauthenticated`. */
  readonly authenticate: (bearer: string, remoteAddress: string) => Promise<Principal>
  /** Takes one from the source network's allowance for requests that prove no identity. Throws `rate-limited`. */
  readonly unauthenticatedLimit: (remoteAddress: string) => void
  readonly login?: (input: { username: string; password: Secret }, remoteAddress: string) => Promise<SignedIn>
  readonly setup?: (
    input: { setupToken: Secret; username: string; password: Secret },
    remoteAddress: string,
  ) => Promise<SignedIn>
  /** Takes a delivery of a connected system. Throws `denied` when its signature is missing or wrong. */
  readonly receive?: (
    connection: string,
    delivery: { headers: IncomingHttpHeaders; body: Uint8Array },
    remoteAddress: string,
  ) => Promise<void>
  readonly audit: {
    readonly checkpoint: () => Promise<string>
    /** `path` as in C2SP tlog-tiles without the leading `tile/`: `0/000`, `entries/x001/234.p/5`. */
    readonly tile: (path: string) => Promise<Uint8Array | undefined>
    readonly vkey: string
  }
  /** The file of an export whose download the gate has let through; undefined when it is no longer there. */
  readonly exportFile: (id: string) => Promise<FileHandle | undefined>
  /** The same for a backup. */
  readonly backupFile: (id: string) => Promise<FileHandle | undefined>
  /** Whether each part of the server can work: `true`, `false`, or a short word for why not. Never a secret or a path. */
  readonly health: { readonly ready: () => Promise<Readonly<Record<string, boolean | string>>> }
  /** The figures for Prometheus; `tokenHash` is the SHA-256 of the token that reads them. */
  readonly metrics: { readonly render: () => Promise<string>; readonly tokenHash?: Buffer | undefined }
  readonly rateLimitHeaders: (state: LimitState) => Readonly<Record<string, string>>
  readonly mcp?: McpFetch
  readonly config: HttpDoorConfig
  readonly log: { readonly error: (fields: Record<string, unknown>, message: string) => void }
  readonly version: string
}
