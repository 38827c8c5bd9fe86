import { z } from 'zod'
import type { Cursor, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { whoAmI } from './check.ts'
import { observePage, type WikiPage } from './page.ts'
import { inSpaces, searchPages } from './search.ts'
import { type Config, spacesOf } from './settings.ts'
import { makeVisibility } from './visibility.ts'
import { type Listed, makeWiki, type Wiki } from './wiki.ts'

const minutes = 60_000

/** Re-read before the last run's start: the search index lags behind the pages. */
const overlap = 10 * minutes
/** Restrictions, labels, moves and purges leave no mark that could be asked for, so everything is read again after a day. */
const oldestFull = 24 * 60 * minutes

/** `since`: the server's time at the start of the last run. `scope`: the settings it was made with. */
const SyncCursor = z.object({ since: z.iso.datetime(), fullAt: z.iso.datetime(), scope: z.string() })

/** Reads all pages of the chosen spaces that everyone in them may read, or what changed since the cursor. */
export async function* sync(context: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const { config } = context
  const { at: started } = await whoAmI(context)
  const wiki = makeWiki(context)
  const spaces = spacesOf(config)
  const seen = await wiki.seenSpaces()
  for (const key of spaces)
    if (!seen.has(key))
      throw new Problem('upstream-denied', `The account does not see the space ${key}: check its key and permissions`)

  const scope = JSON.stringify([[...spaces].sort(), config.excerpts])
  const cursor = SyncCursor.safeParse(context.cursor).data
  const age = cursor ? started.getTime() - Date.parse(cursor.fullAt) : Number.NaN
  if (cursor && cursor.scope === scope && age >= 0 && age < oldestFull) {
    const after = new Date(Date.parse(cursor.since) - overlap).toISOString()
    for (const space of spaces) yield* changes(context, wiki, space, after)
    return { since: started.toISOString(), fullAt: cursor.fullAt, scope }
  }
  for (const space of spaces) yield* everything(context, wiki, space)
  return { since: started.toISOString(), fullAt: started.toISOString(), scope }
}

async function* everything(context: SyncContext<Config>, wiki: Wiki, space: string): AsyncGenerator<SyncBatch> {
  const split = makeVisibility(context.http)
  for await (const rows of wiki.list(space)) {
    const { open } = await split(await complete(context, wiki, space, rows))
    yield { stage: `pages of ${space}`, observations: open.map((page) => observed(context, page)), full: true }
  }
}

/** Removals come first: a page restored under its old id is then reported last as present. */
async function* changes(
  context: SyncContext<Config>,
  wiki: Wiki,
  space: string,
  after: string,
): AsyncGenerator<SyncBatch> {
  for await (const ids of wiki.removed(space)) yield { stage: `removed pages of ${space}`, gone: ids.map(asGone) }
  const split = makeVisibility(context.http)
  for await (const rows of wiki.newest(space)) {
    const fresh = rows.filter(({ modifiedAt }) => modifiedAt === undefined || modifiedAt >= after)
    const { open, hidden } = await split(await complete(context, wiki, space, fresh))
    yield {
      stage: `changed pages of ${space}`,
      observations: open.map((page) => observed(context, page)),
      gone: hidden.map(({ id }) => asGone(id)),
    }
    if (fresh.length < rows.length) return
  }
}

/**
 * Listed pages with all that is kept of them. The search knows them all at once; those that its index does not have yet are
 * read one by one. A page that went away meanwhile is left out.
 */
async function complete(context: SyncContext<Config>, wiki: Wiki, space: string, rows: readonly Listed[]) {
  const left = new Set(rows.map(({ id }) => id))
  const pages: WikiPage[] = []
  let cursor: string | undefined
  do {
    if (left.size === 0) break
    const cql = `${inSpaces([space])} and id in (${rows.map(({ id }) => id).join(',')})`
    const { excerpts } = context.config
    const hits = await searchPages(context, { cql, limit: rows.length, excerpts, cursor })
    for (const page of hits.pages) if (left.delete(page.id)) pages.push(page)
    cursor = hits.next
  } while (cursor !== undefined)
  for (const id of left) {
    const page = await readIfThere(wiki, id)
    if (page) pages.push(page)
  }
  // One can have moved to a space that was not chosen.
  return pages.filter((page) => page.space === space)
}

async function readIfThere(wiki: Wiki, id: string): Promise<WikiPage | undefined> {
  try {
    return (await wiki.read(id)).page
  } catch (error) {
    if (error instanceof Problem && error.type === 'not-found') return undefined
    throw error
  }
}

function observed({ config }: SyncContext<Config>, page: WikiPage): Observation {
  return observePage(page, config.url)
}

function asGone(externalId: string) {
  return { kind: 'page', externalId }
}
