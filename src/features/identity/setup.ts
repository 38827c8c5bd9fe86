import { timingSafeEqual } from 'node:crypto'
import { Problem, toProblem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import { type SignedIn, startSession } from './login.ts'
import { checkNewUser, insertBinding, insertUser } from './new-user.ts'
import { identityLock, type Room, record } from './parts.ts'
import { typed } from './reveal.ts'
import { findSetup, putSetup, useSetup } from './store.ts'
import { hasUsers } from './store-users.ts'
import { hashToken, newSecretText } from './token-format.ts'

const setupLifeMs = 86_400_000

/** The way from a fresh install to the first admin: a one-time token, printed at the start, so that no default password exists. */
export function makeSetup(room: Room) {
  const { database, hasher, now } = room

  /** A new setup token, valid for 24 hours, when nobody can sign in yet. The token of an earlier start stops working. */
  async function openSetup(): Promise<string | undefined> {
    const text = newSecretText()
    return database.exclusive(identityLock, async (tx) => {
      if (await hasUsers(tx)) return undefined
      await putSetup(tx, hashToken(text), new Date(now().getTime() + setupLifeMs).toISOString())
      return text
    })
  }

  /** Makes the first admin and signs them in. The setup token works once, whoever tries at the same time. */
  async function completeSetup(
    input: { setupToken: Secret; username: string; password: Secret },
    remoteAddress: string,
  ): Promise<SignedIn> {
    await room.takeSetup(remoteAddress)
    const detail = { remoteAddress }
    try {
      const secretHash = hashToken(typed(input.setupToken))
      const open = await findSetup(database.db)
      if (!open || open.expires_at <= now().toISOString() || !timingSafeEqual(open.secret_hash, secretHash))
        throw refusal()
      const username = checkNewUser(input)
      const passwordHash = await hasher.hash(input.password)
      await record(room, { code: 'setup.started', detail })
      const id = await database.exclusive(identityLock, async (tx) => {
        const at = now().toISOString()
        if (!(await useSetup(tx, secretHash, at)) || (await hasUsers(tx))) throw refusal()
        const user = await insertUser(tx, { username, passwordHash, at, createdBy: null })
        await insertBinding(tx, { principal: user, role: 'admin', scope: '*', at, createdBy: null })
        return user
      })
      await record(room, {
        code: 'setup.completed',
        principal: { id, kind: 'user', name: username },
        outcome: 'ok',
        detail,
      })
      const { token, expiresAt } = await startSession(room, id)
      return { token, expiresAt }
    } catch (error) {
      const { type } = toProblem(error)
      if (type !== 'audit-unavailable') await record(room, { code: 'setup.failed', outcome: type, detail })
      throw error
    }
  }

  return { openSetup, completeSetup }
}

function refusal(): Problem {
  return new Problem(
    'unauthenticated',
    'The setup token is wrong, used or out of date. A restart prints a new one while there is no user.',
  )
}
