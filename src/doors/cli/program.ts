import { Command, CommanderError } from 'commander'
import { CliError, type Client, type Json, makeClient } from './client.ts'
import { addAudit } from './commands/audit.ts'
import { addConnections } from './commands/connections.ts'
import { addFindings } from './commands/findings.ts'
import { addIdentity } from './commands/identity.ts'
import { addInventory } from './commands/inventory.ts'
import { addPolicy } from './commands/policy.ts'
import { addSystem } from './commands/system.ts'
import { addVault } from './commands/vault.ts'
import type { Output } from './output.ts'

/** What works without a running server; src/main.ts hands it over, because a door knows no rooms. */
export type Local = {
  readonly version: string
  readonly serve: () => Promise<void>
  readonly init: () => Promise<Json>
  readonly verifyExport: (directory: string, vkeyFile?: string, policyFile?: string) => Promise<Json>
  readonly verifyProof: (proofFile: string, vkeyFile: string, policyFile?: string) => Promise<Json>
  /** Runs until it is told to stop. */
  readonly witness: (options: {
    folder: string
    name: string
    policy: string
    listen: string
    cert?: string
    key?: string
  }) => Promise<void>
  readonly checkConfig: () => readonly string[]
  readonly serveStdio: (options: { url: string; token: string }) => Promise<void>
}

export type Shell = {
  readonly env: NodeJS.ProcessEnv
  readonly local: Local
  readonly client: () => Client
  /** The server that commands go to. */
  readonly url: () => string
  readonly output: () => Output
  /** A POST that needs no token: sign-in and set-up. */
  readonly signIn: (path: '/login' | '/setup', body: Json) => Promise<Json>
  readonly program: Command
}

/** Runs one command line. Answers the exit code: 0 done, 1 it failed and says why, 2 wrong usage or configuration. */
export async function runCli(argv: readonly string[], env: NodeJS.ProcessEnv, local: Local): Promise<number> {
  const program = new Command('atlas')
  const shell = makeShell(program, env, local)
  program
    .description('Infrastructure Atlas: one gate, one inventory and one log for the systems you run.')
    .version(local.version)
    .option('--json', 'print the answer as JSON')
    .option('--server <url>', 'the Atlas server (ATLAS_URL, else http://127.0.0.1:8080)')
    .showHelpAfterError('(add --help to see how)')
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText(
      'after',
      '\nSign in with `atlas login`, or set ATLAS_TOKEN. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.',
    )
  addSystem(program, shell)
  addInventory(program, shell)
  addFindings(program, shell)
  addConnections(program, shell)
  addVault(program, shell)
  addIdentity(program, shell)
  addPolicy(program, shell)
  addAudit(program, shell)
  inherit(program)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return report(error, shell)
  }
}

function makeShell(program: Command, env: NodeJS.ProcessEnv, local: Local): Shell {
  const options = () => program.opts<{ json?: boolean; server?: string }>()
  return {
    env,
    local,
    program,
    client: () => makeClient({ url: options().server, env }),
    url: () => makeClient({ url: options().server, env }).url,
    output: () => ({ json: options().json === true, out: process.stdout, err: process.stderr }),
    signIn: (path, body) =>
      makeClient({ url: options().server, env: { ...env, ATLAS_TOKEN: env['ATLAS_TOKEN'] || 'none' } }).send(
        'POST',
        path,
        body,
      ),
  }
}

/** `--json` and `--server` may stand anywhere on the line; every subcommand throws instead of ending the process. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub.exitOverride().showHelpAfterError('(add --help to see how)')
    inherit(sub)
  }
}

function report(error: unknown, shell: Shell): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (!(error instanceof CliError)) throw error
  if (shell.output().json) process.stderr.write(`${JSON.stringify(error.problem ?? { title: error.message })}\n`)
  else process.stderr.write(`${error.message}\n`)
  return error.exitCode
}
