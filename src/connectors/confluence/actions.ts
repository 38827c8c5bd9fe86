import { z } from 'zod'
import { type ConnectionContext, connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { attach } from './attach.ts'
import { pageUrl, type WikiPage } from './page.ts'
import { publish } from './publish.ts'
import { inSpaces, quoted, searchPages } from './search.ts'
import { type Config, spacesOf } from './settings.ts'
import { plainText } from './storage.ts'
import { makeVisibility, visiblePage } from './visibility.ts'

const longestText = 200_000

export const PageId = z
  .string()
  .regex(/^[1-9]\d{0,18}$/)
  .describe("The page's id in Confluence, for example 98432.")
const SpaceKey = z
  .string()
  .regex(/^~?[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/)
  .describe('Key of a space that this connection may see, for example OPS.')
const Title = z
  .string()
  .trim()
  .min(1)
  .max(255)
  .regex(/^\P{Cc}*$/u, 'must be one line')
const Words = z.string().trim().min(1).max(200)
const Cell = z.union([z.string().max(4000), z.number(), z.boolean(), z.null()])

const PageSummary = z.object({
  id: z.string(),
  title: z.string(),
  space: z.string(),
  version: z.int(),
  labels: z.array(z.string()).readonly(),
  author: z.string().optional(),
  editor: z.string().optional(),
  createdAt: z.string().optional(),
  modifiedAt: z.string().optional(),
  excerpt: z.string().optional(),
  url: z.string(),
})

const searchAction = connectionAction({
  name: 'confluence.pages.search',
  title: 'Search pages in Confluence',
  description:
    "Asks Confluence itself, now, for pages of the connection's spaces by words, title, label or time of change; the newest first. Pages that only some people may read are left out, so an answer can hold fewer than `limit`.",
  access: 'read',
  http: { method: 'GET', path: '/confluence/pages' },
  input: {
    words: Words.optional().describe('Words that the page must have, in its title or text.'),
    title: Words.optional().describe('Words of the title.'),
    space: SpaceKey.optional(),
    label: z
      .string()
      .regex(/^[^\s\p{Cc}]{1,255}$/u)
      .optional()
      .describe('A label of the page, for example runbook.'),
    changedSince: z.iso.date().optional().describe('Changed on or after this day, for example 2026-11-20.'),
    limit: z.coerce.number().int().min(1).max(50).default(25).describe('How many at most (1 to 50).'),
    cursor: z
      .string()
      .regex(/^[\x21-\x7e]{1,2000}$/)
      .optional()
      .describe('`next` of the previous answer, with the same other fields.'),
  },
  output: z.object({ items: z.array(PageSummary), next: z.string().nullable() }),
  async run(input, context) {
    const { config, http } = context as ConnectionContext<Config>
    const keys = input.space === undefined ? spacesOf(config) : [chosenSpace(config, input.space)]
    const { limit, cursor } = input
    const excerpts = config.excerpts
    const hits = await searchPages({ http, config }, { cql: cqlOf(keys, input), limit, excerpts, cursor })
    // The cursor comes from outside and holds a query of its own, so what it brings is judged like anything else.
    const { open } = await makeVisibility(http)(hits.pages.filter(({ space }) => keys.includes(space)))
    return { items: open.map((page) => summary(config, page)), next: hits.next ?? null }
  },
})

const getAction = connectionAction({
  name: 'confluence.page.get',
  title: 'Read a page of Confluence',
  description:
    "Reads one page of the connection's spaces with its text, without markup. `version` names the state that was read. A page that only some people may read is not found.",
  access: 'read',
  http: { method: 'GET', path: '/confluence/pages/{id}' },
  input: { id: PageId },
  output: PageSummary.extend({
    text: z.string().describe('The words of the page, at most 200,000 characters of them.'),
    isCut: z.boolean().describe('Whether the text is longer than that.'),
  }),
  async run({ id }, context) {
    const { config } = context as ConnectionContext<Config>
    const { page, storage } = await visiblePage(context as ConnectionContext<Config>, id)
    const text = plainText(storage)
    return {
      ...summary(config, page),
      text: text.slice(0, longestText).toWellFormed(),
      isCut: text.length > longestText,
    }
  },
})

const publishAction = connectionAction({
  name: 'confluence.page.publish-table',
  title: 'Publish a table as a page in Confluence',
  description:
    'Creates a page with a table, or replaces the page of that title that Atlas published before; the older versions stay in its history. A page that somebody else wrote is never replaced. Publishing the same again changes nothing but the version number.',
  access: 'write',
  http: { method: 'POST', path: '/confluence/tables' },
  input: {
    space: SpaceKey,
    title: Title.describe('Title of the page; it names the page within the space.'),
    columns: z.array(z.string().trim().min(1).max(200)).min(1).max(50).describe('Headings of the columns.'),
    rows: z.array(z.array(Cell).max(50)).max(5000).describe('Rows of cells; each as long as `columns`.'),
    introduction: z.string().trim().min(1).max(4000).optional().describe('A paragraph above the table, as plain text.'),
    parentId: PageId.optional().describe('Page under which a new page is put; unless given, at the top of the space.'),
    version: z.coerce
      .number()
      .int()
      .positive()
      .optional()
      .describe('Replace the page only if it still has this version.'),
    reason: z.string().trim().min(1).max(200).optional().describe("Why: kept in the page's history."),
  },
  output: z.object({ id: z.string(), version: z.int(), isNew: z.boolean(), url: z.string() }),
  async run(input, context) {
    const { config } = context as ConnectionContext<Config>
    chosenSpace(config, input.space)
    return publish(context as ConnectionContext<Config>, input)
  },
})

const attachAction = connectionAction({
  name: 'confluence.page.attach',
  title: 'Attach a file to a page of Confluence',
  description:
    'Uploads a file to a page, or a new version of it when the page has a file of that name. Attaching the same again adds another version.',
  access: 'write',
  http: { method: 'POST', path: '/confluence/pages/{id}/attachments' },
  input: {
    id: PageId,
    fileName: z
      .string()
      .regex(/^(?!\.)[^\p{Cc}\p{Cs}\\/:*?"<>|%]{1,200}$/u, 'must be a plain file name')
      .describe('Name of the file, for example report.csv.'),
    contentType: z
      .string()
      .regex(/^[a-z]{1,20}\/[a-z0-9][a-z0-9.+-]{0,99}$/)
      .default('text/plain')
      .describe('Its media type, for example text/csv.'),
    encoding: z.enum(['text', 'base64']).default('text').describe('How `content` is written.'),
    content: z.string().min(1).max(11_184_812).describe('The file: text, or base64. At most 8 MiB.'),
    comment: z
      .string()
      .trim()
      .regex(/^\P{Cc}{1,200}$/u, 'must be one line')
      .optional()
      .describe('A remark that the list of files shows.'),
  },
  output: z.object({ id: z.string(), fileName: z.string(), version: z.int(), bytes: z.int(), isNew: z.boolean() }),
  async run(input, context) {
    const { page } = await visiblePage(context as ConnectionContext<Config>, input.id)
    return attach(context.http, page.id, input)
  },
})

export const actions = [searchAction, getAction, publishAction, attachAction] as const

function chosenSpace(config: Config, key: string): string {
  if (!spacesOf(config).includes(key))
    throw new Problem('not-found', 'The space is not one of the spaces of this connection')
  return key
}

type Fields = { readonly words?: string | undefined; readonly title?: string | undefined } & {
  readonly label?: string | undefined
  readonly changedSince?: string | undefined
}

function cqlOf(keys: readonly string[], { words, title, label, changedSince }: Fields): string {
  const clauses = [
    inSpaces(keys),
    ...(words === undefined ? [] : [`(text ~ ${quoted(plainWords(words))} or title ~ ${quoted(plainWords(words))})`]),
    ...(title === undefined ? [] : [`title ~ ${quoted(plainWords(title))}`]),
    ...(label === undefined ? [] : [`label = ${quoted(label)}`]),
    ...(changedSince === undefined ? [] : [`lastmodified >= ${quoted(changedSince)}`]),
  ]
  return `${clauses.join(' and ')} order by lastmodified desc`
}

/** The search reads signs and the words AND, OR, NOT as commands; only words are let through. */
function plainWords(text: string): string {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_])?/gu)
  if (!words) throw new Problem('invalid-input', 'The search needs at least one word or number')
  return words.join(' ')
}

function summary({ url }: Config, page: WikiPage): z.input<typeof PageSummary> {
  const { id, title, space, version, labels, author, editor, createdAt, modifiedAt, excerpt } = page
  return {
    id,
    title,
    space,
    version,
    labels,
    url: pageUrl(url, page),
    ...(author !== undefined && { author }),
    ...(editor !== undefined && { editor }),
    ...(createdAt !== undefined && { createdAt }),
    ...(modifiedAt !== undefined && { modifiedAt }),
    ...(excerpt !== undefined && { excerpt }),
  }
}
