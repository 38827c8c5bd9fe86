import { z } from 'zod'
import type { Cursor, Http, SyncBatch, SyncContext } from '../../core/connector.ts'
import { observeHost } from './observe.ts'
import { auditPages, hostPages, mayReadAudits } from './pages.ts'
import { Status } from './schema.ts'
import { baseOf, searchTime } from './words.ts'

const seconds = 1000
const days = 86_400 * seconds

/** Re-read before the last run's start: clocks differ, and a transaction commits after it stamps its rows. */
const skew = 120 * seconds
/** Audits can be expired, by days; a site that keeps them shorter than this loses deletions until the next full run. */
const oldestCursor = 7 * days

const SyncCursor = z.object({ since: z.iso.datetime() })
type Config = { url: string; pageSize: number }

/**
 * Reads all hosts, or those that reported, were edited or were deleted since the cursor. `updated_at` cannot be searched, so
 * edits and deletions come from the audits; an account that may not view them reads everything each time.
 */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config } = context
  const started = await serverTime(http, context.now)
  const since = sinceOf(context.cursor, started)
  if (since && (await mayReadAudits(http))) {
    yield* audited(context, since)
    // Not `>`: Foreman moves the time of a `>` by an hour, so it would miss the first hour.
    yield* hosts('hosts that reported', `last_report >= ${searchTime(since)}`)
  } else {
    for await (const batch of hosts('hosts')) yield { ...batch, full: true }
  }
  return { since: started.toISOString() }

  function hosts(stage: string, search?: string) {
    return observed(context, stage, hostPages(http, config.pageSize, search))
  }
}

async function* observed(
  { config }: SyncContext<Config>,
  stage: string,
  pages: ReturnType<typeof hostPages>,
): AsyncGenerator<SyncBatch> {
  const base = baseOf(config)
  for await (const { rows, total } of pages) {
    yield { stage, total, observations: rows.map((host) => observeHost(host, base)) }
  }
}

/** Hosts that people changed. */
async function* audited(context: SyncContext<Config>, since: Date): AsyncGenerator<SyncBatch> {
  const { http, config } = context
  const search = `type = host and time >= ${searchTime(since)}`
  // A page of audits leads to at most a page of hosts, so memory stays flat however much was changed.
  for await (const { rows, total } of auditPages(http, Math.min(config.pageSize, 100), search)) {
    const ids = (wanted: (action: string) => boolean) => [
      ...new Set(rows.filter(({ action }) => wanted(action)).map(({ auditable_id: id }) => id)),
    ]
    const gone = ids((action) => action === 'destroy').map((id) => ({ kind: 'host', externalId: String(id) }))
    yield { stage: 'changes', total, gone }
    const changed = ids((action) => action !== 'destroy')
    if (changed.length === 0) continue
    yield* observed(context, 'changed hosts', hostPages(http, config.pageSize, `id ^ (${changed.join(',')})`))
  }
}

function sinceOf(cursor: Cursor | undefined, started: Date): Date | undefined {
  const { data } = SyncCursor.safeParse(cursor)
  if (!data) return undefined
  const since = Date.parse(data.since)
  const age = started.getTime() - since
  return age < 0 || age > oldestCursor ? undefined : new Date(since - skew)
}

/** Foreman's clock: its rows are stamped with it. Ours only where a proxy dropped the Date header. */
async function serverTime(http: Http, now: () => Date): Promise<Date> {
  const { headers } = await http.read('/api/status', Status)
  const at = new Date(headers['date'] ?? Number.NaN)
  return Number.isNaN(at.getTime()) ? now() : at
}
