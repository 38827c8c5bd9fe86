import type { Db } from '../../lib/db/database.ts'
import { type BindingRow, type Page, tables, touchPrincipal } from './store.ts'

/** Adds a binding. False when the principal has it already. */
export async function addBinding(db: Db, row: BindingRow): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tables(db)
    .insertInto('role_binding')
    .values(row)
    .onConflict((oc) => oc.columns(['principal_id', 'role', 'scope']).doNothing())
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows !== 1n) return false
  await touchPrincipal(db, row.principal_id)
  return true
}

export async function bindingsOf(db: Db, principal: string): Promise<{ role: string; scope: string }[]> {
  return tables(db)
    .selectFrom('role_binding')
    .select(['role', 'scope'])
    .where('principal_id', '=', principal)
    .orderBy('role')
    .orderBy('scope')
    .execute()
}

/** The roles of several principals, by principal; one without any is absent. */
export async function bindingsOfMany(
  db: Db,
  principals: readonly string[],
): Promise<ReadonlyMap<string, { role: string; scope: string }[]>> {
  if (principals.length === 0) return new Map()
  const rows = await tables(db)
    .selectFrom('role_binding')
    .select(['principal_id', 'role', 'scope'])
    .where('principal_id', 'in', principals)
    .orderBy('role')
    .orderBy('scope')
    .execute()
  const grouped = Map.groupBy(rows, (row) => row.principal_id)
  return new Map([...grouped].map(([id, own]) => [id, own.map(({ role, scope }) => ({ role, scope }))]))
}

export async function findBinding(db: Db, id: string): Promise<BindingRow | undefined> {
  return tables(db).selectFrom('role_binding').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function listBindings(
  db: Db,
  { principal, limit, cursor = '' }: Page & { principal?: string | undefined },
): Promise<BindingRow[]> {
  const page = tables(db).selectFrom('role_binding').selectAll().where('id', '>', cursor).orderBy('id').limit(limit)
  return (principal === undefined ? page : page.where('principal_id', '=', principal)).execute()
}

export async function removeBinding(
  db: Db,
  { id, principal_id }: Pick<BindingRow, 'id' | 'principal_id'>,
): Promise<void> {
  await tables(db).deleteFrom('role_binding').where('id', '=', id).execute()
  await touchPrincipal(db, principal_id)
}
