import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { fields, makeProgress, print } from '../output.ts'
import type { Shell } from '../program.ts'
import { addRetention } from './audit-retention.ts'
import { addSearching } from './audit-search.ts'

/** `atlas audit`: read the log, export it, prove it. */
export function addAudit(program: Command, shell: Shell): void {
  const audit = program.command('audit').summary('read, export and verify the tamper-evident log')
  addSearching(audit, shell)
  addProving(audit, shell)
  addKeeping(audit, shell)
  addRetention(audit, shell)
}

function addKeeping(audit: Command, shell: Shell): void {
  audit
    .command('status')
    .summary('how much is signed, and who signs')
    .action(async () => {
      const answer = await shell.client().get('/audit/status')
      print(shell.output(), answer, () => fields(answer))
    })
  audit
    .command('forget <principal>')
    .summary('erase a person: key, pseudonym and details, and what others said of the person; cannot be undone')
    .option(
      '--texts-file <file>',
      'one text a line that names the person: user name, e-mail and network addresses; - reads standard input',
    )
    .requiredOption('--yes', 'that you mean it')
    .action(async (principal: string, { textsFile }: { textsFile?: string }) => {
      if (!/^(usr|agt|sys)_/.test(principal))
        throw new CliError(
          'Name the id (usr_…): `atlas users list`, and the log where the user was removed, show it',
          2,
        )
      const texts = textsFile === undefined ? [] : readFileSync(textsFile === '-' ? 0 : textsFile, 'utf8').split('\n')
      const body = { principal, texts: texts.map((text) => text.trim()).filter(Boolean) }
      const answer = await shell.client().send('POST', '/audit/forget', body)
      print(
        shell.output(),
        answer,
        () =>
          `Forgotten, as entry ${answer['index']} says; ${answer['details']} details of others spoke of the person and are gone.`,
      )
    })
  audit
    .command('accept-clock')
    .summary('say that the clock is right although older entries have a later time')
    .action(async () => {
      const answer = await shell.client().send('POST', '/audit/clock', {})
      print(shell.output(), answer, () => 'Accepted; signing goes on.')
    })
}

function addProving(audit: Command, shell: Shell): void {
  audit
    .command('export <directory>')
    .summary('write checkpoint, tiles and key to a directory that verifies without this server')
    .action(async (directory: string) => {
      const answer = await exportLog(shell, directory)
      print(
        shell.output(),
        answer,
        () =>
          `${answer.size - answer.minimum} entries in ${answer.files} files are in ${directory}\n${goneBelow(answer.minimum)}Verify them anywhere with: atlas audit verify --offline ${directory}`,
      )
    })
  audit
    .command('proof <index>')
    .summary('one event as a .tlog-proof file that verifies anywhere')
    .option('-o, --output <file>', 'write it there; otherwise it is printed')
    .action(async (index: string, { output }: { output?: string }) => {
      const answer = await shell.client().get(`/audit/events/${encodeURIComponent(index)}/proof`)
      if (output === undefined) return print(shell.output(), answer, () => String(answer['proof']).trimEnd())
      writeNew(output, String(answer['proof']))
      print(
        shell.output(),
        { file: output },
        () => `Verify it anywhere with: atlas audit verify --proof ${output} --vkey FILE`,
      )
    })
  audit
    .command('assemble <downloaded> <directory>')
    .summary('make an export that verifies out of what the object storage sink wrote, once downloaded')
    .requiredOption('--vkey <file>', 'the verifier key of the log')
    .action(async (downloaded: string, directory: string, { vkey }: { vkey: string }) => {
      const answer = await shell.local.assemble(downloaded, directory, vkey)
      print(
        shell.output(),
        answer,
        () =>
          `${answer['size']} entries in ${answer['files']} files are in ${directory}\nVerify them with: atlas audit verify --offline ${directory} --vkey ${vkey}`,
      )
    })
  audit
    .command('verify')
    .summary('prove that nothing in the log was changed, removed or reordered')
    .option('--offline <directory>', 'verify an export, without any server')
    .option('--proof <file>', 'verify one event, without any server; needs --vkey')
    .option('--vkey <file>', 'with --offline or --proof: the key you trust, instead of the one in the export')
    .option(
      '--policy <file>',
      'with --offline or --proof: the witnesses whose cosignatures you require (C2SP tlog-policy)',
    )
    .action(async (options: { offline?: string; proof?: string; vkey?: string; policy?: string }) => {
      const answer = await verify(shell, options)
      print(shell.output(), answer, () => fields({ ...answer, ...prunedIn(answer) }))
      if (answer['keyFromFolder'] === true)
        shell
          .output()
          .err.write(
            `The key came from the export itself, so compare its fingerprint with the one printed when the log was made:\n  ${answer['keyFingerprint']}\nor name the key that you trust with --vkey FILE.\n`,
          )
      if (answer['ok'] !== true)
        throw new CliError(
          `${options.proof === undefined ? 'The log' : 'The proof'} does not verify: ${answer['place'] ?? ''} ${answer['reason'] ?? ''}`.trim(),
          1,
          answer,
        )
    })
}

type Evidence = { readonly offline?: string; readonly proof?: string; readonly vkey?: string; readonly policy?: string }

async function verify(shell: Shell, { offline, proof, vkey, policy }: Evidence): Promise<Json> {
  if (offline !== undefined && proof !== undefined) throw new CliError('Name either --offline or --proof', 2)
  if (offline !== undefined) return shell.local.verifyExport(offline, vkey, policy)
  if (proof !== undefined && vkey === undefined) throw new CliError('--proof needs --vkey: the key that you trust', 2)
  if (proof !== undefined) return shell.local.verifyProof(proof, vkey as string, policy)
  return shell.client().send('POST', '/audit/verify', {})
}

type Exported = { readonly size: number; readonly minimum: number; readonly files: number }

/** Fetches exactly the files that a checkpoint of this size names (C2SP tlog-tiles), the checkpoint first. */
async function exportLog(shell: Shell, directory: string): Promise<Exported> {
  const client = shell.client()
  prepare(directory)
  const checkpoint = await client.bytes('/audit/checkpoint')
  const size = Number(checkpoint.toString('utf8').split('\n')[1])
  const progress = makeProgress(shell.output())
  let files = 2
  const save = async (paths: readonly string[]): Promise<void> => {
    const fetched = await Promise.all(paths.map((path) => client.bytes(`/audit/${path}`)))
    for (const [i, bytes] of fetched.entries()) write(join(directory, paths[i] as string), bytes)
    files += paths.length
    progress.show(`${files} files`)
  }
  for (const path of upperPaths(size)) await save([path])
  const minimum = await saveEntries(size, save)
  progress.end()
  write(join(directory, 'vkey'), await client.bytes('/audit/vkey'))
  write(join(directory, 'checkpoint'), checkpoint)
  return { size, minimum, files }
}

/**
 * Entries and their hashes, the newest first, back to where retention has deleted them; answers that index. A full tile that is not
 * there is only left out here: whether it may be missing is for whoever verifies to say.
 */
async function saveEntries(size: number, save: (paths: readonly string[]) => Promise<void>): Promise<number> {
  for (let index = Math.ceil(size / 256) - 1; index >= 0; index--) {
    const partial = size - index * 256 < 256 ? `.p/${size % 256}` : ''
    try {
      await save(['entries', '0'].map((level) => `tile/${level}/${tileIndex(index)}${partial}`))
    } catch (error) {
      const isGone = error instanceof CliError && (error.problem as Json | undefined)?.['status'] === 404
      if (!isGone || partial !== '') throw error
      return (index + 1) * 256
    }
  }
  return 0
}

/** In words what is missing, and which entry says so. */
function prunedIn({ pruned }: Json): Json {
  if (pruned === undefined) return {}
  const { minimum, entry, at } = pruned as { minimum: number; entry: number; at: string }
  return { pruned: `entries 0–${minimum - 1} were pruned by retention (entry ${entry} of ${at} says so)` }
}

function goneBelow(minimum: number): string {
  return minimum === 0 ? '' : `Entries 0–${minimum - 1} were deleted by retention and are not in it.\n`
}

/** A new or empty directory: files of an earlier export beside the new ones would not verify. */
function prepare(directory: string): void {
  const parent = dirname(resolve(directory))
  if (!existsSync(parent)) throw new CliError(`${parent} does not exist; make it first`, 2)
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new CliError(`${directory} cannot be made (${code})`, 2)
    if (!statSync(directory).isDirectory() || readdirSync(directory).length > 0)
      throw new CliError(`${directory} is not empty. Name a new directory.`, 2)
  }
}

/** The tiles above the entries' own hashes; they are kept for ever. */
function upperPaths(size: number): string[] {
  const paths: string[] = []
  for (let level = 1, count = Math.floor(size / 256); count > 0; level++, count = Math.floor(count / 256)) {
    const full = Math.floor(count / 256)
    for (let n = 0; n < full; n++) paths.push(`tile/${level}/${tileIndex(n)}`)
    if (count % 256 > 0) paths.push(`tile/${level}/${tileIndex(full)}.p/${count % 256}`)
  }
  return paths
}

/** 1234067 → `x001/x234/067` */
function tileIndex(n: number): string {
  const groups = [String(n % 1000).padStart(3, '0')]
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  return groups.join('/')
}

/** Evidence is never written over. */
function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError(
      code === 'EEXIST' ? `${path} exists already; name another file` : `${path} cannot be made (${code})`,
      2,
    )
  }
}

function write(path: string, bytes: Buffer): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, bytes, { mode: 0o600 })
}
