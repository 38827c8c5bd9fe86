import { type Kysely, type Selectable, sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import type { Progress, StoredProblem, SyncMode, SyncState } from './connection.ts'
import { ifUnique } from './store.ts'

export type RunRow = {
  id: string
  connection_id: string
  mode: SyncMode
  is_full: number | null
  state: SyncState
  stage: string | null
  total: number | null
  read_count: number
  created_count: number
  updated_count: number
  unchanged_count: number
  gone_count: number
  stale_count: number
  attempt: number
  owner: string | null
  cancel_requested: number
  cursor_before: string | null
  cursor_after: string | null
  problem_type: string | null
  problem_detail: string | null
  queued_at: string
  started_at: string | null
  heartbeat_at: string | null
  ended_at: string | null
}
type ConnectionSyncRow = {
  id: string
  revision: number
  sync_cursor: string | null
  sync_problem: string | null
  last_full_at: string | null
  last_synced_at: string | null
  last_queued_at: string | null
}
type Tables = { sync_run: RunRow; connection: ConnectionSyncRow }
export type Run = Selectable<RunRow>

const active: readonly SyncState[] = ['queued', 'running']

/** Sync runs. Every change of a running one names its owner, so a run that lost its lease can change nothing. */
export function makeSyncStore(database: Database) {
  const db = database.db.withTables<Tables>()
  return { ...reading(db), ...waiting(db), ...running(db) }
}

export type SyncStore = ReturnType<typeof makeSyncStore>

function reading(db: Kysely<Tables>) {
  return {
    find: (id: string): Promise<Run | undefined> =>
      db.selectFrom('sync_run').selectAll().where('id', '=', id).executeTakeFirst(),

    findActive: (connection: string): Promise<Run | undefined> =>
      db
        .selectFrom('sync_run')
        .selectAll()
        .where('connection_id', '=', connection)
        .where('state', 'in', active)
        .executeTakeFirst(),

    /** Newest first, from before the run `before`. */
    list: (connection: string, limit: number, before?: string): Promise<Run[]> =>
      db
        .selectFrom('sync_run')
        .selectAll()
        .where('connection_id', '=', connection)
        .$if(before !== undefined, (query) => query.where('id', '<', before ?? ''))
        .orderBy('id', 'desc')
        .limit(limit)
        .execute(),

    queued: async (): Promise<string[]> =>
      (await db.selectFrom('sync_run').select('id').where('state', '=', 'queued').orderBy('id').execute()).map(
        ({ id }) => id,
      ),

    running: (): Promise<Run[]> => db.selectFrom('sync_run').selectAll().where('state', '=', 'running').execute(),
  }
}

function waiting(db: Kysely<Tables>) {
  return {
    /** Queues a run; false when the connection has one already. Runs that ended before `forgetBefore` are dropped. */
    queue: (run: Pick<Run, 'id' | 'connection_id' | 'mode' | 'attempt' | 'queued_at'>, forgetBefore?: string) =>
      ifUnique(() =>
        db.transaction().execute(async (tx) => {
          const { queued_at, connection_id } = run
          await tx
            .insertInto('sync_run')
            .values({ ...empty, ...run })
            .execute()
          await tx
            .updateTable('connection')
            .set({ last_queued_at: queued_at })
            .where('id', '=', connection_id)
            .execute()
          if (forgetBefore !== undefined)
            await tx
              .deleteFrom('sync_run')
              .where('connection_id', '=', connection_id)
              .where('ended_at', '<', forgetBefore)
              .execute()
        }),
      ),

    /** Ends a queued run at once; a running one is asked to stop. */
    async cancel(id: string, at: string): Promise<void> {
      await db
        .updateTable('sync_run')
        .set({ state: 'cancelled', ended_at: at })
        .where('id', '=', id)
        .where('state', '=', 'queued')
        .execute()
      await db
        .updateTable('sync_run')
        .set({ cancel_requested: 1 })
        .where('id', '=', id)
        .where('state', '=', 'running')
        .execute()
    },
  }
}

function running(db: Kysely<Tables>) {
  return {
    /** Takes a queued run; false when somebody else was faster. */
    async claim(id: string, owner: string, at: string): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('sync_run')
        .set({ state: 'running', owner, started_at: at, heartbeat_at: at })
        .where('id', '=', id)
        .where('state', '=', 'queued')
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },

    /** Writes progress and renews the lease. `lost`: the run is no longer this owner's. */
    async beat(id: string, owner: string, progress: Progress, at: string): Promise<'ok' | 'cancel' | 'lost'> {
      const row = await db
        .updateTable('sync_run')
        .set({ heartbeat_at: at, ...progressColumns(progress) })
        .where('id', '=', id)
        .where('owner', '=', owner)
        .where('state', '=', 'running')
        .returning('cancel_requested')
        .executeTakeFirst()
      if (!row) return 'lost'
      return row.cancel_requested === 1 ? 'cancel' : 'ok'
    },

    /** Ends a run, and on success moves the connection's cursor, unless the connection was edited meanwhile. */
    end: (ending: Ending): Promise<boolean> =>
      db.transaction().execute(async (tx) => {
        const { run, owner, state, progress, at, problem, cursor } = ending
        const { numUpdatedRows } = await tx
          .updateTable('sync_run')
          .set({
            state,
            ended_at: at,
            ...progressColumns(progress),
            problem_type: problem?.type ?? null,
            problem_detail: problem?.detail ?? null,
            cursor_after: cursor ?? null,
          })
          .where('id', '=', run.id)
          .where('owner', '=', owner)
          .where('state', '=', 'running')
          .executeTakeFirst()
        if (numUpdatedRows !== 1n) return false
        const connection = tx.updateTable('connection').where('id', '=', run.connection_id)
        if (state === 'failed' && problem) await connection.set({ sync_problem: JSON.stringify(problem) }).execute()
        if (state === 'succeeded') {
          await connection.set({ sync_problem: null, last_synced_at: at }).execute()
          await connection
            .set({ sync_cursor: cursor ?? null, ...(progress.isFull && { last_full_at: run.started_at ?? at }) })
            .where('revision', '=', ending.revision)
            .execute()
        }
        return true
      }),

    /** Notes the cursor that a run starts from. */
    async setCursorBefore(id: string, cursor: string | null): Promise<void> {
      await db.updateTable('sync_run').set({ cursor_before: cursor }).where('id', '=', id).execute()
    },

    /** Ends a running run whose process is gone: `cancelled` when that was asked for; undefined when it moved meanwhile. */
    async interrupt({ id, heartbeat_at }: Run, at: string): Promise<SyncState | undefined> {
      const row = await db
        .updateTable('sync_run')
        .set({
          state: sql<SyncState>`case when cancel_requested = 1 then 'cancelled' else 'interrupted' end`,
          ended_at: at,
        })
        .where('id', '=', id)
        .where('state', '=', 'running')
        .where('heartbeat_at', '=', heartbeat_at)
        .returning('state')
        .executeTakeFirst()
      return row?.state
    },
  }
}

export type Ending = {
  readonly run: Run
  readonly owner: string
  readonly state: Exclude<SyncState, 'queued' | 'running'>
  readonly progress: Progress
  readonly at: string
  /** The connection's revision that the run read with. */
  readonly revision: number
  readonly problem?: StoredProblem
  readonly cursor?: string
}

const empty = {
  is_full: null,
  state: 'queued',
  stage: null,
  total: null,
  read_count: 0,
  created_count: 0,
  updated_count: 0,
  unchanged_count: 0,
  gone_count: 0,
  stale_count: 0,
  owner: null,
  cancel_requested: 0,
  cursor_before: null,
  cursor_after: null,
  problem_type: null,
  problem_detail: null,
  started_at: null,
  heartbeat_at: null,
  ended_at: null,
} as const

function progressColumns({ stage, total, isFull, counts }: Progress) {
  return {
    stage,
    total,
    is_full: isFull ? 1 : 0,
    read_count: counts.read,
    created_count: counts.created,
    updated_count: counts.updated,
    unchanged_count: counts.unchanged,
    gone_count: counts.gone,
    stale_count: counts.stale,
  }
}
