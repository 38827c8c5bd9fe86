import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { SecretValue } from '../../core/secret.ts'
import { idOf, PlainName, pageFields, Removed } from './fields.ts'
import type { Identity } from './identity.ts'
import { BindingScope, RoleName } from './roles.ts'

const UserId = idOf('usr', 'agt').describe('Id of the user or agent (usr_… or agt_…).')

const User = z.object({
  id: z.string(),
  kind: z.enum(['user', 'agent']),
  username: z.string().nullable(),
  name: z.string(),
  roles: z.array(z.object({ role: z.string(), scope: z.string() })),
  disabledAt: z.string().nullable(),
  passwordChangedAt: z.string().nullable(),
  createdAt: z.string(),
  createdBy: z.string().nullable(),
})

/** `identity.users.*` */
export function userActions(identity: Identity): readonly Action[] {
  return [...reading(identity), ...changing(identity)]
}

function reading({ users }: Identity): readonly Action[] {
  return [
    defineAction({
      name: 'identity.users.list',
      title: 'List users or agents',
      description: 'Lists the people who can sign in, or with kind=agent the agents, each with its roles and state.',
      access: 'read',
      http: { method: 'GET', path: '/users' },
      input: z.strictObject({
        kind: z.enum(['user', 'agent']).default('user').describe('People or agents.'),
        ...pageFields,
      }),
      output: z.object({ items: z.array(User), next: z.string().nullable() }),
      resource: () => ({ type: 'identity', id: 'users' }),
      run: (input) => users.list(input),
    }),
    defineAction({
      name: 'identity.users.get',
      title: 'Show a user or agent',
      description: 'Shows one user or agent with its roles and state.',
      access: 'read',
      http: { method: 'GET', path: '/users/{user}' },
      input: z.strictObject({ user: UserId }),
      output: User,
      resource: ({ user }) => ({ type: 'user', id: user }),
      run: ({ user }) => users.get(user),
    }),
  ]
}

function changing({ users }: Identity): readonly Action[] {
  return [
    defineAction({
      name: 'identity.users.add',
      title: 'Add a user',
      description: 'Adds a person who signs in with a password, and gives them a role if one is named.',
      access: 'write',
      http: { method: 'POST', path: '/users' },
      input: z.strictObject({
        username: z
          .string()
          .min(1)
          .max(256)
          .describe('The name to sign in with. Case and spelling variants are the same name.'),
        name: PlainName.optional().describe('The name that people see; the username when absent.'),
        password: SecretValue.describe('The first password: at least 15 characters, not made of common words.'),
        role: RoleName.optional(),
        scope: BindingScope.optional(),
      }),
      output: User,
      resource: () => ({ type: 'identity', id: 'users' }),
      run: (input, { principal }) => users.add(principal, input),
    }),
    defineAction({
      name: 'identity.users.edit',
      title: 'Change a user or agent',
      description:
        'Changes the display name or the password of a user, or disables a user or agent, whose tokens then stop working at once. Your own password needs the current one.',
      access: 'write',
      http: { method: 'PATCH', path: '/users/{user}' },
      input: z.strictObject({
        user: UserId,
        name: PlainName.optional().describe('The name that people see.'),
        disabled: z.boolean().optional().describe('True keeps the user or agent out; false lets them in again.'),
        password: SecretValue.optional().describe('The new password. All other sign-ins of the user end.'),
        currentPassword: SecretValue.optional().describe('The current password, when you change your own.'),
      }),
      output: User,
      resource: ({ user }) => ({ type: 'user', id: user }),
      run: ({ user, ...change }, { principal }) => users.edit(principal, user, change),
    }),
    defineAction({
      name: 'identity.users.remove',
      title: 'Remove a user or agent',
      description: 'Removes a user or agent with all tokens and role bindings. The log keeps what they did.',
      access: 'destroy',
      http: { method: 'DELETE', path: '/users/{user}' },
      input: z.strictObject({ user: UserId }),
      output: Removed,
      resource: ({ user }) => ({ type: 'user', id: user }),
      run: async ({ user }) => {
        await users.remove(user)
        return { id: user }
      },
    }),
  ]
}
