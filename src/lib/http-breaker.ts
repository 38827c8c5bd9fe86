import { Problem } from '../core/problem.ts'

/** What one call says about the system; `neutral` is nothing (cancelled, or asked to slow down). */
export type Health = 'alive' | 'failed' | 'neutral'

export type BreakerRule = { readonly failures: number; readonly openMs: number }

/**
 * Stops asking a system that fails: after `failures` failed calls in a row it answers `upstream-busy` for `openMs`,
 * then lets one call through; that call's outcome closes or opens it again.
 */
export function makeBreaker({ failures, openMs }: BreakerRule, now: () => Date) {
  let inRow = 0
  let openUntil = 0
  let probing = false

  return {
    /** Throws when the circuit is open; otherwise gives the function that takes the call's outcome (once). */
    enter(): (health: Health) => void {
      const isProbe = inRow >= failures
      const wait = openUntil - now().getTime()
      if (isProbe && (probing || wait > 0))
        throw new Problem('upstream-busy', 'The connected system failed several times in a row and gets a short rest', {
          retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)),
        })
      probing ||= isProbe
      let left = false
      return (health) => {
        if (left) return
        left = true
        if (isProbe) probing = false
        if (health === 'alive') inRow = 0
        if (health !== 'failed') return
        inRow++
        if (inRow >= failures) openUntil = now().getTime() + openMs
      }
    },
  }
}

/** At most `size` holders at once; the others wait in order. A waiter whose signal aborts leaves the queue. */
export function makeSlots(size: number) {
  let free = size
  const waiting: (() => void)[] = []

  return async function take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (free > 0) free--
    else
      await new Promise<void>((resolve, reject) => {
        const enter = () => {
          signal.removeEventListener('abort', leave)
          resolve()
        }
        const leave = () => {
          waiting.splice(waiting.indexOf(enter), 1)
          reject(signal.reason)
        }
        waiting.push(enter)
        signal.addEventListener('abort', leave, { once: true })
      })
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
