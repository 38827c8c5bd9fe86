import type { Principal } from '../../core/action.ts'

/** What one token did since the last look. `seconds` counts calls by second since 1970. */
export type Calls = {
  readonly tokenId: string
  readonly principal: { readonly id: string; readonly kind: Principal['kind'] }
  readonly seconds: Map<number, number>
  readonly networks: Set<string>
  readonly actions: Set<string>
  lastAt: number
}

type Parts = {
  readonly now: () => Date
  readonly subnetOf: (remoteAddress: string) => string
  readonly maxTokens?: number
}

const maxSeconds = 600
const maxNetworks = 32
const maxActions = 200

/**
 * Collects calls in memory between two looks. A note is a few map operations and nothing else: it stands in the path of every
 * call. Whatever callers do, no more than `maxTokens` times the bounds above is kept; what is beyond is left out.
 */
export function makeCalls({ now, subnetOf, maxTokens = 2_000 }: Parts) {
  let waiting = new Map<string, Calls>()

  return {
    note(principal: Principal, action: string, remoteAddress: string | undefined): void {
      const { tokenId, kind } = principal
      if (tokenId === undefined || kind === 'system') return
      const at = now().getTime()
      let calls = waiting.get(tokenId)
      if (!calls) {
        if (waiting.size >= maxTokens) return
        calls = fresh(tokenId, principal, at)
        waiting.set(tokenId, calls)
      }
      calls.lastAt = at
      count(calls.seconds, Math.floor(at / 1000))
      if (calls.actions.size < maxActions) calls.actions.add(action)
      if (remoteAddress !== undefined && calls.networks.size < maxNetworks) calls.networks.add(subnetOf(remoteAddress))
    },

    /** Everything since the last time. */
    take(): Calls[] {
      const taken = [...waiting.values()]
      waiting = new Map()
      return taken
    },
  }
}

function fresh(tokenId: string, { id, kind }: Principal, lastAt: number): Calls {
  return {
    tokenId,
    principal: { id, kind },
    seconds: new Map(),
    networks: new Set(),
    actions: new Set(),
    lastAt,
  }
}

function count(seconds: Map<number, number>, second: number): void {
  seconds.set(second, (seconds.get(second) ?? 0) + 1)
  if (seconds.size <= maxSeconds) return
  const [oldest] = seconds.keys()
  if (oldest !== undefined) seconds.delete(oldest)
}
