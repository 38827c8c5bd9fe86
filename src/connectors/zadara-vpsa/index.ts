import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { snapshotActions } from './snapshot-actions.ts'
import { sync } from './sync.ts'
import { volumeActions } from './volume-actions.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where the VPSA answers, for example https://vsa-0000057a-cloud.zadaravpsa.com.')

/** http://api-doc.zadarastorage.com */
export const zadaraVpsa = defineConnector({
  id: 'zadara-vpsa',
  title: 'Zadara VPSA',
  subjects: ['storage'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(2).max(1000).default(500).describe('Objects read per request (2 to 1000).'),
  }),
  credential: z.strictObject({
    accessKey: z
      .string()
      .regex(/^[\x21-\x7e]{8,200}$/, 'must be 8 to 200 printable characters')
      .describe("The access key of the connection's own VPSA user."),
  }),
  authenticate: ({ accessKey }) => ({ 'x-access-key': accessKey.reveal() }),
  check,
  sync,
  explain,
  actions: [...volumeActions, ...snapshotActions],
  tested: ['the simulator in simulators/zadara-vpsa, built to the published clients of 2019 to 2023'],
})
