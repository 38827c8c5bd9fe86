import { randomBytes } from 'node:crypto'

export type Capability = 'create' | 'read' | 'update' | 'delete' | 'list'
/** `path` as in a policy: exact, `+` for one segment, `*` at the end for the rest. */
export type Rule = { readonly path: string; readonly capabilities: readonly Capability[] }
type Token = {
  readonly namespace: string
  readonly rules: readonly Rule[] | 'root'
  readonly ttlMs: number | undefined
  readonly renewable: boolean
  /** Renewing leads no further than this. */
  readonly maxAt: number
  expiresAt: number | undefined
}

type NewToken = {
  readonly namespace?: string
  readonly rules: readonly Rule[] | 'root'
  readonly ttlMs?: number
  readonly maxTtlMs?: number
  readonly renewable?: boolean
}

export type Tokens = ReturnType<typeof makeTokens>
export type Visitor = {
  readonly namespace: string
  readonly token: string
  /** Paths are those of the request, behind the namespace. */
  readonly may: (path: string, capability: Capability) => boolean
}

/** Tokens with the rules of their policies. `root` may do everything. */
export function makeTokens(now: () => Date) {
  const tokens = new Map<string, Token>()
  return {
    now,
    all: tokens,
    make({ namespace = '', rules, ttlMs, maxTtlMs = Infinity, renewable = ttlMs !== undefined }: NewToken) {
      const token = `s.${randomBytes(18).toString('base64url')}`
      const at = now().getTime()
      const expiresAt = ttlMs === undefined ? undefined : at + ttlMs
      tokens.set(token, { namespace, rules, ttlMs, renewable, maxAt: at + maxTtlMs, expiresAt })
      return token
    },
    revoke: (token: string): boolean => tokens.delete(token),
  }
}

/** Who asks; undefined for a token that is unknown or has expired. */
export function visitorOf({ all, now }: Tokens, token: string): Visitor | undefined {
  const found = all.get(token)
  if (!found || (found.expiresAt !== undefined && found.expiresAt <= now().getTime())) return undefined
  const { namespace, rules } = found
  return { namespace, token, may: (path, capability) => rules === 'root' || permits(rules, path, capability) }
}

/** The most exact rule that matches decides, as in the real one; here the longest is the most exact. */
function permits(rules: readonly Rule[], path: string, capability: Capability): boolean {
  const [best] = rules.filter((rule) => patternOf(rule.path).test(path)).sort((a, b) => b.path.length - a.path.length)
  return best?.capabilities.includes(capability) ?? false
}

function patternOf(path: string): RegExp {
  const escaped = path.replace(/[.?^$()[\]{}|\\]/g, '\\$&').replaceAll('+', '[^/]+')
  return new RegExp(`^${escaped.endsWith('*') ? `${escaped.slice(0, -1)}.*` : escaped}$`)
}
