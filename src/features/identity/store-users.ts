import type { Db } from '../../lib/db/database.ts'
import { type Page, type PrincipalRow, tables, type UserAccountRow } from './store.ts'

/** A person or an agent; an agent has no account. */
export type MemberRow = PrincipalRow & { [K in keyof Omit<UserAccountRow, 'principal_id'>]: UserAccountRow[K] | null }

export async function addAccount(db: Db, row: UserAccountRow): Promise<void> {
  await tables(db).insertInto('user_account').values(row).execute()
}

export async function findMember(db: Db, id: string): Promise<MemberRow | undefined> {
  return members(db).where('principal.id', '=', id).executeTakeFirst()
}

export async function findByUsername(db: Db, username: string): Promise<MemberRow | undefined> {
  return members(db).where('username', '=', username).executeTakeFirst()
}

export async function listMembers(db: Db, kind: 'user' | 'agent', { limit, cursor = '' }: Page): Promise<MemberRow[]> {
  return members(db)
    .where('principal.kind', '=', kind)
    .where('principal.id', '>', cursor)
    .orderBy('principal.id')
    .limit(limit)
    .execute()
}

export async function editAccount(
  db: Db,
  id: string,
  change: Partial<Pick<UserAccountRow, 'display_name' | 'password_hash' | 'password_changed_at'>>,
): Promise<void> {
  await tables(db).updateTable('user_account').set(change).where('principal_id', '=', id).execute()
}

/** Replaces a hash by one with today's cost, unless the password was changed meanwhile. */
export async function replaceHash(db: Db, id: string, before: string, after: string): Promise<void> {
  await tables(db)
    .updateTable('user_account')
    .set({ password_hash: after })
    .where('principal_id', '=', id)
    .where('password_hash', '=', before)
    .execute()
}

/** Whether anybody can sign in with a password at all. The bootstrap user cannot, so it does not count. */
export async function hasUsers(db: Db): Promise<boolean> {
  const row = await tables(db)
    .selectFrom('user_account')
    .select('principal_id')
    .where('password_hash', 'is not', null)
    .executeTakeFirst()
  return row !== undefined
}

/** The people who can sign in now and are admin everywhere. Without one of them nobody could repair anything. */
export async function listAdminIds(db: Db): Promise<string[]> {
  const rows = await tables(db)
    .selectFrom('principal')
    .innerJoin('user_account', 'user_account.principal_id', 'principal.id')
    .innerJoin('role_binding', 'role_binding.principal_id', 'principal.id')
    .select('principal.id')
    .where('principal.disabled_at', 'is', null)
    .where('user_account.password_hash', 'is not', null)
    .where('role_binding.role', '=', 'admin')
    .where('role_binding.scope', '=', '*')
    .execute()
  return rows.map(({ id }) => id)
}

function members(db: Db) {
  return tables(db)
    .selectFrom('principal')
    .leftJoin('user_account', 'user_account.principal_id', 'principal.id')
    .selectAll('principal')
    .select(['username', 'display_name', 'password_hash', 'password_changed_at'])
    .where('principal.kind', 'in', ['user', 'agent'])
}
