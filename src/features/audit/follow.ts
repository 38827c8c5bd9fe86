import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditRecord, makeSearch, SearchQuery } from './search.ts'

type Parts = {
  readonly search: ReturnType<typeof makeSearch>['search']
  readonly size: () => Promise<number>
}

const lookMs = 500
const limit = 200

/** The action by which it is called: each call of it is in the log, and must not wake the next. */
export const followAction = 'audit.events.follow'

export function makeFollow({ search, size }: Parts) {
  /**
   * The events behind index `after`, oldest first; waits up to `waitSeconds` for the first one. Without `after` it begins at the end of the
   * log. `next` is the `after` of the next call.
   */
  return async function follow(
    query: Omit<SearchQuery, 'cursor' | 'limit'>,
    waitSeconds: number,
    signal: AbortSignal,
  ): Promise<{ items: AuditRecord[]; next: number }> {
    const after = query.after ?? (await size()) - 1
    const end = performance.now() + waitSeconds * 1000
    for (;;) {
      const { items } = await search({ ...query, after, notAction: followAction, limit })
      if (items.length > 0) return { items, next: items.at(-1)?.index ?? after }
      if (performance.now() >= end) return { items, next: after }
      await sleep(lookMs, undefined, { signal })
    }
  }
}
