import type { Context, Principal } from '../../core/action.ts'
import { Problem, type ProblemType, toProblem } from '../../core/problem.ts'
import { type FormatName, formats } from './formats.ts'
import type { DownloadRow, ExportRow, Profile, State } from './store.ts'

/** Who asks, and from where. */
export type Caller = Pick<Context, 'principal' | 'door' | 'remoteAddress'>

export type StoredProblem = { readonly type: ProblemType; readonly detail: string }

export type ExportView = {
  readonly id: string
  readonly name: string
  /** What the file is called when it is downloaded. */
  readonly file: string
  readonly owner: { readonly id: string; readonly name: string }
  readonly plan: string | null
  readonly dataset: string
  readonly params: Record<string, unknown>
  readonly format: FormatName
  readonly profile: Profile
  readonly state: State
  readonly rows: number
  readonly bytes: number | null
  readonly sha256: string | null
  readonly problem: StoredProblem | null
  readonly createdAt: string
  readonly readyAt: string | null
  readonly expiresAt: string
  /** Ids of who may read it beside its owner. Whoever is only on the list does not see who else is. */
  readonly sharedWith: string[]
}

type Shown = { readonly principal: Principal; readonly readers: readonly string[]; readonly rows?: number; now: string }

export function viewOf(row: ExportRow, { principal, readers, rows, now }: Shown): ExportView {
  const isOwn = owns(principal, row)
  return {
    id: row.id,
    name: row.name,
    file: fileName(row),
    owner: { id: row.owner_id, name: row.owner_name },
    plan: row.plan_id,
    dataset: row.dataset,
    params: JSON.parse(row.params) as Record<string, unknown>,
    format: row.format,
    profile: row.profile,
    state: stateAt(row, now),
    rows: Math.max(Number(row.row_count), rows ?? 0),
    bytes: row.byte_count === null ? null : Number(row.byte_count),
    sha256: row.sha256,
    problem: row.problem === null ? null : (JSON.parse(row.problem) as StoredProblem),
    createdAt: row.created_at,
    readyAt: row.ready_at,
    expiresAt: row.expires_at,
    sharedWith: readers.filter((id) => isOwn || id === principal.id),
  }
}

export function downloadOf({ principal_id, principal_name, door, remote_address, at }: DownloadRow) {
  return { by: { id: principal_id, name: principal_name }, at, door, from: remote_address }
}

/** An export ends at its hour, not when somebody has swept. */
export function stateAt({ state, expires_at }: ExportRow, now: string): State {
  return state === 'ready' && expires_at <= now ? 'expired' : state
}

/** Whether the owner's rights are this principal's: its own exports, and everybody's for an administrator of everything. */
export function owns(principal: Principal, { owner_id }: { readonly owner_id: string }): boolean {
  return owner_id === principal.id || isAdmin(principal)
}

export function isAdmin({ bindings }: Principal): boolean {
  return bindings.some(({ role, scope }) => role === 'admin' && scope === '*')
}

/** A name that is a plain file name on every system: no path, no control or direction characters. */
export function fileName({ name, format }: { readonly name: string; readonly format: FormatName }): string {
  const plain = name
    .toWellFormed()
    .replaceAll(/[/\\:*?"<>|\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '_')
    .replaceAll(/^[.\s]+|[.\s]+$/g, '')
  return `${plain || 'export'}.${formats[format].extension}`
}

/** What went wrong, for the owner. What is not a `Problem` is our fault, and its words stay in the log. */
export function storedProblem(error: unknown): StoredProblem {
  const { type, detail } = toProblem(error)
  return { type, detail: detail ?? 'The export failed unexpectedly; the log of this server says why' }
}

export function notFound(): Problem {
  return new Problem('not-found', 'There is no such export')
}

export function invalid(field: string, rule: string): Problem {
  return new Problem('invalid-input', `${field}: ${rule}`, { faults: [{ field, rule }] })
}

export async function mustExist(find: (id: string) => Promise<unknown>, ids: readonly string[]): Promise<void> {
  for (const [i, id] of ids.entries())
    if (!(await find(id))) throw invalid(`/principals/${i}`, 'is the id of nobody who can sign in')
}
