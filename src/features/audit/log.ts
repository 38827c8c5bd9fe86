import type { KeyObject } from 'node:crypto'
import type { Database } from '../../lib/db/database.ts'
import { makeOutbound } from '../../lib/outbound.ts'
import type { Policy } from '../../lib/tlog-policy.ts'
import { attest } from './attest.ts'
import { makeCheckpoints, sizeOf } from './checkpoints.ts'
import { makeCommitter } from './commit.ts'
import { draftOf } from './entry.ts'
import { type AuditEvent, clockAcceptedCode } from './event.ts'
import { makeFollow } from './follow.ts'
import { makeForget } from './forget.ts'
import { makeHeads } from './head.ts'
import { type Lease, makeLease } from './lease.ts'
import { makePresence } from './presence.ts'
import { makeProofs } from './proofs.ts'
import { makeReading } from './reading.ts'
import { makeSearch } from './search.ts'
import { makeSigner, openSigningKey } from './signing.ts'
import { makeStore } from './store.ts'
import { makeLeaseStore } from './store-lease.ts'
import { makeReader } from './store-read.ts'
import { makeWitnessRecord } from './store-witness.ts'
import { makeSubjects } from './subject.ts'
import { verifyLog } from './verify-log.ts'
import { makeWitnesses } from './witnesses.ts'

export type LogParts = {
  readonly database: Database
  /** 32 bytes. The signing key, the subjects' keys and the head's MAC are sealed or derived with keys derived from it. */
  readonly rootKey: KeyObject
  readonly now: () => Date
  /** The log's name in its checkpoints, fixed at first open. Default: `infrastructure-atlas/` and a random id. */
  readonly origin?: string
  /** The stored log is not the one that was written. Every append fails from then on. */
  readonly onFatal?: (error: Error) => void
  /** Who must have seen a checkpoint before it counts, and where they are asked. */
  readonly policy?: Policy
  /** Something beside the log itself failed, and is tried again: a beat, a witness, a sink. */
  readonly onFault?: (error: unknown) => void
}

export type AuditLog = Awaited<ReturnType<typeof openLog>>

/**
 * Opens the log of this database, and makes it (with its signing key) the first time. Throws `UnknownKey` under another
 * root key and `LogDamaged` when the stored head is not this log's.
 */
export async function openLog(parts: LogParts) {
  const { database, rootKey, now, origin, policy, onFatal = () => {}, onFault = () => {} } = parts
  const store = makeStore(database)
  const key = await openSigningKey({ store, rootKey, now }, origin)
  const reader = makeReader(database)
  const heads = makeHeads(rootKey)
  const subjects = makeSubjects(rootKey)
  const { size } = heads.read(await reader.head())
  const committer = makeCommitter({ store, heads, subjects, size, onFatal })
  const append = async (event: AuditEvent) => committer.add(draftOf(event, now().toISOString()))
  const sign = makeSigner({ rootKey, now }, key)
  const { lease, presence, checkpoint } = openPresence({
    database,
    store,
    reader,
    heads,
    committer,
    append,
    sign,
    now,
    onFault,
  })
  const proofs = makeProofs(reader)
  const search = makeSearch({ reader, subjects })
  const { proveConsistency } = proofs
  const isSigner = lease.isHeld
  const rest = { database, checkpoint, proveConsistency, append, isSigner, now, onFault }
  const { witnesses, published } = openWitnesses(policy, rest)
  const reading = makeReading({ reader, proofs, search, vkey: key.vkey, size: committer.size, checkpoint: published })
  return {
    origin: key.origin,
    vkey: key.vkey,
    fingerprint: key.fingerprint,
    /**
     * Records an event; resolves when it is on the disk, together with everything before it. Rejects with
     * `audit-unavailable` when it could not be written. Never await it inside a database transaction: on SQLite there is
     * one connection, and the log needs it.
     */
    append,
    /** Says in the log that this process runs, and that it ends; between the two it signs when it holds the lease. */
    async start(detail: Readonly<Record<string, unknown>>): Promise<void> {
      await presence.start(detail)
      witnesses?.start()
    },
    async stop(): Promise<void> {
      await witnesses?.stop()
      await presence.stop()
    },
    isSigner,
    /** Signs a text that is no checkpoint, for one purpose; see attest.ts. */
    attest: (purpose: string, text: string) => attest(key, purpose, text),
    status: async () => ({
      ...(await statusOf(reader, lease, now())),
      witnesses: (await witnesses?.status()) ?? [],
    }),
    checkpoint: published,
    /** Somebody says that the clock is right though older entries are of a later time; signing goes on. */
    acceptClock: () => append({ code: clockAcceptedCode }),
    /** Entries that this process knows to be committed. */
    size: committer.size,
    tile: reading.tile,
    proveInclusion: reading.proveInclusion,
    proveConsistency,
    proofOf: reading.proofOf,
    exportTo: reading.exportTo,
    search: search.search,
    read: search.read,
    touched: search.touched,
    follow: makeFollow({ search: search.search, size: async () => (await reader.head())?.size ?? 0 }),
    forget: makeForget({ database, store, reader, subjects, committer, now }),
    /** Derives everything again from the stored entries; see verify-log.ts. */
    verify: (signal?: AbortSignal) => verifyLog({ database, rootKey, ...(signal && { signal }) }),
    async close(): Promise<void> {
      await presence.close()
      await committer.close()
    },
  }
}

async function statusOf(reader: ReturnType<typeof makeReader>, lease: Lease, now: Date) {
  const head = await reader.head()
  const newest = await reader.newestTime(clockAcceptedCode)
  return {
    size: head?.size ?? 0,
    signedSize: head?.checkpoint ? sizeOf(head.checkpoint) : 0,
    signer: lease.isHeld(),
    clockBehindSeconds: newest === undefined ? 0 : Math.max(0, Math.round((Date.parse(newest) - now.getTime()) / 1000)),
  }
}

type Witnessed = Omit<Parameters<typeof makeWitnesses>[0], 'policy' | 'record' | 'send'> & { database: Database }

function openWitnesses(policy: Policy | undefined, { database, ...rest }: Witnessed) {
  const witnesses =
    policy && makeWitnesses({ ...rest, policy, record: makeWitnessRecord(database), send: makeOutbound() })
  return {
    witnesses,
    /**
     * The checkpoint for readers: the newest that the witnesses of the policy have cosigned, or, when there is none or it does not
     * cover entry `index`, the newest of all.
     */
    async published(index = -1): Promise<string> {
      const cosigned = await witnesses?.published()
      return cosigned !== undefined && sizeOf(cosigned) > index ? cosigned : rest.checkpoint()
    },
  }
}

type Shared = {
  readonly database: Database
  readonly store: ReturnType<typeof makeStore>
  readonly reader: ReturnType<typeof makeReader>
  readonly heads: ReturnType<typeof makeHeads>
  readonly committer: ReturnType<typeof makeCommitter>
  readonly append: (event: AuditEvent) => Promise<unknown>
  readonly sign: ReturnType<typeof makeSigner>
  readonly now: () => Date
  readonly onFault: (error: unknown) => void
}

/** What several processes on one database have to agree on: who signs, and who runs. */
function openPresence({ database, append, onFault, committer, ...rest }: Shared) {
  const leases = makeLeaseStore(database)
  const lease = makeLease(leases, database)
  const onTaken = (fence: number) => {
    if (!presence.isRunning()) return
    // Told, not awaited: whoever signs must not wait for an entry that itself waits for the writer.
    append({ code: 'log.signer-changed', resource: { type: 'run', id: lease.id }, detail: { fence } }).catch(onFault)
  }
  const { checkpoint, signedSize } = makeCheckpoints({ ...rest, leases, lease, onDamage: committer.stop, onTaken })
  const presence = makePresence({ ...rest, leases, lease, committer, checkpoint, signedSize, onTaken, onFault })
  return { lease, presence, checkpoint }
}
