import type { ConnectionContext, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { Me, Version } from './schema.ts'
import { type Config, canSearch } from './tickets.ts'

/** Asks who the token is, and whether tickets can be searched. */
export async function check({ http, config }: ConnectionContext<Config>) {
  const me = await http.get('/api/v1/users/me', Me, { expand: true })
  const searchable = await canSearch(http)
  return {
    version: await versionOf(http),
    ...(me.login && { account: me.login }),
    warnings: [
      ...(me.roles?.some((role) => /^admin$/i.test(role))
        ? ['The account is an administrator. Use an agent who may only read the groups.']
        : []),
      ...(searchable ? [] : ["Zammad's search does not find tickets by their fields; syncs need its Elasticsearch."]),
      ...(config.timeUnit === 'unknown'
        ? ['The setting timeUnit is not set: booked time is shown in units, not as a duration.']
        : []),
    ],
  }
}

/** Only administrators may ask for the version. */
async function versionOf(http: Http): Promise<string> {
  try {
    return (await http.get('/api/v1/version', Version)).version
  } catch (error) {
    if (error instanceof Problem && ['upstream-denied', 'not-found'].includes(error.type)) return 'unknown'
    throw error
  }
}
