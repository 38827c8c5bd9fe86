import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError, plainSecretsIn, readConfig } from './config.ts'
import { sealPath } from './config-seals.ts'
import { Secret } from './core/secret.ts'
import { explainFile } from './doors/cli/file-errors.ts'
import { passwordFault } from './features/identity/password-policy.ts'

export type LocalFact = { readonly check: string; readonly state: 'ok' | 'warn' | 'fail'; readonly detail: string }

/**
 * What `atlas doctor` can see without a server: the configuration of this folder, and the data and the key that it names.
 * Only looks; nothing is made or opened.
 */
export function inspectLocally(env: NodeJS.ProcessEnv, envFile: string): LocalFact[] {
  try {
    const config = readConfig(env, envFile)
    const { ATLAS_DATA_DIR: data, ATLAS_DATABASE_URL: remote, ATLAS_SECRET_KEY: key } = config
    const configuration: LocalFact = { check: 'configuration', state: 'ok', detail: 'no faults' }
    const places = placesOf(data, remote !== undefined, key !== undefined)
    return [
      configuration,
      ...plainFact(envFile),
      ...(remote ? [databaseFact(new URL(remote.reveal()))] : []),
      ...(config.ATLAS_SEAL ? places.map((fact) => ofSeal(config, fact)) : places),
      ...stagedFact(config.ATLAS_SEAL ? sealPath(config) : (config.keyFile ?? join(data, 'root.key'))),
    ]
  } catch (error) {
    const file = explainFile(error)
    if (file !== undefined)
      return [{ check: 'data', state: 'warn', detail: `not looked at: ${file}. Run this as the user that runs Atlas` }]
    if (!(error instanceof ConfigError)) throw error
    const faults = error.message.split('\n').slice(1)
    return faults.map((fault) => ({ check: 'configuration', state: 'fail', detail: fault.replace(/^\s*- /, '') }))
  }
}

function plainFact(envFile: string): LocalFact[] {
  const names = plainSecretsIn(envFile)
  if (names.length === 0) return []
  const [first] = names
  const detail = `${envFile} holds ${names.join(', ')} as plain text. Better one file for each, mode 0600, named in ${first}_FILE and its like`
  return [{ check: 'plain secrets', state: 'warn', detail }]
}

/** Only the password that stands in the address can be judged; whether it is unique nobody can see from here. */
function databaseFact({ username, password }: URL): LocalFact {
  const check = 'database password'
  if (password === '')
    return { check, state: 'ok', detail: 'none in the address; the database has to know its clients in another way' }
  const fault = passwordFault(new Secret(decodeURIComponent(password)), [decodeURIComponent(username)])
  if (fault === undefined) return { check, state: 'ok', detail: 'long enough, and no common words' }
  return { check, state: 'warn', detail: `it ${fault}. Make a new one: atlas secrets gen` }
}

function placesOf(data: string, hasRemoteDatabase: boolean, hasKey: boolean): LocalFact[] {
  const folder = lstatSync(data, { throwIfNoEntry: false })
  // The command line may well run where no server does.
  if (!folder)
    return [{ check: 'data', state: 'ok', detail: 'none on this machine (a server elsewhere, or not started yet)' }]
  const keyFile = join(data, 'root.key')
  const file = lstatSync(keyFile, { throwIfNoEntry: false })
  const open = [
    ...(folder.mode & 0o077 ? [`chmod 700 ${data}`] : []),
    ...(file && file.mode & 0o077 ? [`chmod 600 ${keyFile}`] : []),
  ]
  const place: LocalFact =
    open.length > 0
      ? { check: 'data', state: 'fail', detail: `others can read it. Run: ${open.join(' && ')}` }
      : { check: 'data', state: 'ok', detail: `${data} is for its owner only` }
  return [place, keyFact({ keyFile, isFile: file !== undefined, hasKey, hasRemoteDatabase })]
}

/** A server that was killed while it changed the root key leaves the next one beside it. */
function stagedFact(keyFile: string): LocalFact[] {
  if (!lstatSync(`${keyFile}.next`, { throwIfNoEntry: false })) return []
  const detail = `not at its end, and ${keyFile}.next may be what opens the data by now. Keep both files and start the server, which ends it`
  return [{ check: 'change of the root key', state: 'warn', detail }]
}

/** With a seal, a key in the clear is what is wrong. */
function ofSeal(config: Config, fact: LocalFact): LocalFact {
  const { check } = fact
  if (check !== 'root key') return fact
  const wrapped = sealPath(config)
  if (lstatSync(join(config.ATLAS_DATA_DIR, 'root.key'), { throwIfNoEntry: false }))
    return {
      check,
      state: 'warn',
      detail: 'it lies in the clear beside the data, and a seal is configured. Remove the file',
    }
  return lstatSync(wrapped, { throwIfNoEntry: false })
    ? { check, state: 'ok', detail: `${wrapped}, wrapped by ${config.ATLAS_SEAL}` }
    : { check, state: 'warn', detail: `${wrapped} does not exist yet. The first start makes it, or: atlas vault seal` }
}

type Key = {
  readonly keyFile: string
  readonly isFile: boolean
  readonly hasKey: boolean
  readonly hasRemoteDatabase: boolean
}

function keyFact({ keyFile, isFile, hasKey, hasRemoteDatabase }: Key): LocalFact {
  const check = 'root key'
  if (hasKey) return { check, state: 'ok', detail: 'configured, not in the data folder' }
  if (isFile && hasRemoteDatabase) return { check, state: 'ok', detail: `${keyFile}, apart from the database` }
  if (isFile)
    return {
      check,
      state: 'warn',
      detail: `${keyFile} lies beside the data. Keep a copy elsewhere; better, move it and set ATLAS_SECRET_KEY_FILE (docs/operate/keys.md)`,
    }
  return { check, state: 'warn', detail: 'not in this folder; the server must be given it in ATLAS_SECRET_KEY_FILE' }
}
