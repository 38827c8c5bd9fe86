import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { askLine, askNewPassword, askSecret } from '../ask.ts'
import { CliError, defaultUrl, type Json, makeClient, tokenPath } from '../client.ts'
import { ago, cell, fields, print } from '../output.ts'
import type { Shell } from '../program.ts'

/** `atlas setup`, `login`, `logout`, `password` and `whoami`. */
export function addSignIn(program: Command, shell: Shell): void {
  addLogin(program, shell)
  addSetup(program, shell)
  addLogout(program, shell)
  addPassword(program, shell)
  program
    .command('whoami')
    .summary('who the token belongs to, and its roles')
    .action(async () => {
      const answer = await shell.client().get('/me')
      print(shell.output(), answer, () => fields({ ...answer, roles: rolesText(answer['roles']) }))
    })
}

/** `admin on everything, viewer on connection/con_…` */
export function rolesText(roles: unknown): string {
  const texts = ((roles as Json[] | undefined) ?? []).map(
    ({ role, scope }) => `${role} on ${scope === '*' ? 'everything' : scope}`,
  )
  return texts.join(', ') || 'none'
}

function addLogin(program: Command, shell: Shell): void {
  program
    .command('login')
    .summary('sign in and keep a short-lived token for the next commands')
    .option('-u, --username <name>', 'who signs in')
    .option('--password-file <path>', 'read the password from a file, - for standard input')
    .action(async (options: { username?: string; passwordFile?: string }) => {
      const username = options.username ?? (await askLine('Username', '--username'))
      const password = await askSecret('Password', options.passwordFile)
      const answer = await shell.signIn('/login', { username, password })
      keepToken(shell, answer, shell.url())
      warnOfToken(shell)
      print(
        shell.output(),
        { expiresAt: answer['expiresAt'] },
        () => `Signed in until ${cell(answer['expiresAt'])}${ago(answer['expiresAt'], Date.now())}`,
      )
    })
}

function addSetup(program: Command, shell: Shell): void {
  program
    .command('setup')
    .summary('make the first administrator, with the link that the server printed')
    .option('-u, --username <name>', 'the name of the first administrator')
    .option('--setup-token-file <path>', 'a file with the printed link, or the token at its end')
    .option('--password-file <path>', 'a file with the password')
    .action(async (options: { username?: string; setupTokenFile?: string; passwordFile?: string }) => {
      const link = readLink(await askSecret('Setup link', options.setupTokenFile))
      const url = shell.isServerNamed() ? shell.url() : (link.origin ?? shell.url())
      const username = options.username ?? (await askLine('Your username', '--username'))
      const password = await askNewPassword('Password (15 characters or more)', options.passwordFile)
      const answer = await shell.signIn('/setup', { setupToken: link.token, username, password }, url)
      keepToken(shell, answer, url)
      warnOfToken(shell)
      const hint =
        url === defaultUrl || shell.env['ATLAS_URL'] ? '' : `\nFor the next commands: export ATLAS_URL=${url}`
      print(
        shell.output(),
        { expiresAt: answer['expiresAt'] },
        () => `${username} is the first administrator, and signed in${hint}`,
      )
    })
}

/** The token alone, or the whole link `https://…/setup#token`. */
function readLink(text: string): { token: string; origin?: string } {
  const [link = '', token] = text.trim().split('#', 2)
  if (token === undefined || token === '') return { token: text.trim() }
  return { token, ...(URL.canParse(link) && { origin: new URL(link).origin }) }
}

function addLogout(program: Command, shell: Shell): void {
  program
    .command('logout')
    .summary('end the sign-in of `atlas login`, here and on the server')
    .action(async () => {
      const path = tokenPath(shell.env, shell.url())
      if (!existsSync(path)) {
        print(shell.output(), { signedOut: false }, () => `Nobody is signed in to ${shell.url()} here`)
        return
      }
      // What `atlas login` kept, and not a token that the environment names for other purposes.
      const { ATLAS_TOKEN: _token, ATLAS_TOKEN_FILE: _file, ...env } = shell.env
      const client = makeClient({ url: shell.url(), env })
      const failed = await client
        .get('/me')
        .then(({ tokenId }) => client.send('DELETE', `/tokens/${encodeURIComponent(String(tokenId))}`))
        .then(
          () => undefined,
          (error: unknown) => error,
        )
      rmSync(path, { force: true })
      const isEnded = !failed || (failed as { problem?: { status?: number } }).problem?.status === 401
      if (!isEnded)
        throw new CliError(
          `The token is removed from here, but the server could not be told, where it lasts for an hour at most: ${(failed as Error).message}`,
        )
      print(shell.output(), { signedOut: true }, () => `Signed out of ${shell.url()}`)
    })
}

function addPassword(program: Command, shell: Shell): void {
  program
    .command('password')
    .summary('change your own password; all your other sign-ins end')
    .option('--current-file <path>', 'read the current password from a file')
    .option('--password-file <path>', 'read the new password from a file')
    .action(async (options: { currentFile?: string; passwordFile?: string }) => {
      const currentPassword = await askSecret('Current password', options.currentFile)
      const password = await askNewPassword('New password (15 characters or more)', options.passwordFile)
      const answer = await shell.client().send('POST', '/me/password', { currentPassword, password })
      print(
        shell.output(),
        answer,
        () => 'The password is changed. Your other sign-ins have ended; API tokens go on (atlas tokens list).',
      )
    })
}

function keepToken(shell: Shell, answer: Json, url: string): void {
  const path = tokenPath(shell.env, url)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, `${answer['token']}\n`, { mode: 0o600 })
  chmodSync(path, 0o600)
}

function warnOfToken({ env, output }: Shell): void {
  const name = ['ATLAS_TOKEN', 'ATLAS_TOKEN_FILE'].find((variable) => env[variable])
  if (name) output().err.write(`${name} is set and goes first. To use this sign-in: unset ${name}\n`)
}
