import type { ConnectionContext } from '../../core/connector.ts'
import type { Config } from './observe.ts'
import { Me, Version } from './schema.ts'

/** Asks for the version, and who the token is. */
export async function check({ http }: ConnectionContext<Config>) {
  const { version } = await http.get('/api/version', Version)
  const me = await http.get('/api/users/me', Me)
  const major = Number.parseInt(version, 10)
  const isAdmin = me.roles?.some((role) => role === 'ROLE_ADMIN' || role === 'ROLE_SUPER_ADMIN')
  return {
    version,
    ...(me.username && { account: me.username }),
    warnings: [
      ...(major < 2 ? [`Kimai ${major} is older than 2: it has no API tokens of this kind and was never tried.`] : []),
      ...(isAdmin ? ['The account is an administrator. Use one with a role that may only view.'] : []),
    ],
  }
}
