import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../../../core/problem.ts'
import type { AuditEvent } from '../event.ts'
import type { makeSinkRecord, SinkRow } from '../store-sinks.ts'
import { type Sink, sinkProblem } from './sink.ts'

export type Pace = {
  /** How often it is looked whether there is something to deliver. */
  readonly lookMs: number
  /** The wait after a first failure; it doubles with each one more. */
  readonly retryMs: number
  readonly longestRetryMs: number
  /** How long a stop waits for what is still to be delivered. */
  readonly stopMs: number
  /** After an outage was recorded, this long no other one of the same sink is: the log must not be filled by a line that comes and goes. */
  readonly quietMs: number
  /** How often a syslog receiver is asked to confirm, by closing the connection. */
  readonly confirmMs: number
  /** How often the end of the log, which fills no tile yet, goes to the object storage. */
  readonly tailMs: number
}

export const usualPace: Pace = {
  lookMs: 1_000,
  retryMs: 1_000,
  longestRetryMs: 300_000,
  stopMs: 3_000,
  quietMs: 3_600_000,
  confirmMs: 60_000,
  tailMs: 300_000,
}

type Parts = {
  readonly sink: Sink
  readonly record: ReturnType<typeof makeSinkRecord>
  /** Entries that are committed. */
  readonly size: () => Promise<number>
  /** A hash of the sink's target, under which its position is kept. */
  readonly target: string
  /** Where a new sink begins. */
  readonly begin: 'first' | 'now'
  readonly isSigner: () => boolean
  readonly append: (event: AuditEvent) => Promise<unknown>
  readonly now: () => Date
  readonly onFault: (error: unknown) => void
  readonly pace: Pace
}

/**
 * Brings the log to one sink, batch after batch, from the stored position on. Only the process that signs does it. Nothing waits for it: a
 * sink that is down stands still and is asked again, ever more rarely. While it catches up it works at most half of the time.
 */
export function makeDelivery(parts: Parts) {
  const { sink, record, size, isSigner, now, onFault, pace } = parts
  const outages = makeOutages(parts)
  const aborted = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let stopping = false
  let retryAt = 0

  /** One at a time; who comes meanwhile waits for the one that runs. */
  function round(): Promise<void> {
    running ??= deliver()
      .catch((error: unknown) => {
        // The database did not answer. It is no fault of the sink, and not asked every second.
        retryAt = performance.now() + 10 * pace.retryMs
        onFault(error)
      })
      .finally(() => {
        running = undefined
      })
    return running
  }

  async function deliver(): Promise<void> {
    if (!isSigner()) return sink.close()
    if (performance.now() < retryAt) return
    const row = await position(parts)
    if (row.is_stopped === 1) return
    try {
      await batches(row)
    } catch (error) {
      // What a stop broke off is no fault of the sink.
      if (aborted.signal.aborted) return
      const problem = sinkProblem(error)
      const failures = await outages.failed(problem, stopping)
      retryAt = performance.now() + waitAfter(failures - 1, problem.retryAfterSeconds, pace)
      onFault(new Problem(problem.type, `${sink.name}: ${problem.message}`))
    }
  }

  async function batches(first: SinkRow): Promise<void> {
    for (let row = first; ; ) {
      const began = performance.now()
      const { next, confirmed } = row
      const round = { at: { next, confirmed }, size: await size(), isLast: stopping, signal: aborted.signal }
      // The table was changed from outside, or the log was put back: what comes now would never be delivered, and nobody would hear of it.
      if (Math.max(next, confirmed) > round.size)
        throw new Problem('conflict', 'What was delivered stands behind the end of the log: atlas audit verify')
      const reached = await sink.deliver(round)
      const isMoved = reached.next !== next || reached.confirmed !== confirmed
      if (!isMoved) return
      // Another process delivers by now; its position counts.
      if (!(await record.move(row, reached, now().toISOString()))) return
      // The entry that the server stopped is its last one.
      if (!stopping) await outages.ended(row)
      row = { ...row, ...reached, failures: 0, failing_since: null, is_told: stopping ? row.is_told : 0 }
      await sleep(Math.min(performance.now() - began, 1_000), undefined, { signal: aborted.signal })
      if (!isSigner()) return
    }
  }

  return {
    name: sink.name,
    start(): void {
      timer = setInterval(() => void round(), pace.lookMs).unref()
    },
    /** Delivers what is there if that is quickly done, and ends. */
    async stop(): Promise<void> {
      if (!timer) return
      clearInterval(timer)
      stopping = true
      const limit = setTimeout(() => aborted.abort(), pace.stopMs)
      // What runs may have begun before the last entries.
      await running
      await round()
      clearTimeout(limit)
      aborted.abort()
      await sink.close().catch(onFault)
    },
  }
}

/** Where the sink stands; a new one, and one that leads elsewhere now, stands at its beginning. */
async function position({ sink, record, size, target, begin }: Parts): Promise<SinkRow> {
  const known = await record.find(sink.name)
  if (known?.target === target) return known
  const oldest = sink.isWhole ? 0 : await record.first()
  await record.begin(sink.name, target, begin === 'now' && !sink.isWhole ? await size() : oldest)
  return (await record.find(sink.name)) as SinkRow
}

/** The first failure of an outage and its end become entries, at most one outage in `quietMs`. */
function makeOutages({ sink, record, append, now, onFault, pace }: Parts) {
  const { name: id } = sink
  const tell = (event: Pick<AuditEvent, 'code' | 'outcome' | 'detail'>) =>
    append({ ...event, resource: { type: 'sink', id } }).catch(onFault)

  /** Answers how often it has failed in this outage. */
  async function failed(problem: Problem, isSilent: boolean): Promise<number> {
    const at = now()
    await record.failed(id, problem.message, at.toISOString(), problem.type === 'gone')
    const row = await record.find(id)
    if (!row) return 1
    const isQuiet = row.told_at !== null && at.getTime() - Date.parse(row.told_at) < pace.quietMs
    const isNews = row.is_told === 0 && (!isQuiet || row.is_stopped === 1)
    if (isSilent || !isNews || !(await record.tell(row, at.toISOString()))) return row.failures
    const detail = { fault: problem.message, next: row.next, failures: row.failures, since: row.failing_since }
    await tell({ code: 'log.sink-failed', outcome: problem.type, detail })
    return row.failures
  }

  async function ended(row: SinkRow): Promise<void> {
    if (row.is_told === 0 || !(await record.tell(row, null))) return
    const { next, failures, failing_since: since } = row
    await tell({ code: 'log.sink-recovered', outcome: 'ok', detail: { next, failures, since } })
  }

  return { failed, ended }
}

/** 1, 2, 4 … times the first wait, of which a random half is taken away, so that many senders do not come at once. */
export function waitAfter(
  failures: number,
  retryAfterSeconds: number | undefined,
  { retryMs, longestRetryMs }: Pace,
): number {
  const longest = Math.min(retryMs * 2 ** Math.min(failures, 20), longestRetryMs)
  const wait = longest - randomInt(Math.max(1, Math.floor(longest / 2)))
  return Math.max(wait, Math.min(retryAfterSeconds ?? 0, 3_600) * 1000)
}
