import { nextTimes } from '../../lib/cron.ts'

const shortestMs = 15 * 60_000

/** What is wrong with a plan's schedule: five cron fields, in UTC, that come round, and not more often than each 15 minutes. */
export function scheduleFault(schedule: string, from: Date): string | undefined {
  const [first, second] = nextTimes(schedule, from, 2)
  if (!first) return 'must be five cron fields (minute hour day month weekday, UTC)'
  if (second && second.getTime() - first.getTime() < shortestMs)
    return 'must leave at least 15 minutes between two runs'
  return undefined
}

/** When a schedule comes round next after `after`, or null when it never does. */
export function nextTime(schedule: string, after: Date): Date | null {
  return nextTimes(schedule, after, 1)[0] ?? null
}
