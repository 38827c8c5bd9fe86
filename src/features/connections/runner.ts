import type { Cursor, Observation, SyncBatch } from '../../core/connector.ts'
import { Problem, toProblem } from '../../core/problem.ts'
import type { Progress } from './connection.ts'
import type { Opened } from './opener.ts'
import type { ConnectionsParts } from './parts.ts'
import type { Stored } from './store.ts'
import type { Ending, Run, SyncStore } from './store-sync.ts'

/** Observations per transaction. SQLite writes in the server's own thread, so a step must stay short. */
const batchSize = 1_000
const progressMs = 250
const heartbeatMs = 5_000
/** After this an `auto` run reads everything again. */
const fullEveryMs = 7 * 86_400_000
const cursorBytes = 16_384
// A system that never comes to an end must neither fill the disk nor keep its place among the runs.
const mostRead = 10_000_000
const longestMs = 12 * 3_600_000

type Parts = Pick<ConnectionsParts, 'inventory' | 'now' | 'log'> & { readonly store: SyncStore; readonly owner: string }
type Steering = {
  /** Aborted when somebody cancels the run or its lease is lost. */
  readonly stop: AbortController
  /** Aborted when the process goes down. */
  readonly signal: AbortSignal
  /** Queues the run anew after an interruption. */
  readonly again: () => Promise<unknown>
  readonly open: () => Promise<{ row: Stored; opened: Opened }>
}

/**
 * Carries out one claimed run. What it saw is written as it goes; the cursor moves and unseen assets become stale only
 * after the connector's generator has come to its end, so a run that fails or is stopped loses nothing.
 */
export function makeRunner(parts: Parts) {
  const { store, owner, now, log } = parts

  return async function carryOut(run: Run, progress: Progress, steering: Steering): Promise<void> {
    const { stop, signal } = steering
    const beat = makeBeat(parts, run, progress, stop)
    let revision = -1
    const end = (ending: Pick<Ending, 'state' | 'problem' | 'cursor'>) =>
      store.end({ run, owner, progress, at: now().toISOString(), revision, ...ending })
    try {
      const { row, opened } = await steering.open()
      revision = opened.revision
      const cursor = await pull(parts, run, progress, {
        row,
        opened,
        beat,
        stop: AbortSignal.any([stop.signal, signal]),
      })
      if (!(await end({ state: 'succeeded', cursor }))) throw lostLease()
      log.info({ sync: run.id, connection: run.connection_id, ...progress.counts }, 'A sync run succeeded')
    } catch (error) {
      const late: unknown = stop.signal.reason
      const { type, detail } = toProblem(late instanceof Problem ? late : error)
      const state =
        late instanceof Problem
          ? 'failed'
          : stop.signal.aborted
            ? 'cancelled'
            : signal.aborted
              ? 'interrupted'
              : 'failed'
      const isOurs = await end({ state, ...(state === 'failed' && { problem: { type, detail } }) })
      if (!isOurs) await sweep(parts, run)
      log.warn({ sync: run.id, connection: run.connection_id, state, problem: type }, 'A sync run did not succeed')
      if (state === 'failed') throw late instanceof Problem ? late : error
      if (state === 'interrupted') await steering.again()
      throw new Problem('cancelled', endings[state], { cause: error })
    } finally {
      beat.end()
    }
  }
}

const endings = {
  cancelled: 'The sync run was cancelled',
  interrupted: 'The sync run was interrupted and is queued again',
}

type Beat = ReturnType<typeof makeBeat>

/** Keeps the run's row fresh: its numbers at most four times a second, its lease at least every five seconds. */
function makeBeat({ store, owner, now, log }: Parts, run: Run, progress: Progress, stop: AbortController) {
  let last = 0
  const end = now().getTime() + longestMs
  async function beat(): Promise<void> {
    last = now().getTime()
    if (last > end) stop.abort(new Problem('upstream-timeout', 'The system did not come to an end within 12 hours'))
    const answer = await store.beat(run.id, owner, progress, now().toISOString())
    if (answer !== 'ok') stop.abort()
  }
  const timer = setInterval(() => {
    beat().catch((error: unknown) => log.warn({ err: error, sync: run.id }, 'The lease of a sync run was not renewed'))
  }, heartbeatMs)
  timer.unref()
  return {
    now: beat,
    async soon(): Promise<void> {
      if (now().getTime() - last >= progressMs) await beat()
    },
    end: () => clearInterval(timer),
  }
}

type Pull = { readonly row: Stored; readonly opened: Opened; readonly beat: Beat; readonly stop: AbortSignal }

/** Reads to the end and writes what was read. Answers the next cursor as text. */
async function pull(parts: Parts, run: Run, progress: Progress, { row, opened, beat, stop }: Pull): Promise<string> {
  const { inventory, store, now } = parts
  const { connector, config, http } = opened
  if (!connector.sync) throw new Problem('conflict', 'This kind of system has nothing to sync')
  const cursor = startCursor(run, row, now())
  progress.isFull = cursor === undefined
  await store.setCursorBefore(run.id, cursor === undefined ? null : JSON.stringify(cursor))
  await beat.now()
  const write = makeWriter(parts, run, connector.id, progress)
  const steps = connector.sync({ config, http, signal: stop, now, ...(cursor && { cursor }) })
  const next = await readAhead(steps, async (batch) => {
    progress.stage = batch.stage
    progress.total = batch.total ?? null
    if (batch.full) progress.isFull = true
    await write.take(batch)
    if (progress.counts.read > mostRead)
      throw new Problem('upstream-invalid', `The system sent more than ${mostRead} things in one run`)
    await beat.soon()
  })
  await write.flush()
  const text = JSON.stringify(next)
  if (Buffer.byteLength(text) > cursorBytes) throw new Error(`The ${connector.id} connector's cursor is too large`)
  // Still ours? Marking as stale is the one step that another owner's run could not repair at once.
  await beat.now()
  stop.throwIfAborted()
  if (progress.isFull)
    progress.counts.stale = await inventory.finishFullRun({ connectionId: run.connection_id, runId: run.id })
  return text
}

function startCursor(run: Run, { sync_cursor, last_full_at }: Stored, now: Date): Cursor | undefined {
  if (run.mode === 'full' || sync_cursor === null || last_full_at === null) return undefined
  return now.getTime() - Date.parse(last_full_at) < fullEveryMs ? (JSON.parse(sync_cursor) as Cursor) : undefined
}

/** Asks for the next step before the last one is written, so that the network and the disk work at the same time. */
async function readAhead(
  steps: AsyncGenerator<SyncBatch, Cursor>,
  take: (batch: SyncBatch) => Promise<void>,
): Promise<Cursor> {
  // The step in flight is awaited in the loop or, after a fault, here; in between nobody may call it unhandled.
  const ask = () => {
    const step = steps.next()
    step.catch(() => {})
    return step
  }
  let pending = ask()
  try {
    for (;;) {
      const step = await pending
      if (step.done) return step.value
      pending = ask()
      await take(step.value)
    }
  } catch (error) {
    await pending.catch(() => {})
    await steps.return({}).catch(() => {})
    throw error
  }
}

/** Collects observations and writes them in transactions of one size, however large the connector's pages are. */
function makeWriter({ inventory }: Parts, run: Run, connector: string, { counts }: Progress) {
  let waiting: Observation[] = []

  async function apply(observations: readonly Observation[], gone: NonNullable<SyncBatch['gone']>): Promise<void> {
    const batch = { connectionId: run.connection_id, connector, runId: run.id, observations, gone }
    const done = await inventory.applyBatch(batch)
    counts.created += done.created
    counts.updated += done.updated
    counts.unchanged += done.unchanged
    counts.gone += done.gone
  }

  async function flush(): Promise<void> {
    const rest = waiting
    waiting = []
    if (rest.length > 0) await apply(rest, [])
  }

  return {
    flush,
    async take({ observations = [], gone = [] }: SyncBatch): Promise<void> {
      counts.read += observations.length
      waiting = waiting.concat(observations)
      while (waiting.length >= batchSize) await apply(waiting.splice(0, batchSize), [])
      if (gone.length === 0) return
      await flush()
      for (let i = 0; i < gone.length; i += batchSize) await apply([], gone.slice(i, i + batchSize))
    },
  }
}

/** A connection removed from under its run, by another process, must leave no assets behind. */
async function sweep({ inventory, store }: Parts, run: Run): Promise<void> {
  if (!(await store.find(run.id))) await inventory.removeConnection(run.connection_id)
}

function lostLease(): Problem {
  return new Problem('cancelled', 'The sync run was taken over or ended by another process')
}
