import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { wholeLog } from './actions-log.ts'
import { prunedCode } from './event.ts'
import type { Retention } from './retention.ts'
import { detailClasses } from './retention-policy.ts'

type Parts = { readonly retention: Pick<Retention, 'apply' | 'status'> }

const byClass = z.partialRecord(z.enum(detailClasses), z.int())
const keep = byClass.and(z.object({ entries: z.int().optional() }))

/** What the log keeps for how long, and the deletion of what is older. */
export function retentionActions(log: Parts): readonly Action[] {
  return [getAction(log), applyAction(log)]
}

function getAction({ retention }: Parts): Action {
  return defineAction({
    name: 'audit.retention.get',
    title: 'What the audit log keeps',
    description:
      'Tells how long entries and their sealed details are kept, what was deleted by that, and what would be deleted now. Changes nothing.',
    access: 'read',
    http: { method: 'GET', path: '/audit/retention' },
    input: z.strictObject({}),
    output: z.object({
      keep: keep.describe('Days by class of detail, and of entries; what is not named is kept for ever.'),
      size: z.int().describe('Entries that the log ever had.'),
      first: z.int().describe('The lowest index that is still stored.'),
      declared: z
        .object({ minimum: z.int(), details: byClass, index: z.int(), at: z.string() })
        .optional()
        .describe('What the newest log.pruned entry says: below these indexes entries and details are gone.'),
      due: z
        .object({
          minimum: z.int(),
          entries: z.int().describe('Entries that would be deleted now.'),
          details: byClass.describe('Sealed details of other entries that would be deleted now.'),
        })
        .describe('What would go now.'),
      heldBy: z.string().optional().describe('Who still needs what the policy would let go.'),
    }),
    resource: wholeLog,
    run: () => retention.status(),
  })
}

function applyAction({ retention }: Parts): Action {
  return defineAction({
    name: 'audit.retention.apply',
    title: 'Delete what the audit log no longer keeps',
    description:
      'Deletes entries and sealed details that are older than the configured retention, after an entry that says so. The tree and the proofs of what is left stay. Ends after twenty seconds; more says whether to call it again.',
    access: 'destroy',
    http: { method: 'POST', path: '/audit/retention/apply' },
    events: [prunedCode],
    input: z.strictObject({}),
    output: z.object({
      minimum: z.int().describe('Entries below it are gone, or going.'),
      entries: z.int().describe('Entries that this call deleted.'),
      details: z.int().describe('Sealed details of other entries that this call deleted.'),
      more: z.boolean().describe('Whether there is more to delete.'),
      waiting: z.string().optional().describe('Why nothing was deleted yet.'),
    }),
    resource: wholeLog,
    run: (_input, { requestId, signal }) => retention.apply({ requestId, signal }),
  })
}
