import { z } from 'zod'
import type { ConnectionContext, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { CurrentUser } from './schema.ts'
import { type Config, spacesOf } from './settings.ts'
import { makeWiki } from './wiki.ts'

/** Who the credential is, and the server's time. A site open to everyone answers strangers too, so the answer is looked at. */
export async function whoAmI({ http }: { readonly http: Http }) {
  const { body, headers } = await http.read('/rest/api/user/current', CurrentUser, { expand: 'operations' })
  if (body.type !== 'known')
    throw new Problem(
      'upstream-denied',
      'Confluence answered as to an anonymous visitor: the credential is wrong, expired, or of the other product',
    )
  const at = new Date(headers['date'] ?? Number.NaN)
  return { user: body, at: Number.isNaN(at.getTime()) ? new Date() : at }
}

/** Asks who the account is, and warns of more rights than reading needs and of spaces that it does not see. */
export async function check(context: ConnectionContext<Config>) {
  const { user } = await whoAmI(context)
  const seen = await makeWiki(context).seenSpaces()
  const unseen = spacesOf(context.config).filter((key) => !seen.has(key))
  const isAdmin = user.operations?.some(
    ({ operation, targetType }) => operation === 'administer' && targetType === 'application',
  )
  return {
    version: context.config.deployment === 'cloud' ? 'Cloud' : await dataCenterVersion(context.http),
    ...(user.displayName && { account: user.displayName.slice(0, 200) }),
    warnings: [
      ...(isAdmin ? ['The account administers Confluence. Use an account that may only view the chosen spaces.'] : []),
      ...unseen.map((key) => `The account does not see the space ${key}: a sync would fail.`),
    ],
  }
}

const Manifest = z.object({
  children: z.array(z.object({ name: z.string(), text: z.string() })),
})

/** From the application link manifest, which not every site shows. */
async function dataCenterVersion(http: Http): Promise<string> {
  try {
    const path = '/rest/applinks/1.0/manifest'
    const { body } = await http.exchange({ method: 'GET', path, as: 'xml' }, Manifest)
    const version = body.children.find(({ name }) => name === 'version')?.text ?? ''
    return /^\d[\w.-]{0,30}$/.test(version) ? version : 'unknown'
  } catch (error) {
    if (error instanceof Problem && ['not-found', 'upstream-denied', 'upstream-invalid'].includes(error.type))
      return 'unknown'
    throw error
  }
}
