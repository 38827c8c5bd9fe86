import type { ConnectionContext, Http } from '../../core/connector.ts'
import { listHosts, mayReadAudits } from './pages.ts'
import { CurrentUser, HostDetail, Status } from './schema.ts'

/** Asks who the account is, and warns of an old Foreman, of more rights than reading needs and of a missing one. */
export async function check({ http }: ConnectionContext) {
  const { version } = await http.get('/api/status', Status)
  const user = await http.get('/api/current_user', CurrentUser)
  return {
    version,
    account: user.login,
    warnings: [
      ...versionWarnings(version),
      ...(user.admin
        ? ['The account is an administrator. Use one whose role may only view.']
        : rightsWarnings(await hostRights(http))),
      ...((await mayReadAudits(http))
        ? []
        : ['The account may not view audits (view_audit_logs): every sync reads all hosts.']),
    ],
  }
}

function versionWarnings(version: string): string[] {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < 2 || (major === 2 && minor < 4)
    ? [`Foreman ${major}.${minor} is older than 2.4: its hosts cannot be searched by id, so they cannot be read.`]
    : []
}

/** What the account may do, as Foreman says it of the first host. */
async function hostRights(http: Http): Promise<readonly string[]> {
  const [first] = (await listHosts(http, { after: 0, limit: 1 })).results
  if (!first) return []
  const { permissions } = await http.get(`/api/hosts/${first.id}`, HostDetail)
  return Object.entries(permissions ?? {}).flatMap(([name, has]) => (has && /^[a-z_]{1,60}$/.test(name) ? [name] : []))
}

function rightsWarnings(rights: readonly string[]): string[] {
  const excess = rights.filter((name) => !name.startsWith('view_')).sort()
  return excess.length > 0 ? [`The account may do more with hosts than view: ${excess.slice(0, 8).join(', ')}.`] : []
}
