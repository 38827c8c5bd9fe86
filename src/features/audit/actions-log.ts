import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { clockAcceptedCode } from './event.ts'
import type { AuditLog } from './log.ts'

type Log = Pick<AuditLog, 'verify' | 'checkpoint' | 'vkey' | 'fingerprint' | 'status' | 'acceptClock'>

export const wholeLog = () => ({ type: 'audit', id: '*' })

/** The log as a whole: is it whole, what is signed, who signs. */
export function logActions(log: Log): readonly Action[] {
  return [verifyAction(log), readAction(log), statusAction(log), acceptClockAction(log)]
}

function verifyAction(log: Log): Action {
  return defineAction({
    name: 'audit.log.verify',
    title: 'Verify the audit log',
    description:
      'Derives the whole log again from the stored entries and names the first place that does not fit. Reads every entry.',
    access: 'read',
    http: { method: 'POST', path: '/audit/verify' },
    input: z.strictObject({}),
    output: z.object({
      ok: z.boolean(),
      size: z.int().optional(),
      rootHash: z.string().optional(),
      fingerprint: z.string().optional(),
      signedSize: z.int().optional(),
      minimum: z.int().optional().describe('Entries below it were deleted by retention, as an entry of the log says.'),
      place: z.string().optional(),
      reason: z.string().optional(),
    }),
    resource: wholeLog,
    run: (_input, { signal }) => log.verify(signal),
  })
}

/** Its permission also opens the `/audit/…` files of the outside contract (gate/check.ts). */
function readAction(log: Log): Action {
  return defineAction({
    name: 'audit.log.read',
    title: 'Read the log itself',
    description: 'Answers the signed checkpoint and the verifier key. The tiles and entries are below /audit/tile/.',
    access: 'read',
    http: { method: 'GET', path: '/audit/checkpoint' },
    input: z.strictObject({}),
    output: z.object({ checkpoint: z.string(), vkey: z.string(), fingerprint: z.string() }),
    resource: wholeLog,
    run: async () => ({ checkpoint: await log.checkpoint(), vkey: log.vkey, fingerprint: log.fingerprint }),
  })
}

function statusAction(log: Log): Action {
  return defineAction({
    name: 'audit.log.status',
    title: 'How the audit log fares',
    description:
      'Tells the size of the log, how much of it is signed, whether this server signs or another does, and how witnesses and sinks fare.',
    access: 'read',
    http: { method: 'GET', path: '/audit/status' },
    input: z.strictObject({}),
    output: z.object({
      size: z.int().describe('Entries in the log.'),
      signedSize: z.int().describe('Entries below the newest checkpoint.'),
      signer: z.boolean().describe('Whether this server signs; on PostgreSQL one server of several does.'),
      clockBehindSeconds: z
        .int()
        .describe('How far the clock of this server is behind the newest entry; 0 when it is not.'),
      witnesses: z
        .array(
          z.object({
            name: z.string(),
            size: z.int().describe('Entries below the newest checkpoint that it cosigned.'),
            at: z.string(),
            fault: z.string().nullable().describe('Why it did not cosign; null when it did.'),
          }),
        )
        .describe('The witnesses of the policy that have been asked.'),
      sinks: z.array(SinkStatus).describe('Where copies of the entries go.'),
    }),
    resource: wholeLog,
    run: () => log.status(),
  })
}

const SinkStatus = z.object({
  name: z.enum(['syslog', 'webhook', 's3']),
  next: z.int().describe('Entries below this index were delivered.'),
  lagEntries: z.int().describe('Entries that were not.'),
  lagSeconds: z.int().describe('How long the oldest of them has been waiting.'),
  at: z.string().nullable().describe('When something was last delivered.'),
  fault: z.string().nullable().describe('Why it does not take entries; null when it does.'),
  failures: z.int().describe('How often it has failed since it last took something.'),
  failingSince: z.string().nullable(),
  isStopped: z.boolean().describe('It refused for good; nothing is tried until its address changes.'),
})

function acceptClockAction(log: Log): Action {
  return defineAction({
    name: 'audit.clock.accept',
    title: 'Accept the clock',
    description:
      'Says that the clock of the server is right although older entries have a later time. Signing, which stopped, goes on.',
    access: 'write',
    http: { method: 'POST', path: '/audit/clock' },
    events: [clockAcceptedCode],
    input: z.strictObject({}),
    output: z.object({ index: z.int().describe('Index of the entry that records it.') }),
    resource: wholeLog,
    run: () => log.acceptClock(),
  })
}
