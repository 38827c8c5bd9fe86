import type { Db } from '../../lib/db/database.ts'
import { moveEpoch, type Page, type PrincipalRow, type TokenRow, tables } from './store.ts'

export type OwnedToken = TokenRow & { principal_kind: PrincipalRow['kind']; principal_name: string }

/** A new token needs no new epoch: no cache can hold it yet. */
export async function addToken(
  db: Db,
  row: Omit<TokenRow, 'last_used_at' | 'revoked_at' | 'revoked_by'>,
): Promise<void> {
  await tables(db)
    .insertInto('token')
    .values({ ...row, last_used_at: null, revoked_at: null, revoked_by: null })
    .execute()
}

export async function findToken(db: Db, id: string): Promise<OwnedToken | undefined> {
  return owned(db).where('token.id', '=', id).executeTakeFirst()
}

export async function findTokenByLookup(db: Db, lookup: string): Promise<TokenRow | undefined> {
  return tables(db).selectFrom('token').selectAll().where('lookup', '=', lookup).executeTakeFirst()
}

export async function findTokenByHash(db: Db, hash: Buffer): Promise<TokenRow | undefined> {
  return tables(db).selectFrom('token').selectAll().where('secret_hash', '=', hash).executeTakeFirst()
}

export async function listTokens(
  db: Db,
  { principal, limit, cursor = '' }: Page & { principal?: string | undefined },
): Promise<OwnedToken[]> {
  const page = owned(db).where('token.id', '>', cursor).orderBy('token.id').limit(limit)
  return (principal === undefined ? page : page.where('principal_id', '=', principal)).execute()
}

/** Ends a token. False when it had already ended. */
export async function revokeToken(db: Db, id: string, at: string, by: string): Promise<boolean> {
  const { numUpdatedRows } = await tables(db)
    .updateTable('token')
    .set({ revoked_at: at, revoked_by: by })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  await moveEpoch(db)
  return numUpdatedRows === 1n
}

/** Ends the sign-ins of a user, except one. */
export async function revokeSessions(db: Db, principal: string, except: string, at: string, by: string): Promise<void> {
  await tables(db)
    .updateTable('token')
    .set({ revoked_at: at, revoked_by: by })
    .where('principal_id', '=', principal)
    .where('kind', '=', 'session')
    .where('id', '!=', except)
    .where('revoked_at', 'is', null)
    .execute()
  await moveEpoch(db)
}

/** Ends everybody's sessions: after a restore nobody can say which of them had been ended since. */
export async function revokeAllSessions(db: Db, at: string, by: string): Promise<void> {
  await tables(db)
    .updateTable('token')
    .set({ revoked_at: at, revoked_by: by })
    .where('kind', '=', 'session')
    .where('revoked_at', 'is', null)
    .execute()
  await moveEpoch(db)
}

/** Ends every bootstrap token but the one that the configuration holds. */
export async function revokeBootstrapExcept(db: Db, keep: Buffer | undefined, at: string): Promise<void> {
  const live = tables(db)
    .updateTable('token')
    .set({ revoked_at: at, revoked_by: 'configuration' })
    .where('kind', '=', 'bootstrap')
    .where('revoked_at', 'is', null)
  const { numUpdatedRows } = await (keep ? live.where('secret_hash', '!=', keep) : live).executeTakeFirst()
  if (numUpdatedRows > 0n) await moveEpoch(db)
}

/** A bootstrap token that left the configuration and is back. */
export async function reviveBootstrap(db: Db, id: string): Promise<void> {
  await tables(db).updateTable('token').set({ revoked_at: null, revoked_by: null }).where('id', '=', id).execute()
}

/** Forgets a sign-in whose value was never given out, and, with `before`, those that ended before then. */
export async function removeSessions(
  db: Db,
  which: { id: string } | { principal: string; before: string },
): Promise<void> {
  const sessions = tables(db).deleteFrom('token').where('kind', '=', 'session')
  if ('id' in which) await sessions.where('id', '=', which.id).execute()
  else await sessions.where('principal_id', '=', which.principal).where('expires_at', '<', which.before).execute()
}

export async function setLastUsed(db: Db, ids: readonly string[], at: string): Promise<void> {
  await tables(db).updateTable('token').set({ last_used_at: at }).where('id', 'in', ids).execute()
}

function owned(db: Db) {
  return tables(db)
    .selectFrom('token')
    .innerJoin('principal', 'principal.id', 'token.principal_id')
    .selectAll('token')
    .select(['principal.kind as principal_kind', 'principal.name as principal_name'])
}
