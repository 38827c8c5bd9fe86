import { Problem } from '../../../core/problem.ts'
import type { Database, Db } from '../../../lib/db/database.ts'
import { dayMs } from './evidence.ts'
import { contents, type FindingRow, type Happening, unacknowledged } from './finding.ts'
import { readStanding } from './rules.ts'
import { applyUpdate, findById } from './store.ts'
import { findingLock } from './store-run.ts'
import { type FindingView, viewOf } from './view.ts'

const maxAcknowledgedMs = 365 * dayMs

type Change = { readonly next: ReturnType<typeof contents>; readonly happening: Happening }

/** Under the same lock as evaluations, so that neither overwrites the other. */
export async function changeByHand(
  database: Database,
  now: Date,
  id: string,
  change: (row: FindingRow, at: Date) => Change,
): Promise<FindingView> {
  return database.exclusive(findingLock, async (tx) => {
    const row = await found(tx, id)
    const { next, happening } = change(row, now)
    await applyUpdate(database, tx, { row, next, happening })
    return viewOf({ ...row, ...next }, now, await readStanding(tx))
  })
}

export function acknowledged(row: FindingRow, by: string, given: { reason: string; until: string }, now: Date): Change {
  const at = now.toISOString()
  const until = new Date(given.until)
  const rule = (text: string) =>
    new Problem('invalid-input', `/until: ${text}`, { faults: [{ field: '/until', rule: text }] })
  if (row.state === 'resolved')
    throw new Problem('conflict', 'The finding is resolved; there is nothing to acknowledge')
  if (until <= now) throw rule('must lie in the future')
  if (until.getTime() - now.getTime() > maxAcknowledgedMs) throw rule('must be at most 365 days ahead')
  const ack = { ack_by: by, ack_reason: given.reason, ack_at: at, ack_until: until.toISOString() }
  return {
    next: { ...contents(row), ...ack, state: 'acknowledged' },
    happening: { what: 'acknowledged', at, by, reason: given.reason, until: until.toISOString(), evidence: [] },
  }
}

export function withdrawn(row: FindingRow, by: string, reason: string, now: Date): Change {
  if (row.state !== 'acknowledged')
    throw new Problem(
      'conflict',
      row.state === 'open'
        ? 'The finding is open'
        : 'The finding is resolved. It opens again by itself when its evidence is back',
    )
  return {
    next: { ...contents(row), ...unacknowledged, state: 'open' },
    happening: { what: 'withdrawn', at: now.toISOString(), by, reason, until: null, evidence: [] },
  }
}

export async function found(db: Db, id: string): Promise<FindingRow> {
  const row = await findById(db, id)
  if (!row) throw new Problem('not-found', 'There is no such finding')
  return row
}
