import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { isId } from '../../lib/ids.ts'
import { parseCidr } from './cidr.ts'
import { idOf, PlainName, pageFields, Removed } from './fields.ts'
import type { Identity } from './identity.ts'
import { BindingScope, RoleName } from './roles.ts'
import { TokenScope } from './scopes.ts'

const PrincipalId = idOf('usr', 'agt')

const Token = z.object({
  id: z.string(),
  kind: z.enum(['api', 'session', 'bootstrap']),
  name: z.string(),
  hint: z.string(),
  principal: z.string(),
  principalKind: z.enum(['user', 'agent', 'system']),
  principalName: z.string(),
  state: z.enum(['active', 'expiring', 'expired', 'revoked']),
  scopes: z.array(z.string()).nullable(),
  cidrs: z.array(z.string()).nullable(),
  createdAt: z.string(),
  createdBy: z.string().nullable(),
  expiresAt: z.string().nullable(),
  lastUsedAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
})

const NewToken = z.strictObject({
  name: PlainName.describe('What the token is for.'),
  agent: z
    .union([
      z.literal(true),
      PlainName.refine(
        (text) => !isId(text) || text.startsWith('agt_'),
        'must be a name or an id that starts with agt_',
      ),
    ])
    .optional()
    .describe('Makes the token for an agent: true or a name for a new one, or the id of an agent that exists.'),
  user: idOf('usr').optional().describe('The user that the token is for; yourself when absent.'),
  role: RoleName.optional().describe(
    'The role of the new agent; with a role and no owner, the token is for a new agent of its name.',
  ),
  scope: BindingScope.optional(),
  scopes: z
    .array(TokenScope)
    .min(1)
    .max(50)
    .optional()
    .describe(
      'Narrows the token below the roles of its owner: actions, areas such as inventory.*, or access words such as read.',
    ),
  expiresInDays: z.int().min(1).max(366).optional().describe('How long it works: 1 to 366 days, 90 when absent.'),
  cidrs: z
    .array(
      z
        .string()
        .max(64)
        .refine((text) => parseCidr(text) !== undefined, 'must be a network such as 10.0.0.0/8 or an IP address'),
    )
    .min(1)
    .max(50)
    .optional()
    .describe('The only networks from which the token works.'),
})

/** A role alone asks for a new agent: nobody else can be given one here. */
function withAgent<T extends Pick<z.output<typeof NewToken>, 'agent' | 'user' | 'role'>>(input: T): T {
  return input.role !== undefined && input.agent === undefined && input.user === undefined
    ? { ...input, agent: true }
    : input
}

const Binding = z.object({
  id: z.string(),
  principal: z.string(),
  role: z.string(),
  scope: z.string(),
  createdAt: z.string(),
  createdBy: z.string().nullable(),
})

/** `identity.tokens.*` and `identity.bindings.*` */
export function tokenActions(identity: Identity): readonly Action[] {
  return [...ofTokens(identity), ...ofBindings(identity)]
}

function ofTokens({ tokens }: Identity): readonly Action[] {
  return [
    defineAction({
      name: 'identity.tokens.list',
      title: 'List tokens',
      description:
        'Lists tokens with owner, hint, limits, last use and state; never their values. Admins and auditors see all, others their own.',
      access: 'read',
      http: { method: 'GET', path: '/tokens' },
      input: z.strictObject({
        principal: PrincipalId.optional().describe('Only the tokens of this user or agent.'),
        ...pageFields,
      }),
      output: z.object({ items: z.array(Token), next: z.string().nullable() }),
      resource: () => ({ type: 'identity', id: 'tokens' }),
      run: (input, { principal }) => tokens.list(principal, input),
    }),
    defineAction({
      name: 'identity.tokens.add',
      title: 'Make a token',
      description:
        'Makes an API token for yourself or, as admin, for a user or an agent. The value is shown this one time.',
      access: 'write',
      http: { method: 'POST', path: '/tokens' },
      input: NewToken,
      output: z.object({
        id: z.string(),
        token: z.string().meta({ format: 'password' }),
        expiresAt: z.string(),
        principal: z.string().describe('Id of the user or agent that the token belongs to.'),
        principalKind: z.enum(['user', 'agent', 'system']),
        principalName: z.string(),
        roles: z.array(z.object({ role: z.string(), scope: z.string() })),
      }),
      // What decides is for whom the token is; the token itself does not exist yet.
      resource: (input) => {
        const { agent, user } = withAgent(input)
        if (agent !== undefined) return { type: 'identity', id: 'agents' }
        return user === undefined ? { type: 'identity', id: 'self' } : { type: 'user', id: user }
      },
      run: (input, { principal }) => tokens.add(principal, withAgent(input)),
    }),
    defineAction({
      name: 'identity.tokens.revoke',
      title: 'Revoke a token',
      description: 'Ends a token everywhere within a second. Your own, or as admin any.',
      access: 'destroy',
      http: { method: 'DELETE', path: '/tokens/{token}' },
      input: z.strictObject({ token: idOf('tok').describe('Id of the token (tok_…).') }),
      output: z.object({ id: z.string(), revokedAt: z.string() }),
      resource: ({ token }) => ({ type: 'token', id: token }),
      run: ({ token }, { principal }) => tokens.revoke(principal, token),
    }),
  ]
}

function ofBindings({ bindings }: Identity): readonly Action[] {
  return [
    defineAction({
      name: 'identity.bindings.list',
      title: 'List role bindings',
      description: 'Lists who has which role, and where.',
      access: 'read',
      http: { method: 'GET', path: '/role-bindings' },
      input: z.strictObject({
        principal: PrincipalId.optional().describe('Only the roles of this user or agent.'),
        ...pageFields,
      }),
      output: z.object({ items: z.array(Binding), next: z.string().nullable() }),
      resource: () => ({ type: 'identity', id: 'bindings' }),
      run: (input) => bindings.list(input),
    }),
    defineAction({
      name: 'identity.bindings.add',
      title: 'Give a role',
      description: 'Gives a user or agent a role, on everything or on one thing. It holds from the next call on.',
      access: 'write',
      http: { method: 'POST', path: '/role-bindings' },
      input: z.strictObject({
        principal: PrincipalId.describe('The user or agent that gets the role.'),
        role: RoleName,
        scope: BindingScope.default('*'),
      }),
      output: Binding,
      resource: () => ({ type: 'identity', id: 'bindings' }),
      run: (input, { principal }) => bindings.add(principal, input),
    }),
    defineAction({
      name: 'identity.bindings.remove',
      title: 'Take a role away',
      description: 'Takes a role from a user or agent. It holds everywhere within a second.',
      access: 'destroy',
      http: { method: 'DELETE', path: '/role-bindings/{binding}' },
      input: z.strictObject({ binding: idOf('rbd').describe('Id of the role binding (rbd_…).') }),
      output: Removed,
      resource: ({ binding }) => ({ type: 'binding', id: binding }),
      run: async ({ binding }, { principal }) => {
        await bindings.remove(principal, binding)
        return { id: binding }
      },
    }),
  ]
}
