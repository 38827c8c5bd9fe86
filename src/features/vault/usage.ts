import { Problem } from '../../core/problem.ts'
import type { VaultStore } from './store.ts'
import type { UseRow } from './store-usage.ts'

/** How long counts wait in memory; a process that is killed loses at most so much of them. */
const flushMs = 10_000
const keepDays = 90
/** Counts in memory, before they are written early. */
const most = 10_000

export type Usage = ReturnType<typeof makeUsage>

type Parts = { readonly store: VaultStore; readonly now: () => Date }

/**
 * Who took which version of a secret in which hour, and how often. Counted in memory and added to the tables now and then: a
 * value is taken for each request, and a record each would cost more than the request. What people reveal is in the audit
 * log one by one as well.
 */
export function makeUsage({ store, now }: Parts) {
  let counts = new Map<string, UseRow>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  let prunedOn = ''

  /** `by` is a connection or a principal. Never fails and never waits. */
  function count(secretId: string, version: number, by: string): void {
    const at = now().toISOString()
    add({ secret_id: secretId, version, used_by: by, hour: hourOf(at), uses: 1, last_at: at })
    // What cannot be written waits for the next time; whoever asks for the usage is told.
    if (counts.size >= most) void flush().catch(() => {})
    else timer ??= setTimeout(() => void flush().catch(() => {}), flushMs).unref()
  }

  function add(row: UseRow): void {
    const key = [row.secret_id, row.version, row.used_by, row.hour].join(' ')
    const known = counts.get(key)
    counts.set(key, known ? { ...row, uses: known.uses + row.uses, last_at: later(known.last_at, row.last_at) } : row)
  }

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing = writing.catch(() => {}).then(write)
    return writing
  }

  async function write(): Promise<void> {
    const taken = counts
    counts = new Map()
    const today = now().toISOString().slice(0, 10)
    try {
      // In one order, so that two processes that write the same rows wait for each other in a line.
      const rows = [...taken].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
      if (rows.length > 0) await store.transaction((tx) => tx.addUses(rows))
      if (rows.length > 0 && prunedOn !== today) {
        await store.pruneUses(hourOf(new Date(now().getTime() - keepDays * 86_400_000).toISOString()))
        prunedOn = today
      }
    } catch (error) {
      // Bounded: a database that is gone for long must not fill the memory.
      for (const row of taken.values()) if (counts.size < most) add(row)
      throw error
    }
  }

  return {
    count,
    /** Up to `limit` hours in which a secret was taken, newest first, and each version in sum. Of the last 90 days. */
    async usage(id: string, { limit, before }: { limit: number; before?: string | undefined }) {
      if (!(await store.secret(id))) throw new Problem('not-found', 'There is no such secret')
      await flush()
      const [rows, sums] = await Promise.all([store.uses(id, limit + 1, before), store.usesPerVersion(id)])
      const hours = [...new Set(rows.map(({ hour }) => hour))]
      const next = hours.length > limit ? (hours[limit - 1] ?? null) : null
      return {
        versions: sums.map(({ version, uses, last_at }) => ({ version, uses, lastUsedAt: last_at })),
        items: rows
          .filter(({ hour }) => next === null || hour >= next)
          .map(({ hour, version, used_by, uses, last_at }) => ({
            hour,
            version,
            by: used_by,
            uses,
            lastUsedAt: last_at,
          })),
        next,
      }
    },
    /** Writes what is counted. Before the database is closed. */
    close: flush,
  }
}

const hourOf = (at: string): string => `${at.slice(0, 13)}:00:00.000Z`
const later = (a: string, b: string): string => (a > b ? a : b)
