import { timingSafeEqual } from 'node:crypto'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Secret } from '../../core/secret.ts'
import type { Database } from '../../lib/db/database.ts'
import { makeAllowList } from './cidr.ts'
import { makeEpochWatch } from './epoch.ts'
import { makeLastUsed } from './last-used.ts'
import { findPrincipal, type TokenRow } from './store.ts'
import { bindingsOf } from './store-bindings.ts'
import { findTokenByHash, findTokenByLookup } from './store-tokens.ts'
import { hashToken, readToken, sessionHash } from './token-format.ts'

/** Why a bearer was refused. For the audit log only: the caller gets one answer for all of them. */
export type AuthFailure = {
  readonly reason:
    | 'malformed'
    | 'checksum'
    | 'unknown'
    | 'wrong-secret'
    | 'revoked'
    | 'expired'
    | 'disabled'
    | 'outside-networks'
  readonly tokenId?: string
  readonly remoteAddress: string
}

type Parts = {
  readonly database: Database
  readonly now: () => Date
  readonly sessionSecret?: Secret | undefined
  /** Told, and waited for, before the refusal is answered. */
  readonly onFailure: (failure: AuthFailure) => Promise<unknown>
}

type Entry = {
  readonly tokenId: string
  readonly principal: Principal
  readonly expiresAt: number
  readonly isAllowed: ((address: string) => boolean) | undefined
  lastUsedAt: number
}

type Verdict = { readonly entry: Entry } | Pick<AuthFailure, 'reason' | 'tokenId'>

export type Authenticator = ReturnType<typeof makeAuthenticator>

const lastUsedStepMs = 60_000
const maxEntries = 10_000

/**
 * Turns a bearer token into a principal. What a token may do is remembered by its hash, so that the usual call reads no
 * database. It is forgotten at once when this process changes anything (`forget`), and when the epoch row says that another
 * one did; that row is read again when the last reading is a second old. Expiry and network are checked on every call.
 */
export function makeAuthenticator({ database, now, onFailure, sessionSecret }: Parts) {
  const known = new Map<string, Entry>()
  const used = makeLastUsed(database, now)
  const freshen = makeEpochWatch(database, forget)
  // Moves whenever `known` is emptied: what was read before must not be put in afterwards.
  let generation = 0
  let bootstrap: Buffer | undefined

  function forget(): void {
    generation += 1
    known.clear()
  }

  async function judge(bearer: string, at: number): Promise<Verdict> {
    const form = readToken(bearer)
    const hash = hashToken(bearer)
    const isBootstrap = bootstrap !== undefined && timingSafeEqual(hash, bootstrap)
    if (typeof form === 'string' && !isBootstrap) return { reason: form }

    await freshen(at)
    const key = hash.toString('base64')
    const entry = known.get(key)
    if (entry) return { entry }
    const before = generation
    const row =
      typeof form === 'string'
        ? await findTokenByHash(database.db, hash)
        : await findTokenByLookup(database.db, form.lookup)
    const expected = row?.kind === 'session' ? sessionHash(hash, sessionSecret) : hash
    const verdict = await judgeRow(database, row, expected, isBootstrap)
    if ('entry' in verdict && before === generation) {
      if (known.size >= maxEntries) known.delete(known.keys().next().value ?? '')
      known.set(key, verdict.entry)
    }
    return verdict
  }

  async function authenticate(bearer: string, remoteAddress: string): Promise<Principal> {
    const at = now().getTime()
    let verdict = await judge(bearer, at)
    if ('entry' in verdict) {
      const { entry } = verdict
      if (at >= entry.expiresAt) verdict = { reason: 'expired', tokenId: entry.tokenId }
      else if (entry.isAllowed?.(remoteAddress) === false)
        verdict = { reason: 'outside-networks', tokenId: entry.tokenId }
      else {
        if (Math.abs(at - entry.lastUsedAt) >= lastUsedStepMs) {
          entry.lastUsedAt = at
          used.note(entry.tokenId)
        }
        return entry.principal
      }
    }
    await onFailure({ ...verdict, remoteAddress }).catch((cause: unknown) => {
      throw new Problem('audit-unavailable', undefined, { cause })
    })
    throw new Problem('unauthenticated', 'The token is missing or not valid here')
  }

  return {
    authenticate,
    forget,
    /** The only bootstrap token that is let in: the configured one. Without it none is. */
    acceptBootstrap(hash: Buffer | undefined): void {
      bootstrap = hash
      forget()
    },
    /** Writes what is still to be written about the last use of tokens. */
    settle: used.settle,
  }
}

async function judgeRow(
  database: Database,
  row: TokenRow | undefined,
  hash: Buffer,
  isBootstrap: boolean,
): Promise<Verdict> {
  if (!row) return { reason: 'unknown' }
  const tokenId = row.id
  if (!timingSafeEqual(row.secret_hash, hash)) return { reason: 'wrong-secret', tokenId }
  if (row.revoked_at !== null || (row.kind === 'bootstrap') !== isBootstrap) return { reason: 'revoked', tokenId }
  // The principal first: bindings newer than the version are harmless, a version newer than the bindings would let an old
  // decision be remembered under it.
  const owner = await findPrincipal(database.db, row.principal_id)
  const bindings = await bindingsOf(database.db, row.principal_id)
  if (!owner || owner.disabled_at !== null) return { reason: 'disabled', tokenId }
  const scopes = readList(row.scopes)
  const cidrs = readList(row.cidrs)
  const principal: Principal = Object.freeze({
    id: owner.id,
    kind: owner.kind,
    name: owner.name,
    bindings: Object.freeze(bindings.map((binding) => Object.freeze(binding))),
    ...(scopes && { scopes: Object.freeze(scopes) }),
    tokenId,
    // Scopes never change during a token's life, so its id stands for them.
    version: `${owner.id}.${owner.version}${scopes ? `.${tokenId}` : ''}`,
  })
  const expiresAt = row.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(row.expires_at)
  const lastUsedAt = row.last_used_at === null ? 0 : Date.parse(row.last_used_at)
  return { entry: { tokenId, principal, expiresAt, isAllowed: cidrs && makeAllowList(cidrs), lastUsedAt } }
}

/** A stored list of texts, as this room wrote it. */
export function readList(json: string | null): string[] | undefined {
  return json === null ? undefined : (JSON.parse(json) as string[])
}
