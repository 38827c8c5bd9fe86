import { z } from 'zod'
import { connectionAction, type Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { readPage } from './pages.ts'
import { Timesheet } from './schema.ts'

const Id = z.string().regex(/^[1-9]\d{0,14}$/, 'must be a number')
/** As Kimai's forms have it: in the time zone of the person, without an offset. */
const LocalTime = z
  .string()
  .regex(
    /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d$/,
    'must be YYYY-MM-DDTHH:MM:SS',
  )
const Tag = z.string().regex(/^[^,\p{Cc}]{2,100}$/u, 'must not hold a comma')

const Shown = z.object({
  id: z.string(),
  begin: z.string(),
  end: z.string().nullable(),
  durationSeconds: z.number().nullable(),
  description: z.string().nullable(),
  project: z.string().nullable(),
  activity: z.string().nullable(),
  user: z.string().nullable(),
  tags: z.array(z.string()),
  exported: z.boolean(),
})

const listTimesheets = connectionAction({
  name: 'kimai.timesheets.list',
  title: 'List timesheets in Kimai',
  description:
    'Asks Kimai itself, now, for booked times, the newest first. Without the right to see the times of others, Kimai shows only those of the account, without saying so.',
  access: 'read',
  http: { method: 'GET', path: '/kimai/timesheets' },
  input: {
    begin: LocalTime.optional().describe('Only what began at or after this time, for example 2026-11-01T00:00:00.'),
    end: LocalTime.optional().describe('Only what began at or before this time.'),
    user: Id.optional().describe("A person's id in Kimai; everybody unless given."),
    project: Id.optional().describe("A project's id in Kimai."),
    activity: Id.optional().describe("An activity's id in Kimai."),
    exported: z.enum(['yes', 'no']).optional().describe('Only exported entries, or only those that are not.'),
    limit: z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).'),
    page: z.coerce.number().int().min(1).max(10_000).default(1).describe('Which page, from 1.'),
  },
  output: z.object({ items: z.array(Shown), next: z.number().int().nullable(), total: z.number().int().nullable() }),
  async run({ begin, end, user, project, activity, exported, limit, page }, { http }) {
    const query = {
      user: user ?? 'all',
      begin,
      end,
      'projects[]': project,
      'activities[]': activity,
      exported: exported && (exported === 'yes' ? 1 : 0),
      orderBy: 'begin',
      order: 'DESC',
    }
    const { rows, total, pages } = await readPage(http, query, page, limit)
    const isMore = pages === undefined ? rows.length === limit : page < pages
    return { items: rows.map(shown), next: isMore && rows.length > 0 ? page + 1 : null, total: total ?? null }
  },
})

const createTimesheet = connectionAction({
  name: 'kimai.timesheet.create',
  title: 'Book time in Kimai',
  description:
    "Books a time in Kimai, for the account or for another person. If that person already has an entry of that day with the same begin, project, activity and description, it is answered and nothing is booked. Kimai's rounding rules may change the times; a call that is repeated after they moved the begin books a second time.",
  access: 'write',
  http: { method: 'POST', path: '/kimai/timesheets' },
  input: {
    project: Id.describe("The project's id in Kimai."),
    activity: Id.describe("The activity's id in Kimai; it must be global or of the project."),
    begin: LocalTime.describe("When it began, in the person's time zone, for example 2026-11-20T08:00:00."),
    end: LocalTime.describe("When it ended, in the person's time zone."),
    description: z.string().trim().min(1).max(2000).optional().describe('What was done.'),
    tags: z.array(Tag).max(10).optional().describe('Tags; those that are new need a right of their own.'),
    billable: z.boolean().optional().describe('Whether it is billed; what the project says unless given.'),
    user: Id.optional().describe("The person's id; the account itself unless given."),
  },
  output: Shown.extend({ created: z.boolean() }),
  async run(input, { http }) {
    const { project, activity, begin, end, description, tags, billable, user } = input
    if (end < begin) throw new Problem('invalid-input', 'It ended before it began')
    const same = await findSame(http, input)
    if (same) return { ...shown(same), created: false }
    const timesheet = await http.send('POST', '/api/timesheets', Timesheet, {
      project: Number(project),
      activity: Number(activity),
      begin,
      end,
      ...(description !== undefined && { description }),
      ...(tags?.length && { tags: tags.join(',') }),
      ...(billable !== undefined && { billable }),
      ...(user !== undefined && { user: Number(user) }),
    })
    return { ...shown(timesheet), created: true }
  },
})

export const actions = [listTimesheets, createTimesheet] as const

type Wanted = {
  readonly project: string
  readonly activity: string
  readonly begin: string
  readonly description?: string | undefined
  readonly user?: string | undefined
}

/** An entry that says the same, so that a call which is repeated books nothing twice. */
async function findSame(http: Http, wanted: Wanted): Promise<Timesheet | undefined> {
  const day = wanted.begin.slice(0, 10)
  const query = {
    ...(wanted.user !== undefined && { user: wanted.user }),
    begin: `${day}T00:00:00`,
    end: `${day}T23:59:59`,
    'projects[]': wanted.project,
    'activities[]': wanted.activity,
  }
  const { rows } = await readPage(http, query, 1, 500)
  return rows.find(
    (row) =>
      row.begin.slice(0, 19) === wanted.begin &&
      (wanted.user === undefined || String(row.user) === wanted.user) &&
      (row.description ?? '').trim() === (wanted.description ?? ''),
  )
}

function shown(timesheet: Timesheet) {
  const { id, begin, end, duration, description, project, activity, user, tags, exported } = timesheet
  return {
    id: String(id),
    begin,
    end: end ?? null,
    durationSeconds: end ? (duration ?? null) : null,
    description: description ?? null,
    project: project?.toString() ?? null,
    activity: activity?.toString() ?? null,
    user: user?.toString() ?? null,
    tags: tags ?? [],
    exported: exported ?? false,
  }
}
