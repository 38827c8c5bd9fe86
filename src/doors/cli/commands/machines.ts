import type { Command } from 'commander'
import type { Json } from '../client.ts'
import { cell, clean, fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

const columns = {
  name: (row: Json) => row['name'],
  form: (row: Json) => row['form'],
  site: (row: Json) => row['site'],
  assets: (row: Json) => row['assets'],
  conflicts: (row: Json) => (row['conflicts'] as string[] | undefined)?.join(' '),
  id: (row: Json) => row['id'],
}

/** `atlas machines`. */
export function addMachines(program: Command, shell: Shell): void {
  const machines = program
    .command('machines')
    .summary('what several systems know as one machine')
    .description('Machines: the entries of several systems that are the same thing, and how to correct them.')
  addSearch(machines, shell)
  addShow(machines, shell)
  addSplit(machines, shell)
  addJoin(machines, shell)
  addDecisions(machines, shell)
}

function addSearch(machines: Command, shell: Shell): void {
  machines
    .command('search [words...]')
    .summary('find machines by name, address, serial, UUID or MAC address')
    .option('--site <site>', 'only at this site')
    .option('--form <form>', 'physical or virtual')
    .option('-c, --connection <connection>', 'only what this connection has or had')
    .option('--conflicts', 'only machines whose entries contradict each other')
    .option('--gone', 'only machines that no system reports any more')
    .option('-n, --limit <count>', 'how many to show (1–200)', '50')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .addHelpText(
      'after',
      '\nExamples:\n  atlas machines search web-07\n  atlas machines search --site FRA1 --conflicts',
    )
    .action(async (words: string[], { conflicts, ...options }: Record<string, string | boolean>) => {
      const q = words.join(' ')
      const query = { ...(q && { q }), ...options, ...(conflicts && { hasConflict: true }) }
      const answer = await shell.client().get('/machines', query)
      const empty = q ? `No machine matches “${q}”.` : 'There is no such machine.'
      print(shell.output(), answer, () => lines([table(answer['items'] as Json[], columns, empty), moreOf(answer)]))
    })
}

function addShow(machines: Command, shell: Shell): void {
  machines
    .command('show <machine>')
    .summary('show one machine by name, address, serial or id')
    .option('--context', 'as a text: what it is, what is around it, what changed, what is wrong')
    .action(async (text: string, { context }: { context?: boolean }) => {
      const client = shell.client()
      const found = await client.get('/inventory/overview', { machine: text })
      const { id } = found['machine'] as { id: string }
      if (context) {
        const answer = await client.get(`/machines/${encodeURIComponent(id)}/context`)
        print(shell.output(), answer, () => lines(String(answer['text']).split('\n').map(clean)))
        return
      }
      const whole = await client.get(`/machines/${encodeURIComponent(id)}`)
      const others = (found['others'] as Json[]).map((other) => `${other['name']} ${other['id']}`)
      print(shell.output(), whole, () => lines([shown(whole), list('May also be meant', others)]))
    })
}

function addSplit(machines: Command, shell: Shell): void {
  machines
    .command('split <machine> <asset...>')
    .summary('take entries out of a machine: they are another one')
    .option('--note <text>', 'why')
    .addHelpText('after', '\nIt stays that way until `atlas machines withdraw <decision>`.')
    .action(async (machine: string, assets: string[], { note }: { note?: string }) => {
      const path = `/machines/${encodeURIComponent(machine)}/split`
      const answer = await shell.client().send('POST', path, { assets, ...(note && { note }) })
      print(shell.output(), answer, () => decided(answer))
    })
}

function addJoin(machines: Command, shell: Shell): void {
  machines
    .command('join <machine...>')
    .summary('say that machines are one')
    .option('--note <text>', 'why')
    .action(async (ids: string[], { note }: { note?: string }) => {
      const answer = await shell.client().send('POST', '/machines/join', { machines: ids, ...(note && { note }) })
      print(shell.output(), answer, () => decided(answer))
    })
}

function addDecisions(machines: Command, shell: Shell): void {
  machines
    .command('decisions')
    .summary('list what people split and joined')
    .action(async () => {
      const answer = await shell.client().get('/inventory/decisions')
      const shownColumns = {
        at: (row: Json) => row['at'],
        verb: (row: Json) => row['verb'],
        by: (row: Json) => (row['by'] as Json)['name'],
        assets: (row: Json) =>
          (row['parts'] as Json[][]).map((part) => part.map((asset) => asset['name']).join(' + ')).join(' | '),
        note: (row: Json) => row['note'],
        withdrawn: (row: Json) => row['withdrawnAt'],
        id: (row: Json) => row['id'],
      }
      print(shell.output(), answer, () => table(answer['items'] as Json[], shownColumns, 'Nobody decided anything.'))
    })
  machines
    .command('withdraw <decision>')
    .summary('take a split or join back')
    .action(async (decision: string) => {
      const path = `/inventory/decisions/${encodeURIComponent(decision)}/withdraw`
      const answer = await shell.client().send('POST', path, {})
      print(shell.output(), answer, () => table(answer['machines'] as Json[], columns, 'Withdrawn.'))
    })
}

function decided(answer: Json): string {
  const machines = table(answer['machines'] as Json[], columns, 'Done.')
  return lines([machines, `\nTake it back with: atlas machines withdraw ${answer['decision']}`])
}

function shown(machine: Json): string {
  const { name, id, form, site, power, monitoring, backup, conflicts, changedAt } = machine
  const members = (machine['members'] as Json[]).map((member) => ({
    ...member,
    connection: (member['source'] as Json)['name'],
    state: member['staleAt'] ? `gone ${member['staleAt']}` : member['status'],
  }))
  const memberColumns = {
    connection: (row: Json) => row['connection'],
    kind: (row: Json) => row['kind'],
    name: (row: Json) => row['name'],
    state: (row: Json) => row['state'],
    serial: (row: Json) => row['serial'],
    addresses: (row: Json) => (row['addresses'] as string[]).join(' '),
    asset: (row: Json) => row['id'],
  }
  const texts = (field: string, text: (row: Json) => string) => (machine[field] as Json[]).map(text)
  return lines([
    fields({
      name,
      id,
      form,
      site,
      power: (power as Json | null)?.['power'],
      monitored: monitoring === null ? 'no' : (monitoring as Json)['isMonitored'],
      backup: backup === null ? null : ((backup as Json)['at'] ?? 'never'),
      conflicts: (conflicts as string[]).join(' '),
      changedAt,
    }),
    `\n${table(members, memberColumns, '')}`,
    list(
      'Why one machine',
      texts('links', (row) => `${row['strength']}: ${(row['reasons'] as string[]).join(', ')}`),
    ),
    list(
      'Contradictions',
      texts('contradictions', (row) => String(row['detail'])),
    ),
    list(
      'May be the same',
      texts(
        'possible',
        (row) => `${row['name']} ${row['id'] ?? row['machine']}: ${(row['reasons'] as string[]).join(', ')}`,
      ),
    ),
    list(
      'Open problems',
      texts('problems', (row) => `${row['name']} (severity ${row['severity'] ?? '?'})`),
    ),
    list(
      'Placement',
      texts('placement', (row) => `${row['relation']} ${row['kind']} ${row['name']}`),
    ),
    list('Named in', [...texts('tickets', nameOf), ...texts('pages', nameOf)]),
    list(
      'History',
      texts('timeline', (row) => `${row['at']} ${row['what']} ${changes(row['fields'] as Json)}`).slice(0, 20),
    ),
  ])
}

function nameOf(row: Json): string {
  return `${row['kind']} ${row['name']}`
}

function changes(given: Json): string {
  return Object.entries(given)
    .map(([field, values]) => `${field} ${(values as unknown[]).map((value) => JSON.stringify(value)).join(' → ')}`)
    .join(', ')
}

/** A titled list; nothing when it is empty. */
function list(title: string, rows: readonly string[]): string {
  return rows.length === 0 ? '' : `\n${title}\n${rows.map((row) => `  ${cell(row)}`).join('\n')}`
}

function moreOf(answer: Json): string {
  return answer['next'] ? `More: --cursor ${answer['next']}` : ''
}

function lines(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('\n')
}
