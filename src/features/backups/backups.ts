import type { FileHandle } from 'node:fs/promises'
import type { Context, Principal } from '../../core/action.ts'
import { Problem, toProblem } from '../../core/problem.ts'
import { nextTimes } from '../../lib/cron.ts'
import type { Database } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { type Files, makeFiles } from './files.ts'
import { type BackupRow, makeStore, type Store } from './store.ts'

const dayMs = 86_400_000
const beatMs = 1_000
/** A running backup of another process that was silent for this long is taken for dead. */
const leaseMs = 30_000
/** How long it is remembered that a backup failed, or was made where its file is not. */
const forgetMs = 90 * dayMs

export type Caller = Pick<Context, 'principal' | 'door'> & { readonly requestId?: string }

export type Made = {
  readonly bytes: number
  readonly sha256: string
  readonly rows: number
  readonly logSize: number
}

export type BackupView = {
  readonly id: string
  readonly file: string
  readonly state: BackupRow['state']
  readonly by: { readonly id: string; readonly name: string }
  readonly startedAt: string
  readonly endedAt: string | null
  readonly rows: number
  readonly totalRows: number
  readonly bytes: number | null
  readonly sha256: string | null
  readonly logSize: number | null
  readonly problem: string | null
  /** Whether its file lies in the folder of the server that answers. */
  readonly isHere: boolean
}

type Event = {
  readonly code: 'backup.started' | 'backup.created' | 'backup.failed' | 'backup.removed'
  readonly resource: { readonly type: 'backup'; readonly id: string }
  readonly principal?: Principal
  readonly door?: string
  readonly requestId?: string
  readonly outcome?: string
  readonly detail?: Readonly<Record<string, unknown>>
}

export type BackupsParts = {
  readonly database: Database
  readonly folder: string
  /** Five cron fields in UTC. */
  readonly schedule?: string | undefined
  /** How many files are kept. */
  readonly keep: number
  readonly write: (order: {
    readonly id: string
    readonly path: string
    readonly signal: AbortSignal
    readonly onRows: (rows: number, total: number) => void
  }) => Promise<Made>
  readonly record: (event: Event) => Promise<unknown>
  readonly now: () => Date
  readonly log: {
    readonly warn: (fields: object, message: string) => void
    readonly info: (fields: object, message: string) => void
  }
}

type Run = { readonly stop: AbortController; rows: number; total: number; readonly ended: Promise<unknown> }
type Room = BackupsParts & {
  readonly me: string
  readonly store: Store
  readonly files: Files
  readonly runs: Map<string, Run>
  readonly since: Date
}

export type Backups = ReturnType<typeof makeBackups>

/** Backups of everything: one at a time, made in the background, kept in a folder, the oldest removed. */
export function makeBackups(parts: BackupsParts) {
  const room: Room = {
    ...parts,
    me: newId('own'),
    store: makeStore(parts.database),
    files: makeFiles(parts.folder),
    runs: new Map(),
    since: parts.now(),
  }
  return { ...making(room), ...showing(room), ...keeping(room) }
}

function making(room: Room) {
  const { store, files, runs, me, now } = room

  /**
   * Starts a backup and answers at once; `ended` settles when it is made or failed. `path` puts it elsewhere than into the folder.
   * @throws Problem conflict while another one runs; audit-unavailable when it cannot be recorded
   */
  async function start(caller: Caller, path?: string): Promise<{ id: string; ended: Promise<Made> }> {
    const at = now()
    const row: BackupRow = {
      ...unfinished,
      id: newId('bak', at.getTime()),
      by_id: caller.principal.id,
      by_name: caller.principal.name,
      door: caller.door,
      started_at: at.toISOString(),
      runner: me,
      beat_at: at.toISOString(),
    }
    // The clocks of two servers come round together; the second one finds that it is done.
    const may = (newest: BackupRow | undefined) => caller.door !== 'schedule' || isDue(room, newest)
    if (!(await store.claim(row, may))) throw new Problem('conflict', 'A backup is being made already, or none is due')
    const detail = { file: path ?? files.nameOf(row.id) }
    try {
      await room.record(eventOf('backup.started', row, caller, { detail }))
    } catch (error) {
      await store.remove(row.id)
      throw error
    }
    const stop = new AbortController()
    const { promise, resolve, reject } = Promise.withResolvers<Made>()
    // Whoever waits for `ended` hears of a fault; for all others it stands in the row and the log.
    promise.catch(() => {})
    const run: Run = { stop, rows: 0, total: 0, ended: promise.catch(() => {}) }
    runs.set(row.id, run)
    carryOut(room, { row, caller, run, path: path ?? files.pathOf(row.id) }).then(resolve, reject)
    return { id: row.id, ended: promise }
  }

  return {
    start,
    pathOf: files.pathOf,
    async create(caller: Caller): Promise<BackupView> {
      const { id } = await start(caller)
      return viewOf(room, await mustFind(room, id))
    },
    /** Whether the schedule has come round. */
    due: async (): Promise<boolean> => isDue(room, await store.newest()),
    async close(): Promise<void> {
      for (const { stop } of runs.values()) stop.abort(new Problem('cancelled', 'The server stopped'))
      await Promise.all([...runs.values()].map(({ ended }) => ended))
    },
  }
}

type Work = { readonly row: BackupRow; readonly caller: Caller; readonly run: Run; readonly path: string }

async function carryOut(room: Room, { row, caller, run, path }: Work): Promise<Made> {
  const { store, files, runs, now, log } = room
  const beat = setInterval(() => void renew(room, row.id, run), beatMs)
  beat.unref()
  try {
    if (path === files.pathOf(row.id)) files.prepare()
    const onRows = (rows: number, total: number) => Object.assign(run, { rows, total })
    const made = await files.make(path, (part) =>
      room.write({ id: row.id, path: part, signal: run.stop.signal, onRows }),
    )
    try {
      await room.record(eventOf('backup.created', row, caller, { detail: { ...made, file: path } }))
    } catch (error) {
      // What the log does not know of is not kept.
      await files.discard(path)
      throw error
    }
    const { bytes, sha256, rows, logSize } = made
    const counts = { row_count: rows, row_total: rows, byte_count: bytes, sha256, log_size: logSize }
    await store.change(row.id, { ...counts, state: 'ready', ended_at: now().toISOString() })
    log.info({ backup: row.id, bytes, rows }, 'A backup was made')
    await thin(room).catch((error: unknown) => log.warn({ err: error }, 'Old backups could not be removed'))
    return made
  } catch (error) {
    await fail(room, row, caller, run.stop.signal.aborted ? run.stop.signal.reason : error)
    throw error
  } finally {
    clearInterval(beat)
    runs.delete(row.id)
  }
}

async function renew({ store, now, log }: Room, id: string, { rows, total, stop }: Run): Promise<void> {
  try {
    const values = { row_count: rows, row_total: total, beat_at: now().toISOString() }
    if (!(await store.change(id, values))) stop.abort(new Problem('cancelled', 'The backup was given up on'))
  } catch (error) {
    log.warn({ err: error, backup: id }, 'The sign of life of a backup was not written')
  }
}

async function fail({ store, now, log, record }: Room, row: BackupRow, caller: Caller, error: unknown): Promise<void> {
  const { type, detail } = toProblem(error)
  const reason = detail ?? 'It failed unexpectedly; the log of this server says why'
  log.warn({ err: error, backup: row.id }, 'A backup failed')
  const note = (fault: unknown) => log.warn({ err: fault, backup: row.id }, 'The end of a backup was not written')
  await store.change(row.id, { state: 'failed', problem: reason, ended_at: now().toISOString() }).catch(note)
  await record(eventOf('backup.failed', row, caller, { outcome: type, detail: { reason } })).catch(note)
}

/** Removes the oldest files beyond those that are kept, and what is known of backups without a file for long. */
async function thin(room: Room): Promise<void> {
  const { store, files, keep, now, record } = room
  const all = await store.list()
  const extra = all.filter(({ id, state }) => state === 'ready' && files.isHere(id)).slice(keep)
  for (const { id } of extra) {
    await record({ code: 'backup.removed', resource: { type: 'backup', id } })
    await files.remove(id)
    await store.remove(id)
  }
  const old = new Date(now().getTime() - forgetMs).toISOString()
  for (const { id, state, started_at } of all)
    if (state !== 'running' && started_at < old && !files.isHere(id)) await store.remove(id)
}

function showing(room: Room) {
  const { store, files, schedule, keep, now } = room
  return {
    get: async (id: string): Promise<BackupView> => viewOf(room, await mustFind(room, id)),

    async list() {
      const rows = await store.list()
      const last = await store.newest('ready')
      const missed = schedule === undefined ? [] : nextTimes(schedule, last ? new Date(last.started_at) : room.since, 2)
      return {
        items: rows.map((row) => viewOf(room, row)),
        schedule: schedule ?? null,
        next: (schedule && nextTimes(schedule, now(), 1)[0]?.toISOString()) || null,
        keep,
        lastMadeAt: last?.ended_at ?? null,
        // One may be under way; the second that was due tells.
        isLate: missed[1] !== undefined && missed[1] <= now(),
      }
    },

    /** What the file is, for whoever may have it. @throws Problem not-found, conflict, gone */
    async download(id: string) {
      const row = await mustFind(room, id)
      if (row.state !== 'ready') throw new Problem('conflict', `This backup has no file: it is ${row.state}`)
      if (!files.isHere(id)) throw new Problem('gone', 'The file of this backup is not on this server')
      return { name: files.nameOf(id), bytes: Number(row.byte_count), sha256: row.sha256 ?? '' }
    },

    /** The file itself, for whoever the gate has let download it. */
    async openFile(id: string): Promise<FileHandle | undefined> {
      const row = await store.find(id)
      return row?.state === 'ready' ? files.open(id, Number(row.byte_count)) : undefined
    },
  }
}

function keeping(room: Room) {
  const { database, store, files, runs, me, now, log } = room

  /** Ends what dead processes left. SQLite serves one process; elsewhere silence tells. */
  async function recover(): Promise<void> {
    const deadline = new Date(now().getTime() - leaseMs).toISOString()
    for (const run of await store.running()) {
      const isDead = database.dialect === 'sqlite' ? run.runner !== me : run.beat_at < deadline
      if (runs.has(run.id) || !isDead) continue
      const problem = 'The server stopped while the backup was made'
      await store.change(run.id, { state: 'failed', problem, ended_at: now().toISOString() })
    }
    const running = new Set((await store.running()).map(({ id }) => id))
    await files.sweep((id) => running.has(id))
  }

  return {
    /** At the start and now and then. A bad folder fails the backups, not this. */
    recover: (): Promise<void> =>
      recover().catch((error: unknown) => log.warn({ err: error }, 'The folder for backups cannot be used')),

    async remove(id: string): Promise<void> {
      const { state } = await mustFind(room, id)
      if (state === 'running') throw new Problem('conflict', 'This backup is being made')
      await files.remove(id)
      await store.remove(id)
    },
  }
}

function isDue({ schedule, since, now }: Room, newest: BackupRow | undefined): boolean {
  if (schedule === undefined || newest?.state === 'running') return false
  const last = newest ? new Date(newest.started_at) : since
  const next = nextTimes(schedule, last, 1)[0]
  return next !== undefined && next <= now()
}

async function mustFind({ store }: Room, id: string): Promise<BackupRow> {
  const row = await store.find(id)
  if (!row) throw new Problem('not-found', 'There is no such backup')
  return row
}

function viewOf({ files, runs }: Room, row: BackupRow): BackupView {
  const run = runs.get(row.id)
  return {
    id: row.id,
    file: files.nameOf(row.id),
    state: row.state,
    by: { id: row.by_id, name: row.by_name },
    startedAt: row.started_at,
    endedAt: row.ended_at,
    rows: Math.max(Number(row.row_count), run?.rows ?? 0),
    totalRows: Math.max(Number(row.row_total), run?.total ?? 0),
    bytes: row.byte_count === null ? null : Number(row.byte_count),
    sha256: row.sha256,
    logSize: row.log_size === null ? null : Number(row.log_size),
    problem: row.problem,
    isHere: files.isHere(row.id),
  }
}

function eventOf(code: Event['code'], { id }: BackupRow, caller: Caller, more: Partial<Event>): Event {
  const { principal, door, requestId } = caller
  return {
    code,
    resource: { type: 'backup', id },
    principal,
    door,
    ...(requestId !== undefined && { requestId }),
    ...more,
  }
}

const unfinished = {
  state: 'running',
  ended_at: null,
  row_count: 0,
  row_total: 0,
  byte_count: null,
  sha256: null,
  log_size: null,
  problem: null,
} as const
