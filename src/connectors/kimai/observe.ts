import type { Observation } from '../../core/connector.ts'
import type { Activity, Customer, Project, Timesheet } from './schema.ts'

export type Config = {
  readonly url: string
  readonly people: 'all' | 'own'
  readonly days: number
  readonly pageSize: number
}

/** The names that timesheets only have as numbers. */
export type Names = {
  readonly customers: ReadonlyMap<number, string>
  readonly projects: ReadonlyMap<number, Project>
  readonly activities: ReadonlyMap<number, string>
}

export function customerObservation(customer: Customer, config: Config): Observation {
  return {
    kind: 'customer',
    externalId: String(customer.id),
    name: customer.name,
    status: visibility(customer),
    url: page(config, `admin/customer/${customer.id}/details`),
    attributes: said({
      number: customer.number,
      company: customer.company,
      country: customer.country,
      currency: customer.currency,
      timeZone: customer.timezone,
      billable: customer.billable,
    }),
  }
}

export function projectObservation(project: Project, { customers }: Names, config: Config): Observation {
  return {
    kind: 'project',
    externalId: String(project.id),
    name: project.name,
    status: visibility(project),
    url: page(config, `admin/project/${project.id}/details`),
    attributes: said({
      number: project.number,
      orderNumber: project.orderNumber,
      customer: project.customer ? customers.get(project.customer) : null,
      billable: project.billable,
    }),
    relations: project.customer ? [to('belongs-to', 'customer', project.customer)] : [],
  }
}

export function activityObservation(activity: Activity, { projects }: Names, config: Config): Observation {
  return {
    kind: 'activity',
    externalId: String(activity.id),
    name: activity.name,
    status: visibility(activity),
    url: page(config, `admin/activity/${activity.id}/details`),
    attributes: said({
      number: activity.number,
      project: activity.project ? projects.get(activity.project)?.name : null,
      isGlobal: !activity.project,
      billable: activity.billable,
    }),
    relations: activity.project ? [to('part-of', 'project', activity.project)] : [],
  }
}

export function timesheetObservation(timesheet: Timesheet, names: Names): Observation {
  const project = timesheet.project ? names.projects.get(timesheet.project) : undefined
  const activity = timesheet.activity ? names.activities.get(timesheet.activity) : undefined
  const seconds = timesheet.end ? timesheet.duration : undefined
  const what = [project?.name, activity].filter(Boolean).join(', ') || `timesheet ${timesheet.id}`
  return {
    kind: 'timesheet',
    externalId: String(timesheet.id),
    name: seconds ? `${Math.round(seconds / 36) / 100} h ${what}` : what,
    status: timesheet.exported ? 'exported' : timesheet.end ? 'stopped' : 'running',
    attributes: said({
      begin: new Date(timesheet.begin).toISOString(),
      end: timesheet.end ? new Date(timesheet.end).toISOString() : undefined,
      durationSeconds: seconds,
      description: timesheet.description?.slice(0, 500),
      project: project?.name,
      customer: project?.customer ? names.customers.get(project.customer) : undefined,
      activity,
      userId: timesheet.user?.toString(),
      billable: timesheet.billable,
      tags: timesheet.tags?.length ? timesheet.tags : undefined,
    }),
    relations: [
      ...(timesheet.project ? [to('spent-on', 'project', timesheet.project)] : []),
      ...(timesheet.activity ? [to('is-a', 'activity', timesheet.activity)] : []),
    ],
  }
}

function to(type: string, kind: string, id: number) {
  return { type, kind, externalId: String(id) }
}

function visibility({ visible }: { visible?: boolean | null | undefined }): string {
  return visible === false ? 'hidden' : 'visible'
}

/** Pages for people are below a language. */
function page({ url }: Config, place: string): string {
  return `${url.replace(/\/+$/, '')}/en/${place}`
}

function said<T>(values: Readonly<Record<string, T | null | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  ) as Record<string, T>
}
