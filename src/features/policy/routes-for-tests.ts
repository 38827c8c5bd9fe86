import { z } from 'zod'
import { type Access, type Action, defineAction, type Principal } from '../../core/action.ts'

/** Stand-ins for every action that Atlas ships and for those of one connector; they do nothing. */
export const routes: readonly (readonly [name: string, access: Access])[] = [
  ['inventory.assets.search', 'read'],
  ['inventory.assets.get', 'read'],
  ['inventory.summary.get', 'read'],
  ['inventory.findings.list', 'read'],
  ['inventory.findings.acknowledge', 'write'],
  ['inventory.findings.evaluate', 'write'],
  ['inventory.rules.edit', 'write'],
  ['inventory.machines.search', 'read'],
  ['inventory.machines.get', 'read'],
  ['inventory.machines.overview', 'read'],
  ['inventory.machines.context', 'read'],
  ['inventory.machines.split', 'write'],
  ['inventory.machines.join', 'write'],
  ['inventory.decisions.list', 'read'],
  ['inventory.decisions.withdraw', 'write'],
  ['connections.connectors.list', 'read'],
  ['connections.connections.list', 'read'],
  ['connections.connections.add', 'write'],
  ['connections.connections.get', 'read'],
  ['connections.connections.edit', 'write'],
  ['connections.connections.remove', 'destroy'],
  ['connections.connections.check', 'read'],
  ['connections.syncs.start', 'write'],
  ['connections.syncs.list', 'read'],
  ['connections.syncs.get', 'read'],
  ['connections.syncs.cancel', 'write'],
  ['connections.syncs.run', 'write'],
  ['connections.webhooks.enable', 'write'],
  ['vault.secrets.list', 'read'],
  ['vault.secrets.put', 'write'],
  ['vault.secrets.get', 'read'],
  ['vault.secrets.destroy', 'destroy'],
  ['vault.versions.add', 'write'],
  ['vault.secrets.reveal', 'reveal'],
  ['identity.users.list', 'read'],
  ['identity.users.add', 'write'],
  ['identity.users.get', 'read'],
  ['identity.users.edit', 'write'],
  ['identity.users.remove', 'destroy'],
  ['identity.tokens.list', 'read'],
  ['identity.tokens.add', 'write'],
  ['identity.tokens.revoke', 'destroy'],
  ['identity.roles.list', 'read'],
  ['identity.bindings.list', 'read'],
  ['identity.bindings.add', 'write'],
  ['identity.bindings.remove', 'destroy'],
  ['identity.principal.get', 'read'],
  ['policy.policies.list', 'read'],
  ['policy.decision.explain', 'read'],
  ['approvals.requests.list', 'read'],
  ['approvals.requests.get', 'read'],
  ['approvals.requests.approve', 'write'],
  ['approvals.requests.deny', 'write'],
  ['audit.events.search', 'read'],
  ['audit.events.follow', 'read'],
  ['audit.principals.touched', 'read'],
  ['audit.events.get', 'read'],
  ['audit.events.prove', 'read'],
  ['audit.log.verify', 'read'],
  ['audit.log.read', 'read'],
  ['audit.log.status', 'read'],
  ['audit.clock.accept', 'write'],
  ['lab.devices.find', 'read'],
  ['lab.device.reveal-config', 'reveal'],
  ['lab.journal.add', 'write'],
  ['lab.device.remove', 'destroy'],
]

export const routeActions: readonly Action[] = routes.map(([name, access]) => action(name, access))

export function action(name: string, access: Access): Action {
  return defineAction({
    name,
    title: name,
    description: name,
    access,
    http: { method: 'POST', path: `/${name}` },
    input: z.strictObject({}),
    output: z.object({}),
    resource: () => ({ type: 'any', id: '*' }),
    run: async () => ({}),
  })
}

/** A principal with roles on everything. */
export function principalWith(roles: readonly string[], rest: Partial<Principal> = {}): Principal {
  const bindings = roles.map((role) => ({ role, scope: '*' }))
  return { id: 'usr_1', kind: 'user', name: 'Someone', bindings, version: '1', ...rest }
}
