import { z } from 'zod'

// Only the fields we use. What identifies a page, places it, or says who may read it is strict; what only describes it may
// be missing or of another type, and is then left out.

const text = z.string().nullish().catch(null)

export const Id = z.coerce.string().regex(/^\d{1,19}$/)
const Person = z.object({ displayName: text }).nullish().catch(null)
const Links = z.object({ next: text, webui: text }).nullish().catch(null)
const Label = z.object({ name: z.string() })

const Holders = z.object({ results: z.array(z.unknown()), size: z.number().nullish().catch(null) })

/** Who alone may read a page. `/rest/api/content/{id}/restriction/byOperation/read`, and `restrictions.read` of a content. */
export const ReadRestrictions = z.object({ restrictions: z.object({ user: Holders, group: Holders }) })

/** A page of the v1 API, on both products, with our expansions. */
export const Content = z.object({
  id: Id,
  status: text,
  title: z.string(),
  space: z.object({ key: z.string() }),
  version: z.object({ number: z.int(), when: text, by: Person }),
  history: z.object({ createdDate: text, createdBy: Person }).nullish().catch(null),
  ancestors: z.array(z.object({ id: Id })),
  metadata: z
    .object({ labels: z.object({ results: z.array(Label) }) })
    .nullish()
    .catch(null),
  restrictions: z.object({ read: ReadRestrictions }).nullish().catch(null),
  body: z
    .object({ storage: z.object({ value: z.string() }) })
    .nullish()
    .catch(null),
  _links: Links,
})
export type Content = z.output<typeof Content>

/** What a list of the v1 API needs to say of each page. */
export const ListedContent = z.object({
  id: Id,
  version: z.object({ number: z.int(), when: text }).nullish().catch(null),
})

export const V1Page = <T extends z.ZodType>(item: T) => z.object({ results: z.array(item), _links: Links })

export const SearchPage = z.object({
  results: z.array(z.object({ content: Content, excerpt: text })),
  _links: Links,
})

/** A page of the v2 API (Cloud). */
export const V2Page = z.object({
  id: Id,
  status: text,
  title: z.string(),
  spaceId: Id,
  createdAt: text,
  version: z.object({ number: z.int(), createdAt: text }),
  labels: z
    .object({ results: z.array(Label) })
    .nullish()
    .catch(null),
  body: z
    .object({ storage: z.object({ value: z.string() }) })
    .nullish()
    .catch(null),
  _links: Links,
})
export type V2Page = z.output<typeof V2Page>

export const V2List = <T extends z.ZodType>(item: T) => z.object({ results: z.array(item), _links: Links })

export const Space = z.object({ id: Id, key: z.string() })
export const Ancestor = z.object({ id: Id })

export const CurrentUser = z.object({
  type: text,
  displayName: text,
  operations: z
    .array(z.object({ operation: z.string(), targetType: z.string() }))
    .nullish()
    .catch(null),
})

export const Written = z.object({ id: Id, version: z.object({ number: z.int() }), _links: Links })

/** Attachment ids are `att123` on Cloud. */
export const Attachment = z.object({
  id: z.coerce.string().regex(/^(?:att)?\d{1,19}$/),
  title: z.string(),
  version: z.object({ number: z.int() }).nullish().catch(null),
})
