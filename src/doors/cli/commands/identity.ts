import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { CliError, type Json, tokenPath } from '../client.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

const collect = (value: string, all: string[] = []) => [...all, value]

/** `atlas login`, `atlas whoami`, `atlas users`, `atlas tokens`, `atlas roles`. */
export function addIdentity(program: Command, shell: Shell): void {
  addSignIn(program, shell)
  addUsers(program, shell)
  addTokens(program, shell)
  addRoles(program, shell)
}

function addSignIn(program: Command, shell: Shell): void {
  program
    .command('login')
    .summary('sign in and keep a short-lived token for the next commands')
    .requiredOption('-u, --username <name>', 'who signs in')
    .option('--password-file <path>', 'read the password from a file, - for standard input')
    .action(async (options: { username: string; passwordFile?: string }) => {
      const password = await askSecret('Password', options.passwordFile)
      const answer = await shell.signIn('/login', { username: options.username, password })
      keepToken(shell, answer)
      print(shell.output(), { expiresAt: answer['expiresAt'] }, () => `Signed in until ${answer['expiresAt']}`)
    })
  program
    .command('setup')
    .summary('make the first administrator, with the setup token that the server printed')
    .requiredOption('-u, --username <name>', 'the name of the first administrator')
    .option('--setup-token-file <path>', 'a file with the setup token')
    .option('--password-file <path>', 'a file with the password')
    .action(async (options: { username: string; setupTokenFile?: string; passwordFile?: string }) => {
      const setupToken = await askSecret('Setup token', options.setupTokenFile)
      const password = await askSecret('Password (15 characters or more)', options.passwordFile)
      const answer = await shell.signIn('/setup', { setupToken, username: options.username, password })
      keepToken(shell, answer)
      print(
        shell.output(),
        { expiresAt: answer['expiresAt'] },
        () => `${options.username} is the first administrator, and signed in`,
      )
    })
  program
    .command('whoami')
    .summary('who the token belongs to, and its roles')
    .action(async () => {
      const answer = await shell.client().get('/me')
      print(shell.output(), answer, () => fields(answer))
    })
}

function keepToken(shell: Shell, answer: Json): void {
  const path = tokenPath(shell.env, shell.url())
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, `${answer['token']}\n`, { mode: 0o600 })
  chmodSync(path, 0o600)
}

function addUsers(program: Command, shell: Shell): void {
  const users = program.command('users').summary('people who may sign in')
  users
    .command('list')
    .summary('list users')
    .action(async () => {
      const answer = await shell.client().get('/users')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            username: (r) => r['username'],
            name: (r) => r['name'],
            disabled: (r) => (r['disabledAt'] ? 'yes' : 'no'),
            id: (r) => r['id'],
          },
          'No users yet. Open the setup link that the server printed.',
        ),
      )
    })
  users
    .command('add <username>')
    .summary('add a user')
    .option('--name <name>', 'the display name')
    .option('--role <role>', 'a role on everything: admin, operator, developer, viewer or auditor')
    .option('--password-file <path>', 'read the password from a file, - for standard input')
    .action(async (username: string, options: { name?: string; role?: string; passwordFile?: string }) => {
      const password = await askSecret('Password (15 characters or more)', options.passwordFile)
      const answer = await shell.client().send('POST', '/users', {
        username,
        password,
        ...(options.name && { name: options.name }),
        ...(options.role && { role: options.role }),
      })
      print(shell.output(), answer, () => fields(answer))
    })
  users
    .command('disable <user>')
    .summary('stop a user and all of their tokens at once')
    .action(async (user: string) => {
      const answer = await shell.client().send('PATCH', `/users/${encodeURIComponent(user)}`, { disabled: true })
      print(shell.output(), answer, () => fields(answer))
    })
  users
    .command('remove <user>')
    .summary('remove a user')
    .option('--yes', 'do not ask')
    .action(async (user: string, options: { yes?: boolean }) => {
      if (!options.yes) throw new CliError('This cannot be undone. Add --yes to do it.', 2)
      const answer = await shell.client().send('DELETE', `/users/${encodeURIComponent(user)}`)
      print(shell.output(), answer, () => `${user} is removed`)
    })
}

function addTokens(program: Command, shell: Shell): void {
  const tokens = program.command('tokens').summary('API tokens for agents and scripts')
  tokens
    .command('list')
    .summary('list tokens (never their values)')
    .action(async () => {
      const answer = await shell.client().get('/tokens')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            name: (r) => r['name'],
            principal: (r) => (r['principal'] as Json | undefined)?.['name'] ?? r['principal'],
            expires: (r) => r['expiresAt'],
            used: (r) => r['lastUsedAt'],
            revoked: (r) => r['revokedAt'],
            id: (r) => r['id'],
          },
          'No tokens.',
        ),
      )
    })
  tokens
    .command('create <name>')
    .summary('make a token; its value is shown once')
    .description('Makes a token. With --agent it belongs to a new agent principal with its own role; else to you.')
    .option('--agent', 'make an agent principal of this name')
    .option('--role <role>', 'the role of that agent: operator, developer, viewer, auditor or admin')
    .option('--scope <scope>', 'where the role counts: * or connection/<id>')
    .option('--only <scope>', 'narrow the token: an action, an area such as inventory.*, or read (repeatable)', collect)
    .option('--days <days>', 'how long it lives (90 days by default)')
    .option('--cidr <cidr>', 'only from this network (repeatable)', collect)
    .addHelpText('after', '\nExample:\n  atlas tokens create claude --agent --role viewer --days 30')
    .action(
      async (
        name: string,
        options: { agent?: boolean; role?: string; scope?: string; only?: string[]; days?: string; cidr?: string[] },
      ) => {
        const answer = await shell.client().send('POST', '/tokens', {
          name,
          ...((options.agent || options.role) && { agent: name }),
          ...(options.role && { role: options.role }),
          ...(options.scope && { scope: options.scope }),
          ...(options.only && { scopes: options.only }),
          ...(options.days && { expiresInDays: Number(options.days) }),
          ...(options.cidr && { cidrs: options.cidr }),
        })
        print(
          shell.output(),
          answer,
          () =>
            `${answer['token']}\n\nThis value is shown once. It ends on ${answer['expiresAt']}; revoke it with: atlas tokens revoke ${answer['id']}`,
        )
      },
    )
  tokens
    .command('revoke <token>')
    .summary('end a token now')
    .action(async (token: string) => {
      const answer = await shell.client().send('DELETE', `/tokens/${encodeURIComponent(token)}`)
      print(shell.output(), answer, () => `${token} is revoked`)
    })
}

function addRoles(program: Command, shell: Shell): void {
  const roles = program.command('roles').summary('roles, and who has them on what')
  roles
    .command('list')
    .summary('the roles and what they are for')
    .action(async () => {
      const answer = await shell.client().get('/roles')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          { role: (r) => r['id'] ?? r['role'] ?? r['name'], description: (r) => r['description'] },
          'No roles.',
        ),
      )
    })
  roles
    .command('bindings')
    .summary('who has which role on what')
    .action(async () => {
      const answer = await shell.client().get('/role-bindings')
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          { principal: (r) => r['principal'], role: (r) => r['role'], scope: (r) => r['scope'], id: (r) => r['id'] },
          'No role bindings.',
        ),
      )
    })
  roles
    .command('grant <principal> <role>')
    .summary('give a role')
    .option('--scope <scope>', '* or connection/<id>', '*')
    .action(async (principal: string, role: string, options: { scope: string }) => {
      const answer = await shell.client().send('POST', '/role-bindings', { principal, role, scope: options.scope })
      print(shell.output(), answer, () => fields(answer))
    })
  roles
    .command('take <binding>')
    .summary('take a role away')
    .action(async (binding: string) => {
      const answer = await shell.client().send('DELETE', `/role-bindings/${encodeURIComponent(binding)}`)
      print(shell.output(), answer, () => `${binding} is removed`)
    })
}
