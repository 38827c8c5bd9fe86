import type { KeyObject } from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { migrations } from './app.ts'
import { backupKey, fileKeyAad, toFileKey } from './backup.ts'
import type { Config } from './config.ts'
import { Problem } from './core/problem.ts'
import { expireAll } from './features/approvals/store.ts'
import { openLog } from './features/audit/log.ts'
import { makeProofs } from './features/audit/proofs.ts'
import { makeReader } from './features/audit/store-read.ts'
import { verifyLog } from './features/audit/verify-log.ts'
import { revokeAllSessions } from './features/identity/store-tokens.ts'
import { rebuildSearch } from './features/inventory/store-rebuild.ts'
import { checkSecrets } from './features/vault/check.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { BackupFault, type BackupHeader, type CheckedBackup, checkBackup, readBackup } from './lib/backup-file.ts'
import { type Database, findFileKey, openSqlite, settleSqlite, UnknownKey } from './lib/db/database.ts'
import { isFileKeyKept } from './lib/db/file-key.ts'
import { decodeLines } from './lib/db/image.ts'
import { ImageFault, loadImage } from './lib/db/image-load.ts'
import { migrate } from './lib/db/migrate.ts'
import { analyze, inOneTransaction, isEmpty } from './lib/db/one-transaction.ts'
import { syncPath } from './lib/disk.ts'
import { EnvelopeError, open } from './lib/envelope.ts'
import { newId } from './lib/ids.ts'
import { rootKeyFingerprint } from './lib/root-key.ts'
import { NoteError, openNote, parseCheckpoint, parseVkey } from './lib/signed-note.ts'
import { StartError } from './start-error.ts'
import {
  filePath,
  findRootKey,
  hold,
  openDatabase,
  prepareDataDirectory,
  removeRestoreCopy,
  restoreCopy,
  unreachable,
} from './storage.ts'

export type Progress = (text: string) => void

type Order = {
  readonly file: string
  /** A file with the verifier key of the log that the backup must be of. */
  readonly vkeyFile?: string | undefined
  readonly progress?: Progress | undefined
}

/** `atlas restore FILE`: an empty data folder or database becomes what the backup holds, after all of it was verified. */
export function restore(config: Config, order: Order): Promise<Record<string, unknown>> {
  return withBackup(order, async (backup) => {
    const opened = openBackup(backup, await findRootKey(config))
    if (!config.ATLAS_DATABASE_URL) prepareDataDirectory(config.ATLAS_DATA_DIR)
    const { release } = await hold(config, 'exclusive')
    try {
      return await (config.ATLAS_DATABASE_URL ? intoPostgres(config, opened) : intoFolder(config, opened))
    } finally {
      await release()
    }
  })
}

/** `atlas restore FILE --drill`: all of it in a temporary place, which is gone afterwards. */
export function drill(config: Config, order: Order): Promise<Record<string, unknown>> {
  return withBackup(order, async (backup) => {
    const opened = openBackup(backup, await findRootKey(config))
    if (!config.ATLAS_DATABASE_URL) return drillInFolder(opened)
    const database = await connect(config, opened.rootKey)
    try {
      // A schema of its own inside a transaction that never commits: nothing of it stays, however this ends.
      const schema = `atlas_drill_${newId('dri').slice(4)}`
      return await inOneTransaction(database, (inside) => fill(inside, opened), { schema, undo: true })
    } finally {
      await database.close()
    }
  })
}

/** `atlas backup verify FILE`: what can be said of a backup with the root key that is there, or with none. */
export function verifyBackup(config: Config, order: Order): Promise<Record<string, unknown>> {
  return withBackup(order, async ({ file, checked, vkey, progress }) => {
    const { header, extent, chunks } = checked
    const rootKey = await keyIfThere(config)
    const isRightKey = rootKey !== undefined && rootKeyFingerprint(rootKey) === header.rootKey
    let rows = 0
    if (isRightKey) {
      const opened = openBackup({ file, checked, vkey, progress }, rootKey)
      for (const line of decodeLines(readBackup(file, opened.fileKey, checked))) if ('row' in line) rows++
      if (rows !== totalOf(header)) throw new BackupFault('The backup has other rows than its header says')
    }
    const notChecked = [
      ...(isRightKey ? [] : [`what is inside: that needs the root key ${header.rootKey}`]),
      ...(vkey === undefined ? ['whose it is: name the verifier key of your log with --vkey'] : []),
      'that it can be put back: atlas restore FILE --drill',
    ]
    return {
      ...factsOf(header),
      bytes: fstatSync(file).size,
      signedBytes: extent.bytes,
      parts: chunks,
      opened: isRightKey,
      notChecked,
    }
  })
}

type Backup = {
  readonly file: number
  readonly checked: CheckedBackup
  readonly vkey: string | undefined
  readonly progress: Progress
}
type Opened = Backup & { readonly rootKey: KeyObject; readonly fileKey: KeyObject }

/** Opens the file and checks form, digest and signature before anything else is done with it. */
async function withBackup<T>(
  { file: path, vkeyFile, progress = () => {} }: Order,
  run: (backup: Backup) => Promise<T>,
): Promise<T> {
  for (const name of [path, vkeyFile])
    if (name !== undefined && !existsSync(name)) throw new StartError(`${name} does not exist`)
  const vkey = vkeyFile === undefined ? undefined : readFileSync(vkeyFile, 'utf8').trim()
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new StartError(`${path} is not a file`)
    progress('Checking the signature')
    return await run({ file, checked: checkBackup(file, vkey), vkey, progress })
  } catch (error) {
    throw toStartError(error)
  } finally {
    closeSync(file)
  }
}

/** What a person can act on; all else is a bug and flies. */
function toStartError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  const full = ['ENOSPC', 'EDQUOT', 'SQLITE_FULL', '53100'].includes(code ?? '')
  const isFault = error instanceof BackupFault || error instanceof ImageFault || error instanceof NoteError
  if (!isFault && !full) return error
  const words = full ? `The disk is full (${code})` : message
  return new StartError(`${words}. Nothing was changed.`, { cause: error, exitCode: 1 })
}

function openBackup(backup: Backup, rootKey: KeyObject): Opened {
  const { header } = backup.checked
  const ours = rootKeyFingerprint(rootKey)
  if (header.rootKey !== ours)
    throw new StartError(
      `unknown key: this backup needs the root key with the fingerprint ${header.rootKey}, and the one given is ${ours}. Give the right one in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE. Nothing was changed.`,
    )
  const newer = header.migrations.find(
    ({ id, name }) => !migrations.some((step) => step.id === id && step.name === name),
  )
  if (newer)
    throw new StartError(
      `The backup was made by a newer version (${header.version}): it has migration ${newer.id} (${newer.name}). Use that version. Nothing was changed.`,
      { exitCode: 1 },
    )
  try {
    const sealed = Buffer.from(header.key, 'base64')
    return { ...backup, rootKey, fileKey: toFileKey(open(backupKey(rootKey), sealed, fileKeyAad(header.id))) }
  } catch (error) {
    if (error instanceof EnvelopeError)
      throw new BackupFault('The key in the header of the backup is damaged', { cause: error })
    throw error
  }
}

async function intoFolder(config: Config, opened: Opened): Promise<Record<string, unknown>> {
  const target = filePath(config)
  const refuse = () => {
    // A write-ahead log of another file would be read into this one at the next start.
    if (['', '-wal', '-shm', '-journal'].some((end) => existsSync(target + end)) || isFileKeyKept(target))
      throw new StartError(
        `There is data in ${config.ATLAS_DATA_DIR} already. A backup is only put into an empty folder.`,
        {
          exitCode: 1,
        },
      )
  }
  refuse()
  const copy = restoreCopy(config)
  removeRestoreCopy(config) // what an interrupted run left
  try {
    const answer = await intoSqlite(copy, opened, (database) => note(config, database, opened))
    refuse()
    renameSync(copy, target)
    syncPath(dirname(target))
    return answer
  } finally {
    removeRestoreCopy(config)
  }
}

async function intoSqlite(
  path: string,
  opened: Opened,
  finish: (database: Database) => Promise<void>,
): Promise<Record<string, unknown>> {
  const database = openSqlite(path, opened.rootKey.export())
  let answer: Record<string, unknown>
  try {
    answer = await fill(database, opened)
    await finish(database)
  } finally {
    await database.close()
  }
  settleSqlite(path, findFileKey(path, opened.rootKey.export()), { check: true })
  syncPath(path)
  return answer
}

async function intoPostgres(config: Config, opened: Opened): Promise<Record<string, unknown>> {
  const database = await connect(config, opened.rootKey)
  try {
    if (!(await isEmpty(database)))
      throw new StartError('The database is not empty. A backup is only put into an empty one. Nothing was changed.', {
        exitCode: 1,
      })
    const answer = await inOneTransaction(database, async (inside) => {
      const filled = await fill(inside, opened)
      await note(config, inside, opened)
      return filled
    })
    await analyze(database)
    return answer
  } finally {
    await database.close()
  }
}

async function drillInFolder(opened: Opened): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-drill-'))
  try {
    return await intoSqlite(join(folder, 'atlas.db'), opened, async () => {})
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function connect(config: Config, rootKey: KeyObject): Promise<Database> {
  const database = openDatabase(config, rootKey)
  try {
    await database.ping()
    return database
  } catch (error) {
    await database.close()
    throw unreachable(error)
  }
}

/** The tables as the backup had them, the rows, what later versions changed, what is made of the rows; and then all is verified. */
async function fill(
  database: Database,
  { file, checked, rootKey, fileKey, progress }: Opened,
): Promise<Record<string, unknown>> {
  const { header } = checked
  const began = performance.now()
  const total = totalOf(header)
  const had = new Set(header.migrations.map(({ id }) => id))
  await migrate(
    database,
    migrations.filter(({ id }) => had.has(id)),
    () => new Date(),
  )
  await loadImage(database, {
    lines: decodeLines(readBackup(file, fileKey, checked)),
    tables: header.tables,
    onRows: (rows) => progress(`Putting back: ${rows} of ${total} rows`),
  })
  await migrate(database, migrations, () => new Date())
  progress('Making the search index')
  await rebuildSearch(database)
  progress('Verifying')
  return {
    ...factsOf(header),
    secretsOpened: await checkContent(database, rootKey, header),
    seconds: Math.round(performance.now() - began) / 1000,
  }
}

/** Throws unless everything opens with the root key and the log is whole and ends where the backup says. */
async function checkContent(database: Database, rootKey: KeyObject, { log }: BackupHeader): Promise<number> {
  await checkRootKey(database, rootKey).catch((error: unknown) => {
    throw error instanceof UnknownKey
      ? new BackupFault('What the backup holds hangs on another root key than it says')
      : error
  })
  const secrets = await checkSecrets({ database, rootKey }).catch((error: unknown) => {
    throw error instanceof Problem && error.type === 'integrity'
      ? new BackupFault(error.message, { cause: error })
      : error
  })
  const verdict = await verifyLog({ database, rootKey })
  if (!verdict.ok)
    throw new BackupFault(`The audit log in the backup does not verify: ${verdict.place} ${verdict.reason}`)
  const reader = makeReader(database)
  if ((await reader.key())?.vkey !== log.vkey || verdict.size !== log.size || verdict.rootHash !== log.root)
    throw new BackupFault('The audit log in the backup is not the one that its header names')
  const { size, root } = parseCheckpoint(openNote(Buffer.from(log.checkpoint), parseVkey(log.vkey)))
  if (size > verdict.size || !root.equals(await makeProofs(reader).rootAt(size)))
    throw new BackupFault('The audit log in the backup does not hold what its checkpoint says')
  return secrets
}

/** The first entry after those of the backup; and what was ended or used up since does not come to life again. */
async function note(
  config: Config,
  database: Database,
  { rootKey, checked: { header, extent } }: Opened,
): Promise<void> {
  await revokeAllSessions(database.db, new Date().toISOString(), 'restore')
  await expireAll(database.db)
  const origin = config.ATLAS_AUDIT_ORIGIN
  const log = await openLog({ database, rootKey, now: () => new Date(), ...(origin !== undefined && { origin }) })
  const { size, root } = header.log
  await log.append({
    code: 'backup.restored',
    resource: { type: 'backup', id: header.id },
    detail: { created: header.created, logSize: size, logRoot: root, sha256: extent.sha256 },
  })
  await log.close()
}

function factsOf(header: BackupHeader) {
  return {
    backup: header.id,
    created: header.created,
    version: header.version,
    dialect: header.dialect,
    rootKey: header.rootKey,
    tables: header.tables.length,
    rows: totalOf(header),
    logOrigin: header.log.origin,
    logEntries: header.log.size,
    logRoot: header.log.root,
  }
}

const totalOf = ({ tables }: BackupHeader) => tables.reduce((sum, { rows }) => sum + rows, 0)

async function keyIfThere(config: Config): Promise<KeyObject | undefined> {
  try {
    return await findRootKey(config)
  } catch (error) {
    if (error instanceof StartError && error.cause === undefined) return undefined
    throw error
  }
}
