import { z } from 'zod'
import type { Cursor, Http, SyncBatch, SyncContext } from '../../core/connector.ts'
import {
  activityObservation,
  type Config,
  customerObservation,
  type Names,
  projectObservation,
  timesheetObservation,
} from './observe.ts'
import { timesheetPages } from './pages.ts'
import { Activity, Customer, Me, Project } from './schema.ts'

const minutes = 60_000
const days = 1440 * minutes

/** Re-read before the last run's start: clocks differ, and a transaction commits after it stamps its rows. */
const skew = 5 * minutes
const oldestCursor = 30 * days
const chunk = 500

/** `since`: the server's time at the start of the last run. */
const SyncCursor = z.object({ since: z.iso.datetime() })

/**
 * Reads customers, projects and activities, which Kimai answers in one piece each, and the timesheets that began within
 * `days` or were modified since the cursor. Kimai tells nothing about deletions.
 */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config } = context
  const { headers } = await http.read('/api/users/me', Me)
  const started = Date.parse(headers['date'] ?? '') || context.now().getTime()
  const cursor = SyncCursor.safeParse(context.cursor).data
  const age = cursor ? started - Date.parse(cursor.since) : Number.NaN
  const isIncremental = age >= 0 && age < oldestCursor
  const full = isIncremental ? {} : ({ full: true } as const)

  const { names, batches } = await readMasters(http, config)
  for (const batch of batches) yield { ...batch, ...full }
  const people = config.people === 'all' ? { user: 'all' } : {}
  // `begin` is in the account's own time zone, so the window opens a day early. `modified_after` is in UTC.
  const window = isIncremental
    ? { modified_after: stamp(started - age - skew) }
    : { begin: stamp(started - (config.days + 1) * days) }
  const stage = isIncremental ? 'modified timesheets' : 'timesheets'
  for await (const { rows, total } of timesheetPages(http, { ...people, ...window }, config.pageSize)) {
    const observations = rows.map((row) => timesheetObservation(row, names))
    yield { stage, ...(total !== undefined && { total }), ...full, observations }
  }
  return { since: new Date(started).toISOString() }
}

async function readMasters(http: Http, config: Config): Promise<{ names: Names; batches: SyncBatch[] }> {
  const everything = { visible: 3 }
  const customers = await http.get('/api/customers', z.array(Customer), everything)
  const projects = await http.get('/api/projects', z.array(Project), { ...everything, ignoreDates: 1 })
  const activities = await http.get('/api/activities', z.array(Activity), everything)
  const names: Names = {
    customers: new Map(customers.map(({ id, name }) => [id, name])),
    projects: new Map(projects.map((project) => [project.id, project])),
    activities: new Map(activities.map(({ id, name }) => [id, name])),
  }
  const batches = [
    ...inChunks('customers', customers, (customer) => customerObservation(customer, config)),
    ...inChunks('projects', projects, (project) => projectObservation(project, names, config)),
    ...inChunks('activities', activities, (activity) => activityObservation(activity, names, config)),
  ]
  return { names, batches }
}

function inChunks<T>(
  stage: string,
  rows: readonly T[],
  observe: (row: T) => NonNullable<SyncBatch['observations']>[number],
) {
  const batches: SyncBatch[] = []
  for (let i = 0; i < rows.length; i += chunk)
    batches.push({ stage, total: rows.length, observations: rows.slice(i, i + chunk).map(observe) })
  return batches
}

/** The form that Kimai wants: seconds, and no zone. */
function stamp(at: number): string {
  return new Date(at).toISOString().slice(0, 19)
}
