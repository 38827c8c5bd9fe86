import type { Command } from 'commander'
import type { Json } from '../client.ts'
import { findAsset } from '../names.ts'
import { cell, fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

const columns = {
  name: (row: Json) => row['name'],
  kind: (row: Json) => row['kind'],
  status: (row: Json) => row['status'],
  site: (row: Json) => row['site'],
  addresses: (row: Json) => (row['addresses'] as string[] | undefined)?.join(' '),
  serial: (row: Json) => row['serial'],
  source: (row: Json) => (row['source'] as Json | undefined)?.['name'],
  id: (row: Json) => row['id'],
}

/** `atlas search` and `atlas assets`. */
export function addInventory(program: Command, shell: Shell): void {
  addSearch(program, shell)
  addAssets(program, shell)
}

function addSearch(program: Command, shell: Shell): void {
  withFilters(program.command('search <words...>'))
    .summary('find anything by name, part of a name, address, serial or attribute')
    .description(
      'Searches the inventory of all connected systems. Every word must match: names, addresses and serials also in part.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  atlas search web-07\n  atlas search 10.20.0.\n  atlas search esx --kind device --status active --json',
    )
    .action((words: string[], options: Record<string, unknown>) => run(shell, words, options))
}

function addAssets(program: Command, shell: Shell): void {
  const assets = program
    .command('assets')
    .summary('list and show assets')
    .description('What the connected systems contain.')
  withFilters(assets.command('list'))
    .summary('list assets')
    .action((options: Record<string, unknown>) => run(shell, [], options))
  assets
    .command('show <asset>')
    .summary('show everything known about one asset, by id or exact name')
    .action(async (asset: string) => {
      const client = shell.client()
      const answer = await client.get(`/assets/${encodeURIComponent(await findAsset(client, asset))}`)
      print(shell.output(), answer, () => showAsset(answer))
    })
  assets
    .command('summary')
    .summary('count assets per connection and kind')
    .action(async () => {
      const answer = await shell.client().get('/inventory/summary')
      const rows = (answer['connections'] as Json[]).flatMap((source) =>
        (source['kinds'] as Json[]).map((kind) => ({ ...kind, connection: source['name'] })),
      )
      const empty = 'The inventory is empty. Add a system with `atlas connections add`.'
      const shown = {
        connection: (r: Json) => r['connection'],
        kind: (r: Json) => r['kind'],
        count: (r: Json) => r['count'],
        stale: (r: Json) => r['stale'],
      }
      print(shell.output(), answer, () => table(rows, shown, empty))
    })
}

const collect = (value: string, all: string[] = []) => [...all, value]
const withFilters = (command: Command) =>
  command
    .option('-k, --kind <kind>', 'only this kind (repeatable): device, virtual-machine, ip-address …', collect)
    .option('-s, --source <connection>', 'only from this connection')
    .option('--status <status>', 'only with this status (repeatable)', collect)
    .option('--site <site>', 'only at this site (repeatable)', collect)
    .option('--stale', 'only what the systems no longer report')
    .option('--sort <order>', 'relevance, name, -name, updated or -updated')
    .option('-n, --limit <count>', 'how many to show (1–200)', '50')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .option('--facets', 'also count by kind, source, status and site')

async function run(shell: Shell, words: string[], options: Record<string, unknown>): Promise<void> {
  const q = words.join(' ')
  const answer = await shell.client().get('/assets', { ...(q && { q }), ...(options as Record<string, string>) })
  const items = answer['items'] as Json[]
  print(shell.output(), answer, () =>
    [
      table(
        items,
        columns,
        q
          ? `Nothing matches “${q}”. Fewer letters match more; \`atlas sync\` brings the inventory up to date.`
          : 'The inventory is empty. Add a system with `atlas connections add`.',
      ),
      ...(items.length > 0 ? [`\n${items.length} of ${answer['total'] ?? 'more than 10000'}`] : []),
      ...(answer['facets'] ? [facetText(answer['facets'] as Json)] : []),
      ...(answer['next'] ? [`More: --cursor ${answer['next']}`] : []),
    ].join('\n'),
  )
}

function showAsset(asset: Json): string {
  const { attributes, relations, source, ...head } = asset
  const { name, connector } = (source as Json | undefined) ?? {}
  const related = (relations as Json[] | undefined) ?? []
  return [
    fields({ ...head, source: `${name} (${connector})` }),
    `\nAttributes\n${fields((attributes as Json | undefined) ?? {})}`,
    ...(related.length > 0 ? [`\nRelations\n${relationTable(related)}`] : []),
  ].join('\n')
}

function relationTable(relations: readonly Json[]): string {
  return table(
    relations,
    {
      relation: (r) => `${r['direction'] === 'in' ? '← ' : ''}${r['type']}`,
      kind: (r) => r['kind'],
      name: (r) => `${cell(r['name'] ?? r['externalId'])}${r['stale'] ? ' (stale)' : ''}`,
      id: (r) => r['id'],
    },
    '',
  )
}

function facetText(facets: Json): string {
  return Object.entries(facets)
    .filter(([, values]) => Array.isArray(values))
    .map(
      ([name, values]) =>
        `${name}: ${(values as Json[]).map(({ value, name, count }) => `${name ?? value} ${count}`).join(', ')}`,
    )
    .join('\n')
}
