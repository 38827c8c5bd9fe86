import { Cron } from 'croner'

/** The next times of five cron fields in UTC, after `after`; none for what is no schedule or never comes round. */
export function nextTimes(schedule: string, after: Date, count: number): Date[] {
  try {
    return new Cron(schedule, { mode: '5-part', timezone: 'UTC', paused: true }).nextRuns(count, after)
  } catch {
    return []
  }
}
