import { z } from 'zod'
import { type Action, defineAction, type Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { makePolicy } from './policy.ts'

type Parts = {
  readonly policy: Pick<ReturnType<typeof makePolicy>, 'explain' | 'list'>
  /** A principal as it would be if it signed in now, without a token's scopes. */
  readonly findPrincipal: (id: string) => Promise<Principal | undefined>
}

const Policy = z.object({
  id: z.string(),
  description: z.string(),
  effect: z.enum(['permit', 'forbid']),
  text: z.string(),
})

export function policyActions(parts: Parts): readonly Action[] {
  return [listPolicies(parts), explainDecision(parts)]
}

function listPolicies({ policy }: Parts) {
  return defineAction({
    name: 'policy.policies.list',
    title: 'List policies',
    description: 'Lists the rules in force, with their Cedar text, and the version they belong to.',
    access: 'read',
    http: { method: 'GET', path: '/policies' },
    input: z.strictObject({}),
    output: z.object({
      items: z.array(Policy),
      next: z.null(),
      version: z.string(),
      number: z.int(),
      createdAt: z.string(),
      createdBy: z.string(),
    }),
    resource: () => ({ type: 'policy', id: '*' }),
    run: async () => {
      const { stored, version, policies } = policy.list()
      const { id, createdAt, createdBy } = stored
      return { items: [...policies], next: null, version, number: id, createdAt, createdBy }
    },
  })
}

function explainDecision({ policy, findPrincipal }: Parts) {
  return defineAction({
    name: 'policy.decision.explain',
    title: 'Explain a decision',
    description:
      'Says whether a principal may do an action, and which rules and roles decide it. Without a principal it answers for the caller; only an admin may ask about somebody else.',
    access: 'read',
    http: { method: 'POST', path: '/policy/explain' },
    input: z.strictObject({
      principal: z.string().min(1).max(64).optional().describe('Id of the principal. Default: the caller.'),
      action: z.string().min(1).max(128).describe('Name of the action, for example inventory.assets.search.'),
      resource: z
        .strictObject({
          type: z.string().min(1).max(64).describe('Type of the resource, for example connection.'),
          id: z.string().min(1).max(256).describe('Id of the resource.'),
        })
        .optional()
        .describe('What it would be done to. Default: no resource in particular.'),
    }),
    output: z.object({
      principal: z.string(),
      effect: z.enum(['permit', 'ask', 'forbid']),
      reason: z.string(),
      version: z.string(),
      policies: z.array(Policy),
      roles: z.array(z.string()),
    }),
    resource: ({ principal }) => ({ type: 'principal', id: principal ?? 'self' }),
    run: async ({ principal: id, action, resource }, { principal: caller, door }) => {
      const principal = id === undefined || id === caller.id ? caller : await findOther(id, caller, findPrincipal)
      const explained = policy.explain({ principal, action, door, ...(resource && { resource }) })
      const { effect, reason, version, deciding, roles } = explained
      return { principal: principal.id, effect, reason, version, policies: [...deciding], roles: [...roles] }
    },
  })
}

// The caller's right is checked before the search, so that the answer does not tell who exists.
async function findOther(id: string, caller: Principal, find: Parts['findPrincipal']): Promise<Principal> {
  if (!caller.bindings.some(({ role, scope }) => role === 'admin' && scope === '*'))
    throw new Problem('denied', 'Only an admin may ask about another principal')
  const principal = await find(id)
  if (!principal) throw new Problem('not-found', 'There is no such principal')
  return principal
}
