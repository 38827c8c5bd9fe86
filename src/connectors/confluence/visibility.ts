import type { ConnectionContext, Http } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { hasHolders, type WikiPage } from './page.ts'
import { ReadRestrictions } from './schema.ts'
import { type Config, spacesOf } from './settings.ts'
import { makeWiki, type Stored } from './wiki.ts'

/**
 * Keeps pages with read restrictions out. What the account may read, others of its space may not, and what Atlas shows it
 * shows to everyone who may use the connection. A restriction holds for all pages below; what cannot be found out counts
 * as restricted.
 */
export function makeVisibility(http: Http) {
  /** Page id → whether that page itself is restricted. Ids only, so it stays small. */
  const known = new Map<string, boolean>()

  async function learn(id: string): Promise<void> {
    if (!known.has(id)) known.set(id, await ask(http, id))
  }

  return async function split(
    pages: readonly WikiPage[],
  ): Promise<{ readonly open: readonly WikiPage[]; readonly hidden: readonly WikiPage[] }> {
    for (const { id, isRestricted } of pages) if (isRestricted !== undefined) known.set(id, isRestricted)
    const chains = pages.map(({ id, ancestors }) => [...ancestors, id])
    await Promise.all([...new Set(chains.flat())].map(learn))
    const isOpen = ({ id, ancestors }: WikiPage) => [...ancestors, id].every((one) => known.get(one) === false)
    return { open: pages.filter(isOpen), hidden: pages.filter((page) => !isOpen(page)) }
  }
}

/** A page that everyone in the connection's spaces may read; any other is as if it were not there. */
export async function visiblePage(context: ConnectionContext<Config>, id: string): Promise<Stored> {
  const stored = await makeWiki(context).read(id)
  const isChosen = spacesOf(context.config).includes(stored.page.space)
  const { open } = await makeVisibility(context.http)(isChosen ? [stored.page] : [])
  if (open.length === 0)
    throw new Problem('not-found', 'No such page in the spaces of this connection, or only some people may read it')
  return stored
}

async function ask(http: Http, id: string): Promise<boolean> {
  try {
    const path = `/rest/api/content/${id}/restriction/byOperation/read`
    return hasHolders(await http.get(path, ReadRestrictions, { expand: 'restrictions.user,restrictions.group' }))
  } catch (error) {
    // An ancestor that the account may not see, while it sees the page below.
    if (error instanceof Problem && ['not-found', 'upstream-denied'].includes(error.type)) return true
    throw error
  }
}
