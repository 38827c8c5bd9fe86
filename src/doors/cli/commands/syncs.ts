import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { bar, fields, makeProgress, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { at, remedy } from './connections.ts'

/** `atlas sync` and `atlas syncs`. */
export function addSyncs(program: Command, shell: Shell): void {
  program
    .command('sync <connection>')
    .summary('bring the inventory of one connection up to date now')
    .option('--full', 'read everything, not only what changed')
    .option('--no-wait', 'start it and return')
    .action(async (connection: string, options: { full?: boolean; wait: boolean }) => {
      const run = await shell.client().send('POST', `${at(connection)}/syncs`, { mode: options.full ? 'full' : 'auto' })
      const end = options.wait ? await watch(shell, run) : run
      print(shell.output(), end, () => sentence(end))
      if (['failed', 'cancelled', 'interrupted'].includes(String(end['state'])))
        throw new CliError(
          `The sync of ${connection} ${end['state']}. ${remedy(connection, end['problem'])}`.trim(),
          1,
          end,
        )
    })
  const syncs = program.command('syncs').summary('look at and cancel sync runs')
  syncs
    .command('list <connection>')
    .summary('the last runs of a connection')
    .action(async (connection: string) => {
      const answer = await shell.client().get(`${at(connection)}/syncs`)
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            id: (r) => r['id'],
            state: (r) => r['state'],
            mode: (r) => r['mode'],
            started: (r) => r['startedAt'],
            read: (r) => (r['counts'] as Json | undefined)?.['read'],
            problem: (r) => (r['problem'] as Json | null)?.['type'],
          },
          'No sync has run yet.',
        ),
      )
    })
  syncs
    .command('show <sync>')
    .summary('one run')
    .action(async (sync: string) => {
      const answer = await shell.client().get(`/syncs/${encodeURIComponent(sync)}`)
      print(shell.output(), answer, () => fields(answer))
    })
  syncs
    .command('cancel <sync>')
    .summary('stop a run; what it saw stays, nothing becomes stale')
    .action(async (sync: string) => {
      const answer = await shell.client().send('POST', `/syncs/${encodeURIComponent(sync)}/cancel`, {})
      print(shell.output(), answer, () => sentence(answer))
    })
}

async function watch(shell: Shell, started: Json): Promise<Json> {
  const progress = makeProgress(shell.output())
  let run = started
  let stage: unknown
  let before = 0
  while (run['state'] === 'queued' || run['state'] === 'running') {
    const read = Number((run['counts'] as Json | undefined)?.['read'] ?? 0)
    if (run['stage'] !== stage) {
      stage = run['stage']
      before = read
    }
    const total = typeof run['total'] === 'number' ? run['total'] : null
    const rate = Math.round(Number(run['rate'] ?? 0))
    progress.show(`${bar(read - before, total)} ${run['stage'] ?? 'waiting'}  ${read} read  ${rate}/s`)
    await sleep(300)
    run = await shell.client().get(`/syncs/${encodeURIComponent(String(started['id']))}`)
  }
  progress.end()
  return run
}

function sentence(run: Json): string {
  const counts = Object.entries((run['counts'] as Json | undefined) ?? {})
  const problem = run['problem'] as Json | null | undefined
  return [
    `Sync ${run['id']} ${run['state']}`,
    counts.map(([name, count]) => `${count} ${name}`).join(', '),
    ...(problem ? [`${problem['type']}: ${problem['detail'] ?? problem['title'] ?? ''}`] : []),
  ]
    .filter(Boolean)
    .join('\n')
}
