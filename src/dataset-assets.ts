import type { z } from 'zod'
import { kindWords, statusWords } from './dataset-words.ts'
import { type Dataset, defineDataset } from './features/exports/dataset.ts'
import type { Column, Row } from './features/exports/table.ts'
import { searchInput } from './features/inventory/actions.ts'
import type { Inventory } from './features/inventory/inventory.ts'
import type { SearchQuery } from './features/inventory/search.ts'
import type { AssetRow } from './features/inventory/store-assets.ts'

export type AssetParts = {
  readonly inventory: Pick<Inventory, 'search'>
  /** The id of a connection given by id or name; throws Problem not-found. */
  readonly resolveConnection: (idOrName: string) => Promise<string>
  /** Names of the connections that exist, by id. */
  readonly connectionNames: () => Promise<ReadonlyMap<string, string>>
}

const params = searchInput.pick({ q: true, kind: true, source: true, status: true, site: true, stale: true })
type Params = z.output<typeof params>

const columns: readonly Column[] = [
  { key: 'id', title: 'Id', type: 'text', holds: 'name' },
  { key: 'name', title: 'Name', type: 'text', holds: 'name' },
  { key: 'kind', title: 'Kind', type: 'text', holds: 'label', words: kindWords },
  { key: 'status', title: 'Status', type: 'text', holds: 'label', words: statusWords },
  { key: 'site', title: 'Site', type: 'text', holds: 'name' },
  { key: 'serial', title: 'Serial', type: 'text', holds: 'serial' },
  { key: 'addresses', title: 'Addresses', type: 'text', holds: 'address' },
  { key: 'system', title: 'System', type: 'text', holds: 'name' },
  { key: 'stale', title: 'Gone', type: 'flag' },
  { key: 'firstSeenAt', title: 'First seen', type: 'time' },
  { key: 'lastSeenAt', title: 'Last seen', type: 'time' },
  { key: 'url', title: 'Link', type: 'text', holds: 'free' },
  { key: 'attributes', title: 'Attributes', type: 'text', holds: 'free' },
]

/** Everything that the connected systems report, with the filters of the search. */
export function assetsDataset(parts: AssetParts): Dataset {
  return defineDataset({
    title: 'Assets',
    describe: 'Everything that the connected systems report, one row each, with all attributes.',
    params,
    reads: ['inventory.assets.search'],
    sheets: (asked, signal) => [{ name: 'Assets', columns, rows: () => rowsOf(parts, asked, signal) }],
  })
}

async function* rowsOf(parts: AssetParts, asked: Params, signal: AbortSignal): AsyncGenerator<readonly Row[]> {
  const { inventory, resolveConnection, connectionNames } = parts
  const names = await connectionNames()
  const { q, kind, source, status, site, stale } = asked
  const filter = {
    kinds: kind,
    source: source === undefined ? undefined : await resolveConnection(source),
    statuses: status,
    sites: site,
    stale,
  }
  for await (const page of assetPages(inventory, { text: q, filter, sort: 'name' }, signal))
    yield page.map((asset) => rowOf(asset, names))
}

/** All pages of a search. */
export async function* assetPages(
  inventory: Pick<Inventory, 'search'>,
  query: Pick<SearchQuery, 'text' | 'filter' | 'sort'>,
  signal: AbortSignal,
): AsyncGenerator<readonly AssetRow[]> {
  for (let cursor: string | undefined; ; ) {
    signal.throwIfAborted()
    const { items, next } = await inventory.search({ ...query, limit: 200, cursor })
    yield items
    if (next === null) return
    cursor = next
  }
}

function rowOf(asset: AssetRow, names: ReadonlyMap<string, string>): Row {
  return [
    asset.id,
    asset.name,
    asset.kind,
    asset.status,
    asset.site,
    asset.serial,
    (JSON.parse(asset.addresses) as string[]).join(', '),
    names.get(asset.connection_id) ?? asset.connector,
    asset.stale_at !== null,
    asset.first_seen_at,
    asset.last_seen_at,
    asset.url,
    asset.attributes,
  ]
}
