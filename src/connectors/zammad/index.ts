import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { sync } from './sync.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where Zammad answers, for example https://support.example.net.')

/** https://docs.zammad.org/en/latest/api/intro.html */
export const zammad = defineConnector({
  id: 'zammad',
  title: 'Zammad',
  subjects: ['tickets', 'time'],
  config: z.strictObject({
    url: Url,
    days: z
      .int()
      .min(1)
      .max(3650)
      .default(365)
      .describe('A full sync reads tickets that changed within so many days (1 to 3650).'),
    timeUnit: z
      .enum(['unknown', 'minutes', 'hours'])
      .default('unknown')
      .describe('What one unit of booked time means in this Zammad; unknown shows units only.'),
    pageSize: z.int().min(2).max(200).default(100).describe('Tickets read per request (2 to 200).'),
  }),
  credential: z.strictObject({
    token: z
      .string()
      .regex(/^[\w-]{10,200}$/, 'must be letters, digits, - and _')
      .describe("An access token of the agent's profile, with the permission ticket.agent."),
  }),
  authenticate: ({ token }) => ({ authorization: `Token token=${token.reveal()}` }),
  check,
  sync,
  explain,
  webhook: { signature: { header: 'x-hub-signature', scheme: 'hmac-sha1', prefix: 'sha1=' } },
  actions,
  tested: ['the simulator in simulators/zammad, built to the documentation of 6.5'],
})
