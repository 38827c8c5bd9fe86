import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { CliError, type Client, type Json } from '../client.ts'
import { findId } from '../names.ts'
import { clean, fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

const at = async (client: Client, secret: string) =>
  `/secrets/${encodeURIComponent(await findId(client, 'secret', secret))}`

/** `atlas secrets`. */
export function addVault(program: Command, shell: Shell): void {
  const secrets = program.command('secrets').summary('keep secrets: values go in, and do not come out')
  secrets
    .command('list')
    .summary('list secrets (names and versions, never values)')
    .option('--rotation <state>', 'only those that are to be changed `soon`, or are `overdue`')
    .action(async (options: { rotation?: string }) => {
      const answer = await shell.client().get('/secrets', { rotation: options.rotation })
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            name: (r) => r['name'],
            version: (r) => r['version'],
            owner: (r) => r['owner'],
            from: (r) => (r['source'] === 'stored' ? '' : `${r['source']}://`),
            created: (r) => r['createdAt'],
            due: (r) => (r['rotation'] === 'overdue' ? `OVERDUE ${r['dueAt']}` : r['dueAt']),
            id: (r) => r['id'],
          },
          options.rotation === undefined ? 'The vault is empty.' : 'There is none.',
        ),
      )
    })
  secrets
    .command('put <name>')
    .summary('store a secret')
    .option('--from-file <path>', 'read the value from a file, - for standard input')
    .option('--reference <reference>', 'store where the value is kept instead, such as vault://secret/atlas/lab#token')
    .addHelpText(
      'after',
      '\nThe value is asked for without echo, or read from standard input or a file. It is never an argument.',
    )
    .action(async (name: string, options: ValueOptions) => {
      const answer = await shell.client().send('POST', '/secrets', { name, ...(await given(options)) })
      print(shell.output(), answer, () => `${name} is stored as ${answer['id']}, version ${answer['version']}`)
    })
  addOne(secrets, shell)
}

type ValueOptions = { fromFile?: string; reference?: string }

/** A reference is no secret, so it may be an argument; a value never is one. */
async function given({ fromFile, reference }: ValueOptions): Promise<Json> {
  if (reference === undefined) return { value: await askSecret('Value', fromFile) }
  if (fromFile !== undefined) throw new CliError('Give --from-file or --reference, not both', 2)
  return { reference }
}

function addOne(secrets: Command, shell: Shell): void {
  secrets
    .command('show <secret>')
    .summary('versions of one secret')
    .action(async (secret: string) => {
      const client = shell.client()
      const answer = await client.get(await at(client, secret))
      print(shell.output(), answer, () => fields(answer))
    })
  secrets
    .command('update <secret>')
    .summary('store a new version')
    .option('--from-file <path>', 'read the value from a file, - for standard input')
    .option('--reference <reference>', 'store where the value is kept instead')
    .action(async (secret: string, options: ValueOptions) => {
      const client = shell.client()
      const path = await at(client, secret)
      const answer = await client.send('POST', `${path}/versions`, await given(options))
      print(shell.output(), answer, () => `Version ${answer['version']} is stored`)
    })
  addMaking(secrets, shell)
  addRotation(secrets, shell)
  addEnding(secrets, shell)
}

function addMaking(secrets: Command, shell: Shell): void {
  secrets
    .command('gen')
    .summary('print a new random secret: 32 bytes, url-safe')
    .option('--store <name>', 'store it under this name instead of printing it')
    .action(async ({ store }: { store?: string }) => {
      const value = randomBytes(32).toString('base64url')
      if (store === undefined) return print(shell.output(), { value }, () => value)
      const answer = await shell.client().send('POST', '/secrets', { name: store, value })
      print(shell.output(), answer, () => `${store} is stored as ${answer['id']}`)
    })
  secrets
    .command('import-fernet <file>')
    .summary('store what a Fernet store holds: an SQLite file with `secure_settings`, or JSON of names and tokens')
    .requiredOption('--key-file <path>', 'the file that holds the Fernet key (mode 0600)')
    .addHelpText(
      'after',
      '\nWhat the key does not open is listed, and the exit code is 2. Names that exist already are left alone.',
    )
    .action(async (file: string, { keyFile }: { keyFile: string }) => {
      const answer = await importFernet(shell, file, keyFile)
      const { imported, existing, failed } = answer
      print(shell.output(), answer, () =>
        [
          `${imported.length} imported, ${existing.length} existed already, ${failed.length} failed`,
          ...failed.map(({ name, reason }) => `${clean(name)}: ${reason}`),
        ].join('\n'),
      )
      if (failed.length > 0) throw new CliError(`${failed.length} could not be imported`, 2, answer)
    })
}

async function importFernet(shell: Shell, file: string, keyFile: string) {
  const { secrets, failed } = await shell.local.readFernet(file, keyFile)
  const done = { imported: [] as string[], existing: [] as string[], failed: [...failed] }
  for (const { name, value } of secrets)
    try {
      await shell.client().send('POST', '/secrets', { name, value: value.reveal() })
      done.imported.push(name)
    } catch (error) {
      const problem = error instanceof CliError ? (error.problem as Json | undefined) : undefined
      if (problem?.['status'] === 409) done.existing.push(name)
      else if (problem?.['status'] === 400)
        done.failed.push({ name, reason: 'its name or value is not one that the vault takes' })
      else throw error
    }
  return done
}

function addRotation(secrets: Command, shell: Shell): void {
  secrets
    .command('rotation <secret>')
    .summary('set after how many days a secret is to be changed (usually 90, with a reminder from the 75th)')
    .option('--days <days>', '0 for never; without it the usual days hold again')
    .option('--remind-after <days>', 'when lists begin to remind of it')
    .action(async (secret: string, options: { days?: string; remindAfter?: string }) => {
      const client = shell.client()
      const answer = await client.send('PATCH', await at(client, secret), {
        ...(options.days !== undefined && { days: Number(options.days) }),
        ...(options.remindAfter !== undefined && { remindAfterDays: Number(options.remindAfter) }),
      })
      print(shell.output(), answer, () => fields(answer))
    })
}

function addEnding(secrets: Command, shell: Shell): void {
  secrets
    .command('usage <secret>')
    .summary('who used which version, hour by hour')
    .action(async (secret: string) => {
      const client = shell.client()
      const answer = await client.get(`${await at(client, secret)}/usage`)
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          { hour: (r) => r['hour'], version: (r) => r['version'], by: (r) => r['by'], uses: (r) => r['uses'] },
          'It was not used in the last 90 days.',
        ),
      )
    })
  secrets
    .command('reveal <secret>')
    .summary('print the value (needs a policy that permits reveal; no role has it by default)')
    .action(async (secret: string) => {
      const client = shell.client()
      const answer = await client.send('POST', `${await at(client, secret)}/reveal`, {})
      print(shell.output(), answer, () => String(answer['value']))
    })
  secrets
    .command('destroy <secret>')
    .summary('destroy all versions for good')
    .option('--yes', 'do not ask')
    .action(async (secret: string, options: { yes?: boolean }) => {
      if (!options.yes) throw new CliError('This cannot be undone. Add --yes to do it.', 2)
      const client = shell.client()
      const answer = await client.send('DELETE', await at(client, secret))
      print(shell.output(), answer, () => `${secret} is destroyed`)
    })
}
