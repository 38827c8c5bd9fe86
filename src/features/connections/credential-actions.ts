import { z } from 'zod'
import { type Action, type Context, defineAction } from '../../core/action.ts'
import type { Connections } from './connections.ts'
import type { Credential } from './credential.ts'
import { Connection, ShownProblem } from './fields.ts'

/** Throws `denied` when a credential is given by reference and the caller may not. */
export type CheckReferences = (context: Context, credential: Credential | undefined) => void

/** The actions on a connection's next credential: stage, check, promote, discard. */
export function credentialActions(connections: Connections, allowed: CheckReferences): readonly Action[] {
  return [stage(connections, allowed), check(connections), promote(connections), discard(connections)]
}

const resource = ({ connection }: { connection: string }) => ({ type: 'connection', id: connection })
const fields = z.array(z.string()).describe('The credential fields that it is about.')
const Outcome = z.object({
  fields,
  at: z.string(),
  ok: z.boolean(),
  version: z.string().optional(),
  account: z.string().optional(),
  warnings: z.array(z.string()),
  problem: ShownProblem.optional(),
})

const stage = (connections: Connections, allowed: CheckReferences) =>
  defineAction({
    name: 'connections.credentials.stage',
    title: "Stage a connection's next credential",
    description:
      'Stores new credential values beside the current ones, which stay in use until the new ones are promoted. What was staged before for these fields is destroyed.',
    access: 'write',
    http: { method: 'POST', path: '/connections/{connection}/credential' },
    input: z.strictObject({
      connection: Connection,
      credential: z
        .record(z.string().max(64), connections.credentialValue)
        .refine((given) => Object.keys(given).length > 0, 'must name a field')
        .describe('New values of credential fields that are set.'),
    }),
    output: z.object({ fields }),
    resource,
    run: async ({ connection, credential }, context) => {
      allowed(context, credential)
      return { fields: await connections.nextCredential.stage(connection, credential) }
    },
  })

const check = (connections: Connections) =>
  defineAction({
    name: 'connections.credentials.check',
    title: "Check a connection's staged credential",
    description: 'Signs in to the system once with the staged credential and says what it found. Changes nothing.',
    access: 'read',
    http: { method: 'POST', path: '/connections/{connection}/credential/check' },
    input: z.strictObject({ connection: Connection }),
    output: Outcome,
    resource,
    run: async ({ connection }, { signal, requestId }) =>
      writable(await connections.nextCredential.check(connection, { signal, requestId })),
  })

const promote = (connections: Connections) =>
  defineAction({
    name: 'connections.credentials.promote',
    title: "Use a connection's staged credential",
    description:
      'Checks the staged credential once more and makes it the current one. When the check fails nothing changes. The old credential can then be revoked in the system.',
    access: 'write',
    http: { method: 'POST', path: '/connections/{connection}/credential/promote' },
    input: z.strictObject({ connection: Connection }),
    output: Outcome,
    resource,
    run: async ({ connection }, { signal, requestId }) =>
      writable(await connections.nextCredential.promote(connection, { signal, requestId })),
  })

const discard = (connections: Connections) =>
  defineAction({
    name: 'connections.credentials.discard',
    title: "Discard a connection's staged credential",
    description: 'Destroys the staged values. The current credential stays as it is.',
    access: 'write',
    http: { method: 'DELETE', path: '/connections/{connection}/credential' },
    input: z.strictObject({ connection: Connection }),
    output: z.object({ fields }),
    resource,
    run: async ({ connection }) => ({ fields: await connections.nextCredential.discard(connection) }),
  })

type Checked = Awaited<ReturnType<Connections['nextCredential']['check']>>

/** The same, with arrays that zod's types accept. */
function writable(outcome: Checked): z.input<typeof Outcome> {
  return { ...outcome, fields: [...outcome.fields], warnings: [...outcome.warnings] }
}
