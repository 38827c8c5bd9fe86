import type { Command } from 'commander'
import { askNewPassword } from '../ask.ts'
import { CliError, type Json } from '../client.ts'
import { findId, listAll } from '../names.ts'
import { cell, fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { rolesText } from './sign-in.ts'

/** `atlas users`, `atlas agents` and `atlas roles`. */
export function addIdentity(program: Command, shell: Shell): void {
  addUsers(program, shell)
  addAgents(program, shell)
  addRoles(program, shell)
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
            roles: (r) => rolesText(r['roles']),
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
      const password = await askNewPassword('Password (15 characters or more)', options.passwordFile)
      const answer = await shell.client().send('POST', '/users', {
        username,
        password,
        ...(options.name && { name: options.name }),
        ...(options.role && { role: options.role }),
      })
      print(shell.output(), answer, () => fields(answer))
    })
  for (const [verb, disabled, summary, done] of [
    [
      'disable',
      true,
      'stop a user or agent and all of their tokens at once',
      'is disabled; their tokens no longer work',
    ],
    ['enable', false, 'let a user or agent in again', 'is enabled again'],
  ] as const)
    users
      .command(`${verb} <user>`)
      .summary(summary)
      .action(async (user: string) => {
        const client = shell.client()
        const id = await findId(client, 'principal', user)
        const answer = await client.send('PATCH', `/users/${encodeURIComponent(id)}`, { disabled })
        print(shell.output(), answer, () => `${cell(answer['name'])} ${done}`)
      })
  users
    .command('remove <user>')
    .summary('remove a user or agent')
    .option('--yes', 'do not ask')
    .action(async (user: string, options: { yes?: boolean }) => {
      if (!options.yes) throw new CliError('This cannot be undone. Add --yes to do it.', 2)
      const client = shell.client()
      const answer = await client.send(
        'DELETE',
        `/users/${encodeURIComponent(await findId(client, 'principal', user))}`,
      )
      print(shell.output(), answer, () => `${user} is removed`)
    })
}

function addAgents(program: Command, shell: Shell): void {
  program
    .command('agents')
    .summary('programs and AI agents with rights of their own')
    .addHelpText('after', '\nMake one with a token: atlas tokens create claude --agent --role viewer')
    .command('list')
    .summary('list agents, their roles and who made them')
    .action(async () => {
      const client = shell.client()
      const [answer, users] = await Promise.all([client.get('/users', { kind: 'agent' }), listAll(client, '/users')])
      const nameOf = new Map(users.map(({ id, username }) => [id, username]))
      print(shell.output(), answer, () =>
        table(
          answer['items'] as Json[],
          {
            name: (r) => r['name'],
            roles: (r) => rolesText(r['roles']),
            disabled: (r) => (r['disabledAt'] ? 'yes' : 'no'),
            'made by': (r) => nameOf.get(r['createdBy']) ?? r['createdBy'],
            created: (r) => r['createdAt'],
            id: (r) => r['id'],
          },
          'No agents yet. Make one: atlas tokens create claude --agent --role viewer',
        ),
      )
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
    .option('--scope <scope>', '* or connection/<name>', '*')
    .action(async (principal: string, role: string, options: { scope: string }) => {
      const client = shell.client()
      const id = await findId(client, 'principal', principal)
      const answer = await client.send('POST', '/role-bindings', { principal: id, role, scope: options.scope })
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
