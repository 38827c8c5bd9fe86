import { z } from 'zod'

// Only the fields we use. With `expand=true` Zammad adds names (`state`, `group`, …) beside the ids.

const text = z.string().nullish().catch(null)
const number = z.number().nullish().catch(null)
const id = z.int().positive()
const time = z.iso.datetime({ offset: true })
const optionalTime = time.nullish().catch(null)
/** Decimal columns are sent as text. */
const decimal = z
  .union([z.number(), z.string().regex(/^-?\d{1,12}(?:\.\d{1,6})?$/)])
  .transform(Number)
  .nullish()
  .catch(null)

export const Ticket = z.object({
  id,
  number: z.string(),
  title: z.string(),
  state: text,
  priority: text,
  group: text,
  owner: text,
  customer: text,
  organization: text,
  type: text,
  article_count: number,
  time_unit: decimal,
  pending_time: optionalTime,
  escalation_at: optionalTime,
  close_at: optionalTime,
  created_at: time,
  updated_at: time,
})
export type Ticket = z.output<typeof Ticket>

/** A search answers tickets, or, where `expand` is not understood, their ids and the tickets beside them. */
export const Found = z.union([
  z.array(Ticket),
  z
    .object({
      tickets: z.array(id),
      assets: z.object({ Ticket: z.record(z.string(), Ticket).optional() }),
    })
    .transform(({ tickets, assets }, context) =>
      tickets.map((one) => {
        const ticket = assets.Ticket?.[String(one)]
        if (ticket) return ticket
        context.addIssue({ code: 'custom', message: 'a ticket of the list is missing' })
        return z.NEVER
      }),
    ),
])

export const Tickets = z.array(Ticket)

export const TimeAccountings = z.array(
  z.object({
    id,
    time_unit: decimal,
    type_id: number,
    type: text,
    created_by: text,
    created_by_id: number,
    created_at: time,
  }),
)
export type TimeAccounting = z.output<typeof TimeAccountings>[number]

export const Me = z.object({
  id,
  login: text,
  roles: z.array(z.string()).nullish().catch(null),
})

export const Version = z.object({ version: z.string().max(40) })

export const Article = z.object({
  id,
  from: text,
  sender: text,
  type: text,
  internal: z.boolean().nullish().catch(null),
  subject: text,
  body: text,
  content_type: text,
  created_at: time,
})
export const Articles = z.array(Article)
