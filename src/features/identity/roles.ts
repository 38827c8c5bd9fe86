import { z } from 'zod'

/** The closed list of roles. What each may do is decided by the shipped policies, not here. */
export const roles = {
  admin: 'Manages people, tokens, roles, connections and policies, and does everything that an operator does.',
  operator:
    'Runs the estate: adds and syncs connections, and changes things in connected systems where policy allows it.',
  developer: 'Reads the inventory, the connections and the connected systems.',
  viewer: 'Reads the inventory and the connections, and nothing else.',
  auditor: 'Reads the audit log, policies, role bindings and tokens, and changes nothing.',
} as const

export type Role = keyof typeof roles

export const roleNames = ['admin', 'operator', 'developer', 'viewer', 'auditor'] as const satisfies readonly Role[]

export const RoleName = z.enum(roleNames).describe('One of the roles that identity.roles.list explains.')

/** Where a role holds: everywhere, or on one thing. */
export const BindingScope = z
  .string()
  .max(120)
  .regex(
    /^(\*|[a-z]{2,32}\/[A-Za-z0-9][A-Za-z0-9_.-]{0,79})$/,
    'must be * or <type>/<id>, for example connection/con_…',
  )
  .describe(
    'Where the role holds: * for everything, or <type>/<id> for one thing, for example connection/con_…. A connection may also be named: connection/lab.',
  )
