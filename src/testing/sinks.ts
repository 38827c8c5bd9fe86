import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AuditLog, openLog } from '../features/audit/log.ts'
import type { Keep } from '../features/audit/retention-policy.ts'
import type { SinkSettings } from '../features/audit/sinks/sinks.ts'
import type { Database } from '../lib/db/database.ts'
import { testRootKey } from './databases.ts'

/** Looks and tries again so often that a test needs not wait. */
export const fastPace = { lookMs: 20, retryMs: 20, longestRetryMs: 50, stopMs: 3_000 }

type Options = {
  readonly sinks: SinkSettings
  readonly now?: () => Date
  readonly onFault?: (error: unknown) => void
  readonly keep?: Keep
}

/** Runs a started log with sinks, and stops it at the end, however that comes. */
export async function withSinks<T>(
  database: Database,
  { sinks, now = () => new Date(), ...more }: Options,
  run: (log: AuditLog) => Promise<T>,
): Promise<T> {
  const settings = { ...sinks, pace: { ...fastPace, ...sinks.pace } }
  const log = await openLog({ database, rootKey: testRootKey, now, sinks: settings, ...more })
  await log.start({ version: 'test' })
  try {
    return await run(log)
  } finally {
    await log.stop()
    await log.close()
  }
}

/** So many events of no importance. */
export async function appendMany(log: AuditLog, count: number): Promise<void> {
  const event = { code: 'action.started', action: 'inventory.assets.search' } as const
  await Promise.all(Array.from({ length: count }, () => log.append(event)))
}

/** When everything committed has been delivered to all sinks. */
export async function delivered(log: AuditLog): Promise<void> {
  await until(
    async () => (await log.status()).sinks.every(({ lagEntries }) => lagEntries === 0),
    'everything is delivered',
  )
}

/** Waits until something is so; fails, and says what it waited for, when it is not within a minute. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await isSo())) {
    assert.ok(performance.now() < end, `still not so: ${what}`)
    await sleep(20)
  }
}
