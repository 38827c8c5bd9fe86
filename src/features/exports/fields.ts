import { z } from 'zod'
import { formatNames } from './formats.ts'
import { Publish } from './publish.ts'

// What the actions of exports take and answer.

const id = (kind: string, of: string) =>
  z
    .string()
    .regex(new RegExp(`^${kind}_[0-9a-hjkmnp-tv-z]{24}$`), `must be the id of ${of}`)
    .describe(`Id of ${of} (${kind}_…).`)
export const ExportId = id('exp', 'an export')
export const PlanId = id('pln', 'a plan')

/** Shown to people and used for the file: one line without control characters. */
export const Name = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must be plain text on one line')
  .describe('What to call it; the file is called so too.')

export const Principals = z
  .array(z.string().min(1).max(64))
  .max(50)
  .describe('Ids of the people and agents who may read it beside its owner (usr_…, agt_…).')

export const orderFields = {
  dataset: z.string().min(1).max(64).describe('What to export: a name of exports.datasets.list.'),
  params: z
    .record(z.string().max(64), z.unknown())
    .default({})
    .describe('Filters of the dataset, as exports.datasets.list describes them.'),
  format: z
    .enum(formatNames)
    .default('xlsx')
    .describe('xlsx: workbook; csv: one table; jsonl: one JSON object a line.'),
  profile: z
    .enum(['full', 'sanitised'])
    .default('full')
    .describe('sanitised: for people outside; pseudonyms for names, addresses and serials, no free text and no links.'),
  keepDays: z.coerce.number().int().min(1).max(90).default(7).describe('How long the file is kept (1–90 days).'),
}

const ProblemField = z.object({ type: z.string(), detail: z.string() })
const Owner = z.object({ id: z.string(), name: z.string() })
const Params = z.record(z.string(), z.unknown())

export const ExportField = z.object({
  id: z.string(),
  name: z.string(),
  file: z.string().describe('What the file is called when it is downloaded.'),
  owner: Owner,
  plan: z.string().nullable().describe('Id of the plan that made it.'),
  dataset: z.string(),
  params: Params,
  format: z.enum(formatNames),
  profile: z.enum(['full', 'sanitised']),
  state: z.enum(['running', 'ready', 'failed', 'expired']),
  rows: z.int().describe('Rows so far.'),
  bytes: z.int().nullable(),
  sha256: z.string().nullable().describe('Of the file, in hex.'),
  problem: ProblemField.nullable().describe('Why it failed.'),
  createdAt: z.string(),
  readyAt: z.string().nullable(),
  expiresAt: z.string(),
  sharedWith: z.array(z.string()).describe('Ids of who may read it beside its owner; only its owner sees them all.'),
})

export const DownloadField = z.object({
  by: Owner,
  at: z.string(),
  door: z.string(),
  from: z.string().nullable().describe('Network address.'),
})

export const PlanField = z.object({
  id: z.string(),
  name: z.string(),
  owner: Owner,
  dataset: z.string(),
  params: Params,
  format: z.enum(formatNames),
  profile: z.enum(['full', 'sanitised']),
  keepDays: z.int(),
  sharedWith: z.array(z.string()),
  schedule: z.string(),
  publish: Publish.nullable(),
  createdAt: z.string(),
  lastRunAt: z.string().nullable(),
  lastExport: z.string().nullable().describe('Id of what the last run made.'),
  nextRunAt: z.string().nullable(),
  problem: ProblemField.nullable().describe('Why the last run could not be started.'),
  publication: z
    .object({
      state: z.enum(['done', 'pending', 'failed']).describe('pending: it waits for a person’s yes.'),
      export: z.string(),
      at: z.string(),
      approval: z.string().optional().describe('Id of the approval that it waits for.'),
      problem: ProblemField.optional(),
    })
    .nullable()
    .describe('How publishing the last file went.'),
})
