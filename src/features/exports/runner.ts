import { newId } from '../../lib/ids.ts'
import { storedProblem } from './export.ts'
import type { Files } from './files.ts'
import { formats } from './formats.ts'
import type { ExportsParts, Limits } from './parts.ts'
import { sanitised } from './sanitise.ts'
import type { ExportRow, Store } from './store.ts'
import { mapPages, type Row, type Sheet } from './table.ts'

const beatMs = 1_000

type Sheets = (signal: AbortSignal) => readonly Sheet[]
type Run = { readonly stop: AbortController; rows: number; readonly ended: Promise<void>; readonly end: () => void }
type Parts = Pick<ExportsParts, 'redact' | 'now' | 'log'> & {
  readonly store: Store
  readonly files: Files
  readonly limits: Limits
  readonly onReady: (row: ExportRow) => Promise<void>
}

export type Runner = ReturnType<typeof makeRunner>

/** Writes files in the background, a few at a time. What goes wrong is said by the export itself. */
export function makeRunner(parts: Parts) {
  const { store, log, limits, onReady } = parts
  const me = newId('own')
  const runs = new Map<string, Run>()
  const waiting: (() => Promise<void>)[] = []
  let busy = 0

  function pump(): void {
    while (busy < limits.atOnce) {
      const next = waiting.shift()
      if (!next) return
      busy++
      // `next` says itself what went wrong.
      void next().finally(() => {
        busy--
        pump()
      })
    }
  }

  async function carryOut(row: ExportRow, sheets: Sheets, run: Run): Promise<void> {
    const beat = setInterval(() => void renew(row.id, run), beatMs)
    beat.unref()
    try {
      await write(parts, row, sheets(run.stop.signal), run)
      log.info({ export: row.id, dataset: row.dataset, rows: run.rows }, 'An export is ready')
    } catch (error) {
      await fail(row, run, error)
      return
    } finally {
      clearInterval(beat)
      runs.delete(row.id)
      run.end()
    }
    await onReady(row).catch((error: unknown) => log.error({ err: error, export: row.id }, 'A file was not published'))
  }

  /** Says how far it is and that it lives; a run that was taken away ends. */
  async function renew(id: string, run: Run): Promise<void> {
    try {
      const values = { row_count: run.rows, beat_at: parts.now().toISOString() }
      if (!(await store.change(id, values))) run.stop.abort(new Error('the export was removed'))
    } catch (error) {
      log.warn({ err: error, export: id }, 'The sign of life of an export was not written')
    }
  }

  async function fail(row: ExportRow, run: Run, error: unknown): Promise<void> {
    const problem = run.stop.signal.aborted ? stopped : storedProblem(error)
    log.warn({ err: error, export: row.id, problem: problem.type }, 'An export failed')
    const values = { state: 'failed' as const, row_count: run.rows, problem: JSON.stringify(problem) }
    await store
      .change(row.id, values)
      .catch((fault: unknown) => log.error({ err: fault, export: row.id }, 'The end of an export was not written'))
  }

  return {
    /** Who a run belongs to; rows of others are of a dead process, or of another one. */
    me,
    rowsOf: (id: string): number | undefined => runs.get(id)?.rows,
    isMine: (id: string): boolean => runs.has(id),

    start(row: ExportRow, sheets: Sheets): void {
      const { promise, resolve } = Promise.withResolvers<void>()
      const run: Run = { stop: new AbortController(), rows: 0, ended: promise, end: resolve }
      runs.set(row.id, run)
      waiting.push(() => carryOut(row, sheets, run))
      pump()
    },

    /** Stops a run and waits for its end; nothing when there is none. */
    async stop(id: string): Promise<void> {
      const run = runs.get(id)
      run?.stop.abort()
      await run?.ended
    },

    async close(): Promise<void> {
      for (const { stop } of runs.values()) stop.abort()
      await Promise.all([...runs.values()].map(({ ended }) => ended))
    },
  }
}

const stopped = { type: 'cancelled', detail: 'The export was stopped before it was complete' } as const

/** Known secrets are taken out first, so that no pseudonym is made of one; then what the profile leaves out. */
async function write(parts: Parts, row: ExportRow, sheets: readonly Sheet[], run: Run): Promise<void> {
  const { store, files, redact, now } = parts
  const clean = mapPages(sheets, (page) => redact(page) as readonly Row[])
  const shown = row.profile === 'sanitised' ? sanitised(clean) : clean
  const counted = mapPages(shown, (page) => {
    run.stop.signal.throwIfAborted()
    run.rows += page.length
    return page
  })
  const { bytes, sha256 } = await files.write(row.id, formats[row.format].write(counted))
  const done = { row_count: run.rows, byte_count: bytes, sha256, ready_at: now().toISOString() }
  if (await store.change(row.id, { ...done, state: 'ready', problem: null })) return
  await files.remove(row.id)
  throw new Error('the export was removed while it ran')
}
