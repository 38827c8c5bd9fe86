import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { checkNewUser, insertBinding, insertUser } from './new-user.ts'
import { identityLock, type Room, record } from './parts.ts'
import { tokenTextFault } from './password-policy.ts'
import { typed } from './reveal.ts'
import type { Role } from './roles.ts'
import { addPrincipal, findPrincipal, findSystemPrincipal } from './store.ts'
import { bindingsOf } from './store-bindings.ts'
import { addToken, findTokenByHash, findTokenByLookup, reviveBootstrap, revokeBootstrapExcept } from './store-tokens.ts'
import { findByUsername, hasUsers } from './store-users.ts'
import { hashToken, readToken } from './token-format.ts'

const bootstrapName = 'bootstrap'

/** What the configuration may say about identity. Called once at the start; each is safe to repeat. */
export function makeBootstrap(room: Room) {
  const { database, now, hasher, authenticator } = room

  /**
   * Makes the configured API token (ATLAS_API_TOKEN) work for the user `bootstrap`, who is admin; only its hash is stored.
   * Without one, the token of earlier starts stops working. Throws `invalid-input` for a weak token, for one that somebody
   * revoked, and for one that is in use otherwise.
   */
  async function ensureBootstrapToken(token: Secret | undefined): Promise<void> {
    if (!token) {
      await database.exclusive(identityLock, (tx) => revokeBootstrapExcept(tx, undefined, now().toISOString()))
      authenticator.acceptBootstrap(undefined)
      return
    }
    const text = typed(token)
    const form = readToken(text)
    if (typeof form === 'string') {
      if (text.startsWith('atl_')) throw refused('looks like an Atlas token but is not one: its checksum is wrong')
      const fault = tokenTextFault(text)
      if (fault !== undefined) throw refused(fault)
    }
    const hash = hashToken(text)
    const lookup = typeof form === 'string' ? null : form.lookup
    await database.exclusive(identityLock, (tx) => adopt(tx, { hash, lookup, at: now().toISOString() }))
    authenticator.acceptBootstrap(hash)
  }

  /** Makes the user `admin` with the configured password, when nobody can sign in yet. True when it did. */
  async function ensureAdmin({ password }: { password: Secret }): Promise<boolean> {
    if (await hasUsers(database.db)) return false
    const username = checkNewUser({ username: 'admin', password })
    const passwordHash = await hasher.hash(password)
    await record(room, { code: 'setup.started', detail: { by: 'configuration' } })
    const id = await database.exclusive(identityLock, async (tx) => {
      if (await hasUsers(tx)) return undefined
      const at = now().toISOString()
      const user = await insertUser(tx, { username, passwordHash, at, createdBy: null })
      await insertBinding(tx, { principal: user, role: 'admin', scope: '*', at, createdBy: null })
      return user
    })
    if (id === undefined) return false
    const principal = { id, kind: 'user', name: username }
    await record(room, { code: 'setup.completed', principal, outcome: 'ok', detail: { by: 'configuration' } })
    return true
  }

  /** The principal for what the program does by itself, such as the schedule. It has no token, so nobody can pose as it. */
  async function ensureSystem({ name, role }: { name: string; role: Role }): Promise<Principal> {
    return database.exclusive(identityLock, async (tx) => {
      const at = now().toISOString()
      const id = (await findSystemPrincipal(tx, name))?.id ?? newId('sys', Date.parse(at))
      if (!(await findPrincipal(tx, id)))
        await addPrincipal(tx, { id, kind: 'system', name, created_at: at, created_by: null })
      await insertBinding(tx, { principal: id, role, scope: '*', at, createdBy: null })
      const version = (await findPrincipal(tx, id))?.version ?? 0
      return { id, kind: 'system', name, bindings: await bindingsOf(tx, id), version: `${id}.${version}` }
    })
  }

  return { ensureBootstrapToken, ensureAdmin, ensureSystem }
}

async function adopt(tx: Db, { hash, lookup, at }: { hash: Buffer; lookup: string | null; at: string }): Promise<void> {
  await revokeBootstrapExcept(tx, hash, at)
  const user =
    (await findByUsername(tx, bootstrapName))?.id ??
    (await insertUser(tx, { username: bootstrapName, passwordHash: null, at, createdBy: null }))
  await insertBinding(tx, { principal: user, role: 'admin', scope: '*', at, createdBy: null })
  const known = (lookup === null ? undefined : await findTokenByLookup(tx, lookup)) ?? (await findTokenByHash(tx, hash))
  if (!known) {
    const row = {
      id: newId('tok', Date.parse(at)),
      principal_id: user,
      kind: 'bootstrap' as const,
      name: 'ATLAS_API_TOKEN',
    }
    const rest = {
      lookup,
      secret_hash: hash,
      hint: lookup ? `atl_${lookup}` : 'ATLAS_API_TOKEN',
      scopes: null,
      cidrs: null,
    }
    await addToken(tx, { ...row, ...rest, created_at: at, created_by: null, expires_at: null })
    return
  }
  if (known.kind !== 'bootstrap' || !known.secret_hash.equals(hash)) throw refused('is in use as another token')
  if (known.revoked_at === null) return
  if (known.revoked_by !== 'configuration') throw refused('was revoked. Set a new one')
  await reviveBootstrap(tx, known.id)
}

function refused(rule: string): Problem {
  return new Problem('invalid-input', `ATLAS_API_TOKEN ${rule}`, { faults: [{ field: '/ATLAS_API_TOKEN', rule }] })
}
