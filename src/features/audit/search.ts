import { Problem } from '../../core/problem.ts'
import { EnvelopeError } from '../../lib/envelope.ts'
import { isOurs, isWord, mappingId } from './entry.ts'
import { forgottenCode } from './event.ts'
import { cutOf, type Declared } from './pruned.ts'
import { classOf, type Keep, type Pruned } from './retention-policy.ts'
import type { Filter, StoredEntry, StoreReader } from './store-read.ts'
import { commitOf, type makeSubjects, openPayload, type Subject } from './subject.ts'

/** An entry for a reader who may see personal data: pseudonyms are principals again, as far as they are not forgotten. */
export type AuditRecord = {
  readonly index: number
  readonly at: string
  readonly code: string
  readonly principal?: {
    readonly id?: string
    readonly kind?: string
    readonly name?: string
    readonly tokenId?: string
  }
  readonly onBehalfOf?: string
  readonly door?: string
  readonly action?: string
  readonly access?: string
  readonly requestId?: string
  readonly resource?: { readonly type: string; readonly id?: string }
  readonly outcome?: string
  readonly decision?: { readonly effect: string; readonly policies: string[]; readonly version: string }
  readonly inputHash?: string
  readonly approval?: string
  readonly detail?: unknown
  /** What retention deleted, of `log.pruned`. */
  readonly pruned?: Pruned
  /** Entries whose detail went with a forgotten person. */
  readonly erased?: number[]
  /** What became of the sealed part: `none` was written, it was `read`, `forgotten`, `pruned` by retention, or is `damaged`. */
  readonly personal: 'none' | 'read' | 'forgotten' | 'pruned' | 'damaged'
}

/** Entries below `minimum` are gone, since `at`, by the policy that the entry `entry` names. */
export type Gone = { readonly minimum: number; readonly at: string; readonly entry: number; readonly keep: Keep }

export type SearchQuery = {
  readonly principal?: string
  /** The user that an agent worked for. */
  readonly onBehalfOf?: string
  readonly action?: string
  /** `type`, or `type/id`. */
  readonly resource?: string
  readonly code?: string
  readonly outcome?: string
  /** ISO 8601 UTC; `from` inclusive, `to` exclusive. */
  readonly from?: string
  readonly to?: string
  /** At most 200; 50 when absent. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly cursor?: string
  /** Oldest first, from the entry behind this index on. */
  readonly after?: number
  readonly notAction?: string
}

/** What a principal did to one thing: how often, with which end, and when. */
export type Touched = {
  readonly resource: { readonly type: string; readonly id?: string }
  readonly action?: string
  readonly entries: number
  readonly succeeded: number
  readonly failed: number
  readonly first: string
  readonly last: string
  readonly lastIndex: number
}

type Parts = {
  readonly reader: StoreReader
  readonly subjects: ReturnType<typeof makeSubjects>
  /** What retention has declared. */
  readonly declared: () => Promise<Declared | undefined>
}
type Without = { readonly pruned: Pruned | undefined; readonly erased: ReadonlySet<number> }
type Page = { readonly items: AuditRecord[]; readonly next: string | null; readonly gone?: Gone }

export function makeSearch({ reader, subjects, declared }: Parts) {
  /** One page of events, newest first (oldest first with `after`). `next` is null at the end; `gone` says what the end hides. */
  async function search(query: SearchQuery): Promise<Page> {
    const limit = Math.min(query.limit ?? 50, 200)
    const filter = await filterOf(reader, query, limit + 1)
    const pruned = await declared()
    const gone = pruned && pruned.minimum > 0 ? { gone: goneBy(pruned) } : {}
    if (!filter) return { items: [], next: null, ...gone }
    const found = await reader.search(filter)
    const page = found.slice(0, limit)
    const known = await openSubjects(page)
    const without = await withoutOf(page, pruned)
    const last = page.at(-1)
    const items = page.map((entry) => recordOf(entry, known, without))
    return found.length > limit && last ? { items, next: String(last.index) } : { items, next: null, ...gone }
  }

  /** One event with its leaf exactly as it is hashed. Throws `not-found`. */
  async function read(index: number): Promise<{ record: AuditRecord; leaf: Buffer; leafHash: Buffer }> {
    const entry = await reader.entry(index)
    const pruned = await declared()
    if (!entry && pruned && index < pruned.minimum)
      throw new Problem(
        'gone',
        `Entry ${index} was deleted by retention, which keeps entries for ${pruned.keep.entries} days; entry ${pruned.index} of ${pruned.at} says so`,
      )
    if (!entry) throw new Problem('not-found', 'The log has no entry with this index')
    const known = await openSubjects([entry])
    return { record: recordOf(entry, known, await withoutOf([entry], pruned)), leaf: entry.leaf, leafHash: entry.hash }
  }

  /** By what a missing detail can be excused. */
  async function withoutOf(entries: readonly StoredEntry[], pruned: Pruned | undefined): Promise<Without> {
    if (!entries.some(({ leaf, payload }) => !payload && parseLeaf(leaf).payloadCommit !== undefined))
      return { pruned, erased: new Set() }
    const said = await reader.search({ code: forgottenCode, limit: 10_000 })
    return { pruned, erased: new Set(said.flatMap(({ leaf }) => parseLeaf(leaf).erased ?? [])) }
  }

  async function openSubjects(entries: readonly StoredEntry[]): Promise<ReadonlyMap<string, Subject>> {
    const ids = entries.flatMap(({ leaf }) => {
      const { subject, onBehalfOf, resource } = parseLeaf(leaf)
      return [subject, onBehalfOf, resource?.id].filter((id) => id?.startsWith('sub_'))
    })
    const rows = await reader.subjects([...new Set(ids.filter((id) => id !== undefined))])
    return new Map(rows.map((row) => [row.id, subjects.open(row)]))
  }

  /** Everything that a principal touched, itself or through an agent, at most 1000 rows, the latest first. */
  async function touched(principal: string): Promise<Touched[]> {
    const subject = await reader.subjectOf(mappingId(principal))
    if (!subject) return []
    const rows = await reader.touched(subject.id, 1000)
    const people = await reader.subjects([
      ...new Set(rows.map(({ id }) => id ?? '').filter((id) => id.startsWith('sub_'))),
    ])
    const names = new Map(people.map((row) => [row.id, row.principal_id]))
    return rows.map(({ type, id, action, ...numbers }) => ({
      resource: { type, ...(id !== null && { id: names.get(id) ?? id }) },
      ...(action !== null && { action }),
      ...numbers,
    }))
  }

  return { search, read, touched }
}

/** What a leaf says, as entry.ts wrote it. The log's own bytes, so their form is known. */
export type Leaf = {
  readonly v: number
  readonly seq: number
  readonly at: string
  readonly code: string
  readonly subject?: string
  readonly onBehalfOf?: string
  readonly kind?: string
  readonly door?: string
  readonly action?: string
  readonly access?: string
  readonly requestId?: string
  readonly resource?: { readonly type: string; readonly id?: string }
  readonly outcome?: string
  readonly decision?: NonNullable<AuditRecord['decision']>
  readonly approval?: string
  readonly pruned?: Pruned
  readonly erased?: number[]
  readonly payloadCommit?: string
}

export function parseLeaf(leaf: Buffer): Leaf {
  return JSON.parse(leaf.toString('utf8')) as Leaf
}

/** Undefined when nothing can match: a principal that the log does not know, or a text that no column ever holds. */
async function filterOf(reader: StoreReader, query: SearchQuery, limit: number): Promise<Filter | undefined> {
  const { action, code, outcome, from, to, cursor } = query
  const subject = query.principal === undefined ? undefined : await reader.subjectOf(mappingId(query.principal))
  const behalf = query.onBehalfOf === undefined ? undefined : await reader.subjectOf(mappingId(query.onBehalfOf))
  if (query.principal !== undefined && !subject) return undefined
  if (query.onBehalfOf !== undefined && !behalf) return undefined
  const [resourceType, ...rest] = query.resource?.split('/') ?? []
  const resourceId = rest.length > 0 ? rest.join('/') : undefined
  if ([action, code, outcome, resourceType].some((word) => word !== undefined && !isWord(word))) return undefined
  if (resourceId !== undefined && resourceId !== '*' && !isOurs(resourceId)) return undefined
  // A person as a resource is in the leaf under the pseudonym, and in the mapping under the id.
  const person = resourceId === undefined ? undefined : await reader.subjectOf(resourceId)
  return {
    ...(subject && { subject: subject.id }),
    ...(behalf && { behalf: behalf.id }),
    ...(query.after !== undefined && { after: query.after }),
    ...(query.notAction !== undefined && { notAction: query.notAction }),
    ...(action !== undefined && { action }),
    ...(code !== undefined && { code }),
    ...(outcome !== undefined && { outcome }),
    ...(resourceType !== undefined && { resourceType }),
    ...(resourceId !== undefined && { resourceIds: [resourceId, ...(person ? [person.id] : [])] }),
    // Stored times have milliseconds; compared as text, so the bounds need the same form.
    ...(from !== undefined && { from: new Date(from).toISOString() }),
    ...(to !== undefined && { to: new Date(to).toISOString() }),
    ...(cursor !== undefined && { before: Number(cursor) }),
    limit,
  }
}

function recordOf(entry: StoredEntry, known: ReadonlyMap<string, Subject>, without: Without): AuditRecord {
  const {
    v: _v,
    seq: _seq,
    subject,
    onBehalfOf,
    kind,
    resource,
    payloadCommit: _commit,
    ...open
  } = parseLeaf(entry.leaf)
  const nameOf = (id: string | undefined) => (id === undefined ? undefined : (known.get(id)?.principalId ?? id))
  const { personal, sealed } = unseal(entry, known, without)
  const { name, tokenId, resource: sealedResource, kind: sealedKind, ...rest } = sealed
  const person = {
    ...defined({ id: nameOf(subject) || undefined, kind: kind ?? sealedKind, name, tokenId }),
  } as NonNullable<AuditRecord['principal']>
  const thing = {
    ...resource,
    ...(resource?.id !== undefined && { id: nameOf(resource.id) }),
    ...(sealedResource as object),
  }
  return {
    index: entry.index,
    ...open,
    ...(Object.keys(person).length > 0 && { principal: person }),
    ...(onBehalfOf !== undefined && { onBehalfOf: nameOf(onBehalfOf) as string }),
    ...(Object.keys(thing).length > 0 && { resource: thing as { type: string; id?: string } }),
    ...rest,
    personal,
  }
}

function unseal(
  { index, leaf, payload }: StoredEntry,
  known: ReadonlyMap<string, Subject>,
  { pruned, erased }: Without,
): { personal: AuditRecord['personal']; sealed: Record<string, unknown> } {
  const parsed = parseLeaf(leaf)
  const { subject: id, payloadCommit } = parsed
  if (payloadCommit === undefined) return { personal: 'none', sealed: {} }
  if (!payload && erased.has(index)) return { personal: 'forgotten', sealed: {} }
  if (!payload && pruned && index < cutOf(pruned, classOf(parsed))) return { personal: 'pruned', sealed: {} }
  const subject = known.get(id ?? '')
  if (!subject) return { personal: 'forgotten', sealed: {} }
  if (!payload || commitOf(payload.salt, payload.box) !== payloadCommit) return { personal: 'damaged', sealed: {} }
  try {
    return { personal: 'read', sealed: openPayload(subject, index, payload.box) as Record<string, unknown> }
  } catch (error) {
    if (error instanceof EnvelopeError) return { personal: 'damaged', sealed: {} }
    throw error
  }
}

function goneBy({ minimum, at, index, keep }: Declared): Gone {
  return { minimum, at, entry: index, keep }
}

function defined(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
