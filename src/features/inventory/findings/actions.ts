import { z } from 'zod'
import { type Action, defineAction } from '../../../core/action.ts'
import { changeActions } from './actions-change.ts'
import { ruleActions } from './actions-rules.ts'
import { FindingField, FindingId, HappeningField, type NameOf, named, namedFinding, remembered } from './fields.ts'
import { findingStates } from './finding.ts'
import type { Findings } from './findings.ts'
import { severities } from './rule.ts'

export type ActionParts = {
  readonly findings: Findings
  /** The name that people gave a connection, if it still exists. */
  readonly connectionName: NameOf
  /** The id of a connection given by id or name; throws Problem not-found. */
  readonly resolveConnection: (idOrName: string) => Promise<string>
}

/** Everything about findings that goes through the gate. */
export function findingActions(parts: ActionParts): readonly Action[] {
  return [listAction(parts), getAction(parts), summaryAction(parts), ...changeActions(parts), ...ruleActions(parts)]
}

export const listInput = z.strictObject({
  rule: several(z.string().min(1).max(64)).describe('Only of these rules, for example no-backup.'),
  state: several(z.enum(findingStates), ['open']).describe('Only in these states; without it, what is open.'),
  severity: several(z.enum(severities)).describe('Only of these severities.'),
  site: several(z.string().min(1).max(500)).describe('Only at these sites, by name.'),
  machine: z.string().min(1).max(64).optional().describe('Only about this machine and what belongs to it, by id.'),
  connection: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('Only those that rest on the word of this connection, by id or name.'),
  q: z.string().trim().min(1).max(200).optional().describe('A part of the name, or the id of what it is about.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most (1–200).'),
  cursor: z.string().min(1).max(8_000).optional().describe('The next value of the page before, for the same query.'),
})

function listAction({ findings, connectionName, resolveConnection }: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.list',
    title: 'List findings',
    description:
      'Where the connected systems disagree or something is missing (no backup, not monitored, gone, silent, full, expiring), the worst first, each with which system says what.',
    access: 'read',
    http: { method: 'GET', path: '/findings' },
    input: listInput,
    output: z.object({
      items: z.array(FindingField),
      next: z.string().nullable().describe('Cursor of the next page.'),
      total: z.int().nullable().describe('How many match; null when more than 10,000.'),
    }),
    // Not the connection that it asks for: the evidence is what all systems say.
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ rule, state, severity, site, machine, connection, q, limit, cursor }) {
      const filter = {
        rules: rule,
        states: state,
        severities: severity.map((one) => severities.indexOf(one)),
        sites: site,
        machine,
        connection: connection === undefined ? undefined : await resolveConnection(connection),
        q,
      }
      const { items, ...rest } = await findings.list(filter, { limit, cursor })
      const nameOf = remembered(connectionName)
      return {
        ...rest,
        items: await Promise.all(items.map((one) => namedFinding(one, findings.ruleOf(one.rule), nameOf))),
      }
    },
  })
}

function getAction({ findings, connectionName }: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.get',
    title: 'Show one finding',
    description: 'One finding with its evidence, what it means, what to do about it, and its history.',
    access: 'read',
    http: { method: 'GET', path: '/findings/{finding}' },
    input: z.strictObject({ finding: FindingId }),
    output: FindingField.extend({
      meaning: z.string(),
      advice: z.string(),
      history: z.array(HappeningField).describe('What happened since it was first opened, newest first.'),
    }),
    resource: ({ finding }) => ({ type: 'finding', id: finding }),
    async run({ finding }) {
      const { history, ...view } = await findings.get(finding)
      const rule = findings.ruleOf(view.rule)
      const nameOf = remembered(connectionName)
      return {
        ...(await namedFinding(view, rule, nameOf)),
        meaning: rule?.meaning ?? '',
        advice: rule?.advice ?? '',
        history: await Promise.all(
          history.map(async (one) => ({ ...one, evidence: await named(one.evidence, nameOf) })),
        ),
      }
    },
  })
}

const counted = { open: z.int(), acknowledged: z.int() }

function summaryAction({ findings, connectionName }: ActionParts): Action {
  return defineAction({
    name: 'inventory.findings.summary',
    tool: 'findings_summary',
    title: 'Count findings',
    description:
      'How many findings there are per rule, severity, system and site (the 20 with the most), and how that went day by day. Start here.',
    access: 'read',
    http: { method: 'GET', path: '/inventory/findings/summary' },
    input: z.strictObject({
      days: z.coerce.number().int().min(1).max(366).default(14).describe('How many days the trend goes back.'),
    }),
    output: z.object({
      open: z.int(),
      acknowledged: z.int(),
      evaluatedAt: z.string().nullable().describe('End of the last evaluation; null: never.'),
      severities: z.array(z.object({ severity: z.enum(severities), open: z.int() })),
      rules: z.array(z.object({ rule: z.string(), title: z.string(), ...counted })),
      connections: z
        .array(z.object({ connection: z.string(), name: z.string().nullable(), ...counted }))
        .describe('Of each system, the findings that rest on its word; one may count in several.'),
      sites: z.array(z.object({ site: z.string(), ...counted })),
      trend: z.array(z.object({ day: z.string(), opened: z.int(), resolved: z.int(), ...counted })),
    }),
    resource: () => ({ type: 'inventory', id: '*' }),
    async run({ days }) {
      const { rules, connections, ...counts } = await findings.summary(days)
      const named = connections.map(async (one) => ({ ...one, name: (await connectionName(one.connection)) ?? null }))
      return {
        ...counts,
        open: rules.reduce((total, { open }) => total + open, 0),
        acknowledged: rules.reduce((total, { acknowledged }) => total + acknowledged, 0),
        severities: counts.severities.map(({ severity, open }) => ({ severity: severities[severity] ?? 'info', open })),
        rules: rules.map((one) => ({ ...one, title: findings.ruleOf(one.rule)?.title ?? one.rule })),
        connections: await Promise.all(named),
      }
    },
  })
}

/** One value or a list of them; a query string cannot tell the two apart. */
function several<T extends z.ZodType<string>>(value: T, otherwise: z.output<T>[] = []) {
  return z
    .union([value, z.array(value).max(50)])
    .default(otherwise as never)
    .transform((given): z.output<T>[] => (Array.isArray(given) ? given : [given as z.output<T>]))
}
