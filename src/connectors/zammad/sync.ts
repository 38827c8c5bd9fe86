import { z } from 'zod'
import type { Cursor, Http, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Me, type Ticket, TimeAccountings } from './schema.ts'
import { type Config, canSearch, changedTickets, ticketObservation, timeObservation } from './tickets.ts'

const minutes = 60_000
const days = 1440 * minutes

/** Re-read before the last run's start: the search index is filled some time after the change. */
const skew = 10 * minutes
const oldestCursor = 30 * days
const atOnce = 4

/** `since`: the server's time at the start of the last run. */
const SyncCursor = z.object({ since: z.iso.datetime() })

/**
 * Reads the tickets that changed within `days`, or since the cursor, and the time booked on them. Zammad tells nothing about
 * deletions, and has no list of all time entries: they are asked for ticket by ticket.
 */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config } = context
  const { headers } = await http.read('/api/v1/users/me', Me)
  const started = Date.parse(headers['date'] ?? '') || context.now().getTime()
  if (!(await canSearch(http)))
    throw new Problem(
      'upstream-failed',
      "Zammad's search finds no tickets by their fields: its Elasticsearch is missing or empty",
    )

  const cursor = SyncCursor.safeParse(context.cursor).data
  const age = cursor ? started - Date.parse(cursor.since) : Number.NaN
  const isIncremental = age >= 0 && age < oldestCursor
  const full = isIncremental ? {} : ({ full: true } as const)
  const since = isIncremental ? started - age - skew : started - config.days * days
  for await (const tickets of changedTickets(http, new Date(since), config.pageSize)) {
    const stage = isIncremental ? 'changed tickets' : 'tickets'
    yield { stage, ...full, observations: tickets.map((ticket) => ticketObservation(ticket, config)) }
    const entries = await timeOf(http, tickets, config)
    if (entries.length > 0) yield { stage: 'time entries', ...full, observations: entries }
  }
  return { since: new Date(started).toISOString() }
}

/** The time booked on tickets; those without a sum have none. */
async function timeOf(http: Http, tickets: readonly Ticket[], config: Config): Promise<Observation[]> {
  const booked = tickets.filter(({ time_unit }) => time_unit)
  const observations: Observation[] = []
  for (let i = 0; i < booked.length; i += atOnce) {
    const answers = await Promise.all(booked.slice(i, i + atOnce).map((ticket) => timeOn(http, ticket, config)))
    observations.push(...answers.flat())
  }
  return observations
}

async function timeOn(http: Http, ticket: Ticket, config: Config): Promise<Observation[]> {
  try {
    const path = `/api/v1/tickets/${ticket.id}/time_accountings`
    const entries = await http.get(path, TimeAccountings, { expand: true })
    return entries.map((entry) => timeObservation(entry, ticket, config))
  } catch (error) {
    // Deleted between the search and this question.
    if (error instanceof Problem && error.type === 'not-found') return []
    throw error
  }
}
