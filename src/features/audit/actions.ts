import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { forgetAction } from './actions-forget.ts'
import { logActions, wholeLog } from './actions-log.ts'
import { retentionActions } from './actions-retention.ts'
import { record, searchActions } from './actions-search.ts'
import type { AuditLog } from './log.ts'

type Parts = { readonly log: ActionLog }
type ActionLog = Parameters<typeof logActions>[0] &
  Parameters<typeof searchActions>[0] &
  Parameters<typeof retentionActions>[0] &
  Parameters<typeof forgetAction>[0] &
  Pick<AuditLog, 'read' | 'proveInclusion'>

const Index = z.coerce.number().int().min(0).max(999_999_999_999_999).describe('Index of the entry in the log, from 0.')

/** Everything that can be asked of the audit log through the gate. */
export function auditActions({ log }: Parts): readonly Action[] {
  return [
    ...searchActions(log),
    getAction(log),
    proveAction(log),
    ...logActions(log),
    ...retentionActions(log),
    forgetAction(log),
  ]
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
