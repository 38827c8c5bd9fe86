import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'
import { bar, fields, makeProgress, print, table } from '../output.ts'
import type { Shell } from '../program.ts'
import { download, refuseMissingFolder } from './export-file.ts'

/** `atlas backup` and `atlas restore`. */
export function addBackup(program: Command, shell: Shell): void {
  const backup = program
    .command('backup [file]')
    .summary('make a backup of everything, sealed and signed')
    .description(
      'Asks the running server for a backup, and downloads it into the file when one is named. Where no server runs it is made from the data that is configured here. The root key is not in it.',
    )
    .addHelpText('after', '\nA file that exists is never overwritten. Without a file it goes to ATLAS_BACKUP_DIR.')
    .action((file?: string) => make(shell, file))
  addShowing(backup, shell)
  addVerify(backup, shell)
  addRestore(program, shell)
}

async function make(shell: Shell, file: string | undefined): Promise<void> {
  if (file === '-') throw new CliError('A backup goes into a file, not to standard output', 2)
  if (file !== undefined) {
    if (existsSync(file)) throw new CliError(`${file} exists already; a backup never replaces a file`, 2)
    refuseMissingFolder(file)
  }
  const answer = (shell.isServerNamed() ? undefined : await makeHere(shell, file)) ?? (await makeThere(shell, file))
  print(shell.output(), answer, () => fields(answer))
}

async function makeHere(shell: Shell, file: string | undefined): Promise<Json | undefined> {
  const progress = makeProgress(shell.output())
  try {
    return await shell.local.backups.make({ ...(file !== undefined && { file }), progress: progress.show })
  } finally {
    progress.end()
  }
}

async function makeThere(shell: Shell, file: string | undefined): Promise<Json> {
  const { id } = await shell.client().send('POST', '/backups', {})
  if (id === undefined) throw new CliError('The backup waits for an approval; nothing was made yet')
  const { bytes, sha256, rows, logSize, file: name } = await ready(shell, String(id))
  const made = { backup: id, bytes, sha256, rows, logSize }
  return file === undefined ? { ...made, onServer: name } : { ...made, ...(await fetchBackup(shell, String(id), file)) }
}

async function ready(shell: Shell, id: string): Promise<Json> {
  const progress = makeProgress(shell.output())
  try {
    for (let pause = 100; ; pause = Math.min(2_000, pause * 1.5)) {
      const one = await shell.client().get(`/backups/${encodeURIComponent(id)}`)
      if (one['state'] === 'ready') return one
      if (one['state'] !== 'running') throw new CliError(`The backup failed: ${one['problem'] ?? 'no reason given'}`)
      const [rows, total] = [Number(one['rows']), Number(one['totalRows'])]
      progress.show(`Backing up ${bar(rows, total || null)} ${rows} of ${total} rows`)
      await sleep(pause)
    }
  } finally {
    progress.end()
  }
}

/** What was downloaded must be a whole, signed backup, and the one that was asked for. */
async function fetchBackup(shell: Shell, id: string, file: string | undefined): Promise<Json> {
  const fetched = await download(shell, `/api/v1/backups/${encodeURIComponent(id)}/file`, {
    output: file,
    mayReplace: false,
  })
  const { backup } = await shell.local.backups.verify({ file: String(fetched['file']), progress: () => {} })
  if (backup !== id) throw new CliError(`The server sent another backup: ${backup}`)
  return fetched
}

function addShowing(backup: Command, shell: Shell): void {
  backup
    .command('list')
    .summary('backups that were made, and when the next one is planned')
    .action(async () => {
      const answer = await shell.client().get('/backups')
      const columns = {
        started: (row: Json) => row['startedAt'],
        state: (row: Json) => row['state'],
        bytes: (row: Json) => row['bytes'],
        entries: (row: Json) => row['logSize'],
        by: (row: Json) => (row['by'] as Json)['name'],
        here: (row: Json) => (row['isHere'] ? 'yes' : 'no'),
        problem: (row: Json) => row['problem'],
        id: (row: Json) => row['id'],
      }
      print(shell.output(), answer, () =>
        [
          table(answer['items'] as Json[], columns, 'No backups yet. Make one: atlas backup'),
          answer['next'] === null
            ? 'None is planned (ATLAS_BACKUP_SCHEDULE).'
            : `Next: ${answer['next']}; the newest ${answer['keep']} are kept.`,
        ].join('\n'),
      )
    })
  backup
    .command('download <backup>')
    .summary('download a backup that the server made, and check its signature')
    .option('-o, --output <file>', 'where to write it; without it, under its own name in this folder')
    .action(async (id: string, { output }: { output?: string }) => {
      if (output !== undefined && existsSync(output)) throw new CliError(`${output} exists already`, 2)
      const answer = await fetchBackup(shell, id, output)
      print(shell.output(), answer, () => fields(answer))
    })
  backup
    .command('remove <backup>')
    .summary('remove a backup from the server')
    .option('--yes', 'do not ask')
    .action(async (id: string, { yes }: { yes?: boolean }) => {
      if (!yes) throw new CliError('This cannot be undone. Add --yes to do it.', 2)
      const answer = await shell.client().send('DELETE', `/backups/${encodeURIComponent(id)}`)
      print(shell.output(), answer, () => 'Removed.')
    })
}

function addVerify(backup: Command, shell: Shell): void {
  backup
    .command('verify <file>')
    .summary('check the signature and the form of a backup file, and with the root key what is in it')
    .option('--vkey <file>', 'the verifier key of your audit log, kept apart from the backup')
    .addHelpText('after', '\nSays what it could not check. `atlas restore FILE --drill` checks everything.')
    .action(async (file: string, { vkey }: { vkey?: string }) => {
      const answer = await shown(shell, (progress) =>
        shell.local.backups.verify({ file, ...(vkey !== undefined && { vkeyFile: vkey }), progress }),
      )
      print(shell.output(), answer, () => fields(answer))
    })
}

function addRestore(program: Command, shell: Shell): void {
  program
    .command('restore <file>')
    .summary('put a backup back into an empty data folder or database; no server may run on it')
    .description(
      'Checks the signature, opens the backup with the configured root key, and verifies everything in a temporary place: every secret opens, the whole audit log verifies. Only then does it become the data.',
    )
    .option('--vkey <file>', 'the verifier key of your audit log, kept apart from the backup')
    .option('--drill', 'do all of it in a temporary place, say what was found, and remove it')
    .action(async (file: string, { vkey, drill }: { vkey?: string; drill?: boolean }) => {
      const answer = await shown(shell, (progress) =>
        shell.local.backups.restore({
          file,
          isDrill: drill === true,
          ...(vkey !== undefined && { vkeyFile: vkey }),
          progress,
        }),
      )
      print(shell.output(), answer, () =>
        [
          drill ? 'The drill went well; nothing of it was kept.' : 'Restored. Start the server now.',
          fields(answer),
        ].join('\n'),
      )
    })
}

async function shown(shell: Shell, run: (progress: (text: string) => void) => Promise<Json>): Promise<Json> {
  const progress = makeProgress(shell.output())
  try {
    return await run(progress.show)
  } finally {
    progress.end()
  }
}
