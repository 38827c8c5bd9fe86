import { z } from 'zod'
import { subjects } from '../../../core/connector.ts'
import { findingStates, happenings } from './finding.ts'
import { type Evidence, type Rule, severities } from './rule.ts'
import type { FindingView } from './view.ts'

// What the actions of findings take and answer.

export type NameOf = (connection: string) => Promise<string | undefined>

export const FindingId = z
  .string()
  .regex(/^fnd_[0-9a-hjkmnp-tv-z]{24}$/, 'must be the id of a finding')
  .describe('Id of the finding (fnd_…).')

/** Shown to people and kept: one line or several, without control characters. */
export const Reason = z
  .string()
  .trim()
  .min(3)
  .max(1_000)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must be plain text on one line')

export const EvidenceField = z.object({
  subject: z.enum([...subjects, 'atlas']).describe('What the system that says it is the witness of.'),
  connection: z.string().nullable().describe('Id of the connection that says it.'),
  connectionName: z.string().nullable(),
  asset: z.string().nullable().describe('Id of the asset that says it; null: that system does not have it.'),
  name: z.string().nullable().describe('What that system calls it.'),
  says: z.string(),
  at: z.string().nullable().describe('When it was last read before this was written.'),
  url: z.string().nullable().describe('The page in the system itself.'),
})

export const FindingField = z.object({
  id: z.string(),
  rule: z.string(),
  title: z.string(),
  severity: z.enum(severities),
  state: z.enum(findingStates),
  name: z.string().describe('Name of what it is about.'),
  site: z.string().nullable(),
  machine: z.string().nullable().describe('Id of the machine that it is about, when it is about one.'),
  asset: z.string().nullable().describe('Id of the asset that it is about, when it is about one that is no machine.'),
  connection: z.string().nullable().describe('Id of the connection that it is about, or whose asset it is about.'),
  evidence: z.array(EvidenceField).describe('Which system says what.'),
  firstOpenedAt: z.string(),
  openedAt: z.string().describe('When it was opened this time.'),
  timesOpened: z.int(),
  lastSeenAt: z.string().describe('When it was last found.'),
  isResting: z.boolean().describe('A system that must be asked is missing, so it neither goes on nor ends.'),
  resolvedAt: z.string().nullable(),
  resolution: z.array(EvidenceField).nullable().describe('What the systems said when it was resolved.'),
  acknowledgement: z
    .object({ by: z.string(), reason: z.string(), at: z.string(), until: z.string() })
    .nullable()
    .describe('Who accepts it, why, and until when.'),
})

export const HappeningField = z.object({
  what: z.enum(happenings),
  at: z.string(),
  by: z.string().nullable().describe('Id of who did it; null: an evaluation.'),
  reason: z.string().nullable(),
  until: z.string().nullable(),
  evidence: z.array(EvidenceField),
})

export async function namedFinding(view: FindingView, rule: Rule | undefined, nameOf: NameOf) {
  const { evidence, resolution } = view
  return {
    ...view,
    title: rule?.title ?? view.rule,
    evidence: await named(evidence, nameOf),
    resolution: resolution && (await named(resolution, nameOf)),
  }
}

export function named(evidence: readonly Evidence[], nameOf: NameOf): Promise<z.input<typeof EvidenceField>[]> {
  return Promise.all(
    evidence.map(async (one) => ({
      ...one,
      connectionName: one.connection === null ? null : ((await nameOf(one.connection)) ?? null),
    })),
  )
}

/** Each name is asked for once an answer. */
export function remembered(nameOf: NameOf): NameOf {
  const names = new Map<string, Promise<string | undefined>>()
  return (connection) => {
    const name = names.get(connection) ?? nameOf(connection)
    names.set(connection, name)
    return name
  }
}
