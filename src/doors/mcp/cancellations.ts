import type { Call } from '../../gate/invoke.ts'

/**
 * Which running call a `notifications/cancelled` means. In 2025-11-25 it comes as a message of its own, and without
 * sessions nothing but the caller and the id ties the two together. Where two running calls fit, none is cancelled:
 * another client of the same principal must not lose its call to a colliding id.
 */
export function makeCancellations() {
  const running = new Map<string, Set<AbortController>>()

  return {
    /** The signal that ends when the call is cancelled; `done` must be called at its end. */
    track(call: Call, id: string | number): { readonly signal: AbortSignal; readonly done: () => void } {
      const key = keyOf(call, id)
      const abort = new AbortController()
      const same = running.get(key) ?? new Set()
      running.set(key, same.add(abort))
      const done = () => {
        same.delete(abort)
        if (same.size === 0 && running.get(key) === same) running.delete(key)
      }
      return { signal: abort.signal, done }
    },

    cancel(call: Call, id: string | number): void {
      const [only, another] = running.get(keyOf(call, id)) ?? []
      if (another === undefined) only?.abort()
    },

    /** How many calls are running. */
    size: () => running.size,
  }
}

export type Cancellations = ReturnType<typeof makeCancellations>

function keyOf({ principal, remoteAddress }: Call, id: string | number): string {
  return JSON.stringify([principal.id, principal.tokenId, remoteAddress, id])
}
