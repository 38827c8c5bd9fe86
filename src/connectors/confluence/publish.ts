import type { ConnectionContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { pageUrl } from './page.ts'
import type { Config } from './settings.ts'
import { type Cell, marker, tablePage } from './storage.ts'
import { makeVisibility, visiblePage } from './visibility.ts'
import { makeWiki, type Stored } from './wiki.ts'

export type Table = {
  readonly space: string
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
  readonly introduction?: string | undefined
  readonly parentId?: string | undefined
  readonly version?: number | undefined
  readonly reason?: string | undefined
}

/** Creates the page, or replaces the one that Atlas published under that title. */
export async function publish(context: ConnectionContext<Config>, table: Table) {
  const { space, title, columns, rows, introduction, parentId, version, reason } = table
  const uneven = rows.findIndex((row) => row.length !== columns.length)
  if (uneven >= 0)
    throw new Problem(
      'invalid-input',
      `Row ${uneven + 1} has ${rows[uneven]?.length} cells, but there are ${columns.length} columns`,
    )
  const wiki = makeWiki(context)
  const found = await wiki.find(space, title)
  if (found) await refuseForeign(context, found, version)
  else if (version !== undefined)
    throw new Problem('conflict', 'There is no page of that title (any more), so it cannot have that version')
  if (!found && parentId !== undefined) await refuseForeignParent(context, space, parentId)

  const written = await wiki.write({
    space,
    title,
    storage: tablePage(columns, rows, introduction),
    message: reason ?? 'Published by Infrastructure Atlas',
    parentId,
    replaces: found && { id: found.page.id, version: found.page.version },
  })
  return {
    id: written.id,
    version: written.version,
    isNew: found === undefined,
    url: pageUrl(context.config.url, written),
  }
}

async function refuseForeign({ http }: ConnectionContext<Config>, { page, storage }: Stored, version?: number) {
  const { open } = await makeVisibility(http)([page])
  if (open.length === 0 || !storage.includes(marker))
    throw new Problem('conflict', 'A page of that title is there that Atlas did not publish; it is left alone')
  if (version !== undefined && version !== page.version)
    throw new Problem('conflict', `The page has version ${page.version} in Confluence, not ${version}`)
}

async function refuseForeignParent(context: ConnectionContext<Config>, space: string, parentId: string) {
  const { page } = await visiblePage(context, parentId)
  if (page.space !== space) throw new Problem('invalid-input', 'The parent page is in another space')
}
