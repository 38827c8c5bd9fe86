import type { Connector, Observation, Webhook } from '../../core/connector.ts'
import type { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import type { HttpClient, HttpLimits, HttpOptions } from '../../lib/http-client.ts'
import type { Given } from '../vault/references/reference.ts'

/** What this room needs of the vault. Each credential field is one secret owned by its connection. */
export type VaultPart = {
  /** A name must be free among the owner's living secrets. */
  readonly put: (secret: { name: string; value: Given; owner: string; kind: string }) => Promise<{ id: string }>
  readonly addVersion: (id: string, value: Given) => Promise<unknown>
  /** All of them in one transaction, or none. */
  readonly addVersions: (versions: readonly { readonly id: string; readonly value: Given }[]) => Promise<unknown>
  readonly destroy: (id: string) => Promise<unknown>
  readonly destroyOwner: (owner: string) => Promise<unknown>
  /** The value of what is given, read where a reference leads. @throws Problem secret-unavailable */
  readonly resolve: (given: Given) => Promise<Secret>
  /** Whether another value than `than` is to be used by now; a reference is read anew. */
  readonly isOther: (id: string, owner: string, than: Secret, which: { readonly staged: boolean }) => Promise<boolean>
  /** The current version, when the secret belongs to `owner`. */
  readonly use: (id: string, owner: string) => Promise<Secret>
  /** Whether somebody who knows the secret made the proof: the MAC of `body` in hex, or the secret itself (`shared`). */
  readonly proves: (
    id: string,
    owner: string,
    claim: { readonly scheme: Webhook['signature']['scheme']; readonly proof: string; readonly body: Uint8Array },
  ) => Promise<boolean>
  /** Stores the next values beside the current ones, all or none. */
  readonly stage: (values: readonly { readonly id: string; readonly value: Given }[]) => Promise<void>
  /** Makes what is staged current, all or none. */
  readonly promote: (ids: readonly string[]) => Promise<void>
  readonly discard: (ids: readonly string[]) => Promise<number>
  /** Which of these have something staged. */
  readonly staged: (ids: readonly string[]) => Promise<readonly string[]>
  /** The staged value, or the current one where nothing is staged. */
  readonly useStaged: (id: string, owner: string) => Promise<Secret>
  /** When the first of these secrets is to be changed, in ISO form. */
  readonly dueAt: (ids: readonly string[]) => Promise<string | null>
  /** Tells equal values from different ones. */
  readonly fingerprint: (value: Secret) => string
  /** Keeps a value that is not stored (a session's token) out of what this process says; the same name replaces it. */
  readonly hide: (name: string, value: Secret) => void
}

export type BatchCounts = {
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly gone: number
}

/** What this room needs of the inventory. `runId` marks what a run has seen. */
export type InventoryPart = {
  /** One transaction. Of two observations of one thing the later counts. */
  readonly applyBatch: (batch: {
    connectionId: string
    connector: string
    runId: string
    observations: readonly Observation[]
    gone: readonly { kind: string; externalId: string }[]
  }) => Promise<BatchCounts>
  /** Marks what a complete run has not seen as stale; answers how many. */
  readonly finishFullRun: (run: { connectionId: string; runId: string }) => Promise<number>
  readonly removeConnection: (connectionId: string) => Promise<unknown>
}

export type Log = {
  readonly info: (fields: object, message: string) => void
  readonly warn: (fields: object, message: string) => void
  readonly error: (fields: object, message: string) => void
}

/** What this room tells the audit log. */
export type ConnectionEvent = {
  readonly code: 'connection.certificate-changed' | 'connection.tls-failed' | 'connection.pin-mismatch'
  readonly resource: { readonly type: 'connection'; readonly id: string }
  readonly outcome?: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** `makeHttp` with what is the same for every connection filled in. */
export type HttpFor = (
  options: Pick<
    HttpOptions,
    'url' | 'caPem' | 'pin' | 'sign' | 'explain' | 'clientCertificate' | 'onCertificate' | 'onDistrust'
  > & {
    readonly limits?: Partial<HttpLimits>
  },
) => HttpClient

export type ConnectionsParts = {
  readonly database: Database
  readonly vault: VaultPart
  readonly inventory: InventoryPart
  readonly connectors: readonly Connector[]
  readonly httpFor: HttpFor
  /** Systems on this machine may be connected (demo, tests); off unless configured. */
  readonly allowLoopback: boolean
  readonly now: () => Date
  readonly log: Log
  /** Records what became of a connection's TLS. Never awaited inside a transaction: the audit log has its own. */
  readonly onEvent: (event: ConnectionEvent) => Promise<unknown>
}
