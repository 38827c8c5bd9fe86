import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Db } from '../../lib/db/database.ts'
import { isId, newId } from '../../lib/ids.ts'
import { readList } from './authenticate.ts'
import { isWithin } from './cidr.ts'
import { isAdmin, isFullAdmin, requireFullAdmin } from './grant.ts'
import { type IssuedToken, issueToken } from './issue-token.ts'
import { insertBinding } from './new-user.ts'
import { identityLock, iso, type Room } from './parts.ts'
import type { Role } from './roles.ts'
import { requireKnownScopes, resolveScope } from './scope.ts'
import { isNarrower } from './scopes.ts'
import { addPrincipal, findPrincipal, type Page } from './store.ts'
import { bindingsOf } from './store-bindings.ts'
import { findToken, listTokens, type OwnedToken, revokeToken } from './store-tokens.ts'
import { findMember } from './store-users.ts'

type Wish = {
  readonly name: string
  readonly agent?: true | string | undefined
  readonly user?: string | undefined
  readonly role?: Role | undefined
  readonly scope?: string | undefined
  readonly scopes?: readonly string[] | undefined
  readonly cidrs?: readonly string[] | undefined
  readonly expiresInDays?: number | undefined
}

/** The token's value, and whose it is: without a role its owner may do next to nothing, which the maker should see. */
type MadeToken = IssuedToken & {
  readonly principal: string
  readonly principalKind: 'user' | 'agent' | 'system'
  readonly principalName: string
  readonly roles: { role: string; scope: string }[]
}

const dayMs = 86_400_000
const defaultDays = 90
// With the default life of 90 days the reminder comes on day 75.
const reminderMs = 15 * dayMs

/** API tokens: made with a life of 90 days, shown once, ended at once. */
export function makeTokens(room: Room) {
  const { database, now, authenticator } = room

  /** People see their own tokens; admins and auditors see all. */
  async function list(reader: Principal, { principal, ...page }: Page & { principal?: string | undefined }) {
    const seesAll = reader.bindings.some(({ role, scope }) => scope === '*' && (role === 'admin' || role === 'auditor'))
    if (!seesAll && principal !== undefined && principal !== reader.id) return { items: [], next: null }
    const wanted = { principal: seesAll ? principal : reader.id, ...page, limit: page.limit + 1 }
    const rows = await listTokens(database.db, wanted)
    const items = rows.slice(0, page.limit).map((row) => shown(row, now()))
    return { items, next: rows.length > page.limit ? (items.at(-1)?.id ?? null) : null }
  }

  async function add(granter: Principal, wanted: Wish): Promise<MadeToken> {
    requireKnownScopes(room, wanted.scopes)
    const wish = wanted.scope === undefined ? wanted : { ...wanted, scope: await resolveScope(room, granter, wanted) }
    return database.exclusive(identityLock, async (tx) => {
      const at = now()
      const full = await isFullAdmin(tx, granter)
      const limits = await limitsOf(tx, granter, full, at)
      const principal = await ownerOf(tx, granter, wish, full, iso(at))
      const issued = await issueToken(tx, {
        principal,
        kind: 'api',
        name: wish.name,
        scopes: narrowedScopes(granter, wish.scopes),
        cidrs: narrowedCidrs(limits.cidrs, wish.cidrs),
        createdBy: granter.id,
        at,
        lifeMs: narrowedLife(limits.lifeMs, wish.expiresInDays),
      })
      const owner = await findPrincipal(tx, principal)
      const roles = await bindingsOf(tx, principal)
      return { ...issued, principal, principalKind: owner?.kind ?? 'user', principalName: owner?.name ?? '', roles }
    })
  }

  async function revoke(granter: Principal, id: string): Promise<{ id: string; revokedAt: string }> {
    const revokedAt = await database.exclusive(identityLock, async (tx) => {
      const row = await findToken(tx, id)
      const own = row?.principal_id === granter.id || row?.created_by === granter.id
      if (!row || !(own || (await isAdmin(tx, granter)))) throw new Problem('not-found', 'There is no such token')
      if (row.revoked_at !== null) return row.revoked_at
      const at = iso(now())
      await revokeToken(tx, id, at, granter.id)
      return at
    })
    authenticator.forget()
    return { id, revokedAt }
  }

  /** Whether a token is a sign-in. One that is gone counts as such: sign-ins are forgotten when they are over, API tokens are not. */
  async function isSession(id: string): Promise<boolean> {
    const row = await findToken(database.db, id)
    return row === undefined || row.kind === 'session'
  }

  return { list, add, revoke, isSession }
}

/** Whose token it becomes; a new agent is made on the way. Everybody but a full admin gets tokens for themselves only. */
async function ownerOf(tx: Db, granter: Principal, wish: Wish, full: boolean, at: string): Promise<string> {
  const { agent, user, role, scope } = wish
  const isNewAgent = agent !== undefined && !(typeof agent === 'string' && isId(agent))
  if (agent !== undefined && user !== undefined)
    throw new Problem('invalid-input', 'A token belongs to an agent or to a user, not both')
  if (!isNewAgent && (role !== undefined || scope !== undefined))
    throw new Problem(
      'invalid-input',
      'A role is given here to a new agent only. Use scopes to narrow the token, or add a role binding',
    )
  if (isNewAgent) {
    await requireFullAdmin(tx, granter, 'make an agent')
    const id = newId('agt', Date.parse(at))
    const name = agent === true ? wish.name : agent
    await addPrincipal(tx, { id, kind: 'agent', name, created_at: at, created_by: granter.id })
    if (role !== undefined)
      await insertBinding(tx, { principal: id, role, scope: scope ?? '*', at, createdBy: granter.id })
    return id
  }
  const id = agent ?? user ?? granter.id
  if (typeof id !== 'string') throw new TypeError('An agent that is not new has an id')
  if (id !== granter.id) await requireFullAdmin(tx, granter, 'make a token for somebody else')
  // A stolen agent token that could issue others would live on in them after it is revoked.
  if (granter.kind !== 'user' && !full) throw new Problem('denied', 'An agent cannot issue tokens')
  const owner = await findMember(tx, id)
  if (!owner) throw new Problem('not-found', 'There is no such user or agent')
  if (owner.disabled_at !== null) throw new Problem('conflict', 'This user or agent is disabled')
  if (owner.kind === 'user' && owner.password_hash === null)
    throw new Problem('conflict', 'The bootstrap user has its configured token only. Make a user or an agent')
  return id
}

/** What the calling token itself is limited to. A sign-in or a full admin may issue tokens that live longer. */
async function limitsOf(
  tx: Db,
  granter: Principal,
  full: boolean,
  at: Date,
): Promise<{ cidrs: readonly string[] | undefined; lifeMs: number }> {
  if (granter.tokenId === undefined) return { cidrs: undefined, lifeMs: Number.POSITIVE_INFINITY }
  const token = await findToken(tx, granter.tokenId)
  if (!token || token.revoked_at !== null || (await findPrincipal(tx, granter.id))?.disabled_at !== null)
    throw new Problem('unauthenticated', 'The token is missing or not valid here')
  const endless = full || token.kind !== 'api' || token.expires_at === null
  const lifeMs = endless ? Number.POSITIVE_INFINITY : Date.parse(token.expires_at ?? '') - at.getTime()
  return { cidrs: readList(token.cidrs), lifeMs }
}

function narrowedScopes(
  { scopes: held }: Principal,
  wanted: readonly string[] | undefined,
): readonly string[] | undefined {
  if (held === undefined || wanted === undefined) return wanted ?? held
  if (!isNarrower(wanted, held)) throw new Problem('denied', 'The scopes go beyond those of the token you are using')
  return wanted
}

function narrowedCidrs(
  held: readonly string[] | undefined,
  wanted: readonly string[] | undefined,
): readonly string[] | undefined {
  if (held === undefined || wanted === undefined) return wanted ?? held
  if (!wanted.every((cidr) => isWithin(cidr, held)))
    throw new Problem('denied', 'The networks go beyond those of the token you are using')
  return wanted
}

function narrowedLife(most: number, days: number | undefined): number {
  if (days !== undefined && days * dayMs > most)
    throw new Problem('denied', 'The new token would outlive the token you are using. Sign in to make it')
  return Math.min((days ?? defaultDays) * dayMs, most)
}

function shown(row: OwnedToken, at: Date) {
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    hint: row.hint,
    principal: row.principal_id,
    principalKind: row.principal_kind,
    principalName: row.principal_name,
    state: stateOf(row, at.getTime()),
    scopes: readList(row.scopes) ?? null,
    cidrs: readList(row.cidrs) ?? null,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  }
}

function stateOf(
  { revoked_at, expires_at, kind }: OwnedToken,
  at: number,
): 'active' | 'expiring' | 'expired' | 'revoked' {
  if (revoked_at !== null) return 'revoked'
  if (expires_at === null) return 'active'
  const left = Date.parse(expires_at) - at
  if (left <= 0) return 'expired'
  return kind === 'api' && left <= reminderMs ? 'expiring' : 'active'
}
