import { json, type Reply } from '../lib/server.ts'
import { data, type EngineRequest, failed } from './api.ts'
import type { Tokens } from './tokens.ts'

/** `auth/token/lookup-self` and `renew-self`, which the default policy gives every token. */
export function ownToken({ all, now }: Tokens, { method, path, body, visitor }: EngineRequest): Reply | undefined {
  const token = all.get(visitor.token)
  if (!token) return undefined
  const at = now().getTime()
  const left = token.expiresAt === undefined ? 0 : Math.floor((token.expiresAt - at) / 1000)
  if (path === 'auth/token/lookup-self' && method === 'GET')
    return data({ id: visitor.token, ttl: left, renewable: token.renewable, creation_ttl: (token.ttlMs ?? 0) / 1000 })
  if (path !== 'auth/token/renew-self' || method === 'GET') return undefined
  if (!token.renewable || token.ttlMs === undefined) return failed(400, 'lease is not renewable')
  const wanted = Number(body['increment'] ?? 0) * 1000 || token.ttlMs
  token.expiresAt = Math.min(at + wanted, token.maxAt)
  const auth = {
    client_token: visitor.token,
    renewable: true,
    lease_duration: Math.floor((token.expiresAt - at) / 1000),
  }
  return json(200, { request_id: '', lease_id: '', renewable: false, lease_duration: 0, data: null, auth })
}
