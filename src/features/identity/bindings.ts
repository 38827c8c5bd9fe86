import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { keepAnAdmin, requireFullAdmin } from './grant.ts'
import { insertBinding } from './new-user.ts'
import { identityLock, iso, type Room } from './parts.ts'
import type { Role } from './roles.ts'
import { resolveScope } from './scope.ts'
import type { BindingRow, Page } from './store.ts'
import { findBinding, listBindings, removeBinding } from './store-bindings.ts'
import { findMember } from './store-users.ts'

/** Role bindings: which role a user or an agent has, and where. */
export function makeBindings(room: Room) {
  const { database, now, authenticator } = room

  async function list({ principal, ...page }: Page & { principal?: string | undefined }) {
    const rows = await listBindings(database.db, { principal, ...page, limit: page.limit + 1 })
    const items = rows.slice(0, page.limit).map(shown)
    return { items, next: rows.length > page.limit ? (items.at(-1)?.id ?? null) : null }
  }

  async function add(granter: Principal, wish: { principal: string; role: Role; scope: string }) {
    const scope = await resolveScope(room, granter, wish)
    const row = await database.exclusive(identityLock, async (tx) => {
      await requireFullAdmin(tx, granter, 'give a role')
      if (!(await findMember(tx, wish.principal))) throw new Problem('not-found', 'There is no such user or agent')
      const id = await insertBinding(tx, { ...wish, scope, at: iso(now()), createdBy: granter.id })
      const added = id === undefined ? undefined : await findBinding(tx, id)
      if (!added) throw new Problem('conflict', 'The principal has this role there already')
      return added
    })
    authenticator.forget()
    return shown(row)
  }

  async function remove(granter: Principal, id: string): Promise<void> {
    await database.exclusive(identityLock, async (tx) => {
      await requireFullAdmin(tx, granter, 'take a role away')
      const row = await findBinding(tx, id)
      if (!row) throw new Problem('not-found', 'There is no such role binding')
      await keepAnAdmin(tx, () => removeBinding(tx, row))
    })
    authenticator.forget()
  }

  return { list, add, remove }
}

function shown(row: BindingRow) {
  return {
    id: row.id,
    principal: row.principal_id,
    role: row.role,
    scope: row.scope,
    createdAt: row.created_at,
    createdBy: row.created_by,
  }
}
