import type { z } from 'zod'
import type { ConnectionContext, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { findChangelog } from './changelog.ts'
import { CurrentUser, Page, Status, Token } from './schema.ts'

const soon = 14 * 86_400_000

type User = z.output<typeof CurrentUser>
type TokenFacts = z.output<typeof Token>

/** Asks who the token is, and warns of an old NetBox and of more rights than reading needs. */
export async function check({ http }: ConnectionContext) {
  const { body: status, headers } = await http.read('/api/status/', Status)
  const user = await http.get('/api/authentication-check/', CurrentUser)
  const tokens = await tokensOf(http, user)
  const changelog = await findChangelog(http)
  const serverTime = Date.parse(headers['date'] ?? '') || Date.now()
  return {
    version: status['netbox-version'],
    account: user.username,
    warnings: [
      ...versionWarnings(status['netbox-version']),
      ...rightsWarnings(user),
      ...tokenWarnings(tokens, serverTime),
      ...(changelog
        ? []
        : ['The account may not read the changelog (core.view_objectchange): every sync reads everything.']),
    ],
  }
}

/** The account's usable tokens, when it may see them. Which of them is ours cannot be told. */
async function tokensOf(http: Http, { id }: User): Promise<readonly TokenFacts[]> {
  try {
    const page = await http.get('/api/users/tokens/', Page(Token), { user_id: id, ordering: 'id', limit: 100 })
    return page.next === null ? page.results.filter((token) => token.enabled !== false) : []
  } catch (error) {
    // The usual case: reading tokens is a right of its own, which this account should not have.
    if (error instanceof Problem && ['upstream-denied', 'not-found'].includes(error.type)) return []
    throw error
  }
}

function versionWarnings(version: string): string[] {
  const major = Number.parseInt(version, 10)
  return major < 4
    ? [`NetBox ${major} is older than 4.0: it is read as far as it can be, but it is not supported.`]
    : []
}

function rightsWarnings({ is_superuser, permissions }: User): string[] {
  if (is_superuser) return ['The account is a superuser. Use an account that may only view.']
  const actions = new Set(permissions?.flatMap((permission) => permission.actions ?? []))
  actions.delete('view')
  return actions.size > 0
    ? [
        `The account may do more than view: ${[...actions]
          .filter((a) => /^\w{1,30}$/.test(a))
          .sort()
          .slice(0, 8)
          .join(', ')}.`,
      ]
    : []
}

/** Only what holds for every usable token of the account holds for ours. */
function tokenWarnings(tokens: readonly TokenFacts[], now: number): string[] {
  if (tokens.length === 0) return []
  const warnings: string[] = []
  if (tokens.every((token) => token.write_enabled)) {
    warnings.push('The token may write. Reading needs a token with "write enabled" off.')
  }
  const ends = tokens.map((token) => (token.expires ? Date.parse(token.expires) : Number.POSITIVE_INFINITY))
  const last = Math.max(...ends)
  if (last === Number.POSITIVE_INFINITY) {
    if (ends.every((end) => end === last))
      warnings.push('The token never expires. Give it an end and replace it in time.')
  } else if (last - now < soon) {
    warnings.push(`The token expires on ${new Date(last).toISOString().slice(0, 10)}.`)
  }
  return warnings
}
