import { nameKeyOf } from '../text.ts'
import { ownWord } from './evidence.ts'
import { type Content, contents, type FindingRow, type Happening, unacknowledged } from './finding.ts'
import type { Candidate, Target } from './judge.ts'
import type { Plan } from './plan.ts'
import type { Evidence } from './rule.ts'

/** What one step of an evaluation changes. */
export type Difference = {
  readonly opened: readonly Candidate[]
  readonly updated: readonly Update[]
}

export type Update = {
  readonly row: FindingRow
  readonly next: Content
  readonly kind: 'reopened' | 'changed' | 'expired' | 'resolved' | 'held'
  readonly happening: Happening | undefined
}

type Step = {
  readonly plan: Plan
  readonly now: Date
  /** When each rule judged last, before this evaluation. */
  readonly judgedAt: (rule: string) => string | null
  /** Undefined: the thing is no longer in the inventory. */
  readonly target: (key: string) => Target | undefined
}

/** Compares what is found now with what is stored, for the same targets. Pure; nothing that is the same is written. */
export function compare(step: Step, candidates: readonly Candidate[], rows: readonly FindingRow[]): Difference {
  const nameOf = (rule: string, key: string) => `${rule} ${key}`
  const found = new Map(candidates.map((one) => [nameOf(one.rule, one.target.key), one]))
  const stored = new Set(rows.map(({ rule, key }) => nameOf(rule, key)))
  return {
    opened: candidates.filter((one) => !stored.has(nameOf(one.rule, one.target.key))),
    updated: rows.flatMap((row) => {
      const candidate = found.get(nameOf(row.rule, row.key))
      return (candidate ? seenAgain(step, row, candidate) : notSeen(step, row)) ?? []
    }),
  }
}

export function isEmpty({ opened, updated }: Difference): boolean {
  return opened.length === 0 && updated.length === 0
}

/** How a candidate is stored. */
export function contentOf({ target, severity, evidence, hash }: Candidate) {
  const { name, site, machine } = target
  return {
    severity,
    name,
    name_key: nameKeyOf(name),
    site,
    machine_id: machine,
    evidence: JSON.stringify(evidence),
    hash,
  }
}

function seenAgain({ now }: Step, row: FindingRow, candidate: Candidate): Update | undefined {
  const at = now.toISOString()
  const content = contentOf(candidate)
  if (row.state === 'resolved') {
    const next = {
      ...contents(row),
      ...content,
      ...unacknowledged,
      state: 'open' as const,
      held: 0,
      opened_at: at,
      times_opened: row.times_opened + 1,
      last_seen_at: null,
      resolved_at: null,
      resolution: null,
    }
    return { row, next, kind: 'reopened', happening: happening('reopened', at) }
  }
  const back = { ...contents(row), ...content, held: 0, last_seen_at: null }
  if (row.state === 'acknowledged' && row.ack_until !== null && row.ack_until <= at) {
    const next = { ...back, ...unacknowledged, state: 'open' as const }
    return { row, next, kind: 'expired', happening: happening('expired', at) }
  }
  if (row.hash === candidate.hash && row.held === 0) return undefined
  return { row, next: back, kind: 'changed', happening: undefined }
}

function notSeen(step: Step, row: FindingRow): Update | undefined {
  if (row.state === 'resolved') return undefined
  const { plan, now, target } = step
  const planned = plan.rules.get(row.rule)
  if (!planned) return resolve(step, row, [ownWord('This version has no such rule any more', now)])
  if (!planned.isOn) return resolve(step, row, [ownWord('The rule is switched off', now)])
  if (planned.rests !== undefined) return undefined
  const said = JSON.parse(row.evidence) as readonly Evidence[]
  // Who opened it must be heard to end it: without its witness a machine only looks as if nothing were wrong.
  if (!said.every(({ subject }) => plan.isHeard(subject))) return hold(step, row)
  const evidence = target(row.key)?.judge(planned)?.evidence()
  return resolve(step, row, evidence ?? [ownWord('It is no longer in the inventory', now)])
}

function resolve({ now, judgedAt }: Step, row: FindingRow, evidence: readonly Evidence[]): Update {
  const at = now.toISOString()
  const next = {
    ...contents(row),
    state: 'resolved' as const,
    held: 0,
    last_seen_at: row.last_seen_at ?? judgedAt(row.rule) ?? row.opened_at,
    resolved_at: at,
    resolution: JSON.stringify(evidence),
  }
  return { row, next, kind: 'resolved', happening: happening('resolved', at, evidence) }
}

function hold({ judgedAt }: Step, row: FindingRow): Update | undefined {
  if (row.held === 1) return undefined
  const next = { ...contents(row), held: 1, last_seen_at: judgedAt(row.rule) ?? row.opened_at }
  return { row, next, kind: 'held', happening: undefined }
}

function happening(what: Happening['what'], at: string, evidence: readonly Evidence[] = []): Happening {
  return { what, at, by: null, reason: null, until: null, evidence }
}
