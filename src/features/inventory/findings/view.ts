import type { FindingRow, FindingState } from './finding.ts'
import { type Evidence, type Severity, severities } from './rule.ts'
import type { Standing } from './rules.ts'

export type FindingView = {
  readonly id: string
  readonly rule: string
  readonly severity: Severity
  readonly state: FindingState
  readonly name: string
  readonly site: string | null
  readonly machine: string | null
  readonly asset: string | null
  readonly connection: string | null
  readonly evidence: readonly Evidence[]
  readonly firstOpenedAt: string
  readonly openedAt: string
  readonly timesOpened: number
  readonly lastSeenAt: string
  /** Its witnesses are missing, so it neither goes on nor ends. */
  readonly isResting: boolean
  readonly resolvedAt: string | null
  readonly resolution: readonly Evidence[] | null
  readonly acknowledgement: Acknowledgement | null
}

export type Acknowledgement = {
  readonly by: string
  readonly reason: string
  readonly at: string
  readonly until: string
}

export function viewOf(row: FindingRow, now: Date, { judgedAt, resting }: Standing): FindingView {
  const expired = row.state === 'acknowledged' && (row.ack_until ?? '') <= now.toISOString()
  const { ack_by: by, ack_reason: reason, ack_at: at, ack_until: until } = row
  return {
    id: row.id,
    rule: row.rule,
    severity: severities[row.severity] ?? 'info',
    state: expired ? 'open' : row.state,
    name: row.name,
    site: row.site,
    machine: row.machine_id,
    asset: row.asset_id,
    connection: row.connection_id,
    evidence: JSON.parse(row.evidence),
    firstOpenedAt: row.first_opened_at,
    openedAt: row.opened_at,
    timesOpened: row.times_opened,
    lastSeenAt: row.last_seen_at ?? judgedAt.get(row.rule) ?? row.opened_at,
    isResting: row.state !== 'resolved' && (row.held === 1 || resting.has(row.rule)),
    resolvedAt: row.resolved_at,
    resolution: row.resolution === null ? null : JSON.parse(row.resolution),
    acknowledgement: by && at && until && !expired ? { by, reason: reason ?? '', at, until } : null,
  }
}
