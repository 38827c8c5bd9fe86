import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { completion } from '../completion.ts'
import { fields, print, table } from '../output.ts'
import type { Shell } from '../program.ts'

/** `atlas serve`, `init`, `doctor`, `mcp`, `actions` and `completion`. */
export function addSystem(program: Command, shell: Shell): void {
  program
    .command('serve')
    .summary('run the server')
    .action(() => shell.local.serve())
  program
    .command('init')
    .summary('make the data directory, the root key and the database, and print the set-up link')
    .action(async () => {
      const answer = await shell.local.init()
      print(shell.output(), answer, () => fields(answer))
    })
  program
    .command('mcp')
    .summary('speak MCP over standard input and output, for clients that start a command')
    .addHelpText('after', '\nThe token comes from ATLAS_TOKEN, ATLAS_TOKEN_FILE or `atlas login`.')
    .action(async () => {
      const client = shell.client()
      await shell.local.serveStdio({ url: client.url, token: client.token() })
    })
  program
    .command('witness')
    .summary('run a witness that cosigns the checkpoints of audit logs')
    .requiredOption('--policy <file>', 'the logs to witness: lines of `log <vkey>` (C2SP tlog-policy)')
    .requiredOption('--name <name>', 'its name for ever, such as witness.example.org/atlas')
    .option('--folder <directory>', 'its keys and what it cosigned', './witness')
    .option('--listen <address>', 'host:port; anything but loopback needs --cert and --key', '127.0.0.1:8081')
    .option('--cert <file>', 'PEM certificate chain')
    .option('--key <file>', 'its private key')
    .action((options: Parameters<Shell['local']['witness']>[0]) => shell.local.witness(options))
  program
    .command('doctor')
    .summary('check the configuration, the server and what it needs')
    .action(async () => {
      const answer = await diagnose(shell)
      print(shell.output(), answer, () =>
        table(
          answer.checks as unknown as Json[],
          { check: (r) => r['check'], result: (r) => (r['ok'] ? 'ok' : 'FAULT'), detail: (r) => r['detail'] },
          '',
        ),
      )
      if (!answer.ok) throw new CliError('Something needs attention', 1, answer)
    })
  program
    .command('completion <shell>')
    .summary('print a completion script for bash, zsh or fish')
    .addHelpText('after', '\nExample:\n  source <(atlas completion bash)')
    .action((name: string) => {
      const script = completion(program, name)
      if (script === undefined) throw new CliError(`${name} is not supported; use bash, zsh or fish`, 2)
      process.stdout.write(script)
    })
}

type Check = { readonly check: string; readonly ok: boolean; readonly detail: string }

async function diagnose(shell: Shell): Promise<{ ok: boolean; checks: Check[] }> {
  const checks: Check[] = []
  const faults = shell.local.checkConfig()
  checks.push({ check: 'configuration', ok: faults.length === 0, detail: faults.join('; ') || 'no faults' })
  const { url } = shell.client()
  const ready = await fetch(`${url}/readyz`, { redirect: 'error' }).then(
    async (response) => ({ ok: response.ok, detail: JSON.stringify(await response.json()) }),
    () => ({ ok: false, detail: `no answer from ${url}; start it with npm start` }),
  )
  checks.push({ check: 'server', ...ready })
  if (!ready.ok) return { ok: false, checks }
  const attempt = async (check: string, run: () => Promise<string>): Promise<void> => {
    const result = await run().then(
      (detail) => ({ ok: true, detail }),
      (error: unknown) => ({ ok: false, detail: error instanceof CliError ? error.message : 'failed' }),
    )
    checks.push({ check, ...result })
  }
  const client = () => shell.client()
  await attempt('token', async () => String((await client().get('/me'))['id'] ?? 'accepted'))
  await attempt('audit log', async () => {
    const result = await client().send('POST', '/audit/verify', {})
    if (result['ok'] !== true) throw new CliError(`does not verify: ${result['place']}`)
    return `${result['size']} entries verify`
  })
  await attempt('audit witnesses', async () => auditHealth(await client().get('/audit/status')))
  const unhealthy = (items: Json[]) =>
    items.filter(({ state }) => typeof state === 'string' && !['ok', 'new', 'syncing', 'ready'].includes(state))
  await attempt('connections', async () => {
    const items = (await client().get('/connections'))['items'] as Json[]
    const bad = unhealthy(items)
    if (bad.length > 0) throw new CliError(bad.map(({ name, state }) => `${name}: ${state}`).join(', '))
    return `${items.length} connected`
  })
  return { ok: checks.every(({ ok }) => ok), checks }
}

function auditHealth(status: Json): string {
  const witnesses = status['witnesses'] as { name: string; fault: string | null }[]
  const bad = witnesses.filter(({ fault }) => fault !== null)
  if (Number(status['clockBehindSeconds']) > 10)
    throw new CliError(`the clock is ${status['clockBehindSeconds']} s behind`)
  if (bad.length > 0) throw new CliError(bad.map(({ name, fault }) => `${name}: ${fault}`).join(', '))
  return witnesses.length === 0 ? 'none configured' : `${witnesses.length} cosigned`
}
