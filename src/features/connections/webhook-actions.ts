import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Secret } from '../../core/secret.ts'
import type { Connections } from './connections.ts'
import { Connection } from './fields.ts'

const one = ({ connection }: { connection: string }) => ({ type: 'connection', id: connection })
/** Short ones can be guessed from one delivery that somebody saw. */
const DeliverySecret = z
  .string()
  .min(16, 'must have at least 16 characters; make one with: openssl rand -base64 32')
  .max(256)
  .meta({ format: 'password', writeOnly: true })
  .transform((value) => new Secret(value))
  .describe('What the system signs with: 16 to 256 characters.')
const output = z.object({
  path: z.string().describe('Where the system sends its deliveries, below the address of this server.'),
  secrets: z.int().describe('How many secrets are accepted: 2 while the sender is changed over.'),
})

/** Actions on what a connected system sends us. */
export function webhookActions(connections: Connections): readonly Action[] {
  const shown = ({ connection, secrets }: { connection: string; secrets: number }) => ({
    path: `/hooks/${connection}`,
    secrets,
  })
  return [
    defineAction({
      name: 'connections.webhooks.enable',
      title: 'Accept deliveries of a connected system',
      description:
        'Stores the secret that the system signs its deliveries with; each delivery starts a sync of what changed. Given again, the secret before it stays good until it is retired, so that the sender can be changed over.',
      access: 'write',
      http: { method: 'POST', path: '/connections/{connection}/webhook' },
      input: z.strictObject({
        connection: Connection,
        secret: DeliverySecret,
      }),
      output,
      resource: one,
      run: async ({ connection, secret }) => shown(await connections.webhooks.enable(connection, secret)),
    }),
    defineAction({
      name: 'connections.webhooks.retire',
      title: 'End secrets of deliveries',
      description: 'Ends the older secret after a change-over, or all of them: then every delivery is refused.',
      access: 'write',
      http: { method: 'DELETE', path: '/connections/{connection}/webhook' },
      input: z.strictObject({
        connection: Connection,
        which: z.enum(['older', 'all']).default('older').describe('`older`, or `all` to refuse deliveries.'),
      }),
      output,
      resource: one,
      run: async ({ connection, which }) => shown(await connections.webhooks.retire(connection, which)),
    }),
  ]
}
