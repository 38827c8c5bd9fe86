import { z } from 'zod'
import type { Cursor, Http, SyncBatch, SyncContext } from '../../core/connector.ts'
import { type Changelog, findChangelog, readDeletions } from './changelog.ts'
import { baseOf, kinds, type Model, models, type Row } from './models.ts'
import { pagesById } from './pages.ts'
import { Status } from './schema.ts'

const seconds = 1000
const days = 86_400 * seconds

/** Re-read before the last run's start: clocks of NetBox's hosts differ, and a transaction commits after it stamps its rows. */
const skew = 120 * seconds
/** Below NetBox's default changelog retention of 90 days. */
const oldestCursor = 80 * days
/** NetBox keeps whole days of changelog, so nothing younger can have been cut from it. */
const shortestRetention = 1 * days

/** `since`: the server's own time at the start of the last run. `emptyLog`: its changelog had no rows then. */
const SyncCursor = z.object({ since: z.iso.datetime(), emptyLog: z.boolean() })
type SyncCursor = z.output<typeof SyncCursor>

/**
 * Reads the whole NetBox, or what changed since the cursor. Changed objects are found by `last_updated`, deleted ones in the
 * changelog; when the changelog cannot vouch for the whole time since the cursor, everything is read (`full`).
 */
export async function* sync(
  context: SyncContext<{ url: string; pageSize: number }>,
): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config } = context
  const started = await serverTime(http, context.now)
  const changelog = await findChangelog(http)
  const next: SyncCursor = { since: started.toISOString(), emptyLog: changelog !== undefined && !changelog.oldest }
  const cursor = SyncCursor.safeParse(context.cursor).data

  const list = (model: Model, since?: string) =>
    pagesById(model.plural, config.pageSize, (query) =>
      model.list(http, baseOf(config), { ...query, last_updated__gte: since }),
    )

  if (cursor && changelog && covers(changelog, cursor, started)) {
    const since = new Date(Date.parse(cursor.since) - skew).toISOString()
    yield* deleted(context, changelog, since)
    for (const kind of kinds) yield* observed(`changed ${models[kind].plural}`, list(models[kind], since))
    return next
  }
  for (const kind of kinds) {
    for await (const batch of observed(models[kind].plural, list(models[kind]))) yield { ...batch, full: true }
  }
  return next
}

async function* observed(stage: string, pages: ReturnType<typeof pagesById<Row>>): AsyncGenerator<SyncBatch> {
  for await (const { rows, total } of pages) {
    yield { stage, ...(total !== undefined && { total }), observations: rows.map((row) => row.observation) }
  }
}

/** Deletions come before changes: an object restored under its old id is then reported last as present. */
async function* deleted(
  { http, config }: SyncContext<{ url: string; pageSize: number }>,
  changelog: Changelog,
  since: string,
): AsyncGenerator<SyncBatch> {
  for (const kind of kinds) {
    const { plural, type } = models[kind]
    const pages = pagesById(`deleted ${plural}`, config.pageSize, (query) =>
      readDeletions(http, changelog, type, since, query),
    )
    for await (const { rows, total } of pages) {
      const gone = rows.map((row) => ({ kind, externalId: String(row.changed_object_id) }))
      yield { stage: `deleted ${plural}`, ...(total !== undefined && { total }), gone }
    }
  }
}

/** Whether every deletion since the cursor must still be in the changelog, which is cut from its oldest end. */
function covers({ oldest }: Changelog, { since, emptyLog }: SyncCursor, started: Date): boolean {
  const from = Date.parse(since)
  const age = started.getTime() - from
  if (age < 0 || age > oldestCursor) return false
  if (oldest && oldest.getTime() <= from) return true
  return emptyLog && age < shortestRetention
}

/** The server's clock: rows are stamped with it. Ours only where a proxy dropped the Date header. */
async function serverTime(http: Http, now: () => Date): Promise<Date> {
  const { headers } = await http.read('/api/status/', Status)
  const at = new Date(headers['date'] ?? Number.NaN)
  return Number.isNaN(at.getTime()) ? now() : at
}
