import { z } from 'zod'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe(
    'Where Jira answers. Cloud: https://example.atlassian.net. Data Center: https://jira.example.net, with its context path if it has one.',
  )

const key = '[A-Z][A-Z0-9_]{1,254}'
const word = /^[\x21-\x7e]+$/

export const Config = z.strictObject({
  url: Url,
  deployment: z.enum(['cloud', 'datacenter']).describe("cloud (Atlassian's site) or datacenter (your own server)."),
  projects: z
    .string()
    .max(2000)
    .regex(new RegExp(`^${key}(?: ?, ?${key}){0,49}$`), 'must be keys of projects, separated by commas')
    .describe(
      'Keys of the projects that Atlas may see, separated by commas, for example OPS,NET. Nothing else is read or written.',
    ),
  pageSize: z.int().min(1).max(100).default(100).describe('Issues read per request (1 to 100).'),
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
      .regex(word, 'must be one word without spaces')
      .optional()
      .describe('Cloud: an API token of that account.'),
    personalAccessToken: z
      .string()
      .max(1000)
      .regex(word, 'must be one word without spaces')
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

export function projectsOf({ projects }: Pick<Config, 'projects'>): readonly string[] {
  return [...new Set(projects.split(',').map((one) => one.trim()))]
}

/** Cloud speaks version 3 of the API, Data Center version 2. */
export function apiOf({ deployment }: Pick<Config, 'deployment'>): string {
  return deployment === 'cloud' ? '/rest/api/3' : '/rest/api/2'
}
