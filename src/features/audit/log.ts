import type { KeyObject } from 'node:crypto'
import type { Database, Db } from '../../lib/db/database.ts'
import { makeOutbound } from '../../lib/outbound.ts'
import type { RootKey } from '../../lib/root-keys.ts'
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
import { makeMentions } from './mentions.ts'
import { makePresence } from './presence.ts'
import { makeProofs } from './proofs.ts'
import { makeDeclared } from './pruned.ts'
import { makeReading } from './reading.ts'
import { makeRetention } from './retention.ts'
import type { Keep } from './retention-policy.ts'
import { makeSearch } from './search.ts'
import { makeSigner, openSigningKey } from './signing.ts'
import { makeSinks, type SinkSettings } from './sinks/sinks.ts'
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
  readonly rootKey: RootKey
  readonly now: () => Date
  /** The log's name in its checkpoints, fixed at first open. Default: `infrastructure-atlas/` and a random id. */
  readonly origin?: string
  /** The stored log is not the one that was written. Every append fails from then on. */
  readonly onFatal?: (error: Error) => void
  /** Who must have seen a checkpoint before it counts, and where they are asked. */
  readonly policy?: Policy
  /** Where copies of the entries go. */
  readonly sinks?: SinkSettings
  /** How long what is kept. Default: everything for ever. */
  readonly keep?: Keep
  /** Something beside the log itself failed, and is tried again: a beat, a witness, a sink. */
  readonly onFault?: (error: unknown) => void
}

export type AuditLog = Awaited<ReturnType<typeof openLog>>

/**
 * Opens the log of this database, and makes it (with its signing key) the first time. Throws `UnknownKey` under another
 * root key and `LogDamaged` when the stored head is not this log's.
 */
export async function openLog(parts: LogParts) {
  const { database, rootKey, now, origin, policy, keep = {}, onFatal = () => {}, onFault = () => {} } = parts
  const store = makeStore(database)
  const key = await openSigningKey({ store, rootKey, now }, origin)
  const reader = makeReader(database)
  const heads = makeHeads(rootKey)
  const subjects = makeSubjects(rootKey)
  const { size } = heads.read(await reader.head())
  const committer = makeCommitter({ store, heads, subjects, size, onFatal })
  const append = async (event: AuditEvent) => committer.add(draftOf(event, now().toISOString()))
  const sign = makeSigner({ rootKey, now }, key)
  const shared = { database, store, reader, heads, committer, append, sign, now, onFault }
  const { lease, presence, checkpoint } = openPresence(shared)
  const proofs = makeProofs(reader)
  const declared = makeDeclared(database)
  const search = makeSearch({ reader, subjects, declared })
  const { proveConsistency } = proofs
  const isSigner = lease.isHeld
  const rest = { database, checkpoint, proveConsistency, append, isSigner, now, onFault }
  const { witnesses, published, ...seen } = openWitnesses(policy, rest)
  const { vkey } = key
  const sinks = makeSinks({ ...rest, settings: parts.sinks ?? {}, reader, origin: key.origin, checkpoint: published })
  const holds = async () => [...(await seen.holds()), ...(await sinks.holds())]
  const keeping = { ...shared, proofs, subjects, isSigner, holds, keep, vkey, checkpoint: seen.counting }
  const retention = makeRetention(keeping)
  const own = { reader, proofs, search, declared, vkey }
  const reading = makeReading({ ...own, size: committer.size, checkpoint: published })
  return {
    origin: key.origin,
    vkey,
    fingerprint: key.fingerprint,
    /**
     * Records an event; resolves when it is on the disk, together with everything before it. Rejects with
     * `audit-unavailable` when it could not be written. Never await it inside a database transaction: on SQLite there is
     * one connection, and the log needs it.
     */
    append,
    rekey: makeRekey({ committer, now }),
    ...makeRun(presence, witnesses, sinks),
    isSigner,
    /** Signs a text that is no checkpoint, for one purpose; see attest.ts. */
    attest: (purpose: string, text: string) => attest(key, purpose, text),
    status: async () => ({
      ...(await statusOf(reader, lease, now())),
      witnesses: (await witnesses?.status()) ?? [],
      sinks: await sinks.status(),
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
    forget: makeForget({ ...keeping, findMentions: makeMentions(keeping) }),
    /** What the policy no longer keeps, and its deletion; see retention.ts. */
    retention,
    /** Derives everything again from the stored entries; see verify-log.ts. */
    verify: (signal?: AbortSignal) => verifyLog({ database, rootKey, ...(signal && { signal }) }),
    async close(): Promise<void> {
      await presence.close()
      await committer.close()
    },
  }
}

function makeRun(
  presence: ReturnType<typeof makePresence>,
  witnesses: ReturnType<typeof makeWitnesses> | undefined,
  sinks: ReturnType<typeof makeSinks>,
) {
  return {
    /** Says in the log that this process runs, and that it ends; between the two it signs when it holds the lease. */
    async start(detail: Readonly<Record<string, unknown>>): Promise<void> {
      await presence.start(detail)
      witnesses?.start()
      sinks.start()
    },
    async stop(): Promise<void> {
      await witnesses?.stop()
      await presence.stop()
      // Last, so that the sinks get the entry that this run has ended.
      await sinks.stop()
    },
  }
}

type Rekeying = { readonly committer: ReturnType<typeof makeCommitter>; readonly now: () => Date }

function makeRekey({ committer, now }: Rekeying) {
  /**
   * Records `event` and makes `change` in the same transaction, which ends with the log under the root key `to`. `change` puts
   * all rows under it. No other writer of the log runs meanwhile.
   */
  return (event: AuditEvent, to: KeyObject, change: (tx: Db) => Promise<void>): Promise<{ index: number }> =>
    committer.add(draftOf(event, now().toISOString()), ({ reader }) => change(reader as unknown as Db), to)
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
    /** The newest checkpoint that nobody can take back: cosigned, where witnesses are asked; undefined when none is yet. */
    counting: () => (witnesses?.asks ? witnesses.published() : rest.checkpoint()),
    /** The witnesses that must be shown what came since they last looked. */
    async holds(): Promise<{ by: string; from: number }[]> {
      const names = policy?.witnesses.filter(({ url }) => url !== undefined).map(({ name }) => name) ?? []
      const rows = (await witnesses?.status()) ?? []
      return rows
        .filter(({ name, size }) => names.includes(name) && size > 0)
        .map(({ name, size }) => ({ by: `the witness ${name}`, from: size }))
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
