import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import type { Asset, Inventory } from './inventory.ts'
import type { MachineParts } from './machines/action-parts.ts'
import { machineActions } from './machines/actions.ts'
import { maxText } from './search.ts'
import type { AssetRow } from './store-assets.ts'

type Parts = {
  readonly inventory: Pick<Inventory, 'search' | 'get' | 'counts' | 'machines'>
  /** The name that people gave a connection, if it still exists. */
  readonly connectionName: (id: string) => Promise<string | undefined>
  /** The id of a connection given by id or name; throws Problem not-found. */
  readonly resolveConnection: (idOrName: string) => Promise<string>
  /** Open findings about a machine. */
  readonly findingsOf?: MachineParts['findingsOf']
}

/** What can be asked of the inventory through the gate. Only syncs change assets; people correct which of them are one machine. */
export function inventoryActions(parts: Parts): readonly Action[] {
  const { inventory, connectionName, resolveConnection, findingsOf = async () => [] } = parts
  return [
    searchAction(parts),
    getAction(parts),
    summaryAction(parts),
    ...machineActions({ machines: inventory.machines, connectionName, resolveConnection, findingsOf }),
  ]
}

const source = z.object({
  connection: z.string().describe('Id of the connection that reports it.'),
  name: z.string().nullable().describe('Name of that connection.'),
  connector: z.string(),
})

const summary = z.object({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  status: z.string().nullable(),
  site: z.string().nullable(),
  serial: z.string().nullable(),
  addresses: z.array(z.string()),
  source,
  url: z.string().nullable().describe('The page in the system itself.'),
  lastSeenAt: z.string(),
  stale: z.boolean().describe('The system no longer reports it.'),
})

const facet = z.array(z.object({ value: z.string(), count: z.int(), name: z.string().optional() }))

export const searchInput = z.strictObject({
  q: z
    .string()
    .max(maxText)
    .optional()
    .describe(
      'Words that must all match: any part of a name, address or serial, or a word of the external id, site or attributes. One or two characters match the beginning of names.',
    ),
  kind: several().describe('Only these kinds, for example device.'),
  source: z.string().min(1).max(64).optional().describe('Only from this connection, by id or name.'),
  status: several().describe('Only with these statuses, as the system writes them.'),
  site: several().describe('Only at these sites, by name.'),
  stale: z
    .union([z.boolean(), z.stringbool({ truthy: ['true'], falsy: ['false'] })])
    .default(false)
    .describe('true: only what its system no longer reports. Otherwise only what it does.'),
  sort: z
    .enum(['relevance', 'name', '-name', 'updated', '-updated'])
    .default('relevance')
    .describe('Order; with a minus the other way round. Without q, relevance is name.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many assets at most (1–200).'),
  cursor: z.string().min(1).max(8_000).optional().describe('The next value of the page before, for the same query.'),
  facets: z
    .union([z.boolean(), z.stringbool({ truthy: ['true'], falsy: ['false'] })])
    .default(false)
    .describe('Also count the matches per kind, source, status and site (the 20 most frequent of each).'),
})

function searchAction({ inventory, connectionName, resolveConnection }: Parts): Action {
  return defineAction({
    name: 'inventory.assets.search',
    title: 'Search the inventory',
    description:
      'Finds assets of all connected systems by name, part of a name, address, serial or attribute, best match first. Filters narrow; all must match.',
    access: 'read',
    http: { method: 'GET', path: '/assets' },
    input: searchInput,
    output: z.object({
      items: z.array(summary),
      next: z.string().nullable().describe('Cursor of the next page.'),
      total: z.int().nullable().describe('How many match; null when more than 10,000.'),
      facets: z
        .object({
          kind: facet,
          source: facet,
          status: facet,
          site: facet,
          capped: z.boolean().describe('Only the first 10,000 matches are counted.'),
        })
        .optional(),
    }),
    resource: (input) =>
      input.source === undefined ? { type: 'inventory', id: '*' } : { type: 'connection', id: input.source },
    async run({ q, kind, source: connection, status, site, stale, sort, limit, cursor, facets }) {
      const filter = {
        kinds: kind,
        source: connection === undefined ? undefined : await resolveConnection(connection),
        statuses: status,
        sites: site,
        stale,
      }
      const found = await inventory.search({ text: q, filter, sort, limit, cursor, facets })
      const nameOf = remembered(connectionName)
      return {
        items: await Promise.all(found.items.map((row) => summaryOf(row, nameOf))),
        next: found.next,
        total: found.total,
        ...(found.facets && { facets: { ...found.facets, source: await named(found.facets.source, nameOf) } }),
      }
    },
  })
}

function getAction({ inventory, connectionName }: Parts): Action {
  return defineAction({
    name: 'inventory.assets.get',
    title: 'Show one asset',
    description: 'Everything known about one asset: attributes, relations in both directions, and where it comes from.',
    access: 'read',
    http: { method: 'GET', path: '/assets/{asset}' },
    input: z.strictObject({ asset: z.string().min(1).max(64).describe('Id of the asset (ast_…).') }),
    output: summary.extend({
      externalId: z.string().describe('Its id in the system itself.'),
      attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])),
      relations: z.array(
        z.object({
          direction: z.enum(['out', 'in']),
          type: z.string(),
          kind: z.string(),
          externalId: z.string(),
          id: z.string().nullable().describe('Null while the other end is not in the inventory.'),
          name: z.string().nullable(),
          stale: z.boolean().nullable(),
        }),
      ),
      moreRelations: z.boolean().describe('There are more than the 200 listed in a direction.'),
      firstSeenAt: z.string(),
      changedAt: z.string(),
      staleAt: z.string().nullable(),
    }),
    resource: ({ asset }) => ({ type: 'asset', id: asset }),
    async run({ asset }) {
      const found = await inventory.get(asset)
      return { ...(await summaryOf(found, connectionName)), ...detailsOf(found) }
    },
  })
}

function summaryAction({ inventory, connectionName }: Parts): Action {
  return defineAction({
    name: 'inventory.summary.get',
    title: 'Count the inventory',
    description: 'How many assets each connection holds, per kind, live and stale.',
    access: 'read',
    http: { method: 'GET', path: '/inventory/summary' },
    input: z.strictObject({}),
    output: z.object({
      total: z.int().describe('Live assets.'),
      stale: z.int(),
      connections: z.array(
        source.extend({
          total: z.int(),
          stale: z.int(),
          kinds: z.array(z.object({ kind: z.string(), count: z.int(), stale: z.int() })),
        }),
      ),
    }),
    resource: () => ({ type: 'inventory', id: '*' }),
    async run() {
      const rows = await inventory.counts()
      const byConnection = Map.groupBy(rows, ({ connection }) => connection)
      const connections = [...byConnection].map(async ([connection, own]) => ({
        connection,
        name: (await connectionName(connection)) ?? null,
        connector: own[0]?.connector ?? '',
        total: sum(own.map(({ live }) => live)),
        stale: sum(own.map(({ stale }) => stale)),
        kinds: own.map(({ kind, live, stale }) => ({ kind, count: live, stale })),
      }))
      return {
        total: sum(rows.map(({ live }) => live)),
        stale: sum(rows.map(({ stale }) => stale)),
        connections: await Promise.all(connections),
      }
    },
  })
}

/** One value or a list of them; a query string cannot tell the two apart. */
function several() {
  const value = z.string().min(1).max(500)
  return z
    .union([value, z.array(value).max(50)])
    .default([])
    .transform((given) => (typeof given === 'string' ? [given] : given))
}

type NameOf = (connection: string) => Promise<string | undefined>

/** A page is mostly of few connections: each name is asked for once. */
function remembered(nameOf: NameOf): NameOf {
  const names = new Map<string, Promise<string | undefined>>()
  return (connection) => {
    const name = names.get(connection) ?? nameOf(connection)
    names.set(connection, name)
    return name
  }
}

async function named(counts: readonly { value: string; count: number }[], nameOf: NameOf) {
  const withNames = counts.map(async ({ value, count }) => {
    const name = await nameOf(value)
    return { value, count, ...(name !== undefined && { name }) }
  })
  return Promise.all(withNames)
}

async function summaryOf(row: Omit<AssetRow, 'attributes'>, nameOf: NameOf): Promise<z.input<typeof summary>> {
  const { id, kind, name, status, site, serial, url } = row
  return {
    id,
    kind,
    name,
    status,
    site,
    serial,
    addresses: JSON.parse(row.addresses),
    source: {
      connection: row.connection_id,
      name: (await nameOf(row.connection_id)) ?? null,
      connector: row.connector,
    },
    url,
    lastSeenAt: row.last_seen_at,
    stale: row.stale_at !== null,
  }
}

function detailsOf(asset: Asset) {
  return {
    externalId: asset.external_id,
    attributes: asset.attributes,
    relations: asset.relations.map(({ direction, type, kind, external_id, id, name, stale }) => ({
      direction,
      type,
      kind,
      externalId: external_id,
      id,
      name,
      stale: stale === null ? null : stale === 1,
    })),
    moreRelations: asset.moreRelations,
    firstSeenAt: asset.first_seen_at,
    changedAt: asset.changed_at,
    staleAt: asset.stale_at,
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
