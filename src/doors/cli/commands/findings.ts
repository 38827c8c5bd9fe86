import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

const columns = {
  severity: (row: Json) => row['severity'],
  rule: (row: Json) => row['rule'],
  name: (row: Json) => row['name'],
  site: (row: Json) => row['site'],
  state: (row: Json) => row['state'],
  opened: (row: Json) => row['openedAt'],
  id: (row: Json) => row['id'],
}

/** `atlas findings`. */
export function addFindings(program: Command, shell: Shell): void {
  const findings = program
    .command('findings')
    .summary('where the connected systems disagree, or something is missing')
    .description('Disagreements and gaps between the connected systems: see them, accept them, set their rules.')
  addList(findings, shell)
  addShow(findings, shell)
  addSummary(findings, shell)
  addChanges(findings, shell)
  addRules(findings, shell)
}

const collect = (value: string, all: string[] = []) => [...all, value]

function addList(findings: Command, shell: Shell): void {
  findings
    .command('list')
    .summary('list findings, the worst first')
    .option('-r, --rule <rule>', 'only of this rule (repeatable)', collect)
    .option('--state <state>', 'open (default), acknowledged or resolved (repeatable)', collect)
    .option('--severity <severity>', 'critical, high, warning or info (repeatable)', collect)
    .option('--site <site>', 'only at this site (repeatable)', collect)
    .option('--machine <id>', 'only about this machine')
    .option('-c, --connection <connection>', 'only those that rest on the word of this connection')
    .option('-q, --q <text>', 'a part of the name')
    .option('-n, --limit <count>', 'how many to show (1–200)', '50')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .addHelpText(
      'after',
      '\nExamples:\n  atlas findings list --severity critical --severity high\n  atlas findings list --rule no-backup --site FRA1',
    )
    .action(async (options: Record<string, string | string[]>) => {
      const answer = await shell.client().get('/findings', options)
      const items = answer['items'] as Json[]
      print(shell.output(), answer, () =>
        [
          table(items, columns, 'No such findings. `atlas findings rules` says which rules can judge.'),
          ...(items.length > 0 ? [`\n${items.length} of ${answer['total'] ?? 'more than 10000'}`] : []),
          ...(answer['next'] ? [`More: --cursor ${answer['next']}`] : []),
        ].join('\n'),
      )
    })
}

function addShow(findings: Command, shell: Shell): void {
  findings
    .command('show <finding>')
    .summary('show one finding: which system says what, what to do, what happened')
    .action(async (finding: string) => {
      const answer = await shell.client().get(`/findings/${encodeURIComponent(finding)}`)
      print(shell.output(), answer, () => showFinding(answer))
    })
}

function addSummary(findings: Command, shell: Shell): void {
  const counts = { open: (row: Json) => row['open'], acknowledged: (row: Json) => row['acknowledged'] }
  findings
    .command('summary')
    .summary('count findings per rule, system, site and day')
    .option('--days <count>', 'how many days the trend goes back (1–366)', '14')
    .action(async (options: { days: string }) => {
      const answer = await shell.client().get('/inventory/findings/summary', options)
      const part = (name: string, key: string) =>
        table(answer[name] as Json[], { [key]: (row) => row['name'] ?? row[key], ...counts }, `No findings by ${key}.`)
      const trend = {
        day: (row: Json) => row['day'],
        ...counts,
        opened: (row: Json) => row['opened'],
        resolved: (row: Json) => row['resolved'],
      }
      print(shell.output(), answer, () =>
        [
          `${answer['open']} open, ${answer['acknowledged']} acknowledged; evaluated ${answer['evaluatedAt'] ?? 'never'}`,
          part('rules', 'rule'),
          part('connections', 'connection'),
          part('sites', 'site'),
          table(answer['trend'] as Json[], trend, 'Nothing was evaluated yet.'),
        ].join('\n\n'),
      )
    })
}

function addChanges(findings: Command, shell: Shell): void {
  findings
    .command('ack <finding>')
    .summary('accept a finding until a day, with the reason')
    .requiredOption('--reason <text>', 'why it is accepted')
    .option('--days <count>', 'for so many days (1–365)')
    .option('--until <time>', 'until then: 2027-01-31T00:00:00Z')
    .addHelpText('after', '\nExample:\n  atlas findings ack fnd_… --days 30 --reason "Retired in December"')
    .action(async (finding: string, options: { reason: string; days?: string; until?: string }) => {
      const body = { reason: options.reason, until: endOf(options) }
      await change(shell, `/findings/${encodeURIComponent(finding)}/acknowledge`, body)
    })
  findings
    .command('reopen <finding>')
    .summary('take an acknowledgement back')
    .requiredOption('--reason <text>', 'why it is no longer accepted')
    .action((finding: string, { reason }: { reason: string }) =>
      change(shell, `/findings/${encodeURIComponent(finding)}/reopen`, { reason }),
    )
  findings
    .command('evaluate')
    .summary('judge the whole inventory now')
    .action(async () => {
      const answer = await shell.client().send('POST', '/inventory/findings/evaluate', {})
      const { resting, ...counts } = answer
      print(shell.output(), answer, () =>
        [fields(counts), ...(resting as Json[]).map(({ rule, because }) => `${rule} rests: ${because}`)].join('\n'),
      )
    })
}

function addRules(findings: Command, shell: Shell): void {
  const shown = {
    rule: (row: Json) => row['id'],
    severity: (row: Json) => row['severity'],
    on: (row: Json) => (row['isOn'] ? 'yes' : 'no'),
    thresholds: (row: Json) => (row['settings'] as Json[]).map(({ name, value }) => `${name}=${value}`).join(' '),
    rests: (row: Json) => row['rests'],
    title: (row: Json) => row['title'],
  }
  findings
    .command('rules')
    .summary('the rules: thresholds, and which can judge')
    .action(async () => {
      const answer = await shell.client().get('/inventory/rules')
      print(shell.output(), answer, () => table(answer['items'] as Json[], shown, 'There are no rules.'))
    })
  findings
    .command('edit <rule>')
    .summary('change a threshold of a rule, or switch it off or on')
    .requiredOption('--reason <text>', 'why')
    .option('--set <name=value>', 'a new threshold (repeatable)', collect)
    .option('--off', 'switch it off; its findings are resolved')
    .option('--on', 'switch it on')
    .addHelpText(
      'after',
      '\nExample:\n  atlas findings edit no-backup --set hours=72 --reason "Backups run every other night"',
    )
    .action(async (rule: string, options: { reason: string; set?: string[]; off?: boolean; on?: boolean }) => {
      const { reason, set, off, on } = options
      if (off && on) throw new CliError('--off and --on exclude each other', 2)
      const body = { reason, ...((off || on) && { isOn: on === true }), ...(set && { settings: settingsOf(set) }) }
      const answer = await shell.client().send('PATCH', `/inventory/rules/${encodeURIComponent(rule)}`, body)
      print(shell.output(), answer, () => table([answer], shown, ''))
    })
}

async function change(shell: Shell, path: string, body: Json): Promise<void> {
  const answer = await shell.client().send('POST', path, body)
  print(shell.output(), answer, () => table([answer], columns, ''))
}

function endOf({ days, until }: { days?: string; until?: string }): string {
  if ((days === undefined) === (until === undefined)) throw new CliError('Give either --days or --until', 2)
  if (until !== undefined) return until
  const count = Number(days)
  if (!Number.isInteger(count) || count < 1 || count > 365) throw new CliError('--days must be 1 to 365', 2)
  // A minute less, because the server's clock may be behind.
  return new Date(Date.now() + count * 86_400_000 - 60_000).toISOString()
}

function settingsOf(given: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    given.map((text) => {
      const [, name, value] = /^([A-Za-z]+)=(-?\d+(?:\.\d+)?)$/.exec(text) ?? []
      if (name === undefined) throw new CliError(`--set ${text}: write it like hours=72`, 2)
      return [name, Number(value)]
    }),
  )
}

function showFinding(finding: Json): string {
  const { evidence, history, resolution, acknowledgement, meaning, advice, ...head } = finding
  const said = (list: unknown) =>
    ((list as Json[] | null) ?? []).map((one) => ({ ...one, system: one['connectionName'] ?? one['connection'] }))
  const statements = {
    subject: (row: Json) => row['subject'],
    system: (row: Json) => row['system'],
    name: (row: Json) => row['name'],
    says: (row: Json) => row['says'],
    at: (row: Json) => row['at'],
  }
  const happened = {
    at: (row: Json) => row['at'],
    what: (row: Json) => row['what'],
    by: (row: Json) => row['by'],
    reason: (row: Json) => row['reason'],
    until: (row: Json) => row['until'],
  }
  return [
    fields(head),
    `\n${meaning}\n${advice}`,
    `\nEvidence\n${table(said(evidence), statements, 'None.')}`,
    ...(resolution ? [`\nResolved by\n${table(said(resolution), statements, 'None.')}`] : []),
    ...(acknowledgement ? [`\nAcknowledged\n${fields(acknowledgement as Json)}`] : []),
    ...((history as Json[]).length > 0 ? [`\nHistory\n${table(history as Json[], happened, '')}`] : []),
  ].join('\n')
}
