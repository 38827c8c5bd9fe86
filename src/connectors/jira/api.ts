import type { Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { type Issue, issueFields, Myself, OffsetPage, Project, TokenPage } from './schema.ts'
import { apiOf, type Config, projectsOf } from './settings.ts'

export type Jira = { readonly http: Http; readonly config: Config }

export type Hits = {
  readonly issues: readonly Issue[]
  readonly next: string | undefined
  readonly total: number | undefined
}

/**
 * One page of a search. POST, because a query can be longer than an address may be; it changes nothing. Cloud continues from a
 * token that fits only the same query, Data Center from an offset.
 */
export async function searchIssues(
  { http, config }: Jira,
  { jql, limit, cursor }: { readonly jql: string; readonly limit: number; readonly cursor?: string | undefined },
): Promise<Hits> {
  const common = { jql, maxResults: limit, fields: issueFields }
  const ask = { method: 'POST', safe: true } as const
  if (config.deployment === 'cloud') {
    const body = { ...common, ...(cursor !== undefined && { nextPageToken: cursor }) }
    const reply = await http.exchange({ ...ask, path: `${apiOf(config)}/search/jql`, body }, TokenPage)
    refuseAnonymous(reply.headers)
    const { issues, nextPageToken, isLast } = reply.body
    const next = isLast === true ? undefined : (nextPageToken ?? undefined)
    if (next !== undefined && next === cursor)
      throw new Problem('upstream-invalid', 'Jira sent a list whose next page is the same again')
    return { issues, next, total: undefined }
  }
  const startAt = Number(cursor ?? 0)
  const reply = await http.exchange(
    { ...ask, path: `${apiOf(config)}/search`, body: { ...common, startAt } },
    OffsetPage,
  )
  refuseAnonymous(reply.headers)
  const { issues, total } = reply.body
  const end = startAt + issues.length
  return { issues, total, next: issues.length > 0 && end < total ? String(end) : undefined }
}

/** Who the credential is, in which time zone it writes dates, and the server's time. */
export async function whoAmI({ http, config }: Jira) {
  const { body, headers } = await http.read(`${apiOf(config)}/myself`, Myself)
  refuseAnonymous(headers)
  const at = new Date(headers['date'] ?? Number.NaN)
  return { account: body, at: Number.isNaN(at.getTime()) ? new Date() : at }
}

/** Jira can take a wrong credential for none, and then answers 200 with what everyone may see: often nothing. */
function refuseAnonymous(headers: Readonly<Record<string, string>>): void {
  if (/AUTHENTICATED_FAILED|AUTHENTICATION_DENIED|AUTHORISATION_FAILED/i.test(headers['x-seraph-loginreason'] ?? ''))
    throw new Problem(
      'upstream-denied',
      'Jira answered as to an anonymous visitor: the credential is wrong, expired, or of the other product',
    )
}

/** Those of the chosen projects that the account does not see. */
export async function unseenProjects({ http, config }: Jira): Promise<readonly string[]> {
  const seen = await Promise.all(
    projectsOf(config).map((key) => isProjectSeen(http, `${apiOf(config)}/project/${key}`)),
  )
  return projectsOf(config).filter((_, i) => !seen[i])
}

async function isProjectSeen(http: Http, path: string): Promise<boolean> {
  try {
    await http.get(path, Project)
    return true
  } catch (error) {
    if (error instanceof Problem && error.type === 'not-found') return false
    throw error
  }
}

/** Issues of the chosen projects, without a security level: what everyone who uses the connection may see. */
export function isOpenToAll({ config }: Pick<Jira, 'config'>, { fields }: Pick<Issue, 'fields'>): boolean {
  return (fields.security ?? null) === null && projectsOf(config).includes(fields.project.key)
}

/** A JQL text literal. */
export function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

export function inProjects(keys: readonly string[]): string {
  return `project in (${keys.map(quoted).join(', ')})`
}
