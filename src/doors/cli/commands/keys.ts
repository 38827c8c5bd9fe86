import type { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { CliError, type Client, type Json } from '../client.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

/** `atlas vault`: the keys that the secrets hang on. */
export function addKeys(program: Command, shell: Shell): void {
  const vault = program.command('vault').summary('the keys that secrets are sealed with')
  vault
    .command('keys')
    .summary('list the key-encryption keys')
    .action(async () => {
      const answer = await shell.client().get('/vault/keys')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            version: (r) => r['version'],
            state: (r) => r['state'],
            secrets: (r) => r['versions'],
            made: (r) => r['createdAt'],
            id: (r) => r['id'],
          },
          'There are no keys.',
        ),
      )
    })
  vault
    .command('rotate')
    .summary('make a new key-encryption key; what is stored moves to it with rewrap')
    .action(async () => {
      const answer = await shell.client().send('POST', '/vault/keys', {})
      print(shell.output(), answer, () => `Key ${answer['version']} is active`)
    })
  vault
    .command('rewrap')
    .summary('seal what is stored under retired keys anew; may be interrupted and repeated')
    .action(async () => {
      const answer = await rewrapAll(shell.client(), (text) => process.stderr.write(text))
      print(shell.output(), answer, () => `${answer['rewrapped']} versions are sealed under the active key`)
      if (answer['remaining'] !== 0) throw new CliError('Not all could be moved; see the audit log', 1, answer)
    })
  addSeal(vault, shell)
  addRecovery(vault, shell)
  addRekey(vault, shell)
}

type KeyFiles = { oldKeyFile?: string; newKeyFile?: string }

function addRekey(vault: Command, shell: Shell): void {
  vault
    .command('rekey')
    .summary('change the root key: of the running server, or of the data configured here while no server runs')
    .option('--old-key-file <path>', 'without a server: the root key so far (else ATLAS_SECRET_KEY_PREVIOUS)')
    .option('--new-key-file <path>', 'without a server: the new one, made when it is missing (else ATLAS_SECRET_KEY)')
    .addHelpText(
      'after',
      '\nA running server makes the new key itself and puts it in the place of the old one; no request fails. With a key file named, with ATLAS_SECRET_KEY_PREVIOUS set, or when no server answers, it works on the data configured here, which no server may use meanwhile.',
    )
    .action(async (options: KeyFiles) => {
      const isOnline = await asksServer(shell, options)
      const answer = isOnline ? await shell.client().send('POST', '/vault/rekey', {}) : await shell.local.rekey(options)
      print(shell.output(), answer, () => `${fields(answer)}\n${isOnline ? next : nextOffline(options)}`)
    })
}

function addSeal(vault: Command, shell: Shell): void {
  vault
    .command('seal')
    .summary('wrap the root key with the provider that ATLAS_SEAL names; again, to use the newest version of its key')
    .action(async () => {
      const answer = await shell.local.seal.wrap()
      print(shell.output(), answer, () => [fields(answer), ...nextSteps(answer)].join('\n'))
    })
  vault
    .command('unseal-to-file <path>')
    .summary('the way back: the wrapped root key into a new key file')
    .action(async (path: string) => {
      const answer = await shell.local.seal.unwrap(path)
      print(shell.output(), answer, () => fields(answer))
    })
}

function nextSteps({ plainKey }: Json): string[] {
  if (plainKey === 'none') return []
  return [
    '',
    'It was unwrapped once more to be sure. Next:',
    '  1. make a recovery kit, if there is none: atlas vault recovery-kit <folder>',
    '  2. start the server with ATLAS_SEAL, and without ATLAS_SECRET_KEY',
    `  3. when it runs, remove the key in the clear: ${plainKey}`,
  ]
}

const next = `
The old key opens nothing any more. Now:
  1. Copy the new key file (root.sealed, with a seal) to wherever a copy of the old one is.
  2. atlas vault rotate && atlas vault rewrap        seals what is stored under new keys
  3. atlas vault recovery-kit <folder>               the shares of the old key are of no use
  4. atlas backup <file>                             older backups still need the old key`

/** The settings are the person's, and a start with the old key is refused. */
function nextOffline({ newKeyFile }: KeyFiles): string {
  const place =
    newKeyFile === undefined
      ? 'Start the servers with the new key alone: without ATLAS_SECRET_KEY_PREVIOUS.'
      : `Start the servers with ATLAS_SECRET_KEY_FILE=${newKeyFile}, or put that file where they have the key now (with a seal: docs/operate/seals.md).`
  return `
The old key opens nothing any more. Now:
  1. ${place}
  2. Copy the new key to wherever a copy of the old one is.
  3. atlas vault rotate && atlas vault rewrap        seals what is stored under new keys
  4. atlas vault recovery-kit <folder>               the shares of the old key are of no use
  5. atlas backup <file>                             older backups still need the old key`
}

async function asksServer(shell: Shell, { oldKeyFile, newKeyFile }: KeyFiles): Promise<boolean> {
  if (oldKeyFile !== undefined || newKeyFile !== undefined || shell.local.hasPreviousKey()) return false
  if (shell.isServerNamed()) return true
  return shell
    .open()
    .fetch('/livez')
    .then(
      () => true,
      () => false,
    )
}

function addRecovery(vault: Command, shell: Shell): void {
  const show = (answer: Json) => print(shell.output(), answer, () => fields(answer))
  vault
    .command('recovery-kit <folder>')
    .summary('split the root key into shares, one file each, for people who keep one each')
    .option('--shares <count>', 'how many shares', '5')
    .option('--threshold <count>', 'how many of them give the key back', '3')
    .action(async (folder: string, options: { shares: string; threshold: string }) => {
      const [shares, threshold] = [Number(options.shares), Number(options.threshold)]
      show(await shell.local.recovery.make({ folder, shares, threshold }))
    })
  vault
    .command('verify-recovery <shares...>')
    .summary('check that shares give the root key in use, without showing it')
    .action(async (files: string[]) => show(await shell.local.recovery.verify(files)))
  vault
    .command('unseal')
    .summary('give a share of the root key to a server that waits sealed')
    .option('--share-file <path>', 'read the share from a file, - for standard input')
    .action(async (options: { shareFile?: string }) => {
      const share = await askSecret('Share', options.shareFile)
      const answer = await shell.signIn('/unseal', { share }).catch((error: unknown) => {
        // Only a sealed server has this path.
        const isOpen = error instanceof CliError && (error.problem as Json | undefined)?.['status'] === 404
        throw isOpen ? new CliError('The server is not sealed; there is nothing to do') : error
      })
      print(shell.output(), answer, () =>
        answer['sealed'] ? `${answer['missing']} more shares are needed` : 'The server is unsealed and starts',
      )
    })
  vault
    .command('recover <shares...>')
    .summary('put the root key together from shares, into a new key file')
    .requiredOption('--key-file <path>', 'the file to make')
    .action(async (files: string[], options: { keyFile: string }) =>
      show(await shell.local.recovery.recover(files, options.keyFile)),
    )
}

/** All of it, call after call, with the progress on standard error. */
export async function rewrapAll(client: Client, say: (text: string) => void): Promise<Json> {
  const [failed, seen]: [unknown[], Json] = [[], {}]
  for (let rewrapped = 0; ; ) {
    const answer = await client.send('POST', '/vault/keys/rewrap', seen)
    rewrapped += Number(answer['rewrapped'])
    failed.push(...(answer['failed'] as unknown[]))
    if (answer['next'] === null) return { rewrapped, failed, remaining: answer['remaining'] }
    seen['cursor'] = answer['next']
    say(`${rewrapped} moved, ${answer['remaining']} to go\n`)
  }
}
