import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { authenticate, signBody, signIn, signOut } from './authenticate.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { sync } from './sync.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where people open Zabbix, for example https://zabbix.example.net/zabbix, without index.php.')

/** https://www.zabbix.com/documentation/6.0/en/manual/api */
export const zabbix = defineConnector({
  id: 'zabbix',
  title: 'Zabbix',
  subjects: ['monitoring'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(1).max(1000).default(500).describe('Objects read per request (1 to 1000).'),
  }),
  credential: z
    .strictObject({
      token: z
        .string()
        .regex(/^[0-9a-f]{64}$/i, 'must be 64 hex digits')
        .optional()
        .describe('An API token (64 hex digits). Preferred to a user name and password.'),
      username: z.string().min(1).max(100).optional().describe('User name, when there is no API token.'),
      password: z.string().min(1).max(255).optional().describe('Password of that user.'),
    })
    .refine(
      ({ token, username, password }) => (token ? !username && !password : username && password),
      'must hold either a token, or a username and a password',
    ),
  signIn,
  signBody,
  authenticate,
  signOut,
  check,
  sync,
  explain,
  actions,
  tested: ['6.0.14', 'the simulator in simulators/zabbix as 6.0, 7.0 and 7.2'],
})
