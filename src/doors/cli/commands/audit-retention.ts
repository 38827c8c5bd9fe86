import type { Command } from 'commander'
import type { Json } from '../client.ts'
import { fields, makeProgress, print } from '../output.ts'
import type { Shell } from '../program.ts'

type Counts = Readonly<Record<string, number>>
type Status = {
  readonly keep: Counts
  readonly size: number
  readonly first: number
  readonly declared?: { readonly minimum: number; readonly index: number; readonly at: string }
  readonly due: { readonly minimum: number; readonly entries: number; readonly details: Counts }
  readonly heldBy?: string
}

/** `atlas audit retention`: what the log keeps, and the deletion of what it does not. */
export function addRetention(audit: Command, shell: Shell): void {
  const retention = audit
    .command('retention')
    .summary('how long the log keeps what, what was deleted, and what would be deleted now')
    .action(async () => {
      const answer = await shell.client().get('/audit/retention')
      print(shell.output(), answer, () => fields(shown(answer as Status & Json)))
    })
  retention
    .command('apply')
    .summary('delete now what is older than the configured retention; the server does it by itself once a day')
    .option('--dry-run', 'only say what would be deleted')
    .action(async ({ dryRun }: { dryRun?: boolean }) => {
      if (dryRun === true) {
        const answer = await shell.client().get('/audit/retention')
        print(shell.output(), answer, () => wouldGo(answer as Status & Json))
        return
      }
      const answer = await apply(shell)
      print(shell.output(), answer, () => wentAway(answer))
    })
}

function shown({ keep, size, first, declared, due, heldBy }: Status): Json {
  const { entries, ...details } = keep
  return {
    'entries are kept': entries === undefined ? 'for ever' : `${entries} days`,
    'details are kept': days(details) || 'as long as their entries',
    'entries so far': size,
    'the first that is left': first,
    ...(declared && { 'newest log.pruned': `entry ${declared.index} of ${declared.at}` }),
    'would go now': sum(due),
    ...(heldBy !== undefined && { 'more is held back by': heldBy }),
  }
}

function wouldGo({ due, heldBy }: Status): string {
  const held = heldBy === undefined ? '' : `\nMore is older than the policy keeps, but ${heldBy} still needs it.`
  return `Would be deleted: ${sum(due)}. Nothing was deleted.${held}`
}

function sum({ entries, details }: Status['due']): string {
  const parts = [`${entries} entries`, ...Object.entries(details).map(([name, count]) => `${count} details of ${name}`)]
  return parts.join(', ')
}

function days(details: Counts): string {
  return Object.entries(details)
    .map(([name, count]) => `${name} ${count} days`)
    .join(', ')
}

/** A call of the server ends after a while; this goes on until nothing is left. */
async function apply(shell: Shell): Promise<Json> {
  const progress = makeProgress(shell.output())
  const total = { entries: 0, details: 0 }
  for (;;) {
    const answer = await shell.client().send('POST', '/audit/retention/apply', {})
    total.entries += Number(answer['entries'])
    total.details += Number(answer['details'])
    progress.show(`${total.entries} entries and ${total.details} details are deleted`)
    if (answer['more'] === true) continue
    progress.end()
    return { ...answer, ...total }
  }
}

function wentAway(answer: Json): string {
  if (answer['waiting'] !== undefined) return `Nothing was deleted yet. ${answer['waiting']}.`
  return `${answer['entries']} entries and ${answer['details']} details were deleted; the log begins at entry ${answer['minimum']}.`
}
