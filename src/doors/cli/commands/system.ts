import type { Command } from 'commander'
import { CliError } from '../client.ts'
import { complete, completionScript } from '../completion.ts'
import { diagnose, showChecks } from '../doctor.ts'
import { fields, print } from '../output.ts'
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
    .summary('check configuration, data, server, token, audit log and connections')
    .action(async () => {
      const answer = await diagnose(shell, Date.now)
      print(shell.output(), answer, () => showChecks(answer.checks))
      if (!answer.ok) throw new CliError('Something needs attention (✖)', 1, answer)
    })
  program
    .command('completion <shell>')
    .summary('print a completion script for bash, zsh or fish')
    .addHelpText(
      'after',
      '\nIn ~/.bashrc:  source <(atlas completion bash)\nIn ~/.zshrc:   source <(atlas completion zsh)\nFor fish:      atlas completion fish > ~/.config/fish/completions/atlas.fish',
    )
    .action((name: string) => {
      const script = completionScript(name)
      if (script === undefined) throw new CliError(`${name} is not supported; use bash, zsh or fish`, 2)
      process.stdout.write(script)
    })
  program
    .command('complete', { hidden: true })
    .summary('what may follow these words; the completion scripts ask this')
    .argument('[words...]')
    .action(async (words: string[]) => {
      // Whoever presses Tab does not wait for a server that does not answer.
      setTimeout(() => process.exit(0), 2000).unref()
      const found = await complete(program, words, shell.client)
      process.stdout.write(found.map((word) => `${word}\n`).join(''))
    })
}
