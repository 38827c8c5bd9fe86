import type { makeCommitter } from './commit.ts'
import { draftOf } from './entry.ts'
import type { AuditEvent } from './event.ts'
import { beatMs, type Lease, leaseTtlMs } from './lease.ts'
import type { LeaseStore, Run } from './store-lease.ts'
import type { StoreReader } from './store-read.ts'

type Parts = {
  readonly reader: StoreReader
  readonly leases: LeaseStore
  readonly lease: Lease
  readonly committer: ReturnType<typeof makeCommitter>
  readonly now: () => Date
  /** Signs; called when another process waits for a checkpoint. */
  readonly checkpoint: () => Promise<unknown>
  readonly signedSize: () => number
  readonly onTaken: (fence: number) => void
  readonly onFault: (error: unknown) => void
}

/**
 * That this process runs, for the others and for the log itself: its start and its end are entries, and a start that finds a run
 * without an end records the gap. On PostgreSQL it beats every second; on SQLite there is nobody to hear it.
 */
export function makePresence(parts: Parts) {
  const { leases, lease, committer, now } = parts
  let joined = false
  let beating: Promise<void> | undefined
  const timer = lease.shared
    ? setInterval(() => {
        // A failed beat is told and tried again: a database that is down ends the lease, and must not end the process.
        beating ??= beat()
          .catch(parts.onFault)
          .finally(() => {
            beating = undefined
          })
      }, beatMs).unref()
    : undefined

  async function beat(): Promise<void> {
    const wanted = await lease.beat()
    if (joined) {
      await leases.runBeat(lease.id)
      if (!lease.isHeld()) await takeOver()
      await recordGaps()
    }
    if (wanted > parts.signedSize()) await parts.checkpoint()
  }

  /** One statement, so it needs no transaction; whoever signs takes it again in the one that signs. */
  async function takeOver(): Promise<void> {
    const fence = await lease.take()
    if (lease.took(fence) && fence !== undefined) parts.onTaken(fence)
  }

  /** Runs that ended without saying so. Of several processes that notice, the one that takes the row out records it. */
  async function recordGaps(): Promise<void> {
    for (const run of await leases.lost(lease.shared ? leaseTtlMs : 0)) {
      const event = await gapOf(parts.reader, run)
      await committer
        .add(draftOf(event, now().toISOString()), async (writer) => {
          if (!(await leases.leave(writer.reader, run.id))) throw new AlreadyRecorded()
        })
        .catch((error: Error) => {
          if (!(error.cause instanceof AlreadyRecorded)) throw error
        })
    }
  }

  async function append(event: AuditEvent, run: 'join' | 'leave'): Promise<void> {
    await committer.add(draftOf(event, now().toISOString()), async ({ reader }) => {
      if (run === 'join') await leases.join(reader, lease.id, now().toISOString())
      else await leases.leave(reader, lease.id)
    })
  }

  return {
    /** Between `start` and `stop`; what only looks into a log is not told about. */
    isRunning: () => joined,
    /** The first entry of this run, after those about runs that ended badly. */
    async start(detail: Readonly<Record<string, unknown>>): Promise<void> {
      await recordGaps()
      await append({ code: 'server.started', resource: { type: 'run', id: lease.id }, detail }, 'join')
      joined = true
      if (lease.shared) await takeOver()
    },
    /** The last entry of this run. Does nothing when it was never started. */
    async stop(): Promise<void> {
      if (!joined) return
      joined = false
      await append({ code: 'server.stopped', resource: { type: 'run', id: lease.id } }, 'leave')
    },
    async close(): Promise<void> {
      clearInterval(timer)
      await beating
      // Without a database the lease ends by itself.
      await lease.release().catch(() => {})
    },
  }
}

class AlreadyRecorded extends Error {}

async function gapOf(reader: StoreReader, { id, startedAt, seenAt }: Run): Promise<AuditEvent> {
  const [last] = await reader.search({ limit: 1 })
  return {
    code: 'log.gap',
    resource: { type: 'run', id },
    outcome: 'crashed',
    detail: { startedAt, lastSeenAt: seenAt, lastEntry: last?.index },
  }
}
