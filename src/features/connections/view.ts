import { type ProblemType, problems } from '../../core/problem.ts'
import type { CheckOutcome, ConnectionView, ShownProblem, StoredProblem, SyncView } from './connection.ts'
import type { Stored } from './store.ts'
import type { Run } from './store-sync.ts'
import type { Tls } from './tls.ts'

/** A connection for its readers; the texts in the row were written by this room, so they parse. */
export function viewConnection(row: Stored): ConnectionView {
  const lastCheck = row.last_check === null ? null : (JSON.parse(row.last_check) as CheckOutcome)
  const syncProblem = row.sync_problem === null ? null : showProblem(JSON.parse(row.sync_problem) as StoredProblem)
  // The sync is the stronger witness; a failed check counts until the next good sync.
  const isChecked = lastCheck !== null && (row.last_synced_at === null || lastCheck.at > row.last_synced_at)
  const tls = JSON.parse(row.tls) as Tls
  const problem = syncProblem ?? (isChecked ? (lastCheck.problem ?? null) : null)
  return {
    id: row.id,
    connector: row.connector,
    name: row.name,
    config: JSON.parse(row.config) as Record<string, unknown>,
    credential: Object.keys(row.secretIds).sort(),
    hasCaCertificate: row.ca_certificate !== null,
    certificatePin: row.certificate_pin,
    schedule: row.schedule,
    allowWrites: row.allow_writes === 1,
    state: stateOf(row, problem, lastCheck),
    problem,
    lastCheck,
    lastSyncedAt: row.last_synced_at,
    certificate: tls.certificate,
    tlsFailure: tls.failure,
    activeSync: row.activeRun,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function stateOf(row: Stored, problem: ShownProblem | null, check: CheckOutcome | null): ConnectionView['state'] {
  if (row.activeRun !== null) return 'syncing'
  if (problem) return 'failing'
  return row.last_synced_at !== null || check ? 'ok' : 'new'
}

/** A run for its watchers. `rate` is what was read per second since the start. */
export function viewSync(run: Run, now: Date): SyncView {
  const seconds =
    run.started_at === null ? 0 : (Date.parse(run.ended_at ?? now.toISOString()) - Date.parse(run.started_at)) / 1000
  return {
    id: run.id,
    connection: run.connection_id,
    mode: run.mode,
    full: run.is_full === null ? null : run.is_full === 1,
    state: run.state,
    stage: run.stage,
    total: run.total,
    counts: {
      read: run.read_count,
      created: run.created_count,
      updated: run.updated_count,
      unchanged: run.unchanged_count,
      gone: run.gone_count,
      stale: run.stale_count,
    },
    rate: seconds > 0 ? Math.round((run.read_count / seconds) * 10) / 10 : 0,
    attempt: run.attempt,
    problem:
      run.problem_type === null
        ? null
        : showProblem({ type: run.problem_type as ProblemType, detail: run.problem_detail ?? undefined }),
    queuedAt: run.queued_at,
    startedAt: run.started_at,
    endedAt: run.ended_at,
  }
}

export function showProblem({ type, detail }: StoredProblem): ShownProblem {
  return { type, title: problems[type].title, ...(detail !== undefined && { detail }) }
}
