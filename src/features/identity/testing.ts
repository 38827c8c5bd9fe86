import type { KeyObject } from 'node:crypto'
import type { Principal } from '../../core/action.ts'
import { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import type { AuthFailure } from './authenticate.ts'
import { type Identity, makeIdentity } from './identity.ts'
import type { IdentityEvent, IdentityParts } from './parts.ts'

/** A password that the policy takes, for tests. */
export const goodPassword = 'purple lamp quickly eats gravel'

type Setting = Pick<IdentityParts, 'database' | 'rootKey' | 'now'> & Partial<IdentityParts>

/** An identity room for tests, with cheap password hashes, and what it reported. */
export function openIdentity(setting: Setting) {
  const events: IdentityEvent[] = []
  const failures: AuthFailure[] = []
  const identity = makeIdentity({
    sessionTokenTtlMs: 900_000,
    takeLogin: () => {},
    loginSucceeded: () => {},
    takeSetup: () => {},
    resolveConnection: async (id) => id,
    isKnownScope: () => true,
    onEvent: async (event) => events.push(event),
    onFailure: async (failure) => failures.push(failure),
    passwordCost: { memory: 64, passes: 1, parallelism: 1 },
    ...setting,
  })
  return { identity, events, failures }
}

/** The first admin, signed in. */
export async function signInAdmin(identity: Identity): Promise<Principal> {
  await identity.ensureAdmin({ password: new Secret(goodPassword) })
  return signIn(identity, 'admin')
}

export async function signIn(identity: Identity, username: string, password = goodPassword): Promise<Principal> {
  const { token } = await identity.login({ username, password: new Secret(password) }, '192.0.2.1')
  const principal = await identity.authenticate(token, '192.0.2.1')
  // The last use is written beside the call; a test must not end while that is under way.
  await identity.close()
  return principal
}

export type World = Awaited<ReturnType<typeof openWorld>>

/** An identity room with an admin and, on demand, further users. */
export async function openWorld(
  database: Database,
  rootKey: KeyObject,
  now: () => Date,
  parts: Partial<IdentityParts> = {},
) {
  const { identity, events, failures } = openIdentity({ database, rootKey, now, ...parts })
  const admin = await signInAdmin(identity)
  events.length = 0
  const addUser = async (username: string, role?: 'admin' | 'operator' | 'developer' | 'viewer' | 'auditor') => {
    await identity.users.add(admin, { username, password: new Secret(goodPassword), role })
    return signIn(identity, username)
  }
  return { identity, events, failures, admin, addUser }
}
