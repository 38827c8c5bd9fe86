import { z } from 'zod'

// Only the fields we use. What identifies an issue, places it, or says who may read it is strict; what only describes it may be
// missing or of another type, and is then left out.

const text = z.string().nullish().catch(null)
const Named = z.object({ name: z.string() }).nullish().catch(null)
const Person = z.object({ displayName: text }).nullish().catch(null)

export const Id = z.coerce.string().regex(/^\d{1,19}$/)

/** The fields that are asked for; Cloud answers nothing but ids unless told. */
export const issueFields = [
  'summary',
  'status',
  'priority',
  'assignee',
  'reporter',
  'project',
  'issuetype',
  'created',
  'updated',
  'resolutiondate',
  'duedate',
  'labels',
  'parent',
  'security',
] as const

const fields = {
  summary: text,
  status: z
    .object({ name: z.string(), statusCategory: z.object({ key: text }).nullish().catch(null) })
    .nullish()
    .catch(null),
  priority: Named,
  assignee: Person,
  reporter: Person,
  project: z.object({ key: z.string() }),
  issuetype: Named,
  created: text,
  updated: text,
  resolutiondate: text,
  duedate: text,
  labels: z.array(z.string()).nullish().catch(null),
  parent: z.object({ id: Id }).nullish().catch(null),
  /** The security level: present on issues that only some people may see. */
  security: z.unknown().optional(),
}

export const IssueKey = z.string().regex(/^[A-Z][A-Z0-9_]{0,254}-\d{1,12}$/)
export const Issue = z.object({ id: Id, key: IssueKey, fields: z.object(fields) })
export type Issue = z.output<typeof Issue>

const Comment = z.object({
  author: Person,
  created: text,
  body: z.unknown().optional(),
  visibility: z.unknown().optional(),
})

/** One issue with its words. */
export const WholeIssue = Issue.extend({
  fields: z.object({
    ...fields,
    description: z.unknown().optional(),
    comment: z
      .object({ comments: z.array(Comment) })
      .nullish()
      .catch(null),
  }),
})

/** `/rest/api/3/search/jql`: no total, no offset. */
export const TokenPage = z.object({
  issues: z.array(Issue),
  nextPageToken: text,
  isLast: z.boolean().nullish().catch(null),
})

/** `/rest/api/2/search`. */
export const OffsetPage = z.object({ issues: z.array(Issue), startAt: z.int(), total: z.int() })

/** An account has an `accountId` on Cloud and a `name` on Data Center. */
export const Myself = z
  .object({ accountId: text, name: text, displayName: text, timeZone: text })
  .refine(({ accountId, name }) => Boolean(accountId ?? name), 'is nobody')

export const ServerInfo = z.object({ version: z.string().max(60), deploymentType: text })

export const Permissions = z.object({
  permissions: z.record(z.string(), z.object({ havePermission: z.boolean().nullish().catch(null) })),
})

export const Project = z.object({ key: z.string() })

export const AddedComment = z.object({ id: Id })
