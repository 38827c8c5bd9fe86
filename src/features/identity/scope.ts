import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { requireFullAdmin } from './grant.ts'
import type { Room } from './parts.ts'

type Wish = { readonly role?: string | undefined; readonly scope?: string | undefined }

/**
 * Where a role will hold. A connection may be named, and must exist: a binding to nothing looks like a right and gives none.
 * Throws `not-found` for a connection that does not exist, and `denied` before that to whoever may not give roles.
 */
export async function resolveScope(room: Room, granter: Principal, { role, scope }: Wish): Promise<string> {
  if (scope !== undefined && role === undefined)
    throw new Problem('invalid-input', '/scope: says where a role holds, so it needs a role')
  const [type, idOrName] = (scope ?? '*').split('/', 2)
  if (type !== 'connection' || idOrName === undefined) return scope ?? '*'
  await requireFullAdmin(room.database.db, granter, 'give a role')
  return `connection/${await room.resolveConnection(idOrName)}`
}

/** Throws `invalid-input` for a scope of a token that no action is in: the token could do nothing with it. */
export function requireKnownScopes({ isKnownScope }: Room, scopes: readonly string[] | undefined): void {
  const unknown = scopes?.find((scope) => !isKnownScope(scope))
  if (unknown === undefined) return
  const rule = `there is no ${unknown.endsWith('.*') ? 'area' : 'action'} ${unknown}`
  throw new Problem('invalid-input', `/scopes: ${rule}`, { faults: [{ field: '/scopes', rule }] })
}
