import type { KeyObject } from 'node:crypto'
import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { makeCommitter } from './commit.ts'
import { draftOf, mappingId } from './entry.ts'
import { type AuditEvent, forgottenCode } from './event.ts'
import { exportLog } from './export.ts'
import { LogDamaged, makeHeads } from './head.ts'
import { makeProofs } from './proofs.ts'
import { makeSearch } from './search.ts'
import { makeSigner, openSigningKey } from './signing.ts'
import { makeStore } from './store.ts'
import { makeReader } from './store-read.ts'
import { makeSubjects } from './subject.ts'
import { parseTilePath, readTile } from './tiles.ts'
import { verifyLog } from './verify-log.ts'

export type LogParts = {
  readonly database: Database
  /** 32 bytes. The signing key, the subjects' keys and the head's MAC are sealed or derived with keys derived from it. */
  readonly rootKey: KeyObject
  readonly now: () => Date
  /** The log's name in its checkpoints, fixed at first open. Default: `infrastructure-atlas/` and a random id. */
  readonly origin?: string
  /** The stored log is not the one that was written. Every append fails from then on. */
  readonly onFatal?: (error: Error) => void
}

export type AuditLog = Awaited<ReturnType<typeof openLog>>

/**
 * Opens the log of this database, and makes it (with its signing key) the first time. Throws `UnknownKey` under another
 * root key and `LogDamaged` when the stored head is not this log's.
 */
export async function openLog({ database, rootKey, now, origin, onFatal = () => {} }: LogParts) {
  const store = makeStore(database)
  const key = await openSigningKey({ store, rootKey, now }, origin)
  const reader = makeReader(database)
  const heads = makeHeads(rootKey)
  const subjects = makeSubjects(rootKey)
  const { size } = heads.read(await reader.head())
  const committer = makeCommitter({ store, heads, subjects, size, onFatal })
  const sign = makeSigner({ store, rootKey, now }, key)
  const proofs = makeProofs(reader)
  let signed: { size: number; checkpoint: string } | undefined

  /** The signed head of everything committed. Throws `LogDamaged` (and stops the log) rather than sign a second history. */
  async function checkpoint(): Promise<string> {
    const row = await reader.head()
    if (signed && row?.size === signed.size) return signed.checkpoint
    try {
      const text = await sign()
      signed = { size: Number(text.split('\n')[1]), checkpoint: text }
      return text
    } catch (error) {
      if (error instanceof LogDamaged) committer.stop(error)
      throw error
    }
  }

  /**
   * Destroys a principal's key, its tie to the pseudonym and all that was sealed under it, and records that. The entries
   * stay and the tree still verifies. `''` forgets what nobody who signed in left, such as addresses of failed logins. A later event of the same principal gets a new pseudonym.
   */
  async function forget(principalId: string): Promise<{ index: number }> {
    const row = await reader.subjectOf(principalId === '' ? '' : mappingId(principalId))
    if (!row) throw new Problem('not-found', 'The log knows no such principal')
    const event = { code: forgottenCode, resource: { type: 'subject', id: row.id } }
    const place = await committer.add(draftOf(event, now().toISOString()), async (writer) => {
      await writer.deleteSubject(row.id, database.dialect)
      subjects.drop()
    })
    await store.scrub()
    return place
  }

  return {
    origin: key.origin,
    vkey: key.vkey,
    fingerprint: key.fingerprint,
    /**
     * Records an event; resolves when it is on the disk, together with everything before it. Rejects with
     * `audit-unavailable` when it could not be written. Never await it inside a database transaction: on SQLite there is
     * one connection, and the log needs it.
     */
    async append(event: AuditEvent): Promise<{ index: number }> {
      return committer.add(draftOf(event, now().toISOString()))
    },
    checkpoint,
    /** The bytes of `tile/<L>/<N>[.p/<W>]` or `tile/entries/…` (tlog-tiles); undefined for anything else. */
    async tile(path: string): Promise<Buffer | undefined> {
      const name = parseTilePath(path)
      return name && readTile(reader, name)
    },
    /** Entries that this process knows to be committed. */
    size: committer.size,
    proveInclusion: (index: number, size = committer.size()) => proofs.proveInclusion(index, size),
    proveConsistency: proofs.proveConsistency,
    ...makeSearch({ reader, subjects }),
    forget,
    /** Writes `checkpoint`, `tile/…` and `vkey` into a new or empty folder; verify.ts checks it without this program. */
    exportTo: async (folder: string) => exportLog({ reader, vkey: key.vkey, checkpoint: await checkpoint() }, folder),
    /** Derives everything again from the stored entries; see verify-log.ts. */
    verify: (signal?: AbortSignal) => verifyLog({ database, rootKey, ...(signal && { signal }) }),
    close: committer.close,
  }
}
