import { z } from 'zod'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where the object storage answers, for example https://vsa-0000057b-cloud.zadarazios.com.')

export const Config = z.strictObject({
  url: Url,
  region: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,63}$/, 'must be letters, digits and hyphens')
    .default('us-east-1')
    .describe(
      'The region that requests are signed for: us-east-1 unless set otherwise there, US before version 20.12.',
    ),
  pageSize: z.int().min(1).max(1000).default(1000).describe('Objects read per request (1 to 1000).'),
  maxPagesPerBucket: z
    .int()
    .min(0)
    .max(10_000)
    .default(20)
    .describe('Pages that a sync reads of each bucket to add up its size; 0 does not look at objects at all.'),
})
export type Config = z.output<typeof Config>

export const Credential = z.strictObject({
  accessKey: z
    .string()
    .regex(/^[^\s/,=]{3,200}$/, 'must be 3 to 200 characters without spaces')
    .regex(/^[\x21-\x7e]*$/, 'must be plain characters')
    .describe("The S3 access key of the connection's own user."),
  secretKey: z
    .string()
    .regex(/^[\x21-\x7e]{6,200}$/, 'must be 6 to 200 printable characters')
    .describe('The S3 secret key that belongs to it.'),
})
