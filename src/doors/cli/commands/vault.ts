import type { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { CliError, type Client, type Json } from '../client.ts'
import { findId } from '../names.ts'
import { fields, print, table } from '../output.ts'
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
            created: (r) => r['createdAt'],
            due: (r) => (r['rotation'] === 'overdue' ? `OVERDUE ${r['dueAt']}` : r['dueAt']),
            id: (r) => r['id'],
          },
          'The vault is empty.',
        ),
      )
    })
  secrets
    .command('put <name>')
    .summary('store a secret')
    .option('--from-file <path>', 'read the value from a file, - for standard input')
    .addHelpText(
      'after',
      '\nThe value is asked for without echo, or read from standard input or a file. It is never an argument.',
    )
    .action(async (name: string, options: { fromFile?: string }) => {
      const answer = await shell
        .client()
        .send('POST', '/secrets', { name, value: await askSecret('Value', options.fromFile) })
      print(shell.output(), answer, () => `${name} is stored as ${answer['id']}, version ${answer['version']}`)
    })
  addOne(secrets, shell)
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
    .action(async (secret: string, options: { fromFile?: string }) => {
      const client = shell.client()
      const path = await at(client, secret)
      const answer = await client.send('POST', `${path}/versions`, {
        value: await askSecret('Value', options.fromFile),
      })
      print(shell.output(), answer, () => `Version ${answer['version']} is stored`)
    })
  addRotation(secrets, shell)
  addEnding(secrets, shell)
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
