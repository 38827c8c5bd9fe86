import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import type { Inventory } from './inventory.ts'

type Parts = {
  readonly inventory: Pick<Inventory, 'search'>
  readonly connectionName: (id: string) => Promise<string | undefined>
}

/** The search in the fewest words, for whoever pays by the token: one line an asset, and where to read on. */
export function briefActions({ inventory, connectionName }: Parts): readonly Action[] {
  return [
    defineAction({
      name: 'inventory.assets.find',
      tool: 'inventory_search',
      title: 'Find assets, briefly',
      description:
        'Searches everything that the connected systems know (machines, addresses, problems, tickets, pages, storage …) by any part of a name, address or serial, or a word. One short line per asset, best first; `id` opens it with inventory.assets.get.',
      access: 'read',
      http: { method: 'GET', path: '/assets/brief' },
      input: z.strictObject({
        q: z.string().min(1).max(200).describe('Words that must all match.'),
        kind: z.string().min(1).max(100).optional().describe('Only this kind, for example virtual-machine or ticket.'),
        site: z.string().min(1).max(200).optional().describe('Only at this site.'),
        limit: z.coerce.number().int().min(1).max(50).default(10).describe('How many at most (1–50).'),
      }),
      output: z.object({
        items: z.array(
          z.object({
            id: z.string(),
            name: z.string(),
            kind: z.string(),
            system: z.string().describe('Name of the connection.'),
            status: z.string().optional(),
            site: z.string().optional(),
            addresses: z.array(z.string()).optional().describe('The first three.'),
            serial: z.string().optional(),
            link: z.string().optional().describe('The page in the system itself.'),
          }),
        ),
        total: z.int().nullable().describe('How many match; null when more than 10,000.'),
      }),
      resource: () => ({ type: 'inventory', id: '*' }),
      async run({ q, kind, site, limit }) {
        const filter = {
          kinds: kind ? [kind] : [],
          statuses: [],
          sites: site ? [site] : [],
          stale: false,
          source: undefined,
        }
        const found = await inventory.search({
          text: q,
          filter,
          sort: 'relevance',
          limit,
          facets: false,
          cursor: undefined,
        })
        const names = new Map<string, string>()
        for (const { connection_id: id } of found.items)
          if (!names.has(id)) names.set(id, (await connectionName(id)) ?? id)
        const items = found.items.map((row) => {
          const addresses = (JSON.parse(row.addresses) as string[]).slice(0, 3)
          return {
            id: row.id,
            name: row.name,
            kind: row.kind,
            system: names.get(row.connection_id) ?? row.connection_id,
            ...(row.status !== null && { status: row.status }),
            ...(row.site !== null && { site: row.site }),
            ...(addresses.length > 0 && { addresses }),
            ...(row.serial !== null && { serial: row.serial }),
            ...(row.url !== null && { link: row.url }),
          }
        })
        return { items, total: found.total }
      },
    }),
  ]
}
