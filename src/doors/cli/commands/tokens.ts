import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { findId } from '../names.ts'
import { ago, cell, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { rolesText } from './sign-in.ts'

const collect = (value: string, all: string[] = []) => [...all, value]

type NewToken = {
  agent?: boolean
  role?: string
  scope?: string
  only?: string[]
  days?: string
  cidr?: string[]
}

/** `atlas tokens`. */
export function addTokens(program: Command, shell: Shell): void {
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
            of: (r) => r['principalName'],
            kind: (r) => r['principalKind'],
            state: (r) => r['state'],
            expires: (r) => r['expiresAt'],
            used: (r) => r['lastUsedAt'],
            id: (r) => r['id'],
          },
          'No tokens.',
        ),
      )
    })
  addCreate(tokens, shell)
  tokens
    .command('revoke <token>')
    .summary('end a token now')
    .action(async (token: string) => {
      const client = shell.client()
      const answer = await client.send('DELETE', `/tokens/${encodeURIComponent(await findId(client, 'token', token))}`)
      print(shell.output(), answer, () => `${token} is revoked`)
    })
}

function addCreate(tokens: Command, shell: Shell): void {
  tokens
    .command('create <name>')
    .summary('make a token; its value is shown once')
    .description(
      'Makes a token. With --agent it belongs to a new agent with its own role. Without, it is yours and may do what you may.',
    )
    .option('--agent', 'make an agent of this name')
    .option('--role <role>', 'the role of that agent: operator, developer, viewer, auditor or admin')
    .option('--scope <scope>', 'where the role counts: * or connection/<name>')
    .option('--only <scope>', 'narrow the token: an action, an area such as inventory.*, or read (repeatable)', collect)
    .option('--days <days>', 'how long it lives (90 days by default)')
    .option('--cidr <cidr>', 'only from this network (repeatable)', collect)
    .addHelpText('after', '\nExample:\n  atlas tokens create claude --agent --role viewer --days 30')
    .action(async (name: string, options: NewToken) => {
      if (options.agent && !options.role)
        throw new CliError('An agent without a role may do nothing. Say which: --role viewer (see atlas roles list)', 2)
      if (options.scope && !options.role)
        throw new CliError('--scope says where a role counts, so it needs --role. To narrow a token, use --only', 2)
      if (options.days !== undefined && !/^\d{1,3}$/.test(options.days))
        throw new CliError('--days takes a whole number from 1 to 366', 2)
      const client = shell.client()
      const answer = await client.send('POST', '/tokens', {
        name,
        ...(options.role && { agent: name, role: options.role }),
        ...(options.scope && { scope: options.scope }),
        ...(options.only && { scopes: options.only }),
        ...(options.days && { expiresInDays: Number(options.days) }),
        ...(options.cidr && { cidrs: options.cidr }),
      })
      print(shell.output(), answer, () => describeToken(answer, client.url))
    })
}

/** The value in the first line, then whose it is, how it ends, and how to use it. */
function describeToken(answer: Json, url: string): string {
  const { token, id, expiresAt, principal, principalName, principalKind, roles } = answer
  const ends = `This value is shown once. It ends on ${cell(expiresAt)}${ago(expiresAt, Date.now())}; end it earlier with: atlas tokens revoke ${id}`
  if (principalKind !== 'agent')
    return [
      token,
      '',
      ends,
      `It is a token of your own (${cell(principalName)}): who has it may do what you may (${rolesText(roles)}).`,
      'For an agent or a script, rather make one with rights of its own: --agent --role viewer',
    ].join('\n')
  return [
    token,
    '',
    ends,
    `It belongs to the agent ${cell(principalName)} (${principal}); roles: ${rolesText(roles)}.`,
    ...narrowHint(roles),
    '',
    'For an MCP client (more: docs/connect/mcp.md):',
    mcpConfig(url, String(token)),
    '',
    'To see that it works:',
    `  curl -sS ${url}/api/v1/me -H "Authorization: Bearer ${token}"`,
    `What it did: atlas audit events --principal ${principal}`,
  ].join('\n')
}

/** Somebody with a role on one connection finds nothing without naming it, which looks like a fault. */
function narrowHint(roles: unknown): string[] {
  const scopes = ((roles as Json[] | undefined) ?? []).map(({ scope }) => scope)
  if (scopes.length === 0 || scopes.includes('*')) return []
  return ['The role counts for calls that name that thing; searches must say it as their source.']
}

function mcpConfig(url: string, token: string): string {
  const atlas = { type: 'http', url: `${url}/mcp`, headers: { Authorization: `Bearer ${token}` } }
  return JSON.stringify({ mcpServers: { atlas } }, null, 2)
}
