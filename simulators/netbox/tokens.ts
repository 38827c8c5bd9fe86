import { randomBytes, randomInt } from 'node:crypto'
import type { SimRequest } from '../lib/server.ts'
import type { Json } from './collection.ts'

/** A NetBox API token and what its user may do. */
export type Token = {
  readonly id: number
  readonly value: string
  readonly user: {
    readonly id: number
    readonly username: string
    readonly superuser: boolean
    readonly active: boolean
  }
  readonly writeEnabled: boolean
  enabled: boolean
  expires: string | null
  allowedIps: readonly string[]
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const text = (length: number) => Array.from({ length }, () => letters[randomInt(letters.length)]).join('')

export type Tokens = ReturnType<typeof makeTokens>

/** The tokens of one simulated NetBox: usable ones of both generations, and one for each way to be refused. */
export function makeTokens(now: () => Date, given?: string) {
  const admin = { id: 1, username: 'admin', superuser: true, active: true }
  const reader = { id: 2, username: 'atlas', superuser: false, active: true }
  const inactive = { id: 3, username: 'former', superuser: false, active: false }
  const v2 = () => `nbt_${text(12)}.${text(40)}`
  const all: Token[] = []
  const add = (value: string, part: Partial<Token> = {}) => {
    all.push({
      id: all.length + 1,
      value,
      user: admin,
      writeEnabled: true,
      enabled: true,
      expires: null,
      allowedIps: [],
      ...part,
    })
    return value
  }
  const names = {
    v2: add(given ?? v2()),
    v1: add(randomBytes(20).toString('hex')),
    readOnly: add(v2(), { user: reader, writeEnabled: false, expires: inDays(now, 180) }),
    disabled: add(v2(), { enabled: false }),
    expired: add(v2(), { expires: inDays(now, -1) }),
    inactive: add(v2(), { user: inactive }),
    elsewhere: add(v2(), { allowedIps: ['192.0.2.10'] }),
  }
  return {
    names,
    all,
    /** A new v2 token like the first, which is good no longer. */
    rotate: (): string => {
      for (const token of all) if (token.value === names.v2) token.enabled = false
      names.v2 = add(v2())
      return names.v2
    },
  }
}

/** Who the request is, or the sentence of NetBox's 403. `undefined` header and unknown schemes are anonymous. */
export function authenticate({ all }: Tokens, request: SimRequest, now: Date): Token | string {
  const header = request.headers.authorization
  const [scheme = '', value, ...rest] = (header ?? '').trim().split(/\s+/)
  if (!header || !/^(token|bearer)$/i.test(scheme)) return 'Authentication credentials were not provided.'
  if (value === undefined || rest.length > 0) {
    return 'Invalid authorization header: Must be in the form "Bearer <key>.<token>" or "Token <token>"'
  }
  const isV2 = value.startsWith('nbt_')
  if (isV2 && !value.includes('.')) {
    return `Invalid authorization header: Could not parse key from v2 token. Did you mean to use "Token" instead of "Bearer"?`
  }
  const token = all.find((one) => one.value === value)
  if (!token) return `Invalid ${isV2 ? 'v2' : 'v1'} token`
  if (token.allowedIps.length > 0 && !token.allowedIps.includes(request.remoteAddress)) {
    return `Source IP ${request.remoteAddress} is not permitted to authenticate using this token.`
  }
  if (!token.enabled) return 'Token disabled'
  if (token.expires !== null && Date.parse(token.expires) <= now.getTime()) return 'Token expired'
  return token.user.active ? token : 'User inactive'
}

/** `/api/authentication-check/` */
export function userJson({ user }: Token, origin: string): Json {
  const actions = user.superuser ? ['view', 'add', 'change', 'delete'] : ['view']
  return {
    id: user.id,
    url: `${origin}/api/users/users/${user.id}/`,
    display: user.username,
    username: user.username,
    first_name: '',
    last_name: '',
    email: '',
    is_superuser: user.superuser,
    is_active: user.active,
    date_joined: '2025-01-02T08:00:00Z',
    groups: [],
    permissions: [{ id: user.id, display: user.superuser ? 'everything' : 'view for Atlas', enabled: true, actions }],
  }
}

/** A row of `/api/users/tokens/`: never the value. */
export function tokenJson(token: Token, origin: string): Json {
  return {
    id: token.id,
    url: `${origin}/api/users/tokens/${token.id}/`,
    version: token.value.startsWith('nbt_') ? 2 : 1,
    user: { id: token.user.id, username: token.user.username },
    enabled: token.enabled,
    expires: token.expires,
    write_enabled: token.writeEnabled,
    allowed_ips: token.allowedIps,
    description: '',
    created: '2025-01-02T08:00:00Z',
    last_used: null,
  }
}

function inDays(now: () => Date, days: number): string {
  return new Date(now().getTime() + days * 86_400_000).toISOString()
}
