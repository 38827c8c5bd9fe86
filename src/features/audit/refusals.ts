import type { EventCode } from './catalogue.ts'
import type { AuditEvent } from './event.ts'

type Parts = {
  readonly record: (event: AuditEvent) => Promise<unknown>
  /** Clears what was counted, in the log, when a window ends. */
  readonly summary: Extract<EventCode, `${string}.refused-again`>
  readonly now: () => Date
  /** Entries for each caller and minute; what comes beyond is counted. */
  readonly perMinute?: number
  readonly onFault: (error: unknown) => void
}

type Window = {
  readonly start: number
  written: number
  counted: number
  from: string
  until: string
  readonly principal: AuditEvent['principal']
  readonly what: Map<string, number>
}

const windowMs = 60_000
const maxWindows = 10_000
const maxWhat = 50

/**
 * Keeps one misbehaving caller from filling a log that is never cut: so many refusals a minute are entries, the rest are counted, and
 * the count becomes one entry when the minute is over. Only refusals come here: what had an effect is always an entry of its own.
 * A crash loses the counts of its last minute.
 */
export function makeRefusals({ record, summary, now, perMinute = 30, onFault }: Parts) {
  const windows = new Map<string, Window>()
  const timer = setInterval(() => {
    flush(now().getTime() - windowMs).catch(onFault)
  }, windowMs / 4).unref()

  /** `caller` is whoever is held to account: a principal or a network. Rejects when an entry could not be written. */
  async function refused(caller: string, event: AuditEvent): Promise<void> {
    const at = now()
    const window = await windowOf(caller, event, at.getTime())
    if (window.written < perMinute) {
      window.written += 1
      await record(event)
      return
    }
    window.counted += 1
    window.until = at.toISOString()
    if (window.counted === 1) window.from = window.until
    const word = [event.action, event.outcome].filter(Boolean).join(' ') || event.code
    const known = window.what.has(word) || window.what.size < maxWhat
    window.what.set(known ? word : 'other', (window.what.get(known ? word : 'other') ?? 0) + 1)
  }

  async function windowOf(caller: string, { principal }: AuditEvent, at: number): Promise<Window> {
    const open = windows.get(caller)
    // A clock that went back ends the window, too.
    if (open && at >= open.start && at < open.start + windowMs) return open
    const window: Window = { start: at, written: 0, counted: 0, from: '', until: '', principal, what: new Map() }
    windows.delete(caller)
    const [oldest] = windows.size < maxWindows ? [] : windows.keys()
    const evicted = oldest === undefined ? undefined : windows.get(oldest)
    if (oldest !== undefined) windows.delete(oldest)
    windows.set(caller, window)
    await summarise(open)
    await summarise(evicted)
    return window
  }

  async function summarise(window: Window | undefined): Promise<void> {
    if (!window || window.counted === 0) return
    const { counted, from, until, principal, what } = window
    await record({
      code: summary,
      ...(principal && { principal }),
      detail: { count: counted, from, until, refused: Object.fromEntries(what) },
    })
  }

  /** Writes what was counted in windows that began before `before`; all of them when it is absent. */
  async function flush(before = Number.POSITIVE_INFINITY): Promise<void> {
    for (const [caller, window] of windows)
      if (window.start <= before) {
        windows.delete(caller)
        await summarise(window)
      }
  }

  return {
    refused,
    async close(): Promise<void> {
      clearInterval(timer)
      await flush()
    },
  }
}
