import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { ConfigError, readConfig } from './config.ts'
import { CliError } from './doors/cli/client.ts'
import { clean } from './doors/cli/output.ts'
import { type Local, runCli } from './doors/cli/program.ts'
import { serveStdio } from './doors/mcp/stdio.ts'
import { assemble, Incomplete } from './features/audit/assemble.ts'
import { verifyExport, verifyProof } from './features/audit/verify.ts'
import { inspectLocally } from './local-state.ts'
import { StartError } from './start-error.ts'

// Files and directories are the user's own; nothing that this process writes is for others.
process.umask(0o077)

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
const config = () => readConfig(process.env, '.env')
// The rooms are loaded only by what runs in them: every other command is a client, and starts three times as fast without.
const rooms = () => import('./start.ts')

const local: Local = {
  version,
  async serve() {
    const read = config()
    keepCompiled(read.ATLAS_DATA_DIR)
    return (await rooms()).serve(read, version)
  },
  async init() {
    const read = config()
    return (await rooms()).init(read, version)
  },
  hasPreviousKey() {
    try {
      return config().ATLAS_SECRET_KEY_PREVIOUS !== undefined
    } catch (error) {
      if (error instanceof ConfigError) return false // whoever works with the configuration says what is wrong with it
      throw error
    }
  },
  async rekey(files) {
    return (await import('./rekey.ts')).rekey(config(), files)
  },
  seal: {
    wrap: async () => (await import('./sealing.ts')).sealRootKey(config()),
    unwrap: async (keyFile) => (await import('./sealing.ts')).unsealToFile(config(), keyFile),
  },
  recovery: {
    make: async (kit) => (await import('./recovery.ts')).makeKit(config(), kit),
    verify: async (files) => (await import('./recovery.ts')).verifyKit(config(), files),
    recover: async (files, keyFile) => (await import('./recovery.ts')).recover(files, keyFile),
  },
  backups: {
    make: async (order) => (await import('./backup-local.ts')).backupHere(config(), order, version),
    verify: async (order) => (await import('./restore.ts')).verifyBackup(config(), order),
    restore: async ({ isDrill, ...order }) => {
      const { drill, restore } = await import('./restore.ts')
      return (isDrill ? drill : restore)(config(), order)
    },
  },
  async readFernet(file, keyFile) {
    return (await import('./fernet-store.ts')).readFernetStore(file, keyFile)
  },
  async verifyExport(directory, vkey, policy) {
    if (!existsSync(directory)) throw new CliError(`${directory} does not exist`, 2)
    return { ...verifyExport(directory, read(vkey, '--vkey')?.trim(), read(policy, '--policy')) }
  },
  async assemble(from, to, vkey) {
    return assemble(from, to, read(vkey, '--vkey') ?? '').catch((error: unknown) => {
      throw error instanceof Incomplete ? new CliError(error.message, 1) : error
    })
  },
  async verifyProof(proof, vkey, policy) {
    const text = read(proof, '--proof') ?? ''
    return { ...verifyProof(Buffer.from(text), (read(vkey, '--vkey') ?? '').trim(), read(policy, '--policy')) }
  },
  async witness({ listen, ...options }) {
    const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d{1,5})$/.exec(listen) ?? []
    if (host === '') throw new CliError('--listen is host:port', 2)
    const { startWitness } = await import('./witness.ts')
    const { url, vkeys, close } = await startWitness({ ...options, host, port: Number(port) })
    process.stdout.write(`The witness ${options.name} is ready at ${url}\n${vkeys.map((vkey) => `${vkey}\n`).join('')}`)
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => resolve())
    })
    await close()
  },
  inspect: () => inspectLocally(process.env, '.env'),
  serveStdio: (options) =>
    serveStdio({
      ...options,
      input: process.stdin,
      output: process.stdout,
      note: (text) => process.stderr.write(`${text}\n`),
    }),
}

function read(file: string | undefined, option: string): string | undefined {
  if (file !== undefined && !existsSync(file)) throw new CliError(`${file} (${option}) does not exist`, 2)
  return file === undefined ? undefined : readFileSync(file, 'utf8')
}

/**
 * Keeps the compiled program beside the data from the second start on: half of the start is compiling. Only in a directory that
 * nobody else can enter, because what lies there is run.
 */
function keepCompiled(dataDirectory: string): void {
  const found = lstatSync(dataDirectory, { throwIfNoEntry: false })
  if (found?.isDirectory() && (found.mode & 0o077) === 0) enableCompileCache(join(dataDirectory, 'compiled'))
}

try {
  process.exitCode = await runCli(process.argv.slice(2), process.env, local)
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof StartError)) throw error
  // A backup file or a provider may have put its own words into it.
  process.stderr.write(`${error.message.split('\n').map(clean).join('\n')}\n`)
  process.exitCode = error instanceof StartError ? error.exitCode : 2
}
