import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { migrations } from './app.ts'
import { openBackups } from './backup.ts'
import type { Config } from './config.ts'
import type { Principal } from './core/action.ts'
import { Problem } from './core/problem.ts'
import { openLog } from './features/audit/log.ts'
import { checkRootKey } from './features/vault/keyring.ts'
import { type Database, UnknownKey } from './lib/db/database.ts'
import { missingSteps } from './lib/db/migrate.ts'
import { InUse } from './lib/db/presence.ts'
import type { Progress } from './restore.ts'
import { StartError } from './start-error.ts'
import {
  filePath,
  findRootKey,
  type Held,
  hold,
  imageSource,
  openDatabase,
  unknownKey,
  unreachable,
} from './storage.ts'

type Order = { readonly file?: string | undefined; readonly progress?: Progress | undefined }

/** Whoever can read the key and the data on this machine. */
const atTheMachine: Principal = { id: 'local', kind: 'system', name: 'local', bindings: [], version: '1' }

/**
 * `atlas backup [FILE]` where no server has to be asked. Undefined when there is no data here, or a server holds it: then it is
 * the server that makes the backup.
 */
export async function backupHere(
  config: Config,
  order: Order,
  version: string,
): Promise<Record<string, unknown> | undefined> {
  if (!config.ATLAS_DATABASE_URL && !existsSync(filePath(config))) return undefined
  const rootKey = await findRootKey(config)
  let held: Held
  try {
    held = await hold(config, 'shared')
  } catch (error) {
    if ((error as Error).cause instanceof InUse) return undefined
    throw error
  }
  let database: Database | undefined
  try {
    database = openDatabase(config, rootKey)
    await database.ping().catch((error: unknown) => {
      throw unreachable(error)
    })
    await checkRootKey(database, rootKey).catch((error: unknown) => {
      throw error instanceof UnknownKey ? unknownKey(config, error) : error
    })
    if ((await missingSteps(database, migrations)).length > 0)
      throw new StartError('The data is of an earlier version. Back it up with that version, or start this one first.')
    return await backUp(config, { ...order, rootKey, database, version })
  } finally {
    await database?.close()
    await held.release()
  }
}

type Opened = Order & { readonly database: Database; readonly rootKey: KeyObject; readonly version: string }

async function backUp(config: Config, { file, progress = () => {}, rootKey, database, version }: Opened) {
  const now = () => new Date()
  const origin = config.ATLAS_AUDIT_ORIGIN
  const log = await openLog({ database, rootKey, now, ...(origin !== undefined && { origin }) })
  const source = () => imageSource(config, rootKey)
  const report = { warn: () => {}, info: () => {} }
  const room = openBackups({
    config,
    database,
    log,
    rootKey,
    source,
    version,
    now,
    record: log.append,
    report,
  })
  const stop = () => void room.close()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  try {
    await room.recover()
    const path = file === undefined ? undefined : resolve(file)
    const { id, ended } = await room.start({ principal: atTheMachine, door: 'cli' }, path)
    let isDone = false
    const settled = ended.finally(() => {
      isDone = true
    })
    settled.catch(() => {})
    while (!isDone) {
      await Promise.race([settled, sleep(500)])
      const { rows, totalRows } = await room.get(id)
      if (!isDone) progress(`Backing up: ${rows} of ${totalRows} rows`)
    }
    return { backup: id, file: path ?? room.pathOf(id), ...(await settled) }
  } catch (error) {
    if (error instanceof Problem) throw new StartError(error.message, { exitCode: 1, cause: error })
    throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
    await log.close()
  }
}
