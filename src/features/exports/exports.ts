import type { FileHandle } from 'node:fs/promises'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import {
  type Caller,
  downloadOf,
  type ExportView,
  fileName,
  isAdmin,
  mustExist,
  notFound,
  owns,
  stateAt,
  viewOf,
} from './export.ts'
import { type Files, makeFiles } from './files.ts'
import { formats } from './formats.ts'
import { type ExportsParts, type Limits, usualLimits } from './parts.ts'
import { makePlans } from './plans.ts'
import { makeRunner, type Runner } from './runner.ts'
import { makeStarting } from './starting.ts'
import { type ExportRow, makeStore, type Store } from './store.ts'

const dayMs = 86_400_000
/** A running export of another process that was silent for this long is taken for dead. */
const leaseMs = 30_000
/** How long the entry of an export stays after its file is gone. */
const forgetMs = 90 * dayMs
const mostDownloads = 100

type Room = ExportsParts & {
  readonly store: Store
  readonly files: Files
  readonly runner: Runner
  readonly limits: Limits
}

export type Exports = ReturnType<typeof makeExports>

/** Tables of what Atlas knows as files: made in the background, kept for a time, read by who may. */
export function makeExports(parts: ExportsParts) {
  const limits = { ...usualLimits, ...parts.limits }
  const store = makeStore(parts.database)
  const { folder, create } = parts
  const files = makeFiles({ folder, mostBytes: limits.bytes, ...(create && { create }) })
  let published: (row: ExportRow) => Promise<void> = async () => {}
  const runner = makeRunner({ ...parts, store, files, limits, onReady: (row) => published(row) })
  const room: Room = { ...parts, store, files, runner, limits }
  const start = makeStarting(room)
  const plans = makePlans({ ...parts, limits, exports: store, start, open: (id) => openFile(room, id) })
  published = plans.onReady
  return { ...start, ...showing(room), ...changing(room), ...keeping(room), datasets: parts.datasets, plans }
}

/** The export, when this principal may know of it. */
async function findFor({ store }: Room, principal: Principal, id: string) {
  const row = await store.find(id)
  const readers = row ? (await store.readers([id])).map(({ principal_id }) => principal_id) : []
  if (!row || !(owns(principal, row) || readers.includes(principal.id))) throw notFound()
  return { row, readers }
}

function showing(room: Room) {
  const { store, runner, now } = room
  const shown = (row: ExportRow, principal: Principal, readers: readonly string[]): ExportView => {
    const rows = runner.rowsOf(row.id)
    return viewOf(row, { principal, readers, now: now().toISOString(), ...(rows !== undefined && { rows }) })
  }
  return {
    async get(principal: Principal, id: string) {
      const { row, readers } = await findFor(room, principal, id)
      const downloads = owns(principal, row) ? await store.downloads(id, mostDownloads) : []
      return { ...shown(row, principal, readers), downloads: downloads.map(downloadOf) }
    },

    /** Newest first: what is the principal's own or shared with it, and for an administrator all. */
    async list(principal: Principal, { limit, cursor }: { limit: number; cursor?: string | undefined }) {
      const page = { limit: limit + 1, before: cursor, ...(!isAdmin(principal) && { of: principal.id }) }
      const rows = await store.list(page)
      const items = rows.slice(0, limit)
      const readers = Map.groupBy(await store.readers(items.map(({ id }) => id)), ({ export_id }) => export_id)
      const readersOf = (id: string) => (readers.get(id) ?? []).map(({ principal_id }) => principal_id)
      return {
        items: items.map((row) => shown(row, principal, readersOf(row.id))),
        next: rows.length > limit ? (items.at(-1)?.id ?? null) : null,
      }
    },

    /** What the file is, and that it was asked for. @throws Problem not-found, gone, conflict while it is not ready */
    async download({ principal, door, remoteAddress }: Caller, id: string) {
      const { row } = await findFor(room, principal, id)
      const at = now()
      const state = stateAt(row, at.toISOString())
      if (state === 'expired') throw new Problem('gone', 'The time of this export is over; its file was removed')
      if (state !== 'ready') throw new Problem('conflict', `This export has no file: it is ${state}`)
      await store.addDownload({
        id: newId('dow', at.getTime()),
        export_id: id,
        principal_id: principal.id,
        principal_name: principal.name,
        door,
        remote_address: remoteAddress ?? null,
        at: at.toISOString(),
      })
      const { mediaType } = formats[row.format]
      return { name: fileName(row), mediaType, bytes: Number(row.byte_count), sha256: row.sha256 ?? '' }
    },

    /** The file itself, for whoever the gate has let download it. */
    openFile: (id: string) => openFile(room, id),
  }
}

async function openFile({ store, files, now }: Room, id: string): Promise<FileHandle | undefined> {
  const row = await store.find(id)
  if (!row || stateAt(row, now().toISOString()) !== 'ready') return undefined
  return files.open(row.id, Number(row.byte_count))
}

function changing(room: Room) {
  const { store, files, runner, findPrincipal, now } = room

  /** Sharing and removing are the owner's; whoever may only read learns no more than that. */
  async function findOwn(principal: Principal, id: string) {
    const found = await findFor(room, principal, id)
    if (!owns(principal, found.row)) throw new Problem('denied', 'Only its owner or an administrator may do this')
    return found
  }

  return {
    /** Sets who may read it beside its owner. It opens nothing but this file, and only to who may download at all. */
    async share(principal: Principal, id: string, readers: readonly string[]): Promise<ExportView> {
      const { row } = await findOwn(principal, id)
      await mustExist(findPrincipal, readers)
      await store.share(id, readers)
      return viewOf(row, { principal, readers: [...new Set(readers)].sort(), now: now().toISOString() })
    },

    /** Removes the export and its file; one that runs is stopped. */
    async remove(principal: Principal, id: string): Promise<void> {
      await findOwn(principal, id)
      await runner.stop(id)
      // The entry first: what is left of the file after a fault is unknown then, and swept.
      await store.remove(id)
      await files.remove(id)
    },
  }
}

function keeping(room: Room) {
  const { database, store, files, runner, now, log } = room

  /** Ends what dead processes left. SQLite serves one process; elsewhere silence tells. */
  async function recover(): Promise<void> {
    const deadline = new Date(now().getTime() - leaseMs).toISOString()
    for (const run of await store.running()) {
      const isDead = database.dialect === 'sqlite' ? run.runner !== runner.me : run.beat_at < deadline
      if (runner.isMine(run.id) || !isDead) continue
      if (await store.change(run.id, { state: 'failed', problem: JSON.stringify(interrupted) }))
        await files.remove(run.id)
    }
  }

  return {
    /** At the start: ends what was left running and removes files that belong to nothing. A bad folder fails the runs, not this. */
    async init(): Promise<void> {
      await recover()
      const known = new Map((await store.withFiles()).map(({ id, state }) => [id, state]))
      const isKnown = (id: string, isComplete: boolean) => known.get(id) === (isComplete ? 'ready' : 'running')
      await files
        .sweep(isKnown)
        .catch((error: unknown) => log.error({ err: error }, 'The folder for exports cannot be used'))
    },

    /** Removes the files of exports whose time is over. */
    async sweep(): Promise<void> {
      await recover()
      const at = now()
      for (const id of await store.expire(at.toISOString())) await files.remove(id)
      await store.forget(new Date(at.getTime() - forgetMs).toISOString())
    },

    close: (): Promise<void> => runner.close(),
  }
}

const interrupted = { type: 'cancelled', detail: 'The server stopped while the export ran; start it again' }
