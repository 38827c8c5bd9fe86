import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { SecretValue } from '../../core/secret.ts'
import { tokenActions } from './actions-tokens.ts'
import { userActions } from './actions-users.ts'
import type { Identity } from './identity.ts'
import { roleNames, roles } from './roles.ts'

/** Every action of this room, for the catalog. */
export function identityActions(identity: Identity): readonly Action[] {
  return [...ownActions(identity), ...userActions(identity), ...tokenActions(identity)]
}

const Roles = z.array(z.object({ role: z.string(), scope: z.string() }))

function ownActions({ users }: Identity): readonly Action[] {
  return [
    defineAction({
      name: 'identity.principal.get',
      title: 'Show who I am',
      description: 'Shows the principal of this call: its kind, name, roles, and what its token is narrowed to.',
      access: 'read',
      http: { method: 'GET', path: '/me' },
      input: z.strictObject({}),
      output: z.object({
        id: z.string(),
        kind: z.enum(['user', 'agent', 'system']),
        name: z.string(),
        roles: Roles,
        scopes: z.array(z.string()).nullable(),
        tokenId: z.string().nullable(),
        onBehalfOf: z.string().nullable(),
      }),
      resource: () => ({ type: 'identity', id: 'self' }),
      run: async (_input, { principal }) => ({
        id: principal.id,
        kind: principal.kind,
        name: principal.name,
        roles: principal.bindings.map(({ role, scope }) => ({ role, scope })),
        scopes: principal.scopes ? [...principal.scopes] : null,
        tokenId: principal.tokenId ?? null,
        onBehalfOf: principal.onBehalfOf ?? null,
      }),
    }),
    defineAction({
      name: 'identity.password.change',
      title: 'Change my password',
      description:
        'Changes the password of the user who calls. It needs the current one, and ends all other sign-ins; API tokens stay.',
      access: 'write',
      http: { method: 'POST', path: '/me/password' },
      input: z.strictObject({
        currentPassword: SecretValue.describe('The password until now.'),
        password: SecretValue.describe('The new password: at least 15 characters, not made of common words.'),
      }),
      output: z.object({ id: z.string(), passwordChangedAt: z.string().nullable() }),
      resource: () => ({ type: 'identity', id: 'self' }),
      run: async (input, { principal }) => {
        const { id, passwordChangedAt } = await users.edit(principal, principal.id, input)
        return { id, passwordChangedAt }
      },
    }),
    defineAction({
      name: 'identity.roles.list',
      title: 'List the roles',
      description: 'Lists the roles that can be given to users and agents, each with what it is for.',
      access: 'read',
      http: { method: 'GET', path: '/roles' },
      input: z.strictObject({}),
      output: z.object({
        items: z.array(z.object({ name: z.string(), description: z.string() })),
        next: z.string().nullable(),
      }),
      resource: () => ({ type: 'identity', id: 'roles' }),
      run: async () => ({ items: roleNames.map((name) => ({ name, description: roles[name] })), next: null }),
    }),
  ]
}
