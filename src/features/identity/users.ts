import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Db } from '../../lib/db/database.ts'
import { keepAnAdmin, requireFullAdmin } from './grant.ts'
import { checkNewUser, insertBinding, insertUser } from './new-user.ts'
import { identityLock, iso, type Room } from './parts.ts'
import { passwordFault } from './password-policy.ts'
import type { Role } from './roles.ts'
import { resolveScope } from './scope.ts'
import { type Page, removePrincipal, setDisabled } from './store.ts'
import { bindingsOf, bindingsOfMany } from './store-bindings.ts'
import { revokeSessions } from './store-tokens.ts'
import { editAccount, findByUsername, findMember, listMembers, type MemberRow } from './store-users.ts'

type NewUser = {
  readonly username: string
  readonly name?: string | undefined
  readonly password: Secret
  readonly role?: Role | undefined
  readonly scope?: string | undefined
}

type Change = {
  readonly name?: string | undefined
  readonly disabled?: boolean | undefined
  readonly password?: Secret | undefined
  readonly currentPassword?: Secret | undefined
}

/** People and agents: who exists, and whether they may come in. */
export function makeUsers(room: Room) {
  const { database, hasher, now, authenticator } = room

  async function list({ kind, ...page }: Page & { kind: 'user' | 'agent' }) {
    const rows = await listMembers(database.db, kind, { ...page, limit: page.limit + 1 })
    const shownRows = rows.slice(0, page.limit)
    const roles = await bindingsOfMany(
      database.db,
      shownRows.map(({ id }) => id),
    )
    const items = shownRows.map((row) => shown(row, roles.get(row.id) ?? []))
    return { items, next: rows.length > page.limit ? (items.at(-1)?.id ?? null) : null }
  }

  async function get(id: string) {
    return shown(await found(database.db, id), await bindingsOf(database.db, id))
  }

  async function add(granter: Principal, wish: NewUser) {
    const username = checkNewUser({ ...wish, displayName: wish.name })
    const scope = await resolveScope(room, granter, wish)
    const passwordHash = await hasher.hash(wish.password)
    const id = await database.exclusive(identityLock, async (tx) => {
      if (wish.role !== undefined) await requireFullAdmin(tx, granter, 'give a role')
      if (await findByUsername(tx, username)) throw new Problem('conflict', 'There is a user of this name already')
      const at = iso(now())
      const row = { username, displayName: wish.name, passwordHash, at, createdBy: granter.id }
      const user = await insertUser(tx, row)
      if (wish.role !== undefined)
        await insertBinding(tx, {
          principal: user,
          role: wish.role,
          scope,
          at,
          createdBy: granter.id,
        })
      return user
    })
    return get(id)
  }

  async function edit(granter: Principal, id: string, change: Change) {
    const before = await found(database.db, id)
    if (before.kind === 'agent' && (change.password || change.name !== undefined))
      throw new Problem('invalid-input', 'An agent has no password and no display name; it can only be disabled')
    const passwordHash =
      change.password && (await newHash(room, granter, before, change.password, change.currentPassword))
    await database.exclusive(identityLock, async (tx) => {
      const row = await found(tx, id)
      const at = iso(now())
      if (change.name !== undefined) await editAccount(tx, id, { display_name: change.name })
      if (passwordHash !== undefined) {
        if (granter.id !== id) await requireFullAdmin(tx, granter, 'set the password of somebody else')
        // The current password was checked against this hash; another change meanwhile makes the check worthless.
        else if (row.password_hash !== before.password_hash)
          throw new Problem('conflict', 'The password was changed meanwhile')
        await editAccount(tx, id, { password_hash: passwordHash, password_changed_at: at })
        await revokeSessions(tx, id, granter.id === id ? (granter.tokenId ?? '') : '', at, granter.id)
      }
      if (change.disabled === true && row.disabled_at === null) await keepAnAdmin(tx, () => setDisabled(tx, id, at))
      if (change.disabled === false && row.disabled_at !== null) {
        await requireFullAdmin(tx, granter, 'let somebody in again')
        await setDisabled(tx, id, null)
      }
    })
    authenticator.forget()
    return get(id)
  }

  async function remove(id: string): Promise<void> {
    await database.exclusive(identityLock, async (tx) => {
      await found(tx, id)
      await keepAnAdmin(tx, () => removePrincipal(tx, id))
    })
    authenticator.forget()
  }

  return { list, get, add, edit, remove }
}

/** Hashes a new password when the policy, and for one's own password the current one, allow it. */
async function newHash(room: Room, granter: Principal, user: MemberRow, password: Secret, current: Secret | undefined) {
  if (user.password_hash === null) throw new Problem('conflict', 'This user signs in with its configured token only')
  if (granter.id === user.id) {
    // A stolen token must not serve to guess the password.
    await room.takeLogin(user.username ?? '', undefined)
    if (!current) throw fault('/currentPassword', 'is needed to change your own password')
    if ((await room.hasher.verify(current, user.password_hash)) === 'wrong')
      throw new Problem('denied', 'The current password is wrong')
  } else await requireFullAdmin(room.database.db, granter, 'set the password of somebody else')
  const rule = passwordFault(password, [user.username ?? '', user.display_name ?? ''])
  if (rule !== undefined) throw fault('/password', rule)
  return room.hasher.hash(password)
}

async function found(db: Db, id: string): Promise<MemberRow> {
  const row = await findMember(db, id)
  if (!row) throw new Problem('not-found', 'There is no such user or agent')
  return row
}

function shown(row: MemberRow, roles: { role: string; scope: string }[]) {
  return {
    id: row.id,
    kind: row.kind === 'agent' ? ('agent' as const) : ('user' as const),
    username: row.username,
    name: row.display_name ?? row.name,
    roles,
    disabledAt: row.disabled_at,
    passwordChangedAt: row.password_changed_at,
    createdAt: row.created_at,
    createdBy: row.created_by,
  }
}

function fault(field: string, rule: string): Problem {
  return new Problem('invalid-input', `${field}: ${rule}`, { faults: [{ field, rule }] })
}
