import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { authenticate, signIn, signOut } from './authenticate.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { sync } from './sync.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where vCenter answers, for example https://vcenter.example.net.')

/** The vim25 SOAP API, the same on vCenter 6.5 to 9: https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/ */
export const vcenter = defineConnector({
  id: 'vcenter',
  title: 'VMware vCenter',
  subjects: ['virtualization'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(1).max(1000).default(200).describe('Objects read per request (1 to 1000).'),
  }),
  credential: z.strictObject({
    username: z.string().min(1).max(255).describe('The account, for example atlas@vsphere.local.'),
    password: z.string().min(1).max(255).describe("The account's password."),
  }),
  signIn,
  authenticate: (_credential, _request, session) => authenticate(session),
  signOut,
  check,
  sync,
  explain,
  actions,
  tested: ['the simulator in simulators/vcenter', "govmomi's vCenter simulator 0.24 (vim25 6.5)"],
})
