import { newId } from '../../lib/ids.ts'
import type { SyncMode } from './connection.ts'
import type { ConnectionsParts } from './parts.ts'
import { nextTime } from './rules.ts'
import { makeConnectionStore, type Stored } from './store.ts'
import type { Run, SyncStore } from './store-sync.ts'

/** A running run whose owner was silent for this long is taken for dead. */
export const leaseMs = 30_000
/** A run that took its process down this often is not queued again by itself. */
const attempts = 3
const keepRunsMs = 90 * 86_400_000
/** Deliveries start a run at most this often: a system that sends without end must not keep Atlas reading. */
const restMs = 10_000

/** Whether a delivery came since the last run was queued: what it told of may have been read before it happened. */
export function isWanted({ wanted_at, last_queued_at }: Pick<Stored, 'wanted_at' | 'last_queued_at'>): boolean {
  return wanted_at !== null && wanted_at > (last_queued_at ?? '')
}

/** What waits to be run: what was queued, what is due, and what a dead process left. */
export function makeWaiting(parts: ConnectionsParts, store: SyncStore, isMine: (run: Run) => boolean, owner: string) {
  const { database, connectors, now, log } = parts
  const connections = makeConnectionStore(database)
  const listeners = new Set<() => void>()

  /** Queues a run; undefined when the connection has one already. */
  async function queue(connection: string, mode: SyncMode, attempt: number): Promise<string | undefined> {
    const id = newId('syn')
    const at = now()
    const run = { id, connection_id: connection, mode, attempt, queued_at: at.toISOString() }
    if (!(await store.queue(run, new Date(at.getTime() - keepRunsMs).toISOString()))) return undefined
    for (const listener of listeners) listener()
    return id
  }

  return {
    queue,
    /** Wakes the listeners without a run: a connection is wanted. */
    wake(): void {
      for (const listener of listeners) listener()
    },
    queued: store.queued,

    /** Calls back when a run is queued in this process; answers how to stop that. */
    onQueued(listener: () => void): () => void {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },

    /** Connections whose schedule has come round and that have no run. */
    async due(): Promise<string[]> {
      const rows = await connections.list()
      return rows
        .filter((row) => row.activeRun === null && connectors.find(({ id }) => id === row.connector)?.sync)
        .filter((row) => {
          const { schedule, last_queued_at, created_at } = row
          if (isWanted(row) && now().getTime() - new Date(last_queued_at ?? 0).getTime() >= restMs) return true
          const next = schedule === null ? null : nextTime(schedule, new Date(last_queued_at ?? created_at))
          return next !== null && next <= now()
        })
        .map(({ id }) => id)
    },

    /**
     * Marks the runs of dead processes `interrupted` and queues them again, at most three times; one that somebody had
     * cancelled is `cancelled` and stays so. SQLite serves one
     * process, so there every running run of another owner is dead; elsewhere the lease decides.
     */
    async recover(): Promise<void> {
      const deadline = new Date(now().getTime() - leaseMs).toISOString()
      for (const run of await store.running()) {
        const isDead = database.dialect === 'sqlite' ? run.owner !== owner : (run.heartbeat_at ?? '') < deadline
        if (isMine(run) || !isDead || (await store.interrupt(run, now().toISOString())) !== 'interrupted') continue
        log.warn({ sync: run.id, connection: run.connection_id }, 'A sync run was interrupted')
        if (run.attempt < attempts) await queue(run.connection_id, run.mode, run.attempt + 1)
      }
    },
  }
}

export type Waiting = ReturnType<typeof makeWaiting>
