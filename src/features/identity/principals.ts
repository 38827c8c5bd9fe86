import type { Principal } from '../../core/action.ts'
import type { Room } from './parts.ts'
import { findPrincipal as findRow } from './store.ts'
import { bindingsOf } from './store-bindings.ts'

/** Principals as they would be if they signed in now, without a token's narrowing; for questions about them. */
export function makePrincipals({ database }: Pick<Room, 'database'>) {
  return {
    /** Undefined when there is no such principal, or it is disabled. */
    async findPrincipal(id: string): Promise<Principal | undefined> {
      const row = await findRow(database.db, id)
      if (!row || row.disabled_at !== null) return undefined
      const bindings = await bindingsOf(database.db, id)
      return { id: row.id, kind: row.kind, name: row.name, bindings, version: `${row.id}.${row.version}` }
    },
  }
}
