import { z } from 'zod'
import type { RuleChoice } from './plan.ts'
import type { RuleRow } from './store-run.ts'

const stored = z.record(z.string(), z.number())

export function choicesOf(rows: readonly RuleRow[]): Map<string, RuleChoice> {
  return new Map(
    rows.map(({ rule, is_on, settings }) => [
      rule,
      { isOn: is_on === 1, settings: stored.parse(JSON.parse(settings)) },
    ]),
  )
}
