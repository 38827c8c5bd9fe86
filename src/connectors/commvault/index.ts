import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { apiPaths } from './api.ts'
import { authenticate, Credential, signIn, signOut } from './authenticate.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { sync } from './sync.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+\/?$/i.test(value), 'must be only https://host[:port]; the path is apiPath')
  .describe('Where the Command Center answers, for example https://backup.example.net.')

/** https://documentation.commvault.com/v11/essential/rest_api_overview.html */
export const commvault = defineConnector({
  id: 'commvault',
  title: 'Commvault',
  subjects: ['backup'],
  config: z.strictObject({
    url: Url,
    apiPath: z
      .enum(apiPaths)
      .default('/commandcenter/api')
      .describe('Where the API is: /commandcenter/api, or /webconsole/api on older releases.'),
    jobDays: z.int().min(1).max(90).default(3).describe('How many days of jobs a full sync reads (1 to 90).'),
    pageSize: z.int().min(1).max(1000).default(500).describe('Jobs and virtual machines read per request (1 to 1000).'),
  }),
  credential: Credential,
  renews: ['accessToken', 'refreshToken'],
  authenticate,
  signIn,
  signOut,
  check,
  sync,
  explain,
  actions,
  tested: ['the simulator in simulators/commvault, built to the documentation of 11.40'],
})
