import type { ConnectionContext } from '../../core/connector.ts'
import { makeCloud } from './cloud.ts'
import { makeDataCenter } from './datacenter.ts'
import type { WikiPage } from './page.ts'
import type { Config } from './settings.ts'

/** A page in a list. */
export type Listed = { readonly id: string; readonly modifiedAt: string | undefined }

/** A page with its body in storage format, an XML dialect. */
export type Stored = { readonly page: WikiPage; readonly storage: string }

export type Draft = {
  readonly space: string
  readonly title: string
  readonly storage: string
  readonly message: string
  readonly parentId: string | undefined
  /** The page to replace, and the version of it that was read. */
  readonly replaces: { readonly id: string; readonly version: number } | undefined
}

/** What the two products do differently. Searching, restrictions and attachments are the same (v1). */
export type Wiki = {
  /** The keys of those spaces that the account sees. */
  readonly seenSpaces: () => Promise<ReadonlySet<string>>
  /** All current pages of a space by id, straight from the database. */
  readonly list: (space: string) => AsyncGenerator<readonly Listed[]>
  /** Those changed last come first. */
  readonly newest: (space: string) => AsyncGenerator<readonly Listed[]>
  /** Ids of what is no longer current: in the trash or archived. */
  readonly removed: (space: string) => AsyncGenerator<readonly string[]>
  readonly read: (id: string) => Promise<Stored>
  readonly find: (space: string, title: string) => Promise<Stored | undefined>
  readonly write: (draft: Draft) => Promise<Pick<WikiPage, 'id' | 'version' | 'webui'>>
}

export function makeWiki(context: ConnectionContext<Config>): Wiki {
  return context.config.deployment === 'cloud' ? makeCloud(context) : makeDataCenter(context)
}
