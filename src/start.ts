import type { KeyObject } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import { type App, makeApp } from './app.ts'
import type { Config } from './config.ts'
import { isLoopback } from './config-address.ts'
import { sealPath } from './config-seals.ts'
import { Problem } from './core/problem.ts'
import { Secret } from './core/secret.ts'
import { UnknownKey } from './lib/db/database.ts'
import { makeLog } from './lib/log.ts'
import { makeRedactor } from './lib/redact.ts'
import { rootKeyFingerprint } from './lib/root-key.ts'
import { makeRootKeyRing } from './lib/root-keys.ts'
import { makeOnlineRekey } from './rekey-online.ts'
import { settleRootKey, tidyFileKey } from './root-key-settle.ts'
import { askProvider, unseal } from './sealed.ts'
import { asStartError, sealedSource } from './sealed-source.ts'
import { StartError } from './start-error.ts'
import {
  hold,
  keyPath,
  type Opening,
  openDatabase,
  openRootKey,
  removeRestoreCopy,
  say,
  unknownKey,
  unreachable,
} from './storage.ts'

type Opened = {
  readonly app: App
  /** The setup token, when a person must still make the first administrator. */
  readonly setup: string | undefined
  readonly close: () => Promise<void>
}

/** `atlas init`: everything that a start makes, without listening. */
export async function init(config: Config, version: string): Promise<Record<string, unknown>> {
  const unsealed = await unsealOnce(config)
  const { app, setup, close } = await openApp(config, version, unsealed)
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
  keepOutOfCoreDumps()
  const unsealed = await unseal(config, readTls(config))
  const { app, setup, close } = await openApp(config, version, unsealed)
  const { app: server } = app.http
  // Heard from here on: whoever sees that it is ready may stop it at once, and that must be an orderly end too.
  const stop = stopped()
  await app.audit.start({ version, ...(unsealed && { unsealed: unsealed.source.kind }) })
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
  app.usage.start()
  app.references.start()
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
        : [
            'Make the first administrator here (once, within 24 hours), or with: npx atlas setup',
            `  ${url}/setup#${setup}`,
          ]),
      // The command line asks the default address unless it is told another.
      ...(url === 'http://127.0.0.1:8080'
        ? []
        : [`For the command line, in another terminal: export ATLAS_URL=${url}`]),
    ].join('\n'),
  )
  await stop
  say('Stopping')
  await app.schedule.stop()
  await server.close()
  await app.usage.stop()
  await app.settle().catch(() => {})
  await app.audit.stop().catch(() => {})
  await close()
}

/**
 * A core dump of this process holds none of its memory (core(5), coredump_filter): freed memory keeps what it held until it is used
 * again, and secrets pass through it. Elsewhere than on Linux the operator switches core dumps off.
 */
function keepOutOfCoreDumps(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
  } catch {
    // Not Linux, or a sandbox that hides /proc. docs/operate/keys.md says what to do there.
  }
}

async function openApp(config: Config, version: string, unsealed?: Opening): Promise<Opened> {
  for (const notice of config.notices) say(notice)
  const tls = readTls(config)
  const opening = unsealed ?? (await openRootKey(config))
  const { source, isNew } = opening
  const { database, release, alone, rootKey, after } = await openHeld(config, opening)
  const ring = makeRootKeyRing(rootKey)
  const { redact, hide } = redactorOf(config, rootKey)
  let app: App | undefined
  const close = async (): Promise<void> => {
    await app?.mcp.close()
    await app?.exports.close()
    await app?.backups.close()
    await app?.connections.close()
    await app?.identity.close()
    await app?.vault.close()
    await app?.references.close()
    await app?.audit.close()
    await database.close()
    await release()
  }
  try {
    if (!config.ATLAS_DATABASE_URL) removeRestoreCopy(config)
    await database.ping().catch((error: unknown) => {
      throw unreachable(error)
    })
    app = await makeApp({
      config,
      database,
      rootKey: ring,
      makeRekey: (log) => makeOnlineRekey({ config, source, ring, database, log, alone, hide }),
      ...(tls && { tls }),
      makeLog: (redact) => makeLog({ level: config.ATLAS_LOG_LEVEL, redact }),
      redact,
      version,
      now: () => new Date(),
    })
    tidyFileKey(config, rootKey)
    if (after) await tellOfRekey(app, after, rootKey)
    sayOfKey(config, { isNew, unsealed })
    if (config.ATLAS_SECRET_KEY_PREVIOUS)
      say('The data hangs on the new root key. Remove ATLAS_SECRET_KEY_PREVIOUS, and destroy the old key.')
    return { app, setup: await firstSignIn(app, config), close }
  } catch (error) {
    await close()
    if (error instanceof UnknownKey) {
      // The database was made with another key, so this one, made a moment ago, opens nothing.
      if (isNew) rmSync(unsealed ? sealPath(config) : keyPath(config))
      throw unknownKey(config, error)
    }
    if ((error as Error).name === 'PolicyFault')
      throw new StartError(`The policies do not fit this version: ${(error as Error).message}`)
    throw error
  }
}

/** What a person must know of the root key now. */
function sayOfKey(config: Config, { isNew, unsealed }: { isNew: boolean; unsealed: Opening | undefined }): void {
  if (!unsealed) {
    if (isNew)
      say(`A root key was made in ${keyPath(config)}. Keep a copy elsewhere: without it the data cannot be read.`)
    if (!config.ATLAS_SECRET_KEY)
      say(
        'Warning: the root key lies on the data disk. Move it and name it in ATLAS_SECRET_KEY_FILE (docs/operate/keys.md).',
      )
    return
  }
  if (isNew)
    say(
      `A root key was drawn and wrapped into ${sealPath(config)}. MAKE A RECOVERY KIT NOW: atlas vault recovery-kit. Without it, whoever loses the provider's key loses all data.`,
    )
  if (config.ATLAS_SEAL && existsSync(keyPath(config)))
    say(`Warning: ${keyPath(config)} still holds the root key in the clear. Make a recovery kit, then remove the file.`)
}

/** For `init`, which waits for nobody. */
async function unsealOnce(config: Config): Promise<Opening | undefined> {
  const source = sealedSource(config)
  try {
    return source && (await askProvider(config, source)())
  } catch (error) {
    throw asStartError(error)
  }
}

/** The configured database, held so that nobody else changes its key, under the root key that it hangs on. */
async function openHeld(config: Config, { source, rootKey }: Opening) {
  const held = await hold(config, 'shared')
  try {
    const settled = await settleRootKey(config, source, rootKey)
    return { ...held, ...settled, database: openDatabase(config, settled.rootKey) }
  } catch (error) {
    await held.release()
    throw asStartError(error)
  }
}

/** A server was killed while it changed the root key; what is left of that was finished or undone just now. */
async function tellOfRekey({ audit }: App, after: 'finished' | 'undone', rootKey: KeyObject): Promise<void> {
  const fingerprint = rootKeyFingerprint(rootKey)
  if (after === 'finished')
    return say(`The change of the root key is finished: everything hangs on the new key, ${fingerprint}.`)
  await audit.append({ code: 'vault.rekey-undone', detail: { rootKey: fingerprint } })
  say(`The change of the root key was undone: everything hangs on the key from before, ${fingerprint}.`)
}

/** Knows the secrets that this process was started with, so that nothing it says repeats one. */
export function redactorOf(config: Config, rootKey: KeyObject) {
  const redactor = makeRedactor()
  const hide = (key: KeyObject): void => {
    const bytes = key.export()
    for (const encoding of ['base64', 'base64url', 'hex'] as const)
      redactor.add(`root key ${rootKeyFingerprint(key)}, ${encoding}`, bytes.toString(encoding).replace(/=+$/, ''))
    bytes.fill(0)
  }
  hide(rootKey)
  // All of them, so that a setting which is added later is not forgotten here. A webhook's secret is known by what follows its mark.
  for (const [name, value] of Object.entries(config))
    if (value instanceof Secret)
      redactor.add(
        name,
        value
          .reveal()
          .trim()
          .replace(/^whsec_|=+$/g, ''),
      )
  redactor.add('database password', databasePassword(config))
  return { redact: redactor.redact, hide }
}

/** Of the address, which is a secret as a whole; an error of the network or the server names its parts. Empty when there is none. */
function databasePassword({ ATLAS_DATABASE_URL: url }: Config): string {
  const text = url?.reveal() ?? ''
  const password = URL.canParse(text) ? new URL(text).password : ''
  try {
    return decodeURIComponent(password)
  } catch {
    return password // Whoever connects with it will say that it is no address.
  }
}

/** The configured first sign-ins. Answers the setup token when a person must still make the first administrator. */
async function firstSignIn({ identity }: App, config: Config): Promise<string | undefined> {
  try {
    await identity.ensureBootstrapToken(config.ATLAS_API_TOKEN)
    if (config.ATLAS_DEFAULT_ADMIN_PASSWORD)
      await identity.ensureAdmin({ password: config.ATLAS_DEFAULT_ADMIN_PASSWORD })
  } catch (error) {
    if (error instanceof Problem && error.type === 'invalid-input')
      throw new StartError(`Configuration: ${error.message.replace(/^\/password:/, 'ATLAS_DEFAULT_ADMIN_PASSWORD:')}`)
    throw error
  }
  return identity.openSetup()
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
