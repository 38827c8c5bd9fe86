import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { orderOf, withOrder } from './export-order.ts'

const columns = {
  name: (row: Json) => row['name'],
  dataset: (row: Json) => row['dataset'],
  format: (row: Json) => row['format'],
  schedule: (row: Json) => row['schedule'],
  next: (row: Json) => row['nextRunAt'],
  last: (row: Json) => row['lastRunAt'],
  problem: (row: Json) => (row['problem'] as Json | null)?.['detail'],
  published: (row: Json) => publicationOf(row['publication'] as Json | null),
  id: (row: Json) => row['id'],
}

/** `atlas exports plans`. */
export function addPlans(exports: Command, shell: Shell): void {
  const plans = exports.command('plans').summary('exports on a schedule').description('Exports on a schedule.')
  addCreate(plans, shell)
  plans
    .command('list')
    .summary('list plans: when each runs, and how the last run went')
    .action(async () => {
      const answer = await shell.client().get('/export-plans')
      print(shell.output(), answer, () => table(answer['items'] as Json[], columns, 'No plans.'))
    })
  plans
    .command('run <plan>')
    .summary('run a plan now; or publish its last file, when that was approved')
    .action(async (id: string) => {
      const answer = await shell.client().send('POST', `/export-plans/${encodeURIComponent(id)}/run`, {})
      print(shell.output(), answer, () => table([answer], columns, ''))
    })
  plans
    .command('remove <plan>')
    .summary('end a plan; what it has made stays')
    .action(async (id: string) => {
      const answer = await shell.client().send('DELETE', `/export-plans/${encodeURIComponent(id)}`)
      print(shell.output(), answer, () => 'Removed.')
    })
}

function addCreate(plans: Command, shell: Shell): void {
  withOrder(plans.command('create <name> <dataset> [filters...]'))
    .summary('make a file again and again')
    .requiredOption('--schedule <cron>', 'five cron fields in UTC: minute hour day month weekday')
    .option('--share <principal>', 'who may read the files beside you (repeatable)', collect)
    .option('--publish <action>', 'hand each file to this action of a connected system')
    .option('--publish-input <file>', 'its input as a JSON file, with {{name}} and {{base64}} in texts')
    .addHelpText(
      'after',
      '\nExample:\n  atlas exports plans create "Weekly CMDB" cmdb --schedule "0 6 * * 1" --publish confluence.page.attach --publish-input page.json',
    )
    .action(async (name: string, dataset: string, filters: string[], options: Json) => {
      const { schedule, share, publish, publishInput } = options as Record<string, string | undefined>
      if ((publish === undefined) !== (publishInput === undefined))
        throw new CliError('--publish and --publish-input go together', 2)
      const body = {
        ...orderOf(dataset, filters, options),
        name,
        schedule,
        principals: share ?? [],
        ...(publish !== undefined && { publish: { action: publish, input: readJson(publishInput ?? '') } }),
      }
      const answer = await shell.client().send('POST', '/export-plans', body)
      print(shell.output(), answer, () => table([answer], columns, ''))
    })
}

const collect = (value: string, all: string[] = []) => [...all, value]

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new CliError(`${path} cannot be read as JSON: ${(error as Error).message}`, 2)
  }
}

function publicationOf(publication: Json | null): string | undefined {
  if (!publication) return undefined
  const { state, approval, problem } = publication
  if (state === 'pending') return `waits for ${approval}`
  return state === 'failed' ? `failed: ${(problem as Json | undefined)?.['detail']}` : String(state)
}
