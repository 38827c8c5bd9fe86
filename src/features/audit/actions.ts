import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { logActions, wholeLog } from './actions-log.ts'
import type { AuditLog } from './log.ts'

type Parts = { readonly log: ActionLog }
type ActionLog = Parameters<typeof logActions>[0] & Pick<AuditLog, 'search' | 'read' | 'proveInclusion' | 'proofOf'>

const record = z.object({
  index: z.int(),
  at: z.string(),
  code: z.string(),
  principal: z
    .object({
      id: z.string().optional(),
      kind: z.string().optional(),
      name: z.string().optional(),
      tokenId: z.string().optional(),
    })
    .optional(),
  onBehalfOf: z.string().optional(),
  door: z.string().optional(),
  action: z.string().optional(),
  access: z.string().optional(),
  requestId: z.string().optional(),
  resource: z.object({ type: z.string(), id: z.string().optional() }).optional(),
  outcome: z.string().optional(),
  decision: z.object({ effect: z.string(), policies: z.array(z.string()), version: z.string() }).optional(),
  inputHash: z.string().optional(),
  approval: z.string().optional(),
  personal: z.enum(['none', 'read', 'forgotten', 'damaged']),
})

const Index = z.coerce.number().int().min(0).max(999_999_999_999_999).describe('Index of the entry in the log, from 0.')

/** Everything that can be asked of the audit log through the gate. */
export function auditActions({ log }: Parts): readonly Action[] {
  return [searchAction(log), getAction(log), proveAction(log), ...logActions(log)]
}

function searchAction(log: ActionLog): Action {
  return defineAction({
    name: 'audit.events.search',
    title: 'Search the audit log',
    description: 'Finds audit events, newest first. All filters must match.',
    access: 'read',
    http: { method: 'GET', path: '/audit/events' },
    input: z.strictObject({
      principal: z.string().min(1).max(128).optional().describe('Id of the user, agent or system that acted.'),
      action: z
        .string()
        .min(1)
        .max(128)
        .optional()
        .describe('Name of the action, for example inventory.assets.search.'),
      resource: z
        .string()
        .min(1)
        .max(256)
        .optional()
        .describe('A resource type, or type/id: connection or connection/con_….'),
      code: z.string().min(1).max(64).optional().describe('Event code, for example action.failed.'),
      outcome: z.string().min(1).max(64).optional().describe('ok, or a problem type such as denied.'),
      from: z.iso.datetime().optional().describe('Only events at or after this time (ISO 8601, UTC).'),
      to: z.iso.datetime().optional().describe('Only events before this time (ISO 8601, UTC).'),
      limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many events to return.'),
      cursor: z
        .string()
        .regex(/^(0|[1-9][0-9]{0,14})$/)
        .optional()
        .describe('The next value of the page before.'),
    }),
    output: z.object({ items: z.array(record), next: z.string().nullable() }),
    resource: wholeLog,
    run: ({ limit, ...filters }) => log.search({ limit, ...defined(filters) }),
  })
}

function getAction(log: ActionLog): Action {
  return defineAction({
    name: 'audit.events.get',
    title: 'Show one audit event and its proof',
    description:
      'Reads one event with its personal detail, the exact entry that is hashed, and the inclusion proof that ties it to the signed checkpoint.',
    access: 'read',
    http: { method: 'GET', path: '/audit/events/{index}' },
    input: z.strictObject({ index: Index }),
    output: record.extend({
      detail: z.unknown().optional(),
      entry: z.string(),
      leafHash: z.string(),
      proof: z.array(z.string()),
      checkpoint: z.string(),
    }),
    resource: wholeLog,
    run: async ({ index }) => {
      const { record: event, leaf, leafHash } = await log.read(index)
      const checkpoint = await log.checkpoint(index)
      const proof = await log.proveInclusion(index, Number(checkpoint.split('\n')[1]))
      return {
        ...event,
        entry: leaf.toString('utf8'),
        leafHash: leafHash.toString('base64'),
        proof: proof.map((hash) => hash.toString('base64')),
        checkpoint,
      }
    },
  })
}

function proveAction(log: ActionLog): Action {
  return defineAction({
    name: 'audit.events.prove',
    title: 'Export the proof of one audit event',
    description:
      'Answers one event as a C2SP .tlog-proof: the exact entry, the hashes that lead from it to the root, and the signed checkpoint. It verifies offline with the verifier key alone.',
    access: 'read',
    http: { method: 'GET', path: '/audit/events/{index}/proof' },
    input: z.strictObject({ index: Index }),
    output: z.object({ proof: z.string().describe('The text of a .tlog-proof file.') }),
    resource: wholeLog,
    run: async ({ index }) => ({ proof: await log.proofOf(index) }),
  })
}

/** Drops absent members, which exactOptionalPropertyTypes tells from undefined ones. */
function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
