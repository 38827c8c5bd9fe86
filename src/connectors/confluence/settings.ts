import { z } from 'zod'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe(
    'Where Confluence answers. Cloud: https://example.atlassian.net/wiki. Data Center: https://wiki.example.net, with its context path if it has one.',
  )

/** `~` is the beginning of a personal space's key. */
const key = '~?[A-Za-z0-9][A-Za-z0-9._-]{0,254}'

export const Config = z
  .strictObject({
    url: Url,
    deployment: z.enum(['cloud', 'datacenter']).describe("cloud (Atlassian's site) or datacenter (your own server)."),
    spaces: z
      .string()
      .max(2000)
      .regex(new RegExp(`^${key}(?: ?, ?${key}){0,49}$`), 'must be keys of spaces, separated by commas')
      .describe(
        'Keys of the spaces that Atlas may see, separated by commas, for example OPS,KB. Nothing else is read or written.',
      ),
    excerpts: z
      .boolean()
      .default(false)
      .describe('Also keep the first words of each page (at most 300 characters) in the inventory.'),
    pageSize: z.int().min(1).max(250).default(100).describe('Pages read per request (1 to 250).'),
  })
  .refine(({ url, deployment }) => deployment === 'datacenter' || /\/wiki\/?$/.test(url), {
    path: ['url'],
    error: 'must end with /wiki for Confluence Cloud',
  })
export type Config = z.output<typeof Config>

export const Credential = z
  .strictObject({
    email: z
      .string()
      .max(254)
      .regex(/^[^\s:@]+@[^\s:@]+$/, 'must be an e-mail address')
      .optional()
      .describe('Cloud: the e-mail address of the account, beside its API token.'),
    apiToken: z
      .string()
      .max(1000)
      .regex(/^[\x21-\x7e]+$/, 'must be one word without spaces')
      .optional()
      .describe('Cloud: an API token of that account.'),
    personalAccessToken: z
      .string()
      .max(1000)
      .regex(/^[\x21-\x7e]+$/, 'must be one word without spaces')
      .optional()
      .describe('Data Center: a personal access token, in place of the two others.'),
  })
  .refine(
    ({ email, apiToken, personalAccessToken }) =>
      personalAccessToken === undefined
        ? email !== undefined && apiToken !== undefined
        : email === undefined && apiToken === undefined,
    'needs either email and apiToken (Cloud) or personalAccessToken (Data Center)',
  )

export function spacesOf({ spaces }: Pick<Config, 'spaces'>): readonly string[] {
  return [...new Set(spaces.split(',').map((one) => one.trim()))]
}
