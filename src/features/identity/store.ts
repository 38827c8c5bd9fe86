import type { Db } from '../../lib/db/database.ts'

/** Times are ISO 8601 text, lists JSON text. */
export type PrincipalRow = {
  id: string
  kind: 'user' | 'agent' | 'system'
  name: string
  version: number
  disabled_at: string | null
  created_at: string
  created_by: string | null
}

export type UserAccountRow = {
  principal_id: string
  username: string
  display_name: string
  password_hash: string | null
  password_changed_at: string | null
}

export type TokenRow = {
  id: string
  principal_id: string
  kind: 'api' | 'session' | 'bootstrap'
  name: string
  lookup: string | null
  secret_hash: Buffer
  hint: string
  scopes: string | null
  cidrs: string | null
  created_at: string
  created_by: string | null
  expires_at: string | null
  last_used_at: string | null
  revoked_at: string | null
  revoked_by: string | null
}

export type BindingRow = {
  id: string
  principal_id: string
  role: string
  scope: string
  created_at: string
  created_by: string | null
}

type Tables = {
  principal: PrincipalRow
  user_account: UserAccountRow
  token: TokenRow
  role_binding: BindingRow
  setup: { id: number; secret_hash: Buffer; expires_at: string; used_at: string | null }
  identity_epoch: { id: number; value: number }
}

/** A page of a list that is ordered by id, which is the order of creation. */
export type Page = { readonly limit: number; readonly cursor?: string | undefined }

export function tables(db: Db) {
  return db.withTables<Tables>()
}

/** The counter that every change of what anybody may do moves on, in the same transaction. */
export async function readEpoch(db: Db): Promise<number> {
  const row = await tables(db)
    .selectFrom('identity_epoch')
    .select('value')
    .where('id', '=', 1)
    .executeTakeFirstOrThrow()
  return row.value
}

export async function moveEpoch(db: Db): Promise<void> {
  await tables(db)
    .updateTable('identity_epoch')
    .set(({ eb }) => ({ value: eb('value', '+', 1) }))
    .where('id', '=', 1)
    .execute()
}

/** Gives a principal a new version and moves the epoch on: its bindings, scopes or state have changed. */
export async function touchPrincipal(db: Db, id: string): Promise<void> {
  await tables(db)
    .updateTable('principal')
    .set(({ eb }) => ({ version: eb('version', '+', 1) }))
    .where('id', '=', id)
    .execute()
  await moveEpoch(db)
}

export async function addPrincipal(
  db: Db,
  row: Pick<PrincipalRow, 'id' | 'kind' | 'name' | 'created_at' | 'created_by'>,
): Promise<void> {
  await tables(db)
    .insertInto('principal')
    .values({ ...row, version: 1, disabled_at: null })
    .execute()
}

export async function findPrincipal(db: Db, id: string): Promise<PrincipalRow | undefined> {
  return tables(db).selectFrom('principal').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function findSystemPrincipal(db: Db, name: string): Promise<PrincipalRow | undefined> {
  return tables(db)
    .selectFrom('principal')
    .selectAll()
    .where('kind', '=', 'system')
    .where('name', '=', name)
    .executeTakeFirst()
}

export async function setDisabled(db: Db, id: string, at: string | null): Promise<void> {
  await tables(db).updateTable('principal').set({ disabled_at: at }).where('id', '=', id).execute()
  await touchPrincipal(db, id)
}

/** Removes a principal with its account, tokens and bindings. Its id is never given out again. */
export async function removePrincipal(db: Db, id: string): Promise<void> {
  const own = tables(db)
  for (const table of ['token', 'role_binding', 'user_account'] as const)
    await own.deleteFrom(table).where('principal_id', '=', id).execute()
  await own.deleteFrom('principal').where('id', '=', id).execute()
  await moveEpoch(db)
}

/** Puts a new setup token in place of the one before; it can be used until `expires_at`. */
export async function putSetup(db: Db, secret_hash: Buffer, expires_at: string): Promise<void> {
  const row = { secret_hash, expires_at, used_at: null }
  await tables(db)
    .insertInto('setup')
    .values({ id: 1, ...row })
    .onConflict((oc) => oc.column('id').doUpdateSet(row))
    .execute()
}

export async function findSetup(db: Db): Promise<{ secret_hash: Buffer; expires_at: string } | undefined> {
  return tables(db)
    .selectFrom('setup')
    .select(['secret_hash', 'expires_at'])
    .where('id', '=', 1)
    .where('used_at', 'is', null)
    .executeTakeFirst()
}

/** Uses the setup token up. False when somebody was faster, or it is another one by now. */
export async function useSetup(db: Db, secret_hash: Buffer, at: string): Promise<boolean> {
  const { numUpdatedRows } = await tables(db)
    .updateTable('setup')
    .set({ used_at: at })
    .where('id', '=', 1)
    .where('secret_hash', '=', secret_hash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
