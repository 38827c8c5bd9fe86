import { createHash } from 'node:crypto'
import { json, type Reply, type SimRequest } from '../lib/server.ts'
import { type Account, canSee } from './accounts.ts'
import { type Jql, local, parseJql } from './jql.ts'
import { type Person, projects, type SimComment, type SimIssue, statuses } from './rows.ts'
import type { Store } from './store.ts'

export type ApiParts = {
  readonly store: Store
  readonly isCloud: boolean
  readonly timeZone: string
  readonly origin: () => string
}

export const jiraError = (status: number, message: string, headers: Readonly<Record<string, string>> = {}): Reply =>
  json(status, { errorMessages: [message], errors: {} }, headers)
const missing = jiraError(404, 'Issue does not exist or you do not have permission to see it.')

/** Cloud v3 or Data Center v2. `account` undefined: an anonymous visitor, who sees nothing and is answered 200. */
export function makeApi(parts: ApiParts) {
  const { store, isCloud, timeZone } = parts
  const api = isCloud ? '/rest/api/3' : '/rest/api/2'

  function search(account: Account | undefined, given: Record<string, unknown>): Reply {
    const jql = parseJql(String(given['jql'] ?? ''), timeZone)
    if (!jql) return jiraError(400, `Error in the JQL Query: ${given['jql']}`)
    if (isCloud && !jql.isBounded)
      return jiraError(
        400,
        'Unbounded JQL queries are not allowed here. Please add a search restriction to your query.',
      )
    const unknown = jql.projects?.find((key) => !projects.some((one) => one.key === key))
    if (unknown) return jiraError(400, `The value '${unknown}' does not exist for the field 'project'.`)
    const all = account ? hits(account, jql) : []
    const limit = Math.min(Number(given['maxResults'] ?? 50), 100)
    const query = createHash('sha256').update(String(given['jql'])).digest('hex').slice(0, 12)
    const start = isCloud ? startOf(given['nextPageToken'], query) : Number(given['startAt'] ?? 0)
    if (start === undefined) return jiraError(400, 'The provided next page token is invalid or expired.')
    const issues = all
      .slice(start, start + limit)
      .map((issue) => issueJson(issue, (given['fields'] as string[] | undefined) ?? []))
    if (!isCloud)
      return { ...json(200, { startAt: start, maxResults: limit, total: all.length, issues }), items: issues.length }
    const isLast = start + limit >= all.length
    const token = Buffer.from(JSON.stringify([start + limit, query])).toString('base64url')
    return { ...json(200, { issues, isLast, ...(!isLast && { nextPageToken: token }) }), items: issues.length }
  }

  function hits(account: Account, jql: Jql): SimIssue[] {
    const chosen = jql.projects ?? projects.map(({ key }) => key)
    const found = chosen
      .flatMap((project) => store.ids(project))
      .flatMap((id) => {
        const seen = store.indexed(id)
        const isHit = seen && chosen.includes(seen.project) && jql.matches(seen)
        return isHit && canSee(account, seen) ? [seen] : []
      })
    const { field, isDescending } = jql.order
    const sign = isDescending ? -1 : 1
    return found.sort((a, b) => sign * (a[field].getTime() - b[field].getTime() || a.id - b.id))
  }

  function issueJson(issue: SimIssue, fields: readonly string[]): Record<string, unknown> {
    const all = fieldsJson(issue)
    const chosen = Object.fromEntries(fields.filter((name) => name in all).map((name) => [name, all[name]]))
    const self = `${parts.origin()}${api}/issue/${issue.id}`
    // Nothing but ids unless fields are asked for.
    return { id: String(issue.id), key: issue.key, self, ...(fields.length > 0 && { fields: chosen }) }
  }

  function fieldsJson(issue: SimIssue): Record<string, unknown> {
    const project = projects.find(({ key }) => key === issue.project)
    const { status, level, parent } = issue
    return {
      summary: issue.summary,
      status: { id: '3', name: status, statusCategory: { id: 4, key: statuses[status], name: status } },
      priority: { id: '2', name: issue.priority },
      assignee: issue.assignee ? personJson(issue.assignee) : null,
      reporter: personJson(issue.reporter),
      project: { id: String(project?.id), key: issue.project, name: project?.name },
      issuetype: { id: '10001', name: issue.type, subtask: false },
      created: stamp(issue.createdAt),
      updated: stamp(issue.updatedAt),
      resolutiondate: status === 'Done' ? stamp(issue.updatedAt) : null,
      duedate: null,
      labels: issue.labels,
      security: level === undefined ? null : { id: '10100', name: level },
      ...(parent && { parent: { id: String(parent.id), key: parent.key } }),
      description: rich(issue.description),
      comment: {
        comments: store.comments(issue.id).map(commentJson),
        total: store.comments(issue.id).length,
        startAt: 0,
      },
    }
  }

  const commentJson = ({ id, author, createdAt, body, visibility }: SimComment) => ({
    id: String(id),
    author: personJson(author),
    body,
    created: stamp(createdAt),
    ...(visibility !== undefined && { visibility: { type: 'role', value: visibility } }),
  })
  const personJson = ({ id, name }: Person) =>
    isCloud
      ? { accountId: id, displayName: name, active: true }
      : { key: id, name: name.toLowerCase().replace(' ', '.'), displayName: name }
  const rich = (text: string) =>
    isCloud
      ? {
          type: 'doc',
          version: 1,
          content: text.split('\n').map((line) => ({ type: 'paragraph', content: [{ type: 'text', text: line }] })),
        }
      : text

  /** With the offset of the account's zone, and without a colon in it. */
  function stamp(at: Date): string {
    const wall = local(at, timeZone)
    const minutes = Math.round(
      (Date.parse(`${wall.replace(' ', 'T')}:00Z`) - Math.floor(at.getTime() / 60_000) * 60_000) / 60_000,
    )
    const sign = minutes < 0 ? '-' : '+'
    const [hour, minute] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((n) =>
      String(n).padStart(2, '0'),
    )
    return `${wall.replace(' ', 'T')}${at.toISOString().slice(16, 23)}${sign}${hour}${minute}`
  }

  function comment(account: Account, issue: SimIssue, given: Record<string, unknown>): Reply {
    if (!account.canComment) return jiraError(403, 'You do not have the permission to comment on this issue.')
    const { body } = given
    const isGood = isCloud ? (body as { type?: string } | null)?.type === 'doc' : typeof body === 'string'
    if (!isGood) return json(400, { errorMessages: [], errors: { comment: 'Comment body is not valid!' } })
    return json(201, commentJson(store.comment(issue.id, account.person, body)))
  }

  return function handle(account: Account | undefined, request: SimRequest, path: string): Reply | undefined {
    if (isCloud && /^\/rest\/api\/[23]\/search$/.test(path))
      return jiraError(410, 'The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.')
    if (!path.startsWith(`${api}/`)) return undefined
    const { method, query } = request
    const place = path.slice(api.length)
    if (place === '/serverInfo')
      return json(200, {
        version: isCloud ? '1001.0.0-SNAPSHOT' : '9.12.2',
        deploymentType: isCloud ? 'Cloud' : 'Server',
      })
    if (place === (isCloud ? '/search/jql' : '/search'))
      return search(
        account,
        method === 'POST'
          ? (JSON.parse(request.body) as Record<string, unknown>)
          : { ...Object.fromEntries(query), fields: query.get('fields')?.split(',') },
      )
    if (!account)
      return place === '/myself' ? jiraError(401, 'Client must be authenticated to access this resource.') : missing
    if (place === '/myself')
      return json(200, { ...personJson(account.person), emailAddress: account.email, active: true, timeZone })
    if (place === '/mypermissions') {
      const names = (query.get('permissions') ?? '').split(',')
      return json(200, {
        permissions: Object.fromEntries(names.map((name) => [name, { key: name, havePermission: account.isAdmin }])),
      })
    }
    const project = projects.find(({ key }) => `/project/${key}` === place)
    if (project)
      return project.key === 'HRX' && !account.isAdmin
        ? jiraError(404, `No project could be found with key 'HRX'.`)
        : json(200, { id: String(project.id), key: project.key, name: project.name })
    const [, idOrKey = '', tail = ''] = /^\/issue\/([\w-]+)(\/comment)?$/.exec(place) ?? []
    const issue = store.find(idOrKey)
    if (!issue || !canSee(account, issue)) return missing
    if (tail !== '' && method === 'POST')
      return comment(account, issue, JSON.parse(request.body) as Record<string, unknown>)
    return tail === ''
      ? json(200, issueJson(issue, query.get('fields')?.split(',') ?? Object.keys(fieldsJson(issue))))
      : undefined
  }
}

/** A token belongs to the query that it was made with. */
function startOf(token: unknown, query: string): number | undefined {
  if (token === undefined) return 0
  try {
    const [start, made] = JSON.parse(Buffer.from(String(token), 'base64url').toString()) as [number, string]
    return made === query ? start : undefined
  } catch {
    return undefined
  }
}
