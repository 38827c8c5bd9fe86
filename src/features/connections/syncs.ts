import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import type { Progress, SyncMode, SyncView } from './connection.ts'
import type { Open } from './opener.ts'
import type { ConnectionsParts } from './parts.ts'
import { makeRunner } from './runner.ts'
import type { Stored } from './store.ts'
import { makeSyncStore, type Run, type SyncStore } from './store-sync.ts'
import { viewSync } from './view.ts'
import { makeWaiting, type Waiting } from './waiting.ts'

type Find = (idOrName: string) => Promise<Stored>
type Active = Map<string, { stop: AbortController; progress: Progress; ended: Promise<unknown> }>
type Room = {
  readonly parts: ConnectionsParts
  readonly store: SyncStore
  /** Tells this process's runs from those of a dead one. */
  readonly owner: string
  readonly active: Active
  readonly waiting: Waiting
  readonly find: Find
  readonly open: Open
}

/** Sync runs: queueing, watching, carrying out, cancelling, and picking up what a dead process left. */
export function makeSyncs(parts: ConnectionsParts, find: Find, open: Open) {
  const store = makeSyncStore(parts.database)
  const owner = newId('own')
  const active: Active = new Map()
  const waiting = makeWaiting(parts, store, (run) => run.owner === owner && active.has(run.id), owner)
  const room: Room = { parts, store, owner, active, waiting, find, open }
  return { ...watching(room), ...steering(room), ...carrying(room), ...waiting }
}

export type Syncs = ReturnType<typeof makeSyncs>

function watching(room: Room) {
  return {
    get: async (id: string): Promise<SyncView> => view(room, await findRun(room, id)),
    /** The id of the connection that a run belongs to. */
    connectionOf: async (id: string): Promise<string> => (await findRun(room, id)).connection_id,

    /** Newest first; `next` is the cursor of the following page. */
    async list(idOrName: string, limit: number, before?: string): Promise<{ items: SyncView[]; next: string | null }> {
      const { id } = await room.find(idOrName)
      const rows = await room.store.list(id, limit + 1, before)
      const items = rows.slice(0, limit).map((run) => view(room, run))
      return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null }
    },
  }
}

function steering(room: Room) {
  const { parts, store, active, waiting, find } = room

  async function cancelRun(id: string): Promise<void> {
    await store.cancel(id, parts.now().toISOString())
    const mine = active.get(id)
    mine?.stop.abort()
    await mine?.ended
  }

  return {
    /** Queues a run; `conflict` names the one that is queued or running already. */
    async start(idOrName: string, mode: SyncMode): Promise<SyncView> {
      const row = await find(idOrName)
      if (!parts.connectors.find(({ id }) => id === row.connector)?.sync)
        throw new Problem('conflict', 'This kind of system has nothing to sync')
      const id = await waiting.queue(row.id, mode, 1)
      if (id !== undefined) return view(room, await findRun(room, id))
      const other = await store.findActive(row.id)
      throw new Problem('conflict', `The connection has a sync already: ${other?.id ?? 'just ended'}`)
    },

    /** Ends a queued run, stops a running one; one that has ended is a conflict. */
    async cancel(id: string): Promise<SyncView> {
      const run = await findRun(room, id)
      if (run.state !== 'queued' && run.state !== 'running')
        throw new Problem('conflict', `The sync run has ended already (${run.state})`)
      await cancelRun(id)
      return view(room, await findRun(room, id))
    },

    async cancelActive(connection: string): Promise<void> {
      const run = await store.findActive(connection)
      if (run) await cancelRun(run.id)
    },
  }
}

function carrying(room: Room) {
  const { parts, store, owner, active, waiting, find, open } = room
  const carryOut = makeRunner({ ...parts, store, owner })

  return {
    /**
     * Carries a queued run out to its end; throws the problem that it failed with. When `signal` aborts, the run is
     * interrupted and queued again.
     */
    async run(id: string, signal: AbortSignal): Promise<SyncView> {
      const queued = await findRun(room, id)
      if (!(await store.claim(id, owner, parts.now().toISOString())))
        throw new Problem('conflict', 'The sync run is not waiting to be run')
      const stop = new AbortController()
      const progress = emptyProgress(queued.mode)
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      active.set(id, { stop, progress, ended })
      try {
        const run = await findRun(room, id)
        await carryOut(run, progress, {
          stop,
          signal,
          again: () => waiting.queue(run.connection_id, run.mode, run.attempt),
          async open() {
            const row = await find(run.connection_id)
            return { row, opened: await open(row, { signal: AbortSignal.any([stop.signal, signal]), requestId: id }) }
          },
        })
      } finally {
        active.delete(id)
        resolve()
      }
      return view(room, await findRun(room, id))
    },
  }
}

async function findRun({ store }: Room, id: string): Promise<Run> {
  const run = await store.find(id)
  if (!run) throw new Problem('not-found', 'There is no such sync run')
  return run
}

/** A run with its newest numbers when it runs in this process; otherwise those of its row, at most 250 ms old. */
function view({ parts, active }: Room, run: Run): SyncView {
  const shown = viewSync(run, parts.now())
  const progress = run.state === 'running' ? active.get(run.id)?.progress : undefined
  if (!progress) return shown
  return { ...shown, stage: progress.stage, total: progress.total, counts: { ...progress.counts } }
}

function emptyProgress(mode: SyncMode): Progress {
  const counts = { read: 0, created: 0, updated: 0, unchanged: 0, gone: 0, stale: 0 }
  return { stage: null, total: null, isFull: mode === 'full', counts }
}
