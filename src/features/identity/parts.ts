import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import type { RootKey } from '../../lib/root-keys.ts'
import type { Authenticator, AuthFailure } from './authenticate.ts'
import type { Hasher, PasswordCost } from './password.ts'

/** What happened in this room outside the gate; it has the form of an audit event. */
export type IdentityEvent = {
  readonly code: 'login.succeeded' | 'login.failed' | 'setup.started' | 'setup.completed' | 'setup.failed'
  readonly principal?: { readonly id: string; readonly kind: string; readonly name: string; readonly tokenId?: string }
  readonly outcome?: string
  readonly detail?: Record<string, unknown>
}

export type IdentityParts = {
  readonly database: Database
  readonly rootKey: RootKey
  readonly now: () => Date
  /** How long a sign-in with a password lasts; at most one hour. */
  readonly sessionTokenTtlMs: number
  /** Sign-ins hang on it: with another one everybody signs in anew. Tokens for programs do not. */
  readonly sessionSecret?: Secret | undefined
  /** Counts a sign-in attempt and throws `rate-limited` when there were too many. The username is folded already. */
  readonly takeLogin: (username: string, remoteAddress: string | undefined) => void | Promise<void>
  /** The password was right: earlier attempts of this user from there need not count any longer. */
  readonly loginSucceeded: (username: string, remoteAddress: string) => void
  /** The same for attempts to use the setup token. */
  readonly takeSetup: (remoteAddress: string) => void | Promise<void>
  /** Records an event durably. When it throws, the answer is `audit-unavailable` and nobody is signed in. */
  readonly onEvent: (event: IdentityEvent) => Promise<unknown>
  /** Why a bearer token was refused, for the log; the caller is not told. */
  readonly onFailure: (failure: AuthFailure) => Promise<unknown>
  /** The id of a connection, by id or name, for the scope of a role; throws `not-found`. */
  readonly resolveConnection: (idOrName: string) => Promise<string>
  /** Whether any action is in this scope of a token: an action's name, an area or an access word. */
  readonly isKnownScope: (scope: string) => boolean
  /** Only tests choose a cheaper one. */
  readonly passwordCost?: PasswordCost
}

/** What the parts of this room share. */
export type Room = IdentityParts & { readonly hasher: Hasher; readonly authenticator: Authenticator }

/** The name of the lock under which everything changes that decides who may do what. */
export const identityLock = 'identity'

/** Records an event, or stops: what the log cannot hold is not done. */
export async function record({ onEvent }: Pick<Room, 'onEvent'>, event: IdentityEvent): Promise<void> {
  try {
    await onEvent(event)
  } catch (cause) {
    throw new Problem('audit-unavailable', undefined, { cause })
  }
}

export function iso(at: Date): string {
  return at.toISOString()
}
