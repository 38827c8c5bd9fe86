import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import type { ActionParts } from './actions.ts'
import { Reason } from './fields.ts'
import { severities } from './rule.ts'
import type { RuleView } from './rules.ts'

/** What findings are made by. */
export function ruleActions({ findings }: Pick<ActionParts, 'findings'>): readonly Action[] {
  return [listRules(findings), editRule(findings)]
}

type Findings = ActionParts['findings']

const RuleField = z.object({
  id: z.string(),
  title: z.string(),
  severity: z.enum(severities),
  meaning: z.string().describe('What a finding of it means.'),
  advice: z.string().describe('What to do about it.'),
  isOn: z.boolean(),
  settings: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      value: z.number(),
      default: z.number(),
      min: z.number(),
      max: z.number(),
    }),
  ),
  rests: z.string().nullable().describe('Why it can neither open nor resolve findings now; null: it can.'),
  judgedAt: z.string().nullable().describe('When it judged last.'),
  edited: z.object({ by: z.string(), at: z.string(), reason: z.string() }).nullable(),
})

function listRules(findings: Findings): Action {
  return defineAction({
    name: 'inventory.rules.list',
    title: 'List the rules of findings',
    description: 'Each rule with what it means, what to do, its thresholds, and whether it can judge now.',
    access: 'read',
    http: { method: 'GET', path: '/inventory/rules' },
    input: z.strictObject({}),
    output: z.object({ items: z.array(RuleField) }),
    resource: () => ({ type: 'inventory', id: '*' }),
    run: async () => ({ items: (await findings.rules()).map(ruleField) }),
  })
}

function editRule(findings: Findings): Action {
  return defineAction({
    name: 'inventory.rules.edit',
    title: 'Edit a rule of findings',
    description:
      'Changes thresholds of a rule, or switches it off or on. The next evaluation opens and resolves findings accordingly.',
    access: 'write',
    http: { method: 'PATCH', path: '/inventory/rules/{rule}' },
    input: z
      .strictObject({
        rule: z
          .string()
          .regex(/^[a-z][a-z-]{0,63}$/, 'must be the id of a rule')
          .describe('Id of the rule, for example no-backup.'),
        isOn: z.boolean().optional().describe('false switches the rule off and resolves its findings.'),
        settings: z
          .record(z.string().min(1).max(64), z.number())
          .optional()
          .describe('New values by name, for example { "hours": 72 }; what is not named stays.'),
        reason: Reason.describe('Why; shown beside the rule.'),
      })
      .refine(({ isOn, settings }) => isOn !== undefined || settings !== undefined, 'must have isOn or settings'),
    output: RuleField,
    resource: ({ rule }) => ({ type: 'rule', id: rule }),
    async run({ rule, ...change }, { principal }) {
      await findings.editRule(rule, principal.id, change)
      const edited = (await findings.rules()).find((one) => one.rule.id === rule)
      if (!edited) throw new TypeError(`${rule} was edited, but is no rule`)
      return ruleField(edited)
    },
  })
}

function ruleField({ rule, settings, ...rest }: RuleView): z.input<typeof RuleField> {
  const { id, title, severity, meaning, advice } = rule
  return {
    ...rest,
    ...{ id, title, severity, meaning, advice },
    settings: Object.entries(rule.settings).map(([name, setting]) => ({
      name,
      ...setting,
      value: settings[name] ?? setting.default,
    })),
  }
}
