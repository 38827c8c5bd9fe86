import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Secret } from '../../core/secret.ts'
import { wholeLog } from './actions-log.ts'
import { forgottenCode } from './event.ts'
import type { AuditLog } from './log.ts'

type Log = Pick<AuditLog, 'forget'>

// Secrets, so that the record of the call does not say again what it is to make forgotten. Shorter texts would be found everywhere.
const Hidden = z
  .string()
  .min(4)
  .max(200)
  .transform((text) => new Secret(text))

/** Erases a person from the log. */
export function forgetAction(log: Log): Action {
  return defineAction({
    name: 'audit.principals.forget',
    title: 'Erase a person from the audit log',
    description:
      'Destroys the key, the pseudonym and all sealed details of a principal, and the details of others in which its id or one of the texts stands. The entries stay and the log still verifies. Cannot be undone. Remove the user first.',
    access: 'destroy',
    http: { method: 'POST', path: '/audit/forget' },
    events: [forgottenCode],
    input: z.strictObject({
      principal: Hidden.describe('Id of the user or agent. Not recorded.'),
      texts: z
        .array(Hidden)
        .max(20)
        .default([])
        .describe('What else names the person: user name, e-mail address, network address. Not recorded.'),
    }),
    output: z.object({
      index: z.int().describe('Index of the entry that records it.'),
      details: z.int().describe('Details of others that spoke of the person, and are gone.'),
    }),
    resource: wholeLog,
    run: ({ principal, texts }) =>
      log.forget(
        principal.reveal(),
        texts.map((text) => text.reveal()),
      ),
  })
}
