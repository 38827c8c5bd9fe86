import type { Command } from 'commander'
import { askSecret, readFile } from '../ask.ts'
import { CliError, type Json } from '../client.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { addCredential } from './credential.ts'

export const at = (connection: string) => `/connections/${encodeURIComponent(connection)}`
const collect = (value: string, all: string[] = []) => [...all, value]

/** `atlas connections`. */
export function addConnections(program: Command, shell: Shell): void {
  const connections = program.command('connections').summary('add, test, edit and remove connected systems')
  addReading(connections, shell)
  addEditing(connections, shell)
  addTesting(connections, shell)
  addCredential(connections, shell)
  addWebhook(connections, shell)
}

function addReading(connections: Command, shell: Shell): void {
  connections
    .command('kinds')
    .summary('list the kinds of system that can be connected, with their settings')
    .action(async () => {
      const answer = await shell.client().get('/connectors')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            kind: (r) => r['id'],
            title: (r) => r['title'],
            settings: (r) => names(r['config']),
            credential: (r) => names(r['credential']),
            tested: (r) => r['tested'],
          },
          'No connectors.',
        ),
      )
    })
  connections
    .command('list')
    .summary('list connections')
    .action(async () => {
      const answer = await shell.client().get('/connections')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            name: (r) => r['name'],
            connector: (r) => r['connector'],
            state: (r) => r['state'],
            synced: (r) => r['lastSyncedAt'],
            schedule: (r) => r['schedule'],
            id: (r) => r['id'],
          },
          'No connections yet. Add one: atlas connections add netbox --name lab --url https://netbox.example.org',
        ),
      )
    })
  connections
    .command('show <connection>')
    .summary('show one connection (never its credential)')
    .action(async (connection: string) => {
      const answer = await shell.client().get(at(connection))
      print(shell.output(), answer, () => fields(answer))
    })
}

function addEditing(connections: Command, shell: Shell): void {
  editable(connections.command('add <connector>').requiredOption('--name <name>', 'a name that is unique here'))
    .summary('connect a system')
    .description(
      'Connects a system. The credential is asked for, or read from standard input or a file; it is never an argument.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  atlas connections add netbox --name lab --url https://netbox.example.org\n  atlas connections add netbox --name lab --url https://netbox.example.org --credential-file token=/run/secrets/netbox\n  atlas connections add netbox --name lab --url https://netbox.example.org --credential-reference token=vault://secret/atlas/lab#token',
    )
    .action(async (connector: string, options: EditOptions & { name: string }) => {
      const kinds = (await shell.client().get('/connectors'))['items'] as Json[]
      const kind = kinds.find(({ id }) => id === connector)
      if (!kind)
        throw new CliError(`There is no connector “${connector}”. Known: ${kinds.map(({ id }) => id).join(', ')}`, 2)
      const body = { connector, ...(await changes(options, propertyNames(kind['credential']))) }
      const answer = await shell.client().send('POST', '/connections', body)
      print(
        shell.output(),
        answer,
        () =>
          `${answer['name']} is added (${answer['id']}); nothing was sent to it yet.\nNext: atlas connections test ${answer['name']}; atlas sync ${answer['name']}`,
      )
    })
  editable(connections.command('edit <connection>').option('--name <name>', 'a new name'))
    .option('--rotate', 'ask for a new credential')
    .summary('change settings or the credential')
    .action(async (connection: string, options: EditOptions & { rotate?: boolean }) => {
      const current = await shell.client().get(at(connection))
      const kinds = (await shell.client().get('/connectors'))['items'] as Json[]
      // A credential is only sent to the place that it was given for, so a new place needs it again.
      const isElsewhere = options.url !== undefined || options.caFile !== undefined
      const asked =
        options.rotate || isElsewhere
          ? propertyNames(kinds.find(({ id }) => id === current['connector'])?.['credential'])
          : []
      const answer = await shell.client().send('PATCH', at(connection), await changes(options, asked))
      print(shell.output(), answer, () => fields(answer))
    })
}

function addTesting(connections: Command, shell: Shell): void {
  connections
    .command('test <connection>')
    .summary('check that the system answers and accepts the credential')
    .action(async (connection: string) => {
      const answer = await shell.client().send('POST', `${at(connection)}/check`, {})
      print(shell.output(), answer, () => fields(answer))
      if (answer['ok'] === false)
        throw new CliError(
          `${connection} does not work yet. ${remedy(connection, answer['problem'])}`.trim(),
          1,
          answer,
        )
    })
  connections
    .command('remove <connection>')
    .summary('forget a system: its credential is destroyed and its assets are removed')
    .option('--yes', 'do not ask')
    .action(async (connection: string, options: { yes?: boolean }) => {
      if (!options.yes)
        throw new CliError(
          `This destroys the credential and removes the assets of ${connection}. Add --yes to do it.`,
          2,
        )
      const answer = await shell.client().send('DELETE', at(connection))
      print(shell.output(), answer, () => `${connection} is removed`)
    })
}

/** What a person can do about the ways a system does not answer. */
export function remedy(connection: string, problem: unknown): string {
  const edit = `atlas connections edit ${connection}`
  const remedies: Record<string, string> = {
    'upstream-untrusted': `If its certificate comes from your own authority, name that: ${edit} --ca-file ca.pem (the credential is asked for again)`,
    'upstream-denied': `Check the account and its rights, or give another credential: ${edit} --rotate`,
    'upstream-unreachable': `Check the address, or change it: ${edit} --url https://… (the credential is asked for again)`,
    'secret-unavailable': `Check where its value is kept, or give another: ${edit} --credential-reference field=…`,
    'upstream-invalid': `Check that the address is that of the system itself: atlas connections show ${connection}`,
  }
  return remedies[String((problem as Json | null | undefined)?.['type'])] ?? ''
}

function addWebhook(connections: Command, shell: Shell): void {
  connections
    .command('webhook <connection>')
    .summary('accept deliveries that a system signs, so that changes are read at once')
    .option('--secret-file <path>', 'read the secret from a file, - for standard input')
    .option('--retire <older|all>', 'end the older secret, or all of them')
    .addHelpText(
      'after',
      '\nExamples:\n  openssl rand -base64 32 > hook; atlas connections webhook lab --secret-file hook\n  atlas connections webhook lab --retire older',
    )
    .action(async (connection: string, { secretFile, retire }: { secretFile?: string; retire?: string }) => {
      const path = `${at(connection)}/webhook`
      if (retire !== undefined && retire !== 'older' && retire !== 'all')
        throw new CliError('--retire takes `older` or `all`', 2)
      const answer = retire
        ? await shell.client().send('DELETE', `${path}?which=${retire}`)
        : await shell.client().send('POST', path, { secret: await askSecret('secret of the deliveries', secretFile) })
      print(shell.output(), answer, () =>
        answer['secrets'] === 0
          ? `${connection} takes no deliveries now`
          : `Let the system send to <this server>${answer['path']}; ${answer['secrets']} secret(s) are accepted`,
      )
    })
}

type EditOptions = {
  name?: string
  url?: string
  set?: string[]
  credentialFile?: string[]
  credentialReference?: string[]
  caFile?: string
  schedule?: string
  allowWrites?: boolean
}

function editable(command: Command): Command {
  return command
    .option('--url <url>', 'the https address of the system')
    .option('--set <name=value>', 'another setting (repeatable); see `atlas connections kinds`', collect)
    .option(
      '--credential-file <field=path>',
      'read this credential field from a file, - for standard input (repeatable)',
      collect,
    )
    .option(
      '--credential-reference <field=reference>',
      'say where this credential field is kept instead, such as token=vault://secret/atlas/lab#token (repeatable)',
      collect,
    )
    .option('--ca-file <path>', 'trust this certificate authority (PEM) for the system')
    .option('--schedule <cron>', 'when to sync, as a cron text; `never` for by hand only')
    .option('--allow-writes', 'let actions change the system (default: read-only)')
    .option('--no-allow-writes', 'read-only again')
}

async function changes(options: EditOptions, asked: readonly string[]): Promise<Json> {
  const config = Object.fromEntries(
    (options.set ?? []).map((text) => pair(text, '--set')).map(([name, value]) => [name, plain(value)]),
  )
  if (options.url) config['url'] = options.url
  // Read before anything is asked for: a wrong path should not cost the typing of a credential.
  const caCertificate = options.caFile === undefined ? undefined : readFile(options.caFile)
  const files = new Map((options.credentialFile ?? []).map((text) => pair(text, '--credential-file')))
  const referred = (options.credentialReference ?? []).map((text) => pair(text, '--credential-reference'))
  const credential: Json = Object.fromEntries(referred.map(([field, reference]) => [field, { reference }]))
  const open = [...asked, ...files.keys()].filter((field) => !(field in credential))
  for (const field of new Set(open)) credential[field] = await askSecret(field, files.get(field))
  return {
    ...(options.name !== undefined && { name: options.name }),
    ...(Object.keys(config).length > 0 && { config }),
    ...(Object.keys(credential).length > 0 && { credential }),
    ...(caCertificate !== undefined && { caCertificate }),
    ...(options.allowWrites !== undefined && { allowWrites: options.allowWrites }),
    ...(options.schedule !== undefined && { schedule: options.schedule === 'never' ? null : options.schedule }),
  }
}

function pair(text: string, option: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new CliError(`${option} ${text}: write it as name=value`, 2)
  return [text.slice(0, at), text.slice(at + 1)]
}

function plain(value: string): unknown {
  if (/^-?\d+$/.test(value)) return Number(value)
  return value === 'true' ? true : value === 'false' ? false : value
}

function propertyNames(schema: unknown): string[] {
  return Object.keys(((schema as Json | undefined)?.['properties'] as Json | undefined) ?? {})
}

const names = (schema: unknown): string => propertyNames(schema).join(' ')
