import type { Command } from 'commander'
import type { Json } from '../client.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { fetchFile, makeExport } from './export-file.ts'
import { withOrder } from './export-order.ts'
import { addPlans } from './export-plans.ts'

const exportColumns = {
  name: (row: Json) => row['name'],
  dataset: (row: Json) => row['dataset'],
  format: (row: Json) => row['format'],
  profile: (row: Json) => row['profile'],
  state: (row: Json) => row['state'],
  rows: (row: Json) => row['rows'],
  bytes: (row: Json) => row['bytes'],
  owner: (row: Json) => (row['owner'] as Json | undefined)?.['name'],
  expires: (row: Json) => row['expiresAt'],
  id: (row: Json) => row['id'],
}

/** `atlas export` and `atlas exports`. */
export function addExports(program: Command, shell: Shell): void {
  withOrder(program.command('export <dataset> [filters...]'))
    .summary('make a file of a dataset and download it')
    .description(
      'Makes a file, waits for it, downloads it and compares its SHA-256. `atlas exports datasets` says which datasets there are and what filters they take; write filters as name=value.',
    )
    .option('-o, --output <file>', 'where to write it; without it, under its own name in this folder')
    .option('--name <name>', 'what to call it')
    .addHelpText(
      'after',
      '\nExamples:\n  atlas export cmdb\n  atlas export assets kind=device site=FRA1 -f csv -o devices.csv\n  atlas export findings severity=critical --sanitised',
    )
    .action((dataset: string, filters: string[], options: Json) => makeExport(shell, dataset, filters, options))
  const exports = program
    .command('exports')
    .summary('exports that were made: see, share, download, remove, plan')
    .description('Files of what Atlas knows: yours, and those shared with you.')
  addReading(exports, shell)
  addChanging(exports, shell)
  addPlans(exports, shell)
}

function addReading(exports: Command, shell: Shell): void {
  exports
    .command('datasets')
    .summary('what can be exported, and with which filters')
    .action(async () => {
      const answer = await shell.client().get('/export-datasets')
      const filters = (row: Json) =>
        Object.keys(((row['params'] as Json)['properties'] as Json | undefined) ?? {}).join(' ')
      const columns = { dataset: (row: Json) => row['name'], what: (row: Json) => row['describe'], filters }
      print(shell.output(), answer, () => table(answer['items'] as Json[], columns, 'Nothing can be exported.'))
    })
  exports
    .command('list')
    .summary('list exports, newest first')
    .option('-n, --limit <count>', 'how many to show (1–200)', '50')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .action(async (options: Record<string, string>) => {
      const answer = await shell.client().get('/exports', options)
      print(shell.output(), answer, () =>
        [
          table(answer['items'] as Json[], exportColumns, 'No exports. Make one with `atlas export assets`.'),
          ...(answer['next'] ? [`More: --cursor ${answer['next']}`] : []),
        ].join('\n'),
      )
    })
  exports
    .command('show <export>')
    .summary('show one export, and who downloaded it')
    .action(async (id: string) => {
      const answer = await shell.client().get(`/exports/${encodeURIComponent(id)}`)
      print(shell.output(), answer, () => showExport(answer))
    })
  exports
    .command('download <export>')
    .summary('download the file and compare its SHA-256')
    .option('-o, --output <file>', 'where to write it; without it, under its own name in this folder')
    .action(async (id: string, options: { output?: string }) => {
      const answer = await fetchFile(shell, id, options.output)
      print(shell.output(), answer, () => fields(answer))
    })
}

function addChanging(exports: Command, shell: Shell): void {
  exports
    .command('share <export> [principals...]')
    .summary('set who may read it beside you; nobody given ends all sharing')
    .addHelpText('after', '\nA person finds the own id with `atlas whoami`.')
    .action(async (id: string, principals: string[]) => {
      const answer = await shell.client().send('PUT', `/exports/${encodeURIComponent(id)}/access`, { principals })
      print(shell.output(), answer, () => table([answer], { ...exportColumns, shared: (row) => row['sharedWith'] }, ''))
    })
  exports
    .command('remove <export>')
    .summary('remove an export and its file, or stop it')
    .action(async (id: string) => {
      const answer = await shell.client().send('DELETE', `/exports/${encodeURIComponent(id)}`)
      print(shell.output(), answer, () => 'Removed.')
    })
}

function showExport(answer: Json): string {
  const { downloads, owner, ...rest } = answer
  const columns = {
    at: (row: Json) => row['at'],
    by: (row: Json) => (row['by'] as Json)['name'],
    door: (row: Json) => row['door'],
    from: (row: Json) => row['from'],
  }
  return [
    fields({ ...rest, owner: (owner as Json)['name'] }),
    '\nDownloads',
    table(downloads as Json[], columns, 'None that you may see.'),
  ].join('\n')
}
