import type { Command } from 'commander'
import { CliError, type Client, type Json } from '../client.ts'
import { listAll } from '../names.ts'
import { clean, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { rewrapAll } from './keys.ts'

/** `atlas incident`: for the day on which somebody may know the root key, or all of the vault. */
export function addIncident(program: Command, shell: Shell): void {
  const incident = program.command('incident').summary('rotate everything, when somebody may know the keys')
  incident
    .command('rotate-all')
    .summary('note every secret, seal everything anew, and list what is to be changed until all is done')
    .option('--reason <text>', 'what happened, for whoever reads it later; goes on with an open incident without it')
    .addHelpText(
      'after',
      '\nIt can be repeated: it goes on where it was. The exit code is 1 while something is left, 0 when all is done.',
    )
    .action(async ({ reason }: { reason?: string }) => {
      const client = shell.client()
      const { id } = (await openOne(client)) ?? (await open(client, reason))
      await rewrapAll(client, (text) => process.stderr.write(text))
      await show(shell, client, String(id))
    })
  incident
    .command('status [incident]')
    .summary('what is done and what is left; exit code 1 while something is left')
    .action(async (id: string | undefined) => {
      const client = shell.client()
      const one = id ?? (await openOne(client))?.['id']
      if (one === undefined)
        return print(
          shell.output(),
          { open: null },
          () => 'No incident is open. Begin one with: atlas incident rotate-all',
        )
      await show(shell, client, String(one))
    })
  incident
    .command('close [incident]')
    .summary('end an incident when everything is rotated')
    .option('--excuse <text>', 'why what is left may stay as it is; recorded')
    .action(async (id: string | undefined, { excuse }: { excuse?: string }) => {
      const client = shell.client()
      const one = id ?? (await openOne(client))?.['id']
      if (one === undefined) throw new CliError('No incident is open', 2)
      const path = `/vault/incidents/${encodeURIComponent(String(one))}/close`
      const answer = await client.send('POST', path, { ...(excuse !== undefined && { excuse }) })
      print(shell.output(), answer, () => `${answer['id']} is closed`)
    })
}

async function openOne(client: Client): Promise<Json | undefined> {
  const [newest] = (await client.get('/vault/incidents', { limit: 1 }))['items'] as Json[]
  return newest?.['state'] === 'open' ? newest : undefined
}

async function open(client: Client, reason: string | undefined): Promise<Json> {
  if (reason === undefined) throw new CliError('Say what happened with --reason; it is kept with the incident', 2)
  return client.send('POST', '/vault/incidents', { reason })
}

async function show(shell: Shell, client: Client, id: string): Promise<void> {
  const path = `/vault/incidents/${encodeURIComponent(id)}`
  const answer = await client.get(path)
  const waiting = await waitingOf(client, path)
  const names = await connectionNames(client)
  print(shell.output(), { ...answer, waiting }, () => steps(answer, waiting, names))
  if (answer['done'] !== true && answer['state'] === 'open') process.exitCode = 1
}

function waitingOf(client: Client, path: string): Promise<Json[]> {
  return listAll(client, `${path}/secrets`, { waiting: 'true' })
}

/** Names of connections, for the list of what to change; without the right to see them their ids stand there. */
async function connectionNames(client: Client): Promise<ReadonlyMap<unknown, unknown>> {
  try {
    const items = await listAll(client, '/connections')
    return new Map(items.map(({ id, name }) => [id, name]))
  } catch (error) {
    if (error instanceof CliError) return new Map()
    throw error
  }
}

function steps(incident: Json, waiting: readonly Json[], names: ReadonlyMap<unknown, unknown>): string {
  const { total, changed } = incident['secrets'] as Json
  const sign = (isDone: boolean) => (isDone ? '✔' : '✖')
  const under = Number(incident['underOldKeys'])
  return [
    `${incident['id']} (${incident['state']} since ${incident['openedAt']}): ${clean(String(incident['reason']))}`,
    `${sign(incident['rootKeyChanged'] === true)} a new root key${incident['rootKeyChanged'] ? '' : '. Run: atlas vault rekey (with SQLite, with the server stopped: docs/operate/incident.md)'}`,
    `${sign(under === 0)} everything sealed under new keys${under === 0 ? '' : `. ${under} to go. Run: atlas vault rewrap`}`,
    `${sign(waiting.length === 0)} ${changed} of ${total} secrets changed in the systems that they open`,
    ...(waiting.length === 0
      ? []
      : [
          '',
          table(
            [...waiting],
            {
              'to be changed': (r) => r['name'],
              connection: (r) => names.get(r['owner']) ?? r['owner'],
              kind: (r) => r['kind'],
              version: (r) => r['version'],
              id: (r) => r['secret'],
            },
            '',
          ),
          '',
          'Change each in its system, then store the new value: atlas connections credential …, or atlas secrets update …',
        ]),
  ].join('\n')
}
