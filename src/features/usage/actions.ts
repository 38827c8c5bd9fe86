import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { kinds } from './baseline.ts'
import type { Usage } from './usage.ts'

const Measure = z.object({
  callsPerMinute: z.int().optional().describe('The most calls in any sixty seconds.'),
  networks: z.array(z.string()).optional().describe('/24 of IPv4, /48 of IPv6.'),
  actions: z.array(z.string()).optional(),
  hours: z.array(z.int()).optional().describe('Hours of the day, UTC.'),
})

const Anomaly = z.object({
  id: z.string(),
  kind: z.enum(kinds),
  credential: z
    .object({ type: z.enum(['token', 'user']), id: z.string() })
    .describe('A token, or the sign-ins of a user.'),
  principal: z.object({ id: z.string(), kind: z.enum(['user', 'agent']) }),
  hour: z.string().describe('The hour of the calls. A credential has one anomaly of a kind in an hour.'),
  detectedAt: z.string(),
  seen: Measure,
  usual: Measure.extend({
    since: z.string().describe('When the credential was first used.'),
    days: z.int().describe('On how many days it had been used.'),
  }),
})

/** What this room lets callers see. */
export function usageActions(usage: Usage): readonly Action[] {
  return [
    defineAction({
      name: 'identity.anomalies.list',
      title: 'List anomalies of usage',
      description:
        'Lists calls that left the habits of their credential: ten times the usual calls in a minute, a network, an action or an hour of the day never used before. Newest first, kept for 90 days.',
      access: 'read',
      http: { method: 'GET', path: '/usage/anomalies' },
      input: z.strictObject({
        kind: z.enum(kinds).optional().describe('Only anomalies of this kind.'),
        credential: z.string().min(1).max(64).optional().describe('Only of this token (tok_…) or user (usr_…).'),
        limit: z.int().min(1).max(200).default(50).describe('How many to answer with, 1 to 200.'),
        cursor: z.string().min(1).max(64).optional().describe('Where to continue: `next` of the answer before.'),
      }),
      output: z.object({ items: z.array(Anomaly), next: z.string().nullable() }),
      resource: () => ({ type: 'identity', id: 'anomalies' }),
      run: (filter) => usage.list(filter),
    }),
  ]
}
