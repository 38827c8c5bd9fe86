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
  .describe('Where NetBox answers, for example https://netbox.example.net, with its base path if it has one.')

/** https://netboxlabs.com/docs/netbox/integrations/rest-api/ */
export const netbox = defineConnector({
  id: 'netbox',
  title: 'NetBox',
  subjects: ['registry'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(1).max(1000).default(500).describe('Objects read per request (1 to 1000).'),
  }),
  credential: z.strictObject({
    token: z
      .string()
      .regex(
        /^(?:nbt_[A-Za-z0-9]{1,64}\.[A-Za-z0-9]{1,128}|[0-9a-f]{40})$/i,
        'must be nbt_<key>.<secret> or 40 hex digits',
      )
      .describe('An API token: nbt_<key>.<secret> (NetBox 4.5 and later) or 40 hex digits.'),
  }),
  authenticate: ({ token }) => ({ authorization: `${scheme(token.reveal())} ${token.reveal()}` }),
  check,
  sync,
  explain,
  webhook: { signature: { header: 'x-hook-signature', scheme: 'hmac-sha512' } },
  actions,
  tested: ['the simulator in simulators/netbox, built to 4.6.8'],
})

/** The two generations of tokens have their own scheme words. */
function scheme(token: string): 'Bearer' | 'Token' {
  return token.startsWith('nbt_') ? 'Bearer' : 'Token'
}
