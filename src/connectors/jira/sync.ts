import { z } from 'zod'
import type { Cursor, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { inProjects, isOpenToAll, quoted, searchIssues, unseenProjects, whoAmI } from './api.ts'
import { isoTime, observeIssue } from './observe.ts'
import { type Config, projectsOf } from './settings.ts'

const minutes = 60_000
const hours = 60 * minutes

/** Re-read before the last run's start: the search index lags behind the issues. */
const overlap = 10 * minutes
/** Deleted and moved issues leave no mark that could be asked for, so everything is read again after a day. */
const oldestFull = 24 * hours

/** `since`: the server's time at the start of the last run. `scope`: the settings it was made with. */
const SyncCursor = z.object({ since: z.iso.datetime(), fullAt: z.iso.datetime(), scope: z.string() })

/** Reads all issues of the chosen projects that have no security level, or those updated since the cursor. */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { account, at: started } = await whoAmI(context)
  const [unseen] = await unseenProjects(context)
  if (unseen !== undefined)
    throw new Problem(
      'upstream-denied',
      `The account does not see the project ${unseen}: check its key and permissions`,
    )

  const projects = projectsOf(context.config)
  const scope = [...projects].sort().join(',')
  const since = started.toISOString()
  const cursor = SyncCursor.safeParse(context.cursor).data
  const age = cursor ? started.getTime() - Date.parse(cursor.fullAt) : Number.NaN
  if (cursor && cursor.scope === scope && age >= 0 && age < oldestFull) {
    yield* changes(context, projects, new Date(Date.parse(cursor.since) - overlap), account.timeZone)
    return { since, fullAt: cursor.fullAt, scope }
  }
  for (const project of projects) yield* everything(context, project)
  // A credential that ended on the way would have been shown fewer issues, and those not shown would become stale.
  await whoAmI(context)
  return { since, fullAt: since, scope }
}

/** Oldest first: what is added while it is read comes at the end. */
async function* everything(context: SyncContext<Config>, project: string): AsyncGenerator<SyncBatch> {
  const jql = `${inProjects([project])} order by created asc`
  let cursor: string | undefined
  let before = 0
  do {
    const { issues, next, total } = await searchIssues(context, { jql, limit: context.config.pageSize, cursor })
    const open = issues.filter((issue) => isOpenToAll(context, issue))
    yield {
      stage: `issues of ${project}`,
      ...(total !== undefined && { total }),
      observations: open.map((issue) => observeIssue(issue, context.config.url)),
      full: true,
    }
    // With offsets, each issue deleted meanwhile moves the rest up by one: this page is read again from that much earlier.
    const removed = total === undefined ? 0 : Math.max(0, before - total)
    before = total ?? 0
    cursor = removed === 0 ? next : String(Math.max(0, Number(cursor ?? 0) - removed))
  } while (cursor !== undefined)
}

/** Newest first: what is changed while it is read moves to the front, so nothing behind is skipped. */
async function* changes(
  context: SyncContext<Config>,
  projects: readonly string[],
  after: Date,
  timeZone: string | null | undefined,
): AsyncGenerator<SyncBatch> {
  const jql = `${inProjects(projects)} and updated >= ${quoted(jqlTime(after, timeZone))} order by updated desc`
  let cursor: string | undefined
  do {
    const { issues, next, total } = await searchIssues(context, { jql, limit: context.config.pageSize, cursor })
    const fresh = issues.filter(({ fields }) => (isoTime(fields.updated) ?? '9') >= after.toISOString())
    const open = fresh.filter((issue) => isOpenToAll(context, issue))
    yield {
      stage: 'changed issues',
      ...(total !== undefined && { total }),
      observations: open.map((issue) => observeIssue(issue, context.config.url)),
      gone: fresh.filter((issue) => !open.includes(issue)).map(({ id }) => ({ kind: 'issue', externalId: id })),
    }
    cursor = next
  } while (cursor !== undefined)
}

/**
 * A time as JQL reads it: by the minute, in the account's own zone. An hour early, for the hour that comes twice in autumn;
 * when the zone is not told, so early that it is right in every zone.
 */
export function jqlTime(at: Date, timeZone: string | null | undefined): string {
  const zone = timeZone && isZone(timeZone) ? timeZone : undefined
  const early = new Date(at.getTime() - (zone ? 1 : 13) * hours)
  // The Swedish form is that of ISO 8601.
  return new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'short', timeZone: zone ?? 'UTC' }).format(
    early,
  )
}

function isZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat('sv-SE', { timeZone }).format(0) !== ''
  } catch {
    return false
  }
}
