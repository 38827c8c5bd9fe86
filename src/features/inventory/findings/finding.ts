import type { Evidence } from './rule.ts'

export const findingStates = ['open', 'acknowledged', 'resolved'] as const
export type FindingState = (typeof findingStates)[number]

/** A stored finding. Times are ISO 8601 in UTC, all of one length, so that comparing texts compares times. */
export type FindingRow = Content & {
  /** Numbers findings in the order of their first opening; never leaves this room. */
  readonly seq: number
  readonly id: string
  readonly rule: string
  /** Id of the machine, asset or connection that it is about. */
  readonly key: string
  readonly asset_id: string | null
  readonly connection_id: string | null
  readonly first_opened_at: string
}

/** What evaluations and people change. */
export type Content = {
  readonly state: FindingState
  /** An index of `severities`. */
  readonly severity: number
  readonly name: string
  readonly name_key: string
  readonly site: string | null
  readonly machine_id: string | null
  readonly evidence: string
  readonly hash: string
  /** 1: not seen again, but its witnesses are missing, so it rests. */
  readonly held: number
  /** The last opening. */
  readonly opened_at: string
  readonly times_opened: number
  /** Null while it is seen by each evaluation of its rule: then it is the last of those. */
  readonly last_seen_at: string | null
  readonly resolved_at: string | null
  /** The evidence that resolved it. */
  readonly resolution: string | null
  readonly ack_by: string | null
  readonly ack_reason: string | null
  readonly ack_at: string | null
  readonly ack_until: string | null
}

/** What happened to a finding after it was first opened. */
export const happenings = ['acknowledged', 'withdrawn', 'expired', 'resolved', 'reopened'] as const
export type Happening = {
  readonly what: (typeof happenings)[number]
  readonly at: string
  /** Id of the principal; null: Atlas itself, while evaluating. */
  readonly by: string | null
  readonly reason: string | null
  readonly until: string | null
  /** What was said when it was resolved. */
  readonly evidence: readonly Evidence[]
}

export const unacknowledged = { ack_by: null, ack_reason: null, ack_at: null, ack_until: null } as const

/** The part of a finding that changes. */
export function contents(row: FindingRow): Content {
  const { seq: _s, id: _i, rule: _r, key: _k, asset_id: _a, connection_id: _c, first_opened_at: _f, ...content } = row
  return content
}
