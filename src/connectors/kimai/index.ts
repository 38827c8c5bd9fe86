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
  .describe('Where Kimai answers, for example https://time.example.net, without a language.')

/** https://www.kimai.org/documentation/rest-api.html */
export const kimai = defineConnector({
  id: 'kimai',
  title: 'Kimai',
  subjects: ['time'],
  config: z.strictObject({
    url: Url,
    people: z
      .enum(['all', 'own'])
      .default('all')
      .describe('Whose times: of everybody (needs view_other_timesheet), or of the account only.'),
    days: z.int().min(1).max(3650).default(365).describe('A full sync reads times of so many days (1 to 3650).'),
    pageSize: z.int().min(1).max(500).default(250).describe('Timesheets read per request (1 to 500).'),
  }),
  credential: z.strictObject({
    token: z
      .string()
      .regex(/^[\w.~-]{8,200}$/, 'must be letters, digits, - . _ and ~')
      .describe("An API token of the account's profile (API access)."),
  }),
  // Kimai takes the scheme with exactly this spelling.
  authenticate: ({ token }) => ({ authorization: `Bearer ${token.reveal()}` }),
  check,
  sync,
  explain,
  actions,
  tested: ['the simulator in simulators/kimai, built to 2.66.0'],
})
