import type { KeyObject } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { type App, makeApp } from './app.ts'
import { type Config, isLoopback } from './config.ts'
import { Problem } from './core/problem.ts'
import { type Database, openPostgres, openSqlite, UnknownKey } from './lib/db/database.ts'
import { holdAlone, InUse } from './lib/db/only-process.ts'
import { makeLog } from './lib/log.ts'
import { makeRedactor } from './lib/redact.ts'
import { createKeyFile, parseRootKey, readKeyFile } from './lib/root-key.ts'
import { StartError } from './start-error.ts'

type Opened = {
  readonly app: App
  /** The setup token, when a person must still make the first administrator. */
  readonly setup: string | undefined
  readonly close: () => Promise<void>
}

/** `atlas init`: everything that a start makes, without listening. */
export async function init(config: Config, version: string): Promise<Record<string, unknown>> {
  const { app, setup, close } = await openApp(config, version)
  const answer = {
    dataDirectory: config.ATLAS_DATA_DIR,
    auditKey: app.audit.vkey,
    auditFingerprint: app.audit.fingerprint,
    setup: setup ?? 'done',
  }
  await close()
  return answer
}

/** `atlas serve`: runs until SIGTERM or SIGINT. Prints what a person needs to go on. */
export async function serve(config: Config, version: string): Promise<void> {
  const { app, setup, close } = await openApp(config, version)
  const { app: server } = app.http
  // Heard from here on: whoever sees that it is ready may stop it at once, and that must be an orderly end too.
  const stop = stopped()
  await app.audit.start({ version })
  try {
    await server.listen({ host: config.ATLAS_HOST, port: config.ATLAS_PORT })
  } catch (error) {
    await app.audit.stop().catch(() => {})
    await close()
    const { code } = error as NodeJS.ErrnoException
    throw new StartError(
      `Cannot listen on ${config.ATLAS_HOST}:${config.ATLAS_PORT} (${code}). Choose another with ATLAS_HOST and ATLAS_PORT.`,
    )
  }
  app.schedule.start()
  const { port } = server.server.address() as AddressInfo
  const host = config.ATLAS_HOST.includes(':') ? `[${config.ATLAS_HOST}]` : config.ATLAS_HOST
  const url = config.ATLAS_PUBLIC_URL ?? `${config.ATLAS_SSL_CERTFILE ? 'https' : 'http'}://${host}:${port}`
  // One write, so that whoever reads the first line has them all.
  say(
    [
      `Infrastructure Atlas ${version} is ready at ${url}`,
      `Audit log key: ${app.audit.vkey}`,
      `  fingerprint ${app.audit.fingerprint}. Keep both: with them an export can be verified anywhere.`,
      ...(setup === undefined
        ? []
        : ['Make the first administrator here (once, within 24 hours):', `  ${url}/setup#${setup}`]),
    ].join('\n'),
  )
  await stop
  say('Stopping')
  await app.schedule.stop()
  await server.close()
  await app.settle().catch(() => {})
  await app.audit.stop().catch(() => {})
  await close()
}

async function openApp(config: Config, version: string): Promise<Opened> {
  for (const notice of config.notices) say(notice)
  const tls = readTls(config)
  const { rootKey, isNew } = openRootKey(config)
  const database = openDatabase(config, rootKey)
  let app: App | undefined
  const close = async (): Promise<void> => {
    await app?.mcp.close()
    await app?.connections.close()
    await app?.identity.close()
    await app?.audit.close()
    await database.close()
  }
  try {
    await database.ping().catch((error: unknown) => {
      throw unreachable(error)
    })
    app = await makeApp({
      config,
      database,
      rootKey,
      ...(tls && { tls }),
      makeLog: (redact) => makeLog({ level: config.ATLAS_LOG_LEVEL, redact }),
      redact: redactorOf(config, rootKey),
      version,
      now: () => new Date(),
    })
    if (isNew)
      say(`A root key was made in ${keyPath(config)}. Keep a copy elsewhere: without it the data cannot be read.`)
    if (!config.ATLAS_SECRET_KEY)
      say(
        'Warning: the root key lies on the data disk. Move it and name it in ATLAS_SECRET_KEY_FILE (docs/operate/keys.md).',
      )
    return { app, setup: await firstSignIn(app, config), close }
  } catch (error) {
    await close()
    if (error instanceof UnknownKey) {
      // The database was made with another key, so this one, made a moment ago, opens nothing.
      if (isNew) rmSync(keyPath(config))
      throw unknownKey(error)
    }
    if ((error as Error).name === 'PolicyFault')
      throw new StartError(`The policies do not fit this version: ${(error as Error).message}`)
    throw error
  }
}

/** Knows the secrets that this process was started with, so that nothing it says repeats one. */
function redactorOf(config: Config, rootKey: KeyObject): (value: unknown) => unknown {
  const redactor = makeRedactor()
  const bytes = rootKey.export()
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    redactor.add(`root key, ${encoding}`, bytes.toString(encoding).replace(/=+$/, ''))
  bytes.fill(0)
  const [token, password] = [config.ATLAS_API_TOKEN?.reveal(), config.ATLAS_DEFAULT_ADMIN_PASSWORD?.reveal()]
  if (token !== undefined) redactor.add('bootstrap token', token)
  if (password !== undefined) redactor.add('first password', password)
  return redactor.redact
}

/** A driver's own text can hold the address or the user; its code cannot. */
function unreachable(cause: unknown): StartError {
  const { code } = cause as NodeJS.ErrnoException
  return new StartError(
    `The database does not answer${code === undefined ? '' : ` (${code})`}. Check that it runs, and ATLAS_DATABASE_URL.`,
    { cause, exitCode: 1 },
  )
}

/** The configured first sign-ins. Answers the setup token when a person must still make the first administrator. */
async function firstSignIn({ identity }: App, config: Config): Promise<string | undefined> {
  try {
    await identity.ensureBootstrapToken(config.ATLAS_API_TOKEN)
    if (config.ATLAS_DEFAULT_ADMIN_PASSWORD)
      await identity.ensureAdmin({ password: config.ATLAS_DEFAULT_ADMIN_PASSWORD })
  } catch (error) {
    if (error instanceof Problem && error.type === 'invalid-input')
      throw new StartError(`Configuration: ${error.message}`)
    throw error
  }
  return identity.openSetup()
}

function openDatabase(config: Config, rootKey: KeyObject): Database {
  const url = config.ATLAS_DATABASE_URL
  const ca = config.ATLAS_DATABASE_CA
  try {
    if (url) return openPostgres({ url: url.reveal(), ...(ca !== undefined && { ca }) })
    return openAlone(join(config.ATLAS_DATA_DIR, 'atlas.db'), rootKey)
  } catch (error) {
    if (error instanceof TypeError) throw new StartError(`ATLAS_DATABASE_URL: ${error.message}`, { cause: error })
    throw error instanceof UnknownKey ? unknownKey(error) : error
  }
}

/** SQLite serves one process: two would not see each other's appends in time. */
function openAlone(path: string, rootKey: KeyObject): Database {
  const lock = holdOrRefuse(`${path}.lock`)
  try {
    const database = openSqlite(path, rootKey.export())
    const close = () => database.close().finally(lock.release)
    return { ...database, close }
  } catch (error) {
    lock.release()
    throw error
  }
}

function holdOrRefuse(path: string): ReturnType<typeof holdAlone> {
  try {
    return holdAlone(path)
  } catch (error) {
    if (!(error instanceof InUse)) throw error
    throw new StartError(
      'Another Atlas process already uses this data directory. Stop it first; several servers need PostgreSQL (ATLAS_DATABASE_URL).',
      { cause: error },
    )
  }
}

function unknownKey(cause: Error): StartError {
  return new StartError(
    'unknown key: this data was made with another root key. Give the right one in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE. Nothing was changed.',
    { cause },
  )
}

function openRootKey(config: Config): { rootKey: KeyObject; isNew: boolean } {
  prepareDataDirectory(config.ATLAS_DATA_DIR)
  const path = keyPath(config)
  try {
    if (config.ATLAS_SECRET_KEY) return { rootKey: parseRootKey(config.ATLAS_SECRET_KEY.reveal()), isNew: false }
    if (existsSync(path)) return { rootKey: readKeyFile(path), isNew: false }
    if (existsSync(join(config.ATLAS_DATA_DIR, 'atlas.db')))
      throw new StartError(
        'unknown key: there is a database but no root key. Give it in ATLAS_SECRET_KEY or ATLAS_SECRET_KEY_FILE. Nothing was changed.',
      )
    createKeyFile(path)
    return { rootKey: readKeyFile(path), isNew: true }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`Root key: ${(error as Error).message}`, { cause: error })
  }
}

const keyPath = (config: Config): string => join(config.ATLAS_DATA_DIR, 'root.key')

/** Makes it with mode 0700; one that others can enter is refused, and so is a database file that others can read. */
function prepareDataDirectory(path: string): void {
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
  for (const name of ['atlas.db', 'atlas.db-wal', 'atlas.db-shm']) {
    const file = lstatSync(join(path, name), { throwIfNoEntry: false })
    if (file && file.mode & 0o077)
      throw new StartError(`${name} can be read by others. Run: chmod 600 ${join(path, name)}`)
  }
}

function readTls({
  ATLAS_SSL_CERTFILE: cert,
  ATLAS_SSL_KEYFILE: key,
  ATLAS_HOST: host,
}: Config): { cert: string; key: string } | undefined {
  if (cert === undefined || key === undefined) return undefined
  for (const file of [cert, key]) if (!existsSync(file)) throw new StartError(`${file} does not exist`)
  if (lstatSync(key).mode & 0o077) throw new StartError(`The private key can be read by others. Run: chmod 600 ${key}`)
  const tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  try {
    createSecureContext(tls)
  } catch (cause) {
    throw new StartError(`${cert} and ${key} are not a certificate and its private key, both in PEM form`, { cause })
  }
  if (!isLoopback(host)) say(`Serving https with ${cert}`)
  return tls
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
}

/** For the person who started it: standard output, one line a fact. */
function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
