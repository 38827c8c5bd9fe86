import { z } from 'zod'
import { Problem } from '../../../core/problem.ts'
import type { Database, Db } from '../../../lib/db/database.ts'
import { type Plan, type RuleChoice, settingsOf } from './plan.ts'
import type { Rule } from './rule.ts'
import { findingLock, lastEvaluation, type RuleRow, readRules, writeRule } from './store-run.ts'

export type RuleView = {
  readonly rule: Rule
  readonly isOn: boolean
  readonly settings: Readonly<Record<string, number>>
  /** Why it can neither open nor resolve anything now. */
  readonly rests: string | null
  readonly judgedAt: string | null
  readonly edited: { readonly by: string; readonly at: string; readonly reason: string } | null
}

export type RuleChange = {
  readonly isOn?: boolean | undefined
  readonly settings?: Readonly<Record<string, number>> | undefined
  readonly reason: string
}

/** What it means for findings, the next evaluation says. @throws Problem not-found, invalid-input */
export async function editRule(
  database: Database,
  rules: readonly Rule[],
  now: Date,
  id: string,
  by: string,
  change: RuleChange,
): Promise<void> {
  const rule = rules.find((one) => one.id === id)
  if (!rule) throw new Problem('not-found', 'There is no such rule')
  for (const [name, value] of Object.entries(change.settings ?? {})) checkSetting(rule, name, value)
  await database.exclusive(findingLock, async (tx) => {
    const before: RuleChoice | undefined = choicesOf(await readRules(tx)).get(id)
    const settings = { ...settingsOf(rule, before), ...change.settings }
    await writeRule(tx, {
      rule: id,
      is_on: (change.isOn ?? before?.isOn ?? true) ? 1 : 0,
      // Only what differs from what is shipped, so that a better default reaches who never chose.
      settings: JSON.stringify(
        Object.fromEntries(Object.entries(settings).filter(([name, value]) => rule.settings[name]?.default !== value)),
      ),
      reason: change.reason,
      edited_by: by,
      edited_at: now.toISOString(),
    })
  })
}

function checkSetting({ settings }: Rule, name: string, value: number): void {
  const setting = Object.hasOwn(settings, name) ? settings[name] : undefined
  if (!setting) {
    const names = Object.keys(settings).join(', ')
    // The name is the caller's text, so it is not repeated.
    throw refused('/settings', names === '' ? 'the rule has no settings' : `must be of ${names}`)
  }
  if (value < setting.min || value > setting.max)
    throw refused(`/settings/${name}`, `must be ${setting.min} to ${setting.max}`)
}

function refused(field: string, rule: string): Problem {
  return new Problem('invalid-input', `${field}: ${rule}`, { faults: [{ field, rule }] })
}

const stored = z.record(z.string(), z.number())

export function choicesOf(rows: readonly RuleRow[]): Map<string, RuleChoice> {
  return new Map(
    rows.map(({ rule, is_on, settings }) => [
      rule,
      { isOn: is_on === 1, settings: stored.parse(JSON.parse(settings)) },
    ]),
  )
}

export function ruleViews(plan: Plan, stored: readonly RuleRow[]): RuleView[] {
  return [...plan.rules.values()].map(({ rule, isOn, rests, context: { settings } }) => {
    const { judged_at, edited_by: by, edited_at: at, reason } = stored.find((one) => one.rule === rule.id) ?? {}
    const edited = by && at ? { by, at, reason: reason ?? '' } : null
    return { rule, isOn, settings, rests: rests ?? null, judgedAt: judged_at ?? null, edited }
  })
}

/** How the rules did in the last evaluation. */
export type Standing = {
  readonly judgedAt: ReadonlyMap<string, string | null>
  /** Those that could not judge. */
  readonly resting: ReadonlySet<string>
}

const resting = z.object({ resting: z.array(z.object({ rule: z.string() })) })

export async function readStanding(db: Db): Promise<Standing> {
  const [rows, last] = await Promise.all([readRules(db), lastEvaluation(db)])
  const rested = resting.safeParse(last?.result).data?.resting ?? []
  return {
    judgedAt: new Map(rows.map(({ rule, judged_at }) => [rule, judged_at])),
    resting: new Set(rested.map(({ rule }) => rule)),
  }
}
