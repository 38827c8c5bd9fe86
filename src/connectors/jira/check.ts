import type { ConnectionContext } from '../../core/connector.ts'
import { unseenProjects, whoAmI } from './api.ts'
import { Permissions, ServerInfo } from './schema.ts'
import { apiOf, type Config } from './settings.ts'

/** Asks who the account is, and warns of more rights than reading needs, of unseen projects, and of the wrong product. */
export async function check(context: ConnectionContext<Config>) {
  const { http, config } = context
  const { account } = await whoAmI(context)
  const api = apiOf(config)
  const server = await http.get(`${api}/serverInfo`, ServerInfo)
  const { permissions } = await http.get(`${api}/mypermissions`, Permissions, {
    permissions: 'ADMINISTER,SYSTEM_ADMIN',
  })
  const isAdmin = ['ADMINISTER', 'SYSTEM_ADMIN'].some((name) => permissions[name]?.havePermission)
  const isCloud = server.deploymentType?.toLowerCase() === 'cloud'
  const isOther = server.deploymentType != null && isCloud !== (config.deployment === 'cloud')
  const unseen = await unseenProjects(context)
  return {
    version: server.version,
    ...(account.displayName && { account: account.displayName.slice(0, 200) }),
    warnings: [
      ...(isOther ? [`This is Jira ${isCloud ? 'Cloud' : 'Data Center'}: set the deployment to that.`] : []),
      ...(isAdmin ? ['The account administers Jira. Use an account that may only browse the chosen projects.'] : []),
      ...unseen.map((key) => `The account does not see the project ${key}: a sync would fail.`),
    ],
  }
}
