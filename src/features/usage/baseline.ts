import type { Calls } from './calls.ts'
import { type Pace, pace } from './pace.ts'
import { type Sighting, see, usualOf } from './sightings.ts'

/** What one credential usually does. Plain data: it is stored as JSON. */
export type Baseline = Pace & {
  /** Milliseconds since 1970. */
  readonly firstAt: number
  /** Days with calls, and the last of them. */
  readonly days: number
  readonly lastDay: number
  readonly networks: readonly Sighting[]
  readonly actions: readonly Sighting[]
  /** Hours of the day in UTC, `0` to `23`. */
  readonly hours: readonly Sighting[]
}

export const kinds = ['burst', 'network', 'action', 'hour'] as const

export type Measure = {
  readonly callsPerMinute?: number
  readonly networks?: string[]
  readonly actions?: string[]
  readonly hours?: number[]
}

/** One way in which calls left the baseline. `at` in milliseconds since 1970. */
export type Departure = {
  readonly kind: (typeof kinds)[number]
  readonly at: number
  readonly seen: Measure
  readonly usual: Measure
}

const dayMs = 86_400_000
// A week has seen each weekday; three days with calls, because one busy afternoon is no habit.
const learningMs = 7 * dayMs
const learningDays = 3
const mostNetworks = 64
const mostActions = 300
const mostShown = 24

const nothing: Omit<Baseline, 'firstAt'> = {
  days: 0,
  lastDay: -1,
  networks: [],
  actions: [],
  hours: [],
  recent: [],
  peaks: [],
}

/** The baseline after `calls`, and how these left it as it was before. Nothing leaves a baseline that is still learning. */
export function learn(
  known: Baseline | undefined,
  calls: Calls,
): { readonly baseline: Baseline; readonly departures: readonly Departure[] } {
  const { lastAt: at } = calls
  const before = known ?? { ...nothing, firstAt: at }
  const isLearning = at - before.firstAt < learningMs || before.days < learningDays
  const today = Math.floor(at / dayMs)
  const day = { today, isLearning }
  const networks = see(before.networks, calls.networks, { ...day, most: mostNetworks })
  const actions = see(before.actions, calls.actions, { ...day, most: mostActions })
  const hours = see(before.hours, hoursOf(calls), { ...day, most: 24 })
  const { after, bursts } = pace(before, calls.seconds, isLearning)
  const baseline: Baseline = {
    firstAt: before.firstAt,
    days: before.days + (today > before.lastDay ? 1 : 0),
    lastDay: Math.max(today, before.lastDay),
    networks: networks.after,
    actions: actions.after,
    hours: hours.after,
    ...after,
  }
  const usualHours = usualOf(before.hours).map(Number)
  const oddHours = hours.odd.map(Number).filter((hour) => !isBeside(hour, usualHours))
  const departures: Departure[] = [
    ...bursts.map((burst) => ({
      kind: 'burst' as const,
      at: burst.at,
      seen: { callsPerMinute: burst.calls },
      usual: { callsPerMinute: burst.usual },
    })),
    ...departure('network', 'networks', networks.odd, usualOf(before.networks)),
    ...departure('action', 'actions', actions.odd, usualOf(before.actions)),
    ...departure('hour', 'hours', oddHours, usualHours),
  ]
  return { baseline, departures }

  function departure<T>(kind: Departure['kind'], name: keyof Measure, odd: readonly T[], usual: readonly T[]) {
    if (odd.length === 0) return []
    return [{ kind, at, seen: { [name]: shown(odd) }, usual: { [name]: shown(usual) } }]
  }
}

/** In order, and not so many that they fill the log. */
function shown<T>(values: readonly T[]): readonly T[] {
  return values
    .toSorted((a, b) => (typeof a === 'number' ? a - Number(b) : String(a) < String(b) ? -1 : 1))
    .slice(0, mostShown)
}

function hoursOf({ seconds }: Calls): Set<string> {
  return new Set([...seconds.keys()].map((second) => String(Math.floor(second / 3600) % 24)))
}

/** The hour before or after a usual one: clocks change twice a year, and timers waver. */
function isBeside(hour: number, usual: readonly number[]): boolean {
  return usual.some((other) => [1, 23].includes(Math.abs(other - hour)))
}
