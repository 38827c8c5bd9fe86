import { type FieldFault, Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { passwordFault } from './password-policy.ts'
import type { Role } from './roles.ts'
import { addPrincipal } from './store.ts'
import { addBinding } from './store-bindings.ts'
import { addAccount } from './store-users.ts'
import { foldUsername, usernameFault } from './username.ts'

type Wish = { readonly username: string; readonly displayName?: string | undefined; readonly password: Secret }

/** The folded username, when it and the password may be used for a new user; otherwise `invalid-input` that names both faults. */
export function checkNewUser({ username, displayName = '', password }: Wish): string {
  const folded = foldUsername(username)
  const faults: FieldFault[] = []
  const nameRule = usernameFault(folded)
  if (nameRule !== undefined) faults.push({ field: '/username', rule: nameRule })
  const passwordRule = passwordFault(password, [folded, displayName])
  if (passwordRule !== undefined) faults.push({ field: '/password', rule: passwordRule })
  if (faults.length > 0)
    throw new Problem('invalid-input', faults.map(({ field, rule }) => `${field}: ${rule}`).join('. '), { faults })
  return folded
}

type Row = {
  readonly username: string
  readonly displayName?: string | undefined
  readonly passwordHash: string | null
  readonly at: string
  readonly createdBy: string | null
}

/** Writes a user whose name is checked and folded. The caller holds the identity lock. */
export async function insertUser(tx: Db, { username, displayName, passwordHash, at, createdBy }: Row): Promise<string> {
  const id = newId('usr', Date.parse(at))
  await addPrincipal(tx, { id, kind: 'user', name: username, created_at: at, created_by: createdBy })
  await addAccount(tx, {
    principal_id: id,
    username,
    display_name: displayName ?? username,
    password_hash: passwordHash,
    password_changed_at: passwordHash === null ? null : at,
  })
  return id
}

/** Binds a role and answers the binding's id, or undefined when the principal has it already. */
export async function insertBinding(
  tx: Db,
  {
    principal,
    role,
    scope,
    at,
    createdBy,
  }: { principal: string; role: Role; scope: string; at: string; createdBy: string | null },
): Promise<string | undefined> {
  const id = newId('rbd', Date.parse(at))
  const added = await addBinding(tx, {
    id,
    principal_id: principal,
    role,
    scope,
    created_at: at,
    created_by: createdBy,
  })
  return added ? id : undefined
}
