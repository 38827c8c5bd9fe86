import type { Http, Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Found, type Ticket, Tickets, type TimeAccounting } from './schema.ts'

export type Config = {
  readonly url: string
  readonly days: number
  readonly timeUnit: 'unknown' | 'minutes' | 'hours'
  readonly pageSize: number
}

/**
 * Tickets that changed since, by rising id. Pages go on after the last id instead of counting: the index behind the search
 * lists no more than 10,000 hits by count, and it runs behind, so the times of its order are not the times of the tickets.
 */
export async function* changedTickets(http: Http, since: Date, limit: number): AsyncGenerator<readonly Ticket[]> {
  for (let last = 0; ; ) {
    const tickets = await http.get('/api/v1/tickets/search', Found, {
      query: `updated_at:[${since.toISOString()} TO *] AND id:[${last + 1} TO *]`,
      sort_by: 'id',
      order_by: 'asc',
      expand: true,
      page: 1,
      per_page: limit,
      limit,
    })
    for (const { id } of tickets) {
      if (id <= last)
        throw new Problem(
          'upstream-invalid',
          'Zammad sent tickets twice or out of order; nothing was concluded from it',
        )
      last = id
    }
    if (tickets.length > 0) yield tickets
    // A server may cap the page below what was asked for, so only an empty one is the end.
    if (tickets.length === 0) return
  }
}

/**
 * Whether tickets can be searched by their fields. Without Elasticsearch, Zammad looks for the query's words in titles and
 * finds nothing, which must not be taken for "nothing there".
 */
export async function canSearch(http: Http): Promise<boolean> {
  const [first] = await http.get('/api/v1/tickets', Tickets, { page: 1, per_page: 1, expand: true })
  if (!first) return true
  const query = { query: `id:${first.id}`, expand: true, limit: 1, per_page: 1, page: 1 }
  const found = await http.get('/api/v1/tickets/search', Found, query)
  return found.some(({ id }) => id === first.id)
}

export function ticketObservation(ticket: Ticket, config: Config): Observation {
  return {
    kind: 'ticket',
    externalId: String(ticket.id),
    name: ticket.title,
    ...(ticket.state && { status: ticket.state.toLowerCase() }),
    url: ticketPage(ticket.id, config),
    attributes: said({
      number: ticket.number,
      priority: ticket.priority,
      group: ticket.group,
      owner: ticket.owner === '-' ? null : ticket.owner,
      customer: ticket.customer,
      organization: ticket.organization,
      type: ticket.type,
      createdAt: utc(ticket.created_at),
      updatedAt: utc(ticket.updated_at),
      closedAt: utc(ticket.close_at),
      pendingUntil: utc(ticket.pending_time),
      escalatesAt: utc(ticket.escalation_at),
      articles: ticket.article_count,
      ...amount(ticket.time_unit, config),
    }),
    facts: { openedAt: new Date(ticket.created_at).toISOString() },
  }
}

export function timeObservation(entry: TimeAccounting, ticket: Ticket, config: Config): Observation {
  const unit = config.timeUnit === 'unknown' ? 'units' : config.timeUnit
  return {
    kind: 'time-entry',
    externalId: String(entry.id),
    name: `${entry.time_unit ?? 0} ${unit} on #${ticket.number} ${ticket.title}`,
    url: ticketPage(ticket.id, config),
    attributes: said({
      ticket: ticket.number,
      activity: entry.type,
      activityId: entry.type_id?.toString(),
      person: entry.created_by,
      personId: entry.created_by_id?.toString(),
      customer: ticket.customer,
      organization: ticket.organization,
      createdAt: utc(entry.created_at),
      ...amount(entry.time_unit, config),
    }),
    relations: [{ type: 'spent-on', kind: 'ticket', externalId: String(ticket.id) }],
  }
}

/** What a unit means is decided by each Zammad; only a setting can turn it into time. */
function amount(units: number | null | undefined, { timeUnit }: Config) {
  const seconds = timeUnit === 'minutes' ? 60 : timeUnit === 'hours' ? 3600 : undefined
  return { timeUnits: units, durationSeconds: seconds && units ? Math.round(units * seconds) : undefined }
}

export function ticketPage(id: number | string, { url }: Pick<Config, 'url'>): string {
  return `${url.replace(/\/+$/, '')}/#ticket/zoom/${id}`
}

export function utc(time: string | null | undefined): string | undefined {
  return time ? new Date(time).toISOString() : undefined
}

export function said<T>(values: Readonly<Record<string, T | null | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  ) as Record<string, T>
}
