import { z } from 'zod'
import type { MachineRow } from './store-read.ts'

// What the actions answer.

const value = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])

export const MachineId = z.string().min(1).max(64)

export const MachineLine = z.object({
  id: z.string(),
  name: z.string(),
  form: z.enum(['physical', 'virtual']).nullable(),
  site: z.string().nullable(),
  assets: z.int().describe('How many systems’ entries it is made of, without those that are gone.'),
  conflicts: z.array(z.string()).describe('Kinds of contradictions: serial, uuid, form, taken, ambiguous, clone.'),
  changedAt: z.string(),
})

export function lineOf({ id, name, form, site, live, conflicts, changed_at }: MachineRow): z.input<typeof MachineLine> {
  return {
    id,
    name,
    form: form || null,
    site: site || null,
    assets: live,
    conflicts: JSON.parse(conflicts) as string[],
    changedAt: changed_at,
  }
}

export const Source = z.object({
  connection: z.string().describe('Id of the connection that reports it.'),
  name: z.string().nullable().describe('Name of that connection.'),
  connector: z.string(),
})

export const Member = z.object({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  externalId: z.string(),
  status: z.string().nullable(),
  site: z.string().nullable(),
  serial: z.string().nullable(),
  addresses: z.array(z.string()),
  form: z.enum(['physical', 'virtual']).nullable(),
  source: Source,
  subjects: z.array(z.string()).describe('What the system is the witness of.'),
  url: z.string().nullable().describe('The page in the system itself.'),
  attributes: z.record(z.string(), value),
  facts: z.record(z.string(), value),
  lastSeenAt: z.string(),
  staleAt: z.string().nullable().describe('Since when the system does not have it any more.'),
})

export const LinkShape = z.object({
  assets: z.array(z.string()),
  strength: z.enum(['strong', 'weak']),
  reasons: z.array(z.string()),
})

export const ConflictShape = z.object({ kind: z.string(), detail: z.string(), assets: z.array(z.string()) })

export const PossibleShape = z.object({
  machine: z.string(),
  name: z.string(),
  reasons: z.array(z.string()).describe('What it has in common: too little to be joined without a person.'),
})

export const NeighbourShape = z.object({
  relation: z.string(),
  direction: z.enum(['out', 'in']),
  kind: z.string(),
  name: z.string(),
  asset: z.string(),
  machine: z.string().nullable(),
})

export const ProblemShape = z.object({
  asset: z.string(),
  name: z.string(),
  severity: z.number().nullable().describe('0 (unknown) to 5 (disaster).'),
  openedAt: z.string().nullable(),
  url: z.string().nullable(),
})

export const MentionShape = z.object({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  status: z.string().nullable(),
  url: z.string().nullable(),
})

export const EventShape = z.object({
  at: z.string(),
  what: z.enum(['seen', 'changed', 'gone', 'returned']),
  asset: z.string(),
  fields: z.record(z.string(), z.array(z.unknown())).describe('Field: before, after.'),
})

export const DecisionShape = z.object({
  id: z.string(),
  verb: z.enum(['join', 'split']),
  note: z.string(),
  by: z.object({ id: z.string(), name: z.string() }),
  at: z.string(),
  withdrawnAt: z.string().nullable(),
  parts: z
    .array(
      z.array(
        z.object({
          id: z.string(),
          name: z.string(),
          connection: z.string(),
          machine: z.string().nullable().describe('The machine that it belongs to now.'),
        }),
      ),
    )
    .describe('Groups of assets that were joined, or split from each other.'),
})

export const FindingShape = z.object({
  id: z.string(),
  rule: z.string(),
  severity: z.string(),
  title: z.string(),
  since: z.string(),
})
export type MachineFinding = z.output<typeof FindingShape>
