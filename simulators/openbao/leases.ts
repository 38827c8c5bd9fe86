import { randomBytes } from 'node:crypto'
import type { Reply } from '../lib/server.ts'
import { data, type Engine, type EngineRequest, failed } from './api.ts'
import type { Tokens } from './tokens.ts'

type Lease = {
  readonly token: string
  readonly maxAt: number
  readonly ttlMs: number
  readonly renewable: boolean
  endsAt: number
}

export type LeaseRules = { readonly ttlMs: number; readonly maxTtlMs: number; readonly renewable: boolean }

/** Leases: what they stand for is good until they end, are revoked, or the token that took them ends. */
export function makeLeases({ now, all }: Pick<Tokens, 'now' | 'all'>) {
  const leases = new Map<string, Lease>()
  const at = () => now().getTime()

  function isGood(id: string): boolean {
    const lease = leases.get(id)
    const token = lease && all.get(lease.token)
    return lease !== undefined && token !== undefined && lease.endsAt > at() && (token.expiresAt ?? Infinity) > at()
  }

  function make(path: string, token: string, { ttlMs, maxTtlMs, renewable }: LeaseRules): string {
    const id = `${path}/${randomBytes(18).toString('base64url')}`
    leases.set(id, { token, maxAt: at() + maxTtlMs, ttlMs, renewable, endsAt: at() + ttlMs })
    return id
  }

  function renew(id: string, increment: number): Reply {
    const lease = leases.get(id)
    if (!lease || !isGood(id)) return failed(400, 'lease not found')
    if (!lease.renewable) return failed(400, 'lease is not renewable')
    const wanted = increment > 0 ? increment * 1000 : lease.ttlMs
    lease.endsAt = Math.min(at() + wanted, lease.maxAt)
    return data(null, { id, seconds: Math.floor((lease.endsAt - at()) / 1000), renewable: true })
  }

  return {
    make,
    isGood,
    /** Ids of the leases that stand. */
    standing: () => [...leases.keys()].filter(isGood),
    revoke: (id: string): boolean => leases.delete(id),
    /** Below `sys/leases/`. Renewing and looking up are in the default policy; revoking is not. */
    system({ path, body, visitor }: EngineRequest): Reply | undefined {
      const id = String(body['lease_id'] ?? '')
      if (path === 'sys/leases/renew') return renew(id, Number(body['increment'] ?? 0))
      if (path === 'sys/leases/lookup') {
        const lease = leases.get(id)
        if (!lease || !isGood(id)) return failed(400, 'invalid lease')
        return data({ id, renewable: lease.renewable, ttl: Math.floor((lease.endsAt - at()) / 1000) })
      }
      if (path !== 'sys/leases/revoke') return undefined
      if (!visitor.may(path, 'update')) return failed(403, '1 error occurred:\n\t* permission denied\n\n')
      if (!leases.delete(id)) return failed(400, 'invalid lease')
      return { status: 204 }
    },
  }
}

/** A database engine: each reading of `creds/<role>` makes an account that lives as long as its lease. */
export function makeDatabase(leases: ReturnType<typeof makeLeases>, mount = 'database') {
  const accounts: { readonly username: string; readonly password: string; readonly lease: string }[] = []
  const rules: { -readonly [K in keyof LeaseRules]: LeaseRules[K] } = {
    ttlMs: 3_600_000,
    maxTtlMs: 24 * 3_600_000,
    renewable: true,
  }
  const engine: Engine = {
    capabilityOf: () => 'read',
    handle({ method, path, visitor }) {
      const [, role] = /^creds\/([\w-]+)$/.exec(path) ?? []
      if (role === undefined || method !== 'GET') return undefined
      const lease = leases.make(`${mount}/creds/${role}`, visitor.token, rules)
      const username = `v-token-${role}-${randomBytes(10).toString('hex')}`
      const account = { username, password: `A1a-${randomBytes(15).toString('base64url')}` }
      accounts.push({ ...account, lease })
      return data(account, { id: lease, seconds: rules.ttlMs / 1000, renewable: rules.renewable })
    },
  }
  return {
    engine,
    rules,
    /** Whether an account with this password lives. */
    accepts: (username: string, password: string): boolean =>
      accounts.some((one) => one.username === username && one.password === password && leases.isGood(one.lease)),
  }
}
