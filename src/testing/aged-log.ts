import type { AuditEvent } from '../features/audit/event.ts'
import { openLog } from '../features/audit/log.ts'
import { dayMs, type Keep } from '../features/audit/retention-policy.ts'
import type { Database } from '../lib/db/database.ts'
import { newId } from '../lib/ids.ts'
import { fixedClock, testRootKey } from './databases.ts'

/** One read by a person, with a sealed detail. */
export const readEvent: AuditEvent = {
  code: 'action.succeeded',
  principal: { id: newId('usr'), kind: 'user', name: 'Ada Example' },
  action: 'inventory.assets.search',
  access: 'read',
  outcome: 'ok',
  detail: { remoteAddress: '192.0.2.7' },
}

/** What `retention.apply` is told about its call. */
export const call = { requestId: newId('req'), signal: new AbortController().signal }

type Ages = { readonly old?: number; readonly young?: number; readonly events?: readonly AuditEvent[] }

/** A log with `old` entries, and 400 days later `young` ones; `events` in turn. */
export async function agedLog(
  database: Database,
  keep: Keep,
  { old = 600, young = 100, events = [readEvent] }: Ages = {},
) {
  // So that all of it lies behind the clock of the machine that runs the test.
  const clock = fixedClock('2024-01-01T00:00:00.000Z')
  const open = () => openLog({ database, rootKey: testRootKey, now: clock.now, keep })
  const log = await open()
  let count = 0
  const add = (more: number) =>
    Promise.all(Array.from({ length: more }, () => log.append(events[count++ % events.length] as AuditEvent)))
  await add(old)
  clock.forward(400 * dayMs)
  await add(young)
  // On PostgreSQL this takes the right to sign, without which nothing is deleted.
  await log.checkpoint()
  return { log, clock, add, open }
}
