import { z } from 'zod'
import type { ConnectionContext, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { call, isAtLeast, versionOf } from './rpc.ts'
import { Account, Count, Role } from './schema.ts'

type Who = z.output<typeof Account>

/** Asks which version it is, who we are and what our role allows, and warns of more than reading needs. */
export async function check({ http }: ConnectionContext) {
  const version = await versionOf(http)
  const account = await call(http, 'user.checkAuthentication', {}, Account)
  const groups = await call(http, 'hostgroup.get', { countOutput: true }, Count)
  return {
    version,
    account: account.username,
    warnings: [
      ...versionWarnings(version),
      ...typeWarnings(account),
      ...(account.type === 3 ? [] : roleWarnings(await methodsOf(http, account))),
      ...(groups === 0 ? ['The account sees no host group: nothing can be read.'] : []),
    ],
  }
}

type Methods = { readonly isAllowList: boolean; readonly names: readonly string[] }

/** What the role says of API methods; undefined when the account may not look at its role. */
async function methodsOf(http: Http, { roleid }: Who): Promise<Methods | undefined> {
  const params = { roleids: [roleid], output: ['roleid'], selectRules: ['api.mode', 'api'] }
  try {
    const [role] = await call(http, 'role.get', params, z.array(Role))
    return role && { isAllowList: role.rules['api.mode'], names: role.rules.api }
  } catch (error) {
    if (error instanceof Problem && error.type === 'upstream-denied') return undefined
    throw error
  }
}

function versionWarnings(version: string): string[] {
  if (!isAtLeast(version, 6, 0)) return [`Zabbix ${version} is older than 6.0 and is not supported.`]
  return isAtLeast(version, 7, 5) ? [`Zabbix ${version} is newer than what this connector was written for (7.4).`] : []
}

function typeWarnings({ type }: Who): string[] {
  if (type === 3) return ['The account is a super admin. Use an account of type User whose role may only read.']
  return type === 2 ? ['The account is of type Admin: it may change hosts where its user group may write.'] : []
}

/** An allow list that is empty allows everything: Zabbix looks at the list only when there is one. */
function roleWarnings(methods: Methods | undefined): string[] {
  if (!methods)
    return [
      'Whether the account may write cannot be told: its role does not allow role.get. Look at the role in Zabbix.',
    ]
  const { isAllowList, names } = methods
  if (!isAllowList || names.length === 0)
    return ['The role has no allow list of API methods: the account may also call methods that write.']
  const writing = names.filter((name) => !/\.get$|^apiinfo\.|^user\.(?:login|logout|checkAuthentication)$/i.test(name))
  return writing.length === 0 ? [] : [`The role allows API methods that write: ${shown(writing)}.`]
}

function shown(names: readonly string[]): string {
  const plain = names.filter((name) => /^[\w*]{1,40}\.[\w*]{1,40}$/.test(name)).sort()
  return plain.length > 8 ? `${plain.slice(0, 8).join(', ')} and ${plain.length - 8} more` : plain.join(', ')
}
