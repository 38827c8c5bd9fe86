import { z } from 'zod'
import { type ConnectionContext, connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { inProjects, isOpenToAll, quoted, searchIssues } from './api.ts'
import { isoTime, issueUrl, observeIssue } from './observe.ts'
import { AddedComment, type Issue, issueFields, WholeIssue } from './schema.ts'
import { apiOf, type Config, projectsOf } from './settings.ts'
import { plainText, toAdf, toWiki } from './text.ts'

const longestText = 100_000
const mostComments = 20

const Key = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{1,254}-[1-9]\d{0,11}$/)
  .describe("The issue's key, for example OPS-311.")
const Words = z.string().trim().min(1).max(200)
const Name = z
  .string()
  .trim()
  .regex(/^\P{Cc}{1,100}$/u)

const IssueSummary = z.object({
  id: z.string(),
  key: z.string(),
  name: z.string(),
  status: z.string().optional(),
  attributes: z.record(z.string(), z.union([z.string(), z.array(z.string()).readonly()])),
  url: z.string(),
})

const searchAction = connectionAction({
  name: 'jira.issues.search',
  title: 'Search issues in Jira',
  description:
    "Asks Jira itself, now, for issues of the connection's projects by words, project, status, type, label or dates; the last updated first. Issues with a security level are left out, so an answer can hold fewer than `limit`. An issue of the last seconds can be missing.",
  access: 'read',
  http: { method: 'GET', path: '/jira/issues' },
  input: {
    words: Words.optional().describe('Words in the summary, description or comments, for example a host name.'),
    project: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{1,254}$/)
      .optional()
      .describe("Key of one of the connection's projects, for example OPS."),
    status: Name.optional().describe('Status as Jira names it, for example In Progress.'),
    type: Name.optional().describe('Type of issue as Jira names it, for example Task.'),
    label: z
      .string()
      .regex(/^[^\s\p{Cc}]{1,255}$/u)
      .optional()
      .describe('A label of the issue.'),
    open: z.enum(['yes', 'no', 'all']).default('all').describe('Whether the issue is open, done, or either.'),
    updatedSince: z.iso.date().optional().describe('Updated on or after this day, for example 2026-11-20.'),
    createdSince: z.iso.date().optional().describe('Created on or after this day.'),
    limit: z.coerce.number().int().min(1).max(100).default(25).describe('How many at most (1 to 100).'),
    cursor: z
      .string()
      .regex(/^[\x21-\x7e]{1,2000}$/)
      .optional()
      .describe('`next` of the previous answer, with the same other fields.'),
  },
  output: z.object({ items: z.array(IssueSummary), next: z.string().nullable() }),
  async run(input, context) {
    const jira = context as ConnectionContext<Config>
    const { limit, cursor } = input
    if (cursor !== undefined && jira.config.deployment === 'datacenter' && !/^\d{1,9}$/.test(cursor))
      throw new Problem('invalid-input', 'The cursor is not one that this connection gave')
    const hits = await searchIssues(jira, { jql: jqlOf(jira.config, input), limit, cursor })
    const open = hits.issues.filter((issue) => isOpenToAll(jira, issue))
    return { items: open.map((issue) => summary(jira.config, issue)), next: hits.next ?? null }
  },
})

const getAction = connectionAction({
  name: 'jira.issue.get',
  title: 'Read an issue of Jira',
  description:
    "Reads one issue of the connection's projects with its description and its last 20 comments, as plain text. Issues with a security level are not found, and comments that only some people may see are left out.",
  access: 'read',
  http: { method: 'GET', path: '/jira/issues/{key}' },
  input: { key: Key },
  output: IssueSummary.extend({
    description: z.string().describe('At most 100,000 characters.'),
    comments: z.array(z.object({ author: z.string().optional(), createdAt: z.string().optional(), text: z.string() })),
  }),
  async run({ key }, context) {
    const jira = context as ConnectionContext<Config>
    const issue = await visibleIssue(jira, key, [...issueFields, 'description', 'comment'])
    const { description, comment } = issue.fields
    const shown = (comment?.comments ?? []).filter(({ visibility }) => (visibility ?? null) === null)
    return {
      ...summary(jira.config, issue),
      description: cut(plainText(description)),
      comments: shown.slice(-mostComments).map(({ author, created, body }) => {
        const createdAt = isoTime(created)
        return {
          text: cut(plainText(body)),
          ...(author?.displayName && { author: author.displayName }),
          ...(createdAt !== undefined && { createdAt }),
        }
      }),
    }
  },
})

const commentAction = connectionAction({
  name: 'jira.issue.comment',
  title: 'Comment on an issue in Jira',
  description:
    'Adds a comment to one issue, as plain text. Everyone who sees the issue sees it, in service projects customers too. Each call adds another comment.',
  access: 'write',
  http: { method: 'POST', path: '/jira/issues/{key}/comments' },
  input: { key: Key, text: z.string().trim().min(1).max(30_000).describe('The comment, as plain text.') },
  output: z.object({ id: z.string(), url: z.string() }),
  async run({ key, text }, context) {
    const jira = context as ConnectionContext<Config>
    const { http, config } = jira
    const issue = await visibleIssue(jira, key, ['project', 'security'])
    const body = config.deployment === 'cloud' ? toAdf(text.toWellFormed()) : toWiki(text.toWellFormed())
    const { id } = await http.send('POST', `${apiOf(config)}/issue/${issue.id}/comment`, AddedComment, { body })
    return { id, url: `${issueUrl(config.url, issue.key)}?focusedCommentId=${id}` }
  },
})

export const actions = [searchAction, getAction, commentAction] as const

/** An issue that everyone who uses the connection may see; any other is as if it were not there. */
async function visibleIssue(jira: ConnectionContext<Config>, key: string, fields: readonly string[]) {
  const missing = new Problem(
    'not-found',
    'No such issue in the projects of this connection, or only some people may see it',
  )
  if (!projectsOf(jira.config).includes(key.slice(0, key.lastIndexOf('-')))) throw missing
  // Jira follows an issue that was moved, so the answer's own project is what counts.
  const path = `${apiOf(jira.config)}/issue/${key}`
  const issue = await jira.http.get(path, WholeIssue, { fields: fields.join(',') })
  if (!isOpenToAll(jira, issue)) throw missing
  return issue
}

type Fields = {
  readonly words?: string | undefined
  readonly project?: string | undefined
  readonly status?: string | undefined
  readonly type?: string | undefined
  readonly label?: string | undefined
  readonly open: 'yes' | 'no' | 'all'
  readonly updatedSince?: string | undefined
  readonly createdSince?: string | undefined
}

function jqlOf(
  config: Config,
  { words, project, status, type, label, open, updatedSince, createdSince }: Fields,
): string {
  const chosen = projectsOf(config)
  if (project !== undefined && !chosen.includes(project))
    throw new Problem('not-found', 'The project is not one of the projects of this connection')
  const clauses = [
    inProjects(project === undefined ? chosen : [project]),
    ...(words === undefined ? [] : [`text ~ ${quoted(plainWords(words))}`]),
    ...(status === undefined ? [] : [`status = ${quoted(status)}`]),
    ...(type === undefined ? [] : [`issuetype = ${quoted(type)}`]),
    ...(label === undefined ? [] : [`labels = ${quoted(label)}`]),
    ...(open === 'all' ? [] : [`statusCategory ${open === 'yes' ? '!=' : '='} Done`]),
    ...(updatedSince === undefined ? [] : [`updated >= ${quoted(updatedSince)}`]),
    ...(createdSince === undefined ? [] : [`created >= ${quoted(createdSince)}`]),
  ]
  return `${clauses.join(' and ')} order by updated desc`
}

/** The search reads signs and the words AND, OR, NOT as commands; only words are let through. */
function plainWords(text: string): string {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_])?/gu)
  if (!words) throw new Problem('invalid-input', 'The search needs at least one word or number')
  return words.join(' ')
}

function summary({ url }: Config, issue: Issue): z.input<typeof IssueSummary> {
  const { externalId, name, status, attributes } = observeIssue(issue, url)
  return {
    id: externalId,
    key: issue.key,
    name,
    ...(status !== undefined && { status }),
    attributes: attributes as Record<string, string | readonly string[]>,
    url: issueUrl(url, issue.key),
  }
}

function cut(text: string): string {
  return text.slice(0, longestText).toWellFormed()
}
