import type { Secret } from '../../core/secret.ts'
import type { Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import type { TokenRow } from './store.ts'
import { addToken } from './store-tokens.ts'
import { newToken, sessionHash } from './token-format.ts'

type Wish = {
  readonly principal: string
  readonly kind: 'api' | 'session'
  readonly name: string
  readonly scopes?: readonly string[] | undefined
  readonly cidrs?: readonly string[] | undefined
  readonly createdBy: string
  readonly at: Date
  readonly lifeMs: number
  readonly sessionSecret?: Secret | undefined
}

/** `token` is the only copy of the value that there will ever be. */
export type IssuedToken = { readonly id: string; readonly token: string; readonly expiresAt: string }

export async function issueToken(db: Db, wish: Wish): Promise<IssuedToken> {
  const { text, lookup, hash } = newToken()
  const id = newId('tok', wish.at.getTime())
  const expiresAt = new Date(wish.at.getTime() + wish.lifeMs).toISOString()
  const row: Parameters<typeof addToken>[1] = {
    id,
    principal_id: wish.principal,
    kind: wish.kind satisfies TokenRow['kind'],
    name: wish.name,
    lookup,
    secret_hash: wish.kind === 'session' ? sessionHash(hash, wish.sessionSecret) : hash,
    hint: `atl_${lookup}`,
    scopes: wish.scopes ? JSON.stringify(wish.scopes) : null,
    cidrs: wish.cidrs ? JSON.stringify(wish.cidrs) : null,
    created_at: wish.at.toISOString(),
    created_by: wish.createdBy,
    expires_at: expiresAt,
  }
  await addToken(db, row)
  return { id, token: text, expiresAt }
}
