import { closeSync, openSync, writeSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { CliError, type Json } from '../client.ts'
import { findId } from '../names.ts'
import { clean, fields, makeProgress, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

type Filters = Record<string, string | boolean | undefined>

/** `atlas audit events`, `tail`, `touched` and `show`. */
export function addSearching(audit: Command, shell: Shell): void {
  addEvents(audit, shell)
  filtered(audit.command('tail'))
    .summary('the newest events, and with -f every new one as it comes')
    .option('-f, --follow', 'go on until it is interrupted')
    .option('-n, --limit <count>', 'how many to begin with', '10')
    .action(async ({ follow, limit, ...filters }: Filters) => tail(shell, filters, String(limit), follow === true))
  audit
    .command('touched <principal>')
    .summary('everything that a user, agent or system touched, itself or through an agent')
    .action(async (principal: string) => {
      const client = shell.client()
      const id = await findId(client, 'principal', principal)
      const answer = await client.get(`/audit/touched/${encodeURIComponent(id)}`)
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            resource: (r) => resourceOf(r),
            action: (r) => r['action'],
            entries: (r) => r['entries'],
            ok: (r) => r['succeeded'],
            failed: (r) => r['failed'],
            first: (r) => r['first'],
            last: (r) => r['last'],
          },
          'Nothing.',
        ),
      )
    })
  audit
    .command('show <index>')
    .summary('one event with its proof')
    .action(async (index: string) => {
      const answer = await shell.client().get(`/audit/events/${encodeURIComponent(index)}`)
      print(shell.output(), answer, () => fields(answer))
    })
}

function filtered(command: Command): Command {
  return command
    .option('--principal <user>', 'who acted, by name or id')
    .option('--on-behalf-of <id>', 'the user that an agent worked for')
    .option('--action <name>', 'which action')
    .option('--resource <id>', 'what it was done to: type or type/id')
    .option('--connection <id>', 'which connection')
    .option('--secret <id>', 'which secret')
    .option('--code <code>', 'event code such as action.failed')
    .option('--outcome <outcome>', 'ok or a problem type such as denied')
    .option('--from <time>', 'not before: a day such as 2026-11-01, or a time (ISO 8601), in UTC')
    .option('--to <time>', 'before: a day or a time')
}

function addEvents(audit: Command, shell: Shell): void {
  filtered(audit.command('events'))
    .summary('search the log, newest first; with -o everything that is found into a file')
    .option('-n, --limit <count>', 'how many', '50')
    .option('--cursor <cursor>', 'go on where an earlier page ended')
    .option('-o, --output <file>', 'write all that is found there')
    .addOption(new Option('--format <format>', 'of the file').choices(['jsonl', 'csv']).default('jsonl'))
    .option('--proofs', 'with -o and jsonl: each event with its .tlog-proof')
    .action(async ({ output, format, proofs, ...given }: Filters) => {
      const filters = await meant(shell, given)
      if (output !== undefined) return save(shell, filters, String(output), String(format), proofs === true)
      const answer = await shell.client().get('/audit/events', filters)
      const more = answer['next'] ? `\nMore: --cursor ${answer['next']}` : ''
      print(shell.output(), answer, () => eventTable(answer['items'] as Json[]) + more + goneIn(answer))
    })
}

/** What the end of a search hides. */
function goneIn({ gone }: Json): string {
  if (gone === undefined) return ''
  const { minimum, at, entry, keep } = gone as { minimum: number; at: string; entry: number; keep: Json }
  return `\nEntries 0–${minimum - 1} are not searched: retention, which keeps entries for ${keep['entries']} days, deleted them (entry ${entry} of ${at} says so).`
}

function eventTable(rows: Json[]): string {
  const columns = Object.fromEntries(
    Object.entries(csvColumns)
      .filter(([name]) => shown.includes(name))
      .map(([name, read]) => [name, (row: Json) => read(row) || undefined]),
  )
  return table(rows, columns, 'No such events.')
}

/** The filters as the server takes them: names as ids, days as times. */
async function meant(shell: Shell, { principal, from, to, ...rest }: Filters): Promise<Filters> {
  return {
    ...rest,
    ...(principal && { principal: await findId(shell.client(), 'principal', String(principal)) }),
    ...(from && { from: readTime(String(from), '--from') }),
    ...(to && { to: readTime(String(to), '--to') }),
  }
}

/** A day counts from its first moment; a time without a zone is in UTC, as all times of the log are. */
function readTime(text: string, option: string): string {
  const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text.replace(' ', 'T')
  const time = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(full) ? full : `${full}Z`)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(time))
    throw new CliError(`${option} ${text}: write it as 2026-11-01 or 2026-11-01T08:30:00Z`, 2)
  return new Date(time).toISOString()
}

async function tail(shell: Shell, given: Filters, limit: string, follow: boolean): Promise<void> {
  const filters = await meant(shell, given)
  const { json, out } = shell.output()
  const write = (rows: Json[]): void => {
    for (const row of rows) out.write(json ? `${JSON.stringify(row)}\n` : `${lineOf(row)}\n`)
  }
  const first = await shell.client().get('/audit/events', { ...filters, limit })
  const rows = (first['items'] as Json[]).reverse()
  write(rows)
  // Without an event to begin with, from now on.
  let after = rows.at(-1)?.['index']
  while (follow) {
    const page = await shell.client().get('/audit/follow', { ...filters, after: after as number | undefined })
    write(page['items'] as Json[])
    after = page['next']
  }
}

function lineOf(row: Json): string {
  return shown.map((name) => clean(String(csvColumns[name]?.(row) || '–'))).join('  ')
}

/** Every page of a search, oldest page last, as one file. What came into the log meanwhile is not in it. */
async function save(shell: Shell, filters: Filters, path: string, format: string, proofs: boolean): Promise<void> {
  if (proofs && format === 'csv') throw new CliError('A proof does not fit into a table; use --format jsonl', 2)
  const file = openNew(path)
  const progress = makeProgress(shell.output())
  let count = 0
  try {
    if (format === 'csv') writeSync(file, `${Object.keys(csvColumns).join(',')}\r\n`)
    for (let cursor: unknown = filters['cursor']; cursor !== null; ) {
      const query = { ...filters, limit: '200', cursor: cursor as string | undefined, ...(proofs && { proofs: true }) }
      const page = await shell.client().get('/audit/events', query)
      for (const row of page['items'] as Json[])
        writeSync(file, format === 'csv' ? csvLine(row) : `${JSON.stringify(row)}\n`)
      count += (page['items'] as Json[]).length
      progress.show(`${count} events`)
      cursor = page['next']
    }
  } finally {
    closeSync(file)
    progress.end()
  }
  print(shell.output(), { events: count, file: path }, () => `${count} events are in ${path}`)
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', 0o600)
  } catch (error) {
    throw new CliError(`${path} cannot be made (${(error as NodeJS.ErrnoException).code})`, 2)
  }
}

const shown = ['index', 'at', 'code', 'principal', 'action', 'resource', 'outcome']

const csvColumns: Readonly<Record<string, (row: Json) => string>> = {
  index: (row) => String(row['index']),
  at: (row) => String(row['at']),
  code: (row) => String(row['code']),
  principal: (row) => member(row, 'principal', 'name') || member(row, 'principal', 'id'),
  principalId: (row) => member(row, 'principal', 'id'),
  kind: (row) => member(row, 'principal', 'kind'),
  onBehalfOf: (row) => String(row['onBehalfOf'] ?? ''),
  door: (row) => String(row['door'] ?? ''),
  action: (row) => String(row['action'] ?? ''),
  access: (row) => String(row['access'] ?? ''),
  resource: (row) => resourceOf(row),
  outcome: (row) => String(row['outcome'] ?? ''),
  requestId: (row) => String(row['requestId'] ?? ''),
  approval: (row) => String(row['approval'] ?? ''),
}

function member(row: Json, name: string, of: string): string {
  return String((row[name] as Json | undefined)?.[of] ?? '')
}

function resourceOf(row: Json): string {
  const { type, id } = (row['resource'] ?? {}) as { type?: string; id?: string }
  return [type, id].filter(Boolean).join('/')
}

/** RFC 4180; a cell that a spreadsheet would run as a formula begins with an apostrophe. */
function csvLine(row: Json): string {
  const cells = Object.values(csvColumns).map((read) => {
    const text = read(row)
    return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`
  })
  return `${cells.join(',')}\r\n`
}
