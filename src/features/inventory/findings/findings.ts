import type { Database, Db } from '../../../lib/db/database.ts'
import { decodeCursor, encodeCursor, questionOf } from '../cursor.ts'
import { acknowledged, changeByHand, found, withdrawn } from './by-hand.ts'
import { type Evaluation, evaluate } from './evaluate.ts'
import { dayMs } from './evidence.ts'
import type { Happening } from './finding.ts'
import { makePlan } from './plan.ts'
import type { Rule, Source } from './rule.ts'
import { rules as shippedRules } from './rules/index.ts'
import { choicesOf, editRule, type RuleChange, type RuleView, readStanding, ruleViews } from './rules.ts'
import { dayOf } from './store.ts'
import { type Counts, countAll, countFindings, type FindingFilter, listFindings, readHappenings } from './store-list.ts'
import { lastEvaluation, readRules } from './store-run.ts'
import { type FindingView, viewOf } from './view.ts'

export type Findings = ReturnType<typeof makeFindings>

export type FindingsParts = {
  readonly database: Database
  readonly source: Source
  readonly now: () => Date
  /** Only tests have others. */
  readonly rules?: readonly Rule[]
}

const countLimit = 10_000
const happeningLimit = 100
const siteLimit = 20

/** Disagreements and gaps between the connected systems: found by evaluations, handled by people. */
export function makeFindings({ database, source, now, rules = shippedRules }: FindingsParts) {
  const { db } = database
  const evaluateParts = { database, source, rules, now }
  return {
    /** Judges everything now. @throws Problem conflict while another evaluation runs, cancelled */
    evaluate: (signal: AbortSignal): Promise<Evaluation> => evaluate(evaluateParts, signal),

    list: (filter: FindingFilter, page: { limit: number; cursor: string | undefined }) => list(db, now(), filter, page),

    /** @throws Problem not-found */
    async get(id: string): Promise<FindingView & { readonly history: readonly Happening[] }> {
      const row = await found(db, id)
      const [history, standing] = await Promise.all([readHappenings(db, row.seq, happeningLimit), readStanding(db)])
      return { ...viewOf(row, now(), standing), history }
    },

    async summary(days: number): Promise<Counts & { readonly evaluatedAt: string | null }> {
      const at = now()
      const since = dayOf(new Date(at.getTime() - (days - 1) * dayMs))
      const counts = await countAll(db, at.toISOString(), since, siteLimit)
      return { ...counts, evaluatedAt: (await lastEvaluation(db))?.at ?? null }
    },

    acknowledge: (id: string, by: string, given: { reason: string; until: string }) =>
      changeByHand(database, now(), id, (row, at) => acknowledged(row, by, given, at)),

    /** Takes an acknowledgement back. */
    reopen: (id: string, by: string, reason: string) =>
      changeByHand(database, now(), id, (row, at) => withdrawn(row, by, reason, at)),

    async rules(): Promise<RuleView[]> {
      const [stored, connections] = await Promise.all([readRules(db), source.connections()])
      const plan = makePlan({ rules, choices: choicesOf(stored), connections, now: now() })
      return ruleViews(plan, stored)
    },

    /** Switches a rule on or off or changes its numbers. */
    editRule: (id: string, by: string, change: RuleChange) => editRule(database, rules, now(), id, by, change),

    ruleOf: (id: string): Rule | undefined => rules.find((rule) => rule.id === id),
  }
}

async function list(db: Db, now: Date, filter: FindingFilter, page: { limit: number; cursor: string | undefined }) {
  const { limit, cursor } = page
  const question = questionOf(['findings', filter])
  const position = cursor === undefined ? undefined : decodeCursor(question, cursor)
  const after = position && { severity: position.tier, seq: position.seq }
  const at = now.toISOString()
  const rows = await listFindings(db, filter, { now: at, limit: limit + 1, after })
  const total = await countFindings(db, filter, at, countLimit + 1)
  const standing = await readStanding(db)
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map((row) => viewOf(row, now, standing)),
    next: rows.length > limit && last ? encodeCursor(question, { tier: last.severity, key: '', seq: last.seq }) : null,
    total: total > countLimit ? null : total,
  }
}
