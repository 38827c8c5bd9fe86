import type { KeyObject } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { type Database, openPostgres, openSqlite, type PostgresTarget, UnknownKey } from './lib/db/database.ts'
import type { ImageSource } from './lib/db/image-writer.ts'
import { type Alone, holdFolder, holdPostgres, InUse } from './lib/db/presence.ts'
import { createKeyFile } from './lib/root-key.ts'
import { environmentSource, fileSource, type KeySource } from './root-key-source.ts'
import { asStartError, sealedSource } from './sealed-source.ts'
import { StartError } from './start-error.ts'

// Where the data lies and what opens it.

/** For the person who started it: standard output, one line a fact. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

export const keyPath = (config: Config): string => join(config.ATLAS_DATA_DIR, 'root.key')
export const filePath = (config: Config): string => join(config.ATLAS_DATA_DIR, 'atlas.db')
/** Where a restore builds the file before it takes its name. */
export const restoreCopy = (config: Config): string => `${filePath(config)}.restore`

/** What a restore that was killed has left. Whoever calls this holds the folder. */
export function removeRestoreCopy(config: Config): void {
  for (const end of ['', '-journal', '-wal', '-shm']) rmSync(restoreCopy(config) + end, { force: true })
}

/** Where the root key of this configuration comes from. */
export function keySource(config: Config): KeySource {
  return sealedSource(config) ?? plainSource(config)
}

/** The root key in the clear, whether or not a seal is configured. */
export function plainSource(config: Config): KeySource {
  const { ATLAS_SECRET_KEY: given, keyFile } = config
  // A pipe that the key was read from holds it no more.
  if (given && !(keyFile !== undefined && statSync(keyFile).isFile())) return environmentSource(given)
  return fileSource(keyFile ?? keyPath(config))
}

/** The root key that is there, for commands that need no data. */
export async function findRootKey(config: Config): Promise<KeyObject> {
  if (!config.ATLAS_SEAL && !config.ATLAS_SECRET_KEY && !existsSync(keyPath(config)))
    throw new StartError(
      `There is no root key: ${keyPath(config)} does not exist. Give it in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE, or name the server's data directory in ATLAS_DATA_DIR.`,
    )
  const { staging, read } = keySource(config)
  const { key, staged } = await readable(async () => ({ key: await read(), staged: await staging?.staged() }))
  // Which of the two the data hangs on, only the data tells.
  if (staged) throw new StartError('The root key is being changed. Start the server, which ends that, and try again.')
  return key
}

/** What a faulty key file says is for the operator. */
async function readable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const known = asStartError(error)
    if (known instanceof StartError) throw known
    throw new StartError(`Root key: ${(error as Error).message}`, { cause: error })
  }
}

export type Opening = { readonly source: KeySource; readonly rootKey: KeyObject; readonly isNew: boolean }

/** The root key: the configured one, else the one beside the data, else a new one there. */
export async function openRootKey(config: Config): Promise<Opening> {
  prepareDataDirectory(config.ATLAS_DATA_DIR)
  const path = keyPath(config)
  const source = keySource(config)
  return readable(async () => {
    if (config.ATLAS_SECRET_KEY || existsSync(path)) return { source, rootKey: await source.read(), isNew: false }
    if (existsSync(filePath(config)))
      throw new StartError(
        'unknown key: there is a database but no root key. Give it in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE. Nothing was changed.',
      )
    createKeyFile(path)
    return { source, rootKey: await source.read(), isNew: true }
  })
}

export type Held = {
  readonly release: () => Promise<void>
  /** Throws `InUse` when another server works with the same data. */
  readonly alone: Alone['alone']
}

/**
 * Keeps other processes away from the data: all of them, or (`shared`, PostgreSQL only) those that want to be alone. `release` comes
 * after the database is closed. Several servers may share a PostgreSQL; a SQLite file has one.
 */
export async function hold(config: Config, mode: 'shared' | 'exclusive'): Promise<Held> {
  const target = targetOf(config)
  try {
    if (!target) {
      const { release } = holdFolder(join(config.ATLAS_DATA_DIR, 'atlas.lock'))
      return { release: async () => release(), alone: (run) => run(async () => true) }
    }
    // Under another key than the data hangs on by now, this process can only do harm.
    const onTaken = () => process.kill(process.pid, 'SIGTERM')
    return await holdPostgres({ ...target, mode, onTaken })
  } catch (error) {
    if (error instanceof TypeError) throw badUrl(error)
    if (!(error instanceof InUse)) throw target ? unreachable(error) : error
    throw new StartError(
      mode === 'shared' && target
        ? 'The root key is being changed. Start again when that is done.'
        : 'Another Atlas process works with this data. Stop it first.',
      { exitCode: 1, cause: error },
    )
  }
}

export function openDatabase(config: Config, rootKey: KeyObject): Database {
  const target = targetOf(config)
  try {
    return target ? openPostgres(target) : openSqlite(filePath(config), rootKey.export())
  } catch (error) {
    if (error instanceof TypeError) throw badUrl(error)
    throw error instanceof UnknownKey ? unknownKey(config, error) : error
  }
}

/** The same database, for a thread that reads all of it. The worker that takes the key zeroes its own copy. */
export function imageSource(config: Config, rootKey: KeyObject): ImageSource {
  const target = targetOf(config)
  if (target) return { dialect: 'postgres', ...target }
  return { dialect: 'sqlite', path: filePath(config), key: rootKey.export() }
}

export function unknownKey(config: Config, cause: Error): StartError {
  if (config.ATLAS_SEAL)
    return new StartError(
      'unknown key: this data hangs on another root key than the wrapped one. Bring the file from the server that runs, or recover the root key from its kit. Nothing was changed.',
      { cause },
    )
  return new StartError(
    config.ATLAS_SECRET_KEY_PREVIOUS
      ? 'unknown key: this data does not hang on this root key yet. Change it with: atlas vault rekey. Nothing was changed.'
      : 'unknown key: this data was made with another root key. Give the right one in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE. Nothing was changed.',
    { cause },
  )
}

/** A driver's own text can hold the address or the user; its code cannot. */
export function unreachable(cause: unknown): StartError {
  const { code } = cause as NodeJS.ErrnoException
  return new StartError(
    `The database does not answer${code === undefined ? '' : ` (${code})`}. Check that it runs, and ATLAS_DATABASE_URL.`,
    { cause, exitCode: 1 },
  )
}

function badUrl(cause: TypeError): StartError {
  return new StartError(`ATLAS_DATABASE_URL: ${cause.message}`, { cause })
}

function targetOf({ ATLAS_DATABASE_URL: url, ATLAS_DATABASE_CA: ca }: Config): PostgresTarget | undefined {
  return url && { url: url.reveal(), ...(ca !== undefined && { ca }) }
}

/** Makes it with mode 0700; one that others can enter is refused, and so is a database file that others can read. */
export function prepareDataDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new StartError(`The data directory ${path} cannot be made (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
  const { mode } = lstatSync(path)
  if (mode & 0o077)
    throw new StartError(
      `The data directory can be entered by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 700 ${path}`,
    )
  for (const name of ['atlas.db', 'atlas.db-wal', 'atlas.db-shm', 'atlas.key']) {
    const file = lstatSync(join(path, name), { throwIfNoEntry: false })
    if (file && file.mode & 0o077)
      throw new StartError(`${name} can be read by others. Run: chmod 600 ${join(path, name)}`)
  }
}
