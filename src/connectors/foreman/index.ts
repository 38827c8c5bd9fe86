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
  .describe('Where Foreman answers, for example https://foreman.example.net, with its base path if it has one.')

/** https://apidocs.theforeman.org/ (API v2) */
export const foreman = defineConnector({
  id: 'foreman',
  title: 'Foreman',
  subjects: ['configuration'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(1).max(1000).default(200).describe('Hosts read per request (1 to 1000).'),
  }),
  credential: z.strictObject({
    username: z
      .string()
      .regex(/^[^\p{Cc}:]{1,255}$/u, 'must be a login, without a colon')
      .describe('The login of the Foreman user.'),
    token: z
      .string()
      .regex(/^\P{Cc}{8,512}$/u, 'must have 8 to 512 characters on one line')
      .describe('A personal access token of that user (or its password, where tokens are not used).'),
  }),
  authenticate: ({ username, token }) => ({
    authorization: `Basic ${Buffer.from(`${username.reveal()}:${token.reveal()}`, 'utf8').toString('base64')}`,
  }),
  check,
  sync,
  explain,
  actions,
  tested: ['the simulator in simulators/foreman, built to 3.13'],
})
