import { z } from 'zod'
import { connectionAction, type Http } from '../../core/connector.ts'
import { Article, Articles, Found, Ticket } from './schema.ts'
import { type Config, ticketObservation, ticketPage, utc } from './tickets.ts'

const Id = z.string().regex(/^[1-9]\d{0,14}$/, 'must be a number')

const ShownTicket = z.object({
  id: z.string(),
  title: z.string(),
  state: z.string().nullable(),
  url: z.string(),
  attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])),
})
const ShownArticle = z.object({
  id: z.string(),
  from: z.string().nullable(),
  internal: z.boolean(),
  type: z.string().nullable(),
  createdAt: z.string().optional(),
  text: z.string(),
})

const searchTickets = connectionAction({
  name: 'zammad.tickets.search',
  title: 'Search tickets in Zammad',
  description:
    'Asks Zammad itself, now, for tickets by words or by its search syntax, for example `state.name:open AND title:disk`. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/zammad/tickets' },
  input: {
    query: z.string().trim().min(1).max(300).describe('Words, or a query in the syntax of Zammad.'),
    limit: z.coerce.number().int().min(1).max(100).default(25).describe('How many at most (1 to 100).'),
    page: z.coerce.number().int().min(1).max(100).default(1).describe('Which page, from 1.'),
  },
  output: z.object({ items: z.array(ShownTicket), next: z.number().int().nullable() }),
  async run({ query, limit, page }, { http, config }) {
    const found = await http.get('/api/v1/tickets/search', Found, { query, expand: true, page, per_page: limit, limit })
    return {
      items: found.map((ticket) => shown(ticket, config as Config)),
      next: found.length === limit && page < 100 ? page + 1 : null,
    }
  },
})

const getTicket = connectionAction({
  name: 'zammad.ticket.get',
  title: 'Read one ticket from Zammad',
  description: 'Reads one ticket from Zammad, now, and if wanted its newest articles as text.',
  access: 'read',
  http: { method: 'GET', path: '/zammad/tickets/{id}' },
  input: {
    id: Id.describe("The ticket's id in Zammad, which is not its number."),
    articles: z.coerce.number().int().min(0).max(50).default(0).describe('How many of the newest articles (0 to 50).'),
  },
  output: ShownTicket.extend({ articles: z.array(ShownArticle) }),
  async run({ id, articles }, { http, config }) {
    const ticket = await http.get(`/api/v1/tickets/${id}`, Ticket, { expand: true })
    const all = articles === 0 ? [] : await readArticles(http, id)
    return { ...shown(ticket, config as Config), articles: all.slice(-articles || all.length).map(shownArticle) }
  },
})

const commentTicket = connectionAction({
  name: 'zammad.ticket.comment',
  title: 'Add an internal note to a ticket in Zammad',
  description:
    'Adds a note that only agents see to one ticket in Zammad; the customer gets nothing. When the newest article is the same note already, nothing is added.',
  access: 'write',
  http: { method: 'POST', path: '/zammad/tickets/{id}/notes' },
  input: {
    id: Id.describe("The ticket's id in Zammad, which is not its number."),
    text: z.string().trim().min(1).max(10_000).describe('The note, as plain text.'),
  },
  output: z.object({ id: z.string(), url: z.string(), added: z.boolean() }),
  async run({ id, text }, { http, config }) {
    const url = ticketPage(id, config as Config)
    const newest = (await readArticles(http, id)).at(-1)
    if (newest?.internal && plain(newest) === text) return { id: String(newest.id), url, added: false }
    const body = { ticket_id: Number(id), body: text, content_type: 'text/plain', type: 'note', internal: true }
    const article = await http.send('POST', '/api/v1/ticket_articles', Article, body)
    return { id: String(article.id), url, added: true }
  },
})

export const actions = [searchTickets, getTicket, commentTicket] as const

async function readArticles(http: Http, id: string) {
  const articles = await http.get(`/api/v1/ticket_articles/by_ticket/${id}`, Articles, { expand: true })
  return articles.sort((a, b) => a.id - b.id)
}

function shown(ticket: Ticket, config: Config) {
  const { externalId, name, status, url = '', attributes } = ticketObservation(ticket, config)
  return { id: externalId, title: name, state: status ?? null, url, attributes: { ...attributes } as never }
}

function shownArticle(article: z.output<typeof Article>) {
  const { id, from, internal, type, created_at } = article
  const createdAt = utc(created_at)
  return {
    id: String(id),
    from: from ?? null,
    internal: internal ?? true,
    type: type ?? null,
    ...(createdAt && { createdAt }),
    text: plain(article).slice(0, 4000),
  }
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', nbsp: ' ', amp: '&', '#39': "'" }

/** An article's text. HTML loses its tags; what remains is only ever shown as text. Linear, because customers write it. */
function plain({ body, content_type }: z.output<typeof Article>): string {
  const text = body ?? ''
  if (!/html/i.test(content_type ?? '')) return text.trim()
  return text
    .replace(/<(?:br|\/p|\/div|\/li)\b[^<>]*>/gi, '\n')
    .replace(/<[^<>]*>/g, '')
    .replace(/&(lt|gt|quot|nbsp|amp|#39);/g, (_, name: string) => entities[name] ?? '')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}
