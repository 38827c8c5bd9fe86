import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Db } from '../../lib/db/database.ts'
import { findPrincipal } from './store.ts'
import { bindingsOf } from './store-bindings.ts'
import { listAdminIds } from './store-users.ts'

// Policies decide who may call the actions of this room. The rules here hold whatever the policies say:
// nobody gives away more than they have, and somebody can always sign in and repair things.

/** Whether the principal is admin everywhere, in the database at this moment rather than when it signed in. */
export async function isAdmin(tx: Db, granter: Principal): Promise<boolean> {
  const row = await findPrincipal(tx, granter.id)
  if (!row || row.disabled_at !== null) return false
  return (await bindingsOf(tx, granter.id)).some(({ role, scope }) => role === 'admin' && scope === '*')
}

/** Admin everywhere with a token that no scopes narrow. Anything less could give itself the rest through another principal. */
export async function isFullAdmin(tx: Db, granter: Principal): Promise<boolean> {
  return granter.scopes === undefined && (await isAdmin(tx, granter))
}

/** Throws `denied` unless the principal may hand out any right there is. */
export async function requireFullAdmin(tx: Db, granter: Principal, what: string): Promise<void> {
  if (await isFullAdmin(tx, granter)) return
  throw new Problem('denied', `Only an admin on everything, with a token that no scopes narrow, may ${what}`)
}

/** Makes a change unless it would leave nobody who can sign in as admin; then `conflict`, and the transaction is undone. */
export async function keepAnAdmin(tx: Db, change: () => Promise<void>): Promise<void> {
  const before = await listAdminIds(tx)
  await change()
  if (before.length > 0 && (await listAdminIds(tx)).length === 0)
    throw new Problem('conflict', 'This is the last admin who can sign in. Make another one first')
}
