import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { states } from './approval.ts'
import type { makeApprovals } from './approvals.ts'

type Parts = { readonly approvals: Pick<ReturnType<typeof makeApprovals>, 'get' | 'list' | 'review'> }

const Approval = z.object({
  id: z.string(),
  state: z.enum(states),
  action: z.string(),
  resource: z.object({ type: z.string(), id: z.string() }),
  input: z.unknown().optional(),
  damaged: z.boolean(),
  principal: z.object({
    id: z.string(),
    kind: z.string().optional(),
    name: z.string().optional(),
    onBehalfOf: z.string().optional(),
  }),
  inputHash: z.string(),
  policyVersion: z.string(),
  requestedAt: z.string(),
  expiresAt: z.string(),
  reviewer: z.object({ id: z.string(), kind: z.string(), name: z.string() }).optional(),
  reviewedAt: z.string().optional(),
  reason: z.string().optional(),
  redeemedAt: z.string().optional(),
})

const id = z.string().min(1).max(64).describe('Id of the approval, apr_….')
const Review = z.strictObject({
  approval: id,
  reason: z.string().max(1000).optional().describe('Why, for the requester and for the log.'),
})

export function approvalActions(parts: Parts): readonly Action[] {
  return [listRequests(parts), getRequest(parts), approveRequest(parts), denyRequest(parts)]
}

function listRequests({ approvals }: Parts) {
  return defineAction({
    name: 'approvals.requests.list',
    title: 'List approval requests',
    description:
      'Lists calls that wait, or waited, for a person: what would be done, to what, with which input. Newest first. Shows your own; admins, operators and auditors see all.',
    access: 'read',
    http: { method: 'GET', path: '/approvals' },
    input: z.strictObject({
      state: z.enum(states).optional().describe('Only requests in this state.'),
      limit: z.int().min(1).max(200).default(50).describe('How many to answer with, 1 to 200.'),
      cursor: z.string().min(1).max(64).optional().describe('Where to continue: `next` of the answer before.'),
    }),
    output: z.object({ items: z.array(Approval), next: z.string().nullable() }),
    resource: () => ({ type: 'approval', id: '*' }),
    run: (filter, { principal }) => approvals.list(principal, filter),
  })
}

function getRequest({ approvals }: Parts) {
  return defineAction({
    name: 'approvals.requests.get',
    title: 'Get an approval request',
    description: 'Shows one request: what would be done, to what, with which input, who asked, and who answered.',
    access: 'read',
    http: { method: 'GET', path: '/approvals/{approval}' },
    input: z.strictObject({ approval: id }),
    output: Approval,
    resource: ({ approval }) => ({ type: 'approval', id: approval }),
    run: ({ approval }, { principal }) => approvals.get(principal, approval),
  })
}

function approveRequest({ approvals }: Parts) {
  return defineAction({
    name: 'approvals.requests.approve',
    title: 'Approve a request',
    description:
      'Says yes to one exact call of somebody else. The requester can then make that call once, before the request expires.',
    access: 'write',
    http: { method: 'POST', path: '/approvals/{approval}/approve' },
    input: Review,
    output: Approval,
    resource: ({ approval }) => ({ type: 'approval', id: approval }),
    run: ({ approval, reason }, { principal }) =>
      approvals.review(approval, principal, { decision: 'approved', reason }),
  })
}

function denyRequest({ approvals }: Parts) {
  return defineAction({
    name: 'approvals.requests.deny',
    title: 'Deny a request',
    description: 'Says no to one exact call of somebody else.',
    access: 'write',
    http: { method: 'POST', path: '/approvals/{approval}/deny' },
    input: Review,
    output: Approval,
    resource: ({ approval }) => ({ type: 'approval', id: approval }),
    run: ({ approval, reason }, { principal }) => approvals.review(approval, principal, { decision: 'denied', reason }),
  })
}
