import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { Secret } from './core/secret.ts'
import { readForeignTable } from './lib/db/foreign-sqlite.ts'
import { FernetError, type FernetKey, fernetKey, openFernet } from './lib/fernet.ts'
import { readKeyFile } from './lib/root-key.ts'
import { StartError } from './start-error.ts'

type Row = { readonly name: string; readonly token: string }
type Failed = { readonly name: string; readonly reason: string }

/** `secure_settings` of the systems that Atlas replaces. */
const Settings = z.array(z.object({ name: z.string(), encrypted_value: z.string() }))
const Named = z.record(z.string(), z.string())

/**
 * Reads a store of Fernet tokens – an SQLite file with the table `secure_settings`, or a JSON object of names and tokens – and
 * opens each. What does not open is named, never passed over in silence.
 */
export function readFernetStore(file: string, keyFile: string) {
  const bytes = readKey(keyFile)
  try {
    const key = fernetKey(bytes)
    const secrets: { name: string; value: Secret }[] = []
    const failed: Failed[] = []
    for (const { name, token } of readRows(file)) {
      const value = openText(key, token)
      if (value instanceof Secret) secrets.push({ name, value })
      else failed.push({ name, reason: value })
    }
    return { secrets, failed }
  } finally {
    bytes.fill(0)
  }
}

/** The value, or why there is none. */
function openText(key: FernetKey, token: string): Secret | string {
  let plain: Buffer
  try {
    plain = openFernet(key, token.trim())
  } catch (error) {
    if (error instanceof FernetError) return error.message
    throw error
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(plain).trim()
    return text === '' ? 'The value is empty' : new Secret(text)
  } catch {
    return 'The value is not text'
  } finally {
    plain.fill(0)
  }
}

function readRows(file: string): Row[] {
  try {
    const content = readFileSync(file)
    if (content.toString('latin1', 0, 15) !== 'SQLite format 3')
      return Object.entries(Named.parse(JSON.parse(content.toString('utf8')))).map(([name, token]) => ({ name, token }))
    const rows = readForeignTable(file, 'secure_settings', ['name', 'encrypted_value'])
    return Settings.parse(rows).map(({ name, encrypted_value: token }) => ({ name, token }))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new StartError(
      code === 'ENOENT'
        ? `${file} does not exist`
        : `${file} is neither an SQLite file with the table secure_settings (name, encrypted_value) nor a JSON object of names and tokens`,
      { cause },
    )
  }
}

function readKey(path: string): Buffer {
  try {
    return readKeyFile(path).export()
  } catch (error) {
    throw new StartError(`Fernet key: ${(error as Error).message.replaceAll('root key', 'key')}`, { cause: error })
  }
}
