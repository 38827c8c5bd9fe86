import type { ConnectionContext, Http } from '../../core/connector.ts'
import { type Service, serviceOf } from './service.ts'
import { el, read, refEl } from './soap.ts'
import { currentSession } from './watch.ts'

/** Privileges that reading does not need, in words. */
const excess = {
  'Authorization.ModifyPermissions': 'give permissions',
  'VirtualMachine.Inventory.Delete': 'delete virtual machines',
  'VirtualMachine.Interact.PowerOff': 'switch virtual machines off',
  'VirtualMachine.State.CreateSnapshot': 'make snapshots',
  'VirtualMachine.State.RemoveSnapshot': 'remove snapshots',
} as const

/** Who the account is, the version, and rights at the root of the inventory that reading does not need. */
export async function check({ http }: ConnectionContext) {
  const service = await serviceOf(http)
  const { key, user } = await currentSession(http, service)
  const held = await privilegesOf(http, service, key)
  const isAdmin = held.includes('Authorization.ModifyPermissions')
  const words = held.map((privilege) => excess[privilege])
  return {
    version: service.version,
    ...(user !== undefined && { account: user.slice(0, 200) }),
    warnings: [
      ...(isOld(service.apiVersion) ? ['This vSphere is older than 6.5, with which Atlas was never tried.'] : []),
      ...(service.isVirtualCenter ? [] : ['This is one ESXi host, not a vCenter. Atlas was never tried with one.']),
      ...(isAdmin ? ['The account is an administrator. Use one with the role Read-only.'] : []),
      ...(words.length > 0 ? [`On the whole inventory the account may ${words.join(', ')}.`] : []),
    ],
  }
}

async function privilegesOf(http: Http, { authorizationManager, rootFolder }: Service, session: string) {
  const names = Object.keys(excess) as (keyof typeof excess)[]
  if (!authorizationManager) return []
  const args = [refEl('entity', rootFolder), el('sessionId', session), ...names.map((name) => el('privId', name))]
  const answers = await read(http, { method: 'HasPrivilegeOnEntity', self: authorizationManager, args })
  return names.filter((_, i) => answers[i]?.text === 'true')
}

function isOld(apiVersion: string): boolean {
  const [major = 0, minor = 0] = apiVersion.split('.').map(Number)
  return major < 6 || (major === 6 && minor < 5)
}
