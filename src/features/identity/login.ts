import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import { type IssuedToken, issueToken } from './issue-token.ts'
import { type Room, record } from './parts.ts'
import { removeSessions } from './store-tokens.ts'
import { findByUsername, type MemberRow, replaceHash } from './store-users.ts'
import { foldUsername } from './username.ts'

/** A short token for the next calls. */
export type SignedIn = Pick<IssuedToken, 'token' | 'expiresAt'>

const dayMs = 86_400_000

/**
 * Signs a person in: username and password to a short token. Every refusal is the same `unauthenticated` after the same
 * work, whether the name is unknown, disabled, has no password, or the password is wrong. The attempt is in the log before
 * the answer leaves.
 */
export function makeLogin(room: Room) {
  return async function login(
    { username, password }: { username: string; password: Secret },
    remoteAddress: string,
  ): Promise<SignedIn> {
    const { database, hasher } = room
    const folded = foldUsername(username)
    await room.takeLogin(folded, remoteAddress)
    // PostgreSQL refuses a NUL in a text, which would tell this name from others.
    const user = folded.includes('\0') ? undefined : await findByUsername(database.db, folded)
    const result = await hasher.verify(password, user?.password_hash)
    if (!user?.password_hash || result === 'wrong' || user.disabled_at !== null) {
      await record(room, refused(user, result, remoteAddress))
      throw new Problem('unauthenticated', 'The username or the password is wrong')
    }
    if (result === 'outdated') await replaceHash(database.db, user.id, user.password_hash, await hasher.hash(password))
    const issued = await startSession(room, user.id)
    try {
      const principal = { id: user.id, kind: user.kind, name: user.name, tokenId: issued.id }
      await record(room, { code: 'login.succeeded', principal, outcome: 'ok', detail: { remoteAddress } })
    } catch (error) {
      await removeSessions(database.db, { id: issued.id })
      throw error
    }
    room.loginSucceeded(folded, remoteAddress)
    return { token: issued.token, expiresAt: issued.expiresAt }
  }
}

/** A short token for a person who has just proved who they are. */
export async function startSession(room: Room, user: string): Promise<IssuedToken> {
  const { database, now, sessionTokenTtlMs, sessionSecret } = room
  const at = now()
  await removeSessions(database.db, { principal: user, before: new Date(at.getTime() - dayMs).toISOString() })
  return issueToken(database.db, {
    principal: user,
    kind: 'session',
    name: 'Sign-in',
    createdBy: user,
    at,
    lifeMs: sessionTokenTtlMs,
    sessionSecret,
  })
}

/** What was typed as a name is not recorded when no user has it: people type passwords there. */
function refused(user: MemberRow | undefined, result: string, remoteAddress: string) {
  const reason = !user ? 'unknown-user' : result === 'wrong' ? 'wrong-password' : 'disabled'
  return {
    code: 'login.failed' as const,
    ...(user && { principal: { id: user.id, kind: user.kind, name: user.name } }),
    outcome: 'unauthenticated',
    detail: { reason, remoteAddress },
  }
}
