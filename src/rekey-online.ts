import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import type { Config } from './config.ts'
import { Problem } from './core/problem.ts'
import type { AuditLog } from './features/audit/log.ts'
import type { Rekeyed } from './features/vault/key-actions.ts'
import { SealError } from './features/vault/seals/seal.ts'
import { type Database, findFileKey } from './lib/db/database.ts'
import { keepFileKey } from './lib/db/file-key.ts'
import { InUse } from './lib/db/presence.ts'
import { scrub } from './lib/db/scrub.ts'
import { rootKeyFingerprint } from './lib/root-key.ts'
import type { RootKeyRing } from './lib/root-keys.ts'
import { rekeyTables } from './rekey.ts'
import { hangsOn, tidyFileKey } from './root-key-settle.ts'
import { type KeySource, NotReplaceable, type Staging } from './root-key-source.ts'
import { filePath, type Held } from './storage.ts'

// The change of the root key while the server runs. Which key holds is never remembered: the rows say it. So whatever stops this,
// `settleRootKey` at the next start looks which of the two keys opens them, and finishes or undoes the rest.

type Parts = {
  readonly config: Config
  readonly source: KeySource
  readonly ring: RootKeyRing
  readonly database: Database
  readonly log: Pick<AuditLog, 'append' | 'rekey'>
  readonly alone: Held['alone']
  /** Told of the new key before anything hangs on it, to keep it out of what the process says. */
  readonly hide: (key: KeyObject) => void
}

/** What was read before the commit is opened within this time: no statement lasts longer (lib/db/database.ts). */
const forgetAfterMs = 60_000

export function makeOnlineRekey(parts: Parts): () => Promise<Rekeyed> {
  let isRunning = false
  return async function rekey() {
    const { staging, kind } = parts.source
    if (!staging) throw new Problem('conflict', whyNot(kind))
    if (isRunning) throw new Problem('conflict', 'The root key is being changed already')
    isRunning = true
    try {
      return await parts.alone((isStillAlone) => change(parts, staging, isStillAlone))
    } catch (error) {
      if (error instanceof SealError) throw new Problem('upstream-failed', error.message, { cause: error })
      if (error instanceof NotReplaceable) throw new Problem('conflict', `${error.message}. ${offlineWay}`)
      if (!(error instanceof InUse)) throw error
      throw new Problem('conflict', `Another server works with this database. ${offlineWay}`)
    } finally {
      isRunning = false
    }
  }
}

async function change(parts: Parts, staging: Staging, isStillAlone: () => Promise<boolean>): Promise<Rekeyed> {
  const { config, ring, database, log } = parts
  // An earlier try may have lost the database before it could see what became of it.
  const left = await staging.staged()
  if (left) await settle(parts, staging, left)
  const [from, to] = [ring.current(), createSecretKey(randomBytes(32))]
  parts.hide(to)
  await staging.stage(to)
  ring.add(to)
  try {
    if (database.dialect === 'sqlite') {
      const path = filePath(config)
      keepFileKey(path, findFileKey(path, from.export()), [from, to])
    }
    await log.append({ code: 'vault.rekey-started', detail: { rootKey: rootKeyFingerprint(from) } })
    await log.rekey({ code: 'vault.rekeyed', detail: { rootKey: rootKeyFingerprint(to) } }, to, async (tx) => {
      await rekeyTables(tx, { from, to }, { dialect: database.dialect, now: () => new Date() })
      if (!(await isStillAlone())) throw new InUse()
    })
  } catch (error) {
    // A commit whose answer was lost counts when it happened.
    if (!(await settle(parts, staging, to))) throw (error as Error).cause instanceof InUse ? new InUse() : error
    return done(from, to)
  }
  await finish(parts, staging, to)
  return done(from, to)
}

function done(from: KeyObject, to: KeyObject): Rekeyed {
  return { from: rootKeyFingerprint(from), to: rootKeyFingerprint(to), state: 'done' }
}

/** Looks which key the rows hang on, and finishes or undoes. Answers whether they hang on the staged one. */
async function settle(parts: Parts, staging: Staging, staged: KeyObject): Promise<boolean> {
  if (await hangsOn(parts.database, staged)) {
    await finish(parts, staging, staged)
    return true
  }
  await staging.drop()
  tidyFileKey(parts.config, parts.ring.current())
  parts.ring.forget(staged)
  await parts.log.append({ code: 'vault.rekey-undone', detail: { rootKey: rootKeyFingerprint(parts.ring.current()) } })
  return false
}

async function finish({ config, ring, database }: Parts, staging: Staging, to: KeyObject): Promise<void> {
  const from = ring.current()
  ring.add(to)
  ring.use(to)
  setTimeout(() => ring.forget(from), forgetAfterMs).unref()
  // The file has the rows under the old key until then. When it fails, closing or the next start does it.
  await scrub(database).catch(() => {})
  await staging.promote().catch((cause: NodeJS.ErrnoException) => {
    throw new Problem(
      'conflict',
      `The root key is changed, but the new one could not take the place of the old one (${cause.code ?? cause.name}). Put it there by hand: it lies beside it, with .next at the end of its name`,
      { cause },
    )
  })
  tidyFileKey(config, to)
}

const offlineWay = 'Stop every server and run: atlas vault rekey --new-key-file <path> (docs/operate/keys.md)'

function whyNot(kind: string): string {
  const where =
    kind === 'environment'
      ? 'The root key is given in the environment, which a running server cannot change'
      : 'The root key lies in no file that a running server could replace'
  return `${where}. ${offlineWay}`
}
