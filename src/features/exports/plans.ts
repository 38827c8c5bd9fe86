import type { FileHandle } from 'node:fs/promises'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { newId } from '../../lib/ids.ts'
import { type ExportView, isAdmin, mustExist, owns, type StoredProblem, storedProblem } from './export.ts'
import type { FormatName } from './formats.ts'
import type { ExportsParts, Limits } from './parts.ts'
import { makePublisher, type Publication, type Publish } from './publish.ts'
import { nextTime, scheduleFault } from './schedule.ts'
import type { Order, Starting } from './starting.ts'
import type { ExportRow, Profile, Store } from './store.ts'
import { makePlanStore, type PlanRow, type PlanStore } from './store-plans.ts'

export type NewPlan = Order & {
  readonly name: string
  readonly schedule: string
  readonly readers: readonly string[]
  readonly publish?: Publish | undefined
}

export type PlanView = {
  readonly id: string
  readonly name: string
  readonly owner: { readonly id: string; readonly name: string }
  readonly dataset: string
  readonly params: Record<string, unknown>
  readonly format: FormatName
  readonly profile: Profile
  readonly keepDays: number
  readonly sharedWith: string[]
  readonly schedule: string
  readonly publish: Publish | null
  readonly createdAt: string
  readonly lastRunAt: string | null
  readonly lastExport: string | null
  readonly nextRunAt: string | null
  /** Why the last run could not be started. */
  readonly problem: StoredProblem | null
  readonly publication: Publication | null
}

type Parts = ExportsParts & {
  readonly limits: Limits
  readonly exports: Store
  readonly start: Starting
  readonly open: (id: string) => Promise<FileHandle | undefined>
}
type Room = Parts & { readonly store: PlanStore; readonly publisher: ReturnType<typeof makePublisher> }

export type Plans = ReturnType<typeof makePlans>

/** Exports on a schedule, each made with the rights that the plan's owner has at that moment. */
export function makePlans(parts: Parts) {
  const room: Room = { ...parts, store: makePlanStore(parts.database), publisher: makePublisher(parts) }
  return { ...editing(room), ...carrying(room), onReady: (row: ExportRow) => publishReady(room, row) }
}

function editing({ store, start, publisher, findPrincipal, limits, now }: Room) {
  return {
    async create(principal: Principal, plan: NewPlan): Promise<PlanView> {
      start.check(principal, plan)
      const at = now()
      const fault = scheduleFault(plan.schedule, at)
      if (fault !== undefined)
        throw new Problem('invalid-input', `/schedule: ${fault}`, { faults: [{ field: '/schedule', rule: fault }] })
      await mustExist(findPrincipal, plan.readers)
      if (plan.publish) await publisher.check(principal, plan.publish)
      const row: PlanRow = {
        ...neverRun,
        id: newId('pln', at.getTime()),
        name: plan.name,
        owner_id: principal.id,
        owner_name: principal.name,
        dataset: plan.dataset,
        params: JSON.stringify(plan.params),
        format: plan.format,
        profile: plan.profile,
        keep_days: plan.keepDays,
        readers: JSON.stringify([...new Set(plan.readers)]),
        schedule: plan.schedule,
        publish: plan.publish ? JSON.stringify(plan.publish) : null,
        created_at: at.toISOString(),
      }
      if (!(await store.add(row, limits.plans)))
        throw new Problem('conflict', `A person can have ${limits.plans} plans; remove one first`)
      return viewOf(row)
    },

    /** One's own, and for an administrator all. */
    list: async (principal: Principal): Promise<PlanView[]> =>
      (await store.list(isAdmin(principal) ? undefined : principal.id)).map(viewOf),

    /** Ends the plan; what it has made stays until its own time is over. */
    async remove(principal: Principal, id: string): Promise<void> {
      await store.remove((await findFor(store, principal, id)).id)
    },
  }
}

const neverRun = { last_run_at: null, last_export: null, problem: null, publication: null } as const

async function findFor(store: PlanStore, principal: Principal, id: string): Promise<PlanRow> {
  const row = await store.find(id)
  if (!row || !(owns(principal, row) || principal.kind === 'system'))
    throw new Problem('not-found', 'There is no such plan')
  return row
}

function carrying(room: Room) {
  const { store, now } = room
  return {
    /** Plans whose schedule has come round, and those whose file may be published now. */
    async due(): Promise<string[]> {
      const ids: string[] = []
      for (const row of await store.list()) if (isDue(row, now()) || (await isApproved(room, row))) ids.push(row.id)
      return ids
    },

    /**
     * Makes the plan's file now; or, when the last one waited for a yes and has it, publishes that.
     * @throws Problem not-found, conflict when another was faster, and why the run could not be started
     */
    async run(principal: Principal, id: string): Promise<PlanView> {
      const row = await findFor(store, principal, id)
      const isLate = await isApproved(room, row)
      // The schedule of another process may have been faster since this one looked.
      const isOver = principal.kind === 'system' && !isLate && !isDue(row, now())
      if (isOver || !(await store.take(row, now().toISOString())))
        throw new Problem('conflict', 'The plan is being run already')
      if (isLate) await publishAgain(room, row)
      if (!isLate || isDue(row, now())) await startRun(room, row)
      return viewOf((await store.find(id)) ?? row)
    },
  }
}

function isDue({ schedule, last_run_at, created_at }: PlanRow, at: Date): boolean {
  const next = nextTime(schedule, new Date(last_run_at ?? created_at))
  return next !== null && next <= at
}

async function startRun({ store, start, findPrincipal }: Room, plan: PlanRow): Promise<void> {
  try {
    const owner = await findPrincipal(plan.owner_id)
    if (!owner) throw new Problem('denied', 'The owner of this plan can no longer sign in; remove it')
    const order = orderOf(plan)
    const view: ExportView = await start.create(owner, order, { plan: plan.id, readers: JSON.parse(plan.readers) })
    await store.change(plan.id, { last_export: view.id, problem: null })
  } catch (error) {
    await store.change(plan.id, { problem: JSON.stringify(storedProblem(error)) })
    throw error
  }
}

function orderOf({ name, dataset, params, format, profile, keep_days }: PlanRow): Order {
  return { name, dataset, params: JSON.parse(params), format, profile, keepDays: keep_days }
}

/** Publishes a file that is complete, when it is of a plan that publishes. */
async function publishReady(room: Room, { id, plan_id }: ExportRow): Promise<void> {
  const plan = plan_id === null ? undefined : await room.store.find(plan_id)
  if (plan && plan.publish !== null) await publishFile(room, plan, id)
}

async function publishAgain(room: Room, plan: PlanRow): Promise<void> {
  const { export: id } = publicationOf(plan) ?? {}
  if (id !== undefined) await publishFile(room, plan, id)
}

async function publishFile({ store, exports, publisher, findPrincipal, now, log }: Room, plan: PlanRow, id: string) {
  const [row, owner] = [await exports.find(id), await findPrincipal(plan.owner_id)]
  const missing = row ? 'The owner of this plan can no longer sign in' : 'The export was removed'
  const publication: Publication =
    row && owner
      ? await publisher.publish(row, owner, JSON.parse(plan.publish ?? '{}'))
      : { state: 'failed', export: id, at: now().toISOString(), problem: { type: 'denied', detail: missing } }
  await store.change(plan.id, { publication: JSON.stringify(publication) })
  log.info({ plan: plan.id, export: id, state: publication.state }, 'A file of a plan was handed on')
}

/** Whether the last file waited for a yes and has it. A no, or nobody's answer in time, ends the waiting. */
async function isApproved({ publish, store }: Room, plan: PlanRow): Promise<boolean> {
  const publication = publicationOf(plan)
  if (publication?.state !== 'pending') return false
  const state = await publish.approvalState(publication.approval ?? '')
  if (state === 'pending' || state === 'approved') return state === 'approved'
  const problem: StoredProblem = { type: 'denied', detail: `Nobody said yes in time, or somebody said no (${state})` }
  await store.change(plan.id, { publication: JSON.stringify({ ...publication, state: 'failed', problem }) })
  return false
}

function publicationOf({ publication }: PlanRow): Publication | null {
  return publication === null ? null : (JSON.parse(publication) as Publication)
}

function viewOf(row: PlanRow): PlanView {
  return {
    id: row.id,
    name: row.name,
    owner: { id: row.owner_id, name: row.owner_name },
    dataset: row.dataset,
    params: JSON.parse(row.params),
    format: row.format,
    profile: row.profile,
    keepDays: row.keep_days,
    sharedWith: JSON.parse(row.readers),
    schedule: row.schedule,
    publish: row.publish === null ? null : JSON.parse(row.publish),
    createdAt: row.created_at,
    lastRunAt: row.last_run_at,
    lastExport: row.last_export,
    nextRunAt: nextTime(row.schedule, new Date(row.last_run_at ?? row.created_at))?.toISOString() ?? null,
    problem: row.problem === null ? null : JSON.parse(row.problem),
    publication: publicationOf(row),
  }
}
