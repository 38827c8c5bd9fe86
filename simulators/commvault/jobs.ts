import { makeDice } from '../lib/random.ts'
import { clientIdOf, hypervisorIdOf, type Machines } from './machines.ts'

export type Json = Record<string, unknown>

export type Job = {
  readonly id: number
  /** Undefined: of a whole group of virtual machines. */
  readonly place: number | undefined
  readonly site: number
  readonly level: string
  readonly start: number
  status: string
  /** 0 while it runs. */
  end: number
  percent: number
}

type Filter = { readonly since: number; readonly category: number; readonly clientIds: readonly number[] }

const firstId = 800_000
/** Good nights that are kept before the last good one. */
const keptNights = 30
const steps = ['Queued', 'Running', 'Completed'] as const

export type JobBook = ReturnType<typeof makeJobs>

/**
 * One job a machine and night, made from the truth when asked for, and the jobs that were started since, which go one step on
 * each time someone looks at them. Ids rise with time.
 */
export function makeJobs(machines: Machines, clock: { now: () => Date }) {
  const { lastGood, fails, siteOf, count, now: began, day } = machines
  const dice = makeDice(7)
  const stride = count + 1
  const origin = began - 400 * day
  const nightOf = (end: number) => Math.floor((end - origin) / day)
  const nights = nightOf(began)
  const live = new Map<number, Job>()
  let nextId = firstId + (nights + 2) * stride

  /** The job of one machine in one night, if there was one. */
  function nightly(place: number, night: number): Job | undefined {
    const good = lastGood[place] as number
    if (good === 0) return undefined
    const before = nightOf(good) - night
    const end = good - before * day
    if (before > keptNights || (before < 0 && (fails[place] === 0 || end >= began))) return undefined
    const site = siteOf[place] as number
    const id = firstId + night * stride + place
    return { id, place, site, start: end - 1800, end, percent: 100, ...outcome(place, before) }
  }

  function outcome(place: number, before: number) {
    const level = before % 7 === 6 ? 'Full' : 'Incremental'
    const part = dice.part(1, place, before + 100)
    if (before === -5) return { level: 'Synthetic Full', status: 'Completed' }
    if (before < 0) return { level, status: before % 2 === 0 ? 'Completed w/ one or more errors' : 'Failed' }
    if (before === 0) return { level, status: part < 0.1 ? 'Completed w/ one or more warnings' : 'Completed' }
    return { level, status: part < 0.04 ? 'Failed' : part < 0.08 ? 'Completed w/ one or more errors' : 'Completed' }
  }

  /** Newest first. Cheap checks come first: a listing walks over all nights of its window. */
  function* all({ since, category, clientIds }: Filter): Generator<Job> {
    const isWanted = (job: Job) =>
      (job.end === 0 ? category !== 2 : category !== 1 && job.end >= since) &&
      (clientIds.length === 0 || clientIds.includes(clientOf(job)))
    yield* [...live.values()].reverse().filter(isWanted)
    if (category === 1) return
    const places = clientIds.length > 0 ? clientIds.map((id) => id - clientIdOf(0)).sort((a, b) => b - a) : undefined
    for (let night = nights; night >= Math.max(0, nightOf(since)); night--) {
      for (const place of places ?? downFrom(count - 1)) {
        const job = place >= 0 && place < count ? nightly(place, night) : undefined
        if (job && isWanted(job)) yield job
      }
    }
  }

  function add(given: Pick<Job, 'place' | 'site' | 'level' | 'status'> & { end?: number }): Job {
    const start = Math.floor(clock.now().getTime() / 1000)
    const job: Job = { end: 0, percent: given.end ? 100 : 0, start, ...given, id: nextId++ }
    live.set(job.id, job)
    return job
  }

  return {
    all,
    find(id: number): Job | undefined {
      const night = Math.floor((id - firstId) / stride)
      return live.get(id) ?? (id >= firstId && night <= nights ? nightly((id - firstId) % stride, night) : undefined)
    },
    add,
    isLive: (id: number) => live.has(id),
    /** One step on: queued, running, completed. */
    advance(job: Job): void {
      if (job.end !== 0) return
      const next = steps[(steps as readonly string[]).indexOf(job.status) + 1] ?? 'Completed'
      job.status = next
      job.percent = next === 'Running' ? 50 : 100
      if (next === 'Completed') job.end = Math.floor(clock.now().getTime() / 1000)
    },
    end(job: Job, status: string): void {
      job.status = status
      job.end = Math.floor(clock.now().getTime() / 1000)
    },
    json: (job: Job) => jobJson(machines, job),
  }
}

export function clientOf({ place, site }: Job): number {
  return place === undefined ? hypervisorIdOf(site) : clientIdOf(place)
}

function* downFrom(last: number): Generator<number> {
  for (let place = last; place >= 0; place--) yield place
}

export const subclientIdOf = (place: number | undefined, isVm: boolean, site: number) =>
  place === undefined || isVm ? 200 + site : 500_000 + place

function jobJson(machines: Machines, job: Job): Json {
  const machine = job.place === undefined ? undefined : machines.machine(job.place)
  const isVirtual = machine?.isVm ?? true
  const own = { clientId: clientOf(job), clientName: machine?.clientName ?? hypervisorName(machines, job.site) }
  const hypervisor = { clientId: hypervisorIdOf(job.site), clientName: hypervisorName(machines, job.site) }
  return {
    jobId: job.id,
    jobType: 'Backup',
    status: job.status,
    localizedStatus: job.status,
    localizedOperationName: job.level === 'Synthetic Full' ? 'Synthetic Full' : 'Backup',
    backupLevelName: job.level,
    backupLevel: job.level === 'Full' ? 1 : job.level === 'Incremental' ? 2 : 64,
    appTypeName: isVirtual
      ? 'Virtual Server'
      : /windows/i.test(machine?.platform ?? '')
        ? 'Windows File System'
        : 'Linux File System',
    isVisible: true,
    subclient: {
      ...(isVirtual ? hypervisor : own),
      subclientId: subclientIdOf(job.place, isVirtual, job.site),
      subclientName: isVirtual ? `${machines.siteCode(job.site)}-vms` : 'default',
      backupsetName: 'defaultBackupSet',
    },
    destinationClient: { ...own, displayName: machine?.hostName ?? own.clientName },
    destClientName: own.clientName,
    storagePolicy: { storagePolicyId: 12, storagePolicyName: 'SP-Prod' },
    plan: { planId: 8, planName: 'Gold' },
    jobStartTime: job.start,
    jobEndTime: job.end,
    jobElapsedTime: Math.max(0, job.end - job.start),
    lastUpdateTime: job.end || job.start,
    sizeOfApplication: job.end ? 21_474_836_480 : 0,
    sizeOfMediaOnDisk: job.end ? 3_221_225_472 : 0,
    percentComplete: job.percent,
    pendingReason: job.status === 'Failed' ? 'The client could not be reached.' : '',
  }
}

export function hypervisorName(machines: Machines, site: number): string {
  return `vcenter-${machines.siteCode(site)}`
}
