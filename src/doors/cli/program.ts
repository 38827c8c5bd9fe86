import { Command, CommanderError } from 'commander'
import type { Secret } from '../../core/secret.ts'
import { CliError, type Client, type Json, makeClient } from './client.ts'
import { addAudit } from './commands/audit.ts'
import { addBackup } from './commands/backup.ts'
import { addConnections } from './commands/connections.ts'
import { addExports } from './commands/exports.ts'
import { addFindings } from './commands/findings.ts'
import { addIdentity } from './commands/identity.ts'
import { addIncident } from './commands/incident.ts'
import { addInventory } from './commands/inventory.ts'
import { addKeys } from './commands/keys.ts'
import { addMachines } from './commands/machines.ts'
import { addPolicy } from './commands/policy.ts'
import { addSignIn } from './commands/sign-in.ts'
import { addSyncs } from './commands/syncs.ts'
import { addSystem } from './commands/system.ts'
import { addTokens } from './commands/tokens.ts'
import { addVault } from './commands/vault.ts'
import type { Check } from './doctor.ts'
import { explainFile } from './file-errors.ts'
import type { Output } from './output.ts'

/** What works without a running server; src/main.ts hands it over, because a door knows no rooms. */
export type Local = {
  readonly version: string
  readonly serve: () => Promise<void>
  readonly init: () => Promise<Json>
  readonly verifyExport: (directory: string, vkeyFile?: string, policyFile?: string) => Promise<Json>
  /** Makes an export out of what was downloaded from a bucket. */
  readonly assemble: (from: string, to: string, vkeyFile: string) => Promise<Json>
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
  /** What can be seen of configuration, data and key on this machine. */
  readonly inspect: () => readonly Check[]
  /** Whether the configuration here names the root key so far beside the new one. */
  readonly hasPreviousKey: () => boolean
  /** Changes the root key of the data that is configured here. */
  readonly rekey: (files: { oldKeyFile?: string; newKeyFile?: string }) => Promise<Json>
  /** The root key wrapped by a provider, and back. */
  readonly seal: { readonly wrap: () => Promise<Json>; readonly unwrap: (keyFile: string) => Promise<Json> }
  /** The root key in shares, and back. */
  readonly recovery: {
    readonly make: (kit: { shares: number; threshold: number; folder: string }) => Promise<Json>
    readonly verify: (files: readonly string[]) => Promise<Json>
    readonly recover: (files: readonly string[], keyFile: string) => Promise<Json>
  }
  /** Backups without a server: made from the data that is configured here, checked, and put back. */
  readonly backups: {
    /** Undefined when the data is a server's, or not here. */
    readonly make: (order: { file?: string; progress: Tell }) => Promise<Json | undefined>
    readonly verify: (order: { file: string; vkeyFile?: string; progress: Tell }) => Promise<Json>
    readonly restore: (order: { file: string; vkeyFile?: string; isDrill: boolean; progress: Tell }) => Promise<Json>
  }
  /** Reads a store of Fernet tokens; `failed` are those that the key does not open. */
  readonly readFernet: (file: string, keyFile: string) => Promise<FernetStore>
  readonly serveStdio: (options: { url: string; token: string }) => Promise<void>
}

/** Told how far something is. */
type Tell = (text: string) => void

export type FernetStore = {
  readonly secrets: readonly { readonly name: string; readonly value: Secret }[]
  readonly failed: readonly { readonly name: string; readonly reason: string }[]
}

export type Shell = {
  readonly env: NodeJS.ProcessEnv
  readonly local: Local
  readonly client: () => Client
  /** For what the server tells everybody; it needs no token. */
  readonly open: () => Client
  /** The server that commands go to. */
  readonly url: () => string
  readonly output: () => Output
  /** A POST that needs no token: sign-in, set-up and unsealing. */
  readonly signIn: (path: '/login' | '/setup' | '/unseal', body: Json, url?: string) => Promise<Json>
  /** Whether a person said which server, rather than the default. */
  readonly isServerNamed: () => boolean
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
  addCommands(program, shell)
  inherit(program)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return report(error, shell)
  }
}

/** Every command there is. */
export function addCommands(program: Command, shell: Shell): void {
  addSystem(program, shell)
  addInventory(program, shell)
  addFindings(program, shell)
  addMachines(program, shell)
  addExports(program, shell)
  addConnections(program, shell)
  addSyncs(program, shell)
  addVault(program, shell)
  addSignIn(program, shell)
  addKeys(program, shell)
  addIncident(program, shell)
  addIdentity(program, shell)
  addTokens(program, shell)
  addPolicy(program, shell)
  addAudit(program, shell)
  addBackup(program, shell)
}

function makeShell(program: Command, env: NodeJS.ProcessEnv, local: Local): Shell {
  const options = () => program.opts<{ json?: boolean; server?: string }>()
  const open = (url = options().server) =>
    makeClient({ url, env: { ...env, ATLAS_TOKEN: env['ATLAS_TOKEN'] || 'none' } })
  return {
    env,
    local,
    program,
    client: () => makeClient({ url: options().server, env }),
    open: () => open(),
    url: () => makeClient({ url: options().server, env }).url,
    output: () => ({ json: options().json === true, out: process.stdout, err: process.stderr }),
    isServerNamed: () => Boolean(options().server ?? env['ATLAS_URL']),
    signIn: (path, body, url) => open(url).send('POST', path, body),
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
  const file = explainFile(error)
  if (file !== undefined) return report(new CliError(file, 2), shell)
  if (!(error instanceof CliError)) throw error
  if (shell.output().json) process.stderr.write(`${JSON.stringify(error.problem ?? { title: error.message })}\n`)
  else process.stderr.write(`${error.message}\n`)
  return error.exitCode
}
