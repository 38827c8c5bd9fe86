import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import type { ActionParts } from './actions.ts'
import { FindingField, FindingId, namedFinding, Reason } from './fields.ts'
import type { FindingView } from './view.ts'

/** What changes findings: people, and evaluations. */
export function changeActions(parts: ActionParts): readonly Action[] {
  return [acknowledgeAction(parts), reopenAction(parts), evaluateAction(parts)]
}

function acknowledgeAction(parts: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.acknowledge',
    title: 'Acknowledge a finding',
    description:
      'Accepts a finding until a moment at most 365 days ahead, with the reason. It is open again then, unless its cause is gone.',
    access: 'write',
    http: { method: 'POST', path: '/findings/{finding}/acknowledge' },
    input: z.strictObject({
      finding: FindingId,
      reason: Reason.describe('Why it is accepted; everybody who sees the finding sees it.'),
      until: z.iso.datetime({ offset: true }).describe('Until when: 2027-01-31T00:00:00Z.'),
    }),
    output: FindingField,
    resource: ({ finding }) => ({ type: 'finding', id: finding }),
    run: async ({ finding, reason, until }, { principal }) =>
      shown(parts, await parts.findings.acknowledge(finding, principal.id, { reason, until })),
  })
}

function reopenAction(parts: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.reopen',
    title: 'Reopen a finding',
    description: 'Takes an acknowledgement back, so that the finding is open. Resolved findings reopen by themselves.',
    access: 'write',
    http: { method: 'POST', path: '/findings/{finding}/reopen' },
    input: z.strictObject({ finding: FindingId, reason: Reason.describe('Why it is no longer accepted.') }),
    output: FindingField,
    resource: ({ finding }) => ({ type: 'finding', id: finding }),
    run: async ({ finding, reason }, { principal }) =>
      shown(parts, await parts.findings.reopen(finding, principal.id, reason)),
  })
}

function evaluateAction({ findings }: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.evaluate',
    title: 'Evaluate findings now',
    description:
      'Judges the whole inventory by all rules and opens and resolves findings. Atlas does this by itself; here it is done at once.',
    access: 'write',
    http: { method: 'POST', path: '/inventory/findings/evaluate' },
    input: z.strictObject({}),
    output: z.object({
      machines: z.int(),
      things: z.int(),
      connections: z.int(),
      opened: z.int(),
      reopened: z.int(),
      changed: z.int(),
      resolved: z.int(),
      expired: z.int().describe('Acknowledgements that ended.'),
      held: z.int().describe('Not found again, but a system that must be asked is missing.'),
      resting: z
        .array(z.object({ rule: z.string(), because: z.string() }))
        .describe('Rules that could not judge, and why.'),
    }),
    resource: () => ({ type: 'inventory', id: '*' }),
    run: (_input, { signal }) => findings.evaluate(signal),
  })
}

function shown({ findings, connectionName }: ActionParts, view: FindingView) {
  return namedFinding(view, findings.ruleOf(view.rule), connectionName)
}
