import { makeAuthenticator } from './authenticate.ts'
import { makeBindings } from './bindings.ts'
import { makeBootstrap } from './bootstrap.ts'
import { makeLogin } from './login.ts'
import type { IdentityParts, Room } from './parts.ts'
import { makeHasher } from './password.ts'
import { makePrincipals } from './principals.ts'
import { makeSetup } from './setup.ts'
import { findPepper } from './store-peppers.ts'
import { makeTokens } from './tokens.ts'
import { makeUsers } from './users.ts'

export type { AuthFailure } from './authenticate.ts'
export type { IssuedToken } from './issue-token.ts'
export type { SignedIn } from './login.ts'
export type { IdentityEvent, IdentityParts } from './parts.ts'

export type Identity = ReturnType<typeof makeIdentity>

const longestSessionMs = 3_600_000

/** Who may come in: users, agents, tokens and roles. Doors ask `authenticate`; everything else goes through the gate's actions. */
export function makeIdentity(parts: IdentityParts) {
  if (!(parts.sessionTokenTtlMs > 0 && parts.sessionTokenTtlMs <= longestSessionMs))
    throw new RangeError('A sign-in lasts more than nothing and at most one hour')
  const authenticator = makeAuthenticator(parts)
  const cost = parts.passwordCost
  const earlierPepper = (id: string) => findPepper(parts.database.db, parts.rootKey, id)
  const hasher = makeHasher({ rootKey: parts.rootKey, earlierPepper, ...(cost && { cost }) })
  const room: Room = { ...parts, authenticator, hasher }
  return {
    authenticate: authenticator.authenticate,
    login: makeLogin(room),
    ...makeSetup(room),
    ...makeBootstrap(room),
    ...makePrincipals(room),
    users: makeUsers(room),
    tokens: makeTokens(room),
    bindings: makeBindings(room),
    /** Waits until the last use of tokens is written. Call it before the database is closed. */
    close: authenticator.settle,
  }
}
