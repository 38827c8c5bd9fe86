import type { Http, Observation } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { ask, type Config, said, timeOf } from './api.ts'
import { type JobSummary, Jobs } from './schema.ts'

export type JobFilter = {
  /** Running jobs, and those that ended within so many seconds. */
  readonly seconds: () => number
  readonly category?: 'all' | 'active' | 'finished'
  readonly clientId?: number
  /** Also jobs whose data was deleted by retention. */
  readonly aged?: boolean
}

const categories = { all: 0, active: 1, finished: 2 } as const

/** One page of jobs, the newest first. */
export async function readJobs(http: Http, config: Config, filter: JobFilter, page: { offset: number; limit: number }) {
  const { body } = await ask(http, config, Jobs, {
    method: 'POST',
    path: '/Jobs',
    body: {
      scope: 1,
      category: categories[filter.category ?? 'all'],
      pagingConfig: { sortField: 'jobId', sortDirection: 1, ...page },
      jobFilter: {
        completedJobLookupTime: filter.seconds(),
        showAgedJobs: filter.aged ?? false,
        hideAdminJobs: true,
        clientList: filter.clientId === undefined ? [] : [{ clientId: filter.clientId }],
        jobTypeList: [],
      },
    },
  })
  const jobs = (body.jobs ?? []).map(({ jobSummary }) => jobSummary)
  return { jobs, total: Math.max(body.totalRecordsWithoutPaging ?? 0, page.offset + jobs.length) }
}

/**
 * All pages. Jobs that start meanwhile push others to later pages, which repeats a few and loses none; `seconds` must grow
 * with the time that passes, so that none leaves the window while it is read.
 */
export async function* jobPages(http: Http, config: Config, filter: JobFilter) {
  let before = new Set<number>()
  for (let offset = 0; ; ) {
    const { jobs, total } = await readJobs(http, config, filter, { offset, limit: config.pageSize })
    const ids = new Set(jobs.map(({ jobId }) => jobId))
    if (jobs.length === 0 && offset < total)
      throw new Problem('upstream-invalid', 'Commvault announces more jobs than it sends')
    if (ids.size > 0 && ids.isSubsetOf(before))
      throw new Problem('upstream-invalid', 'Commvault sent the same page of jobs twice; nothing was concluded from it')
    yield { jobs, total }
    offset += jobs.length
    if (offset >= total) return
    before = ids
  }
}

/** The machine that a job is about: the destination when there is one, as with the virtual machines of a hypervisor's job. */
export function machineOf({ destinationClient, subclient }: JobSummary): number | undefined {
  return destinationClient?.clientId ?? subclient?.clientId ?? undefined
}

/**
 * When a backup ended well, in epoch seconds. "Completed" and "… with warnings" are good, "… with errors" is not. A synthetic
 * full is made from older backups without the machine, so it proves nothing about today.
 */
export function goodBackupEnd(job: JobSummary): number | undefined {
  const isBackup = /^backup$/i.test(job.jobType ?? '') && !/synth/i.test(job.backupLevelName ?? '')
  const isGood = /^completed(?: w\/ one or more warnings)?$/i.test(job.status.trim())
  return isBackup && isGood && job.jobEndTime ? job.jobEndTime : undefined
}

/** States after which a job does not change any more; an unknown word counts as running. */
export function hasEnded({ status }: JobSummary): boolean {
  return /^(?:completed|failed|killed|committed|no run|system killed)/i.test(status.trim())
}

export function jobObservation(job: JobSummary, config: Config, kindOf: (clientId: number) => string): Observation {
  const { jobId, subclient, destinationClient } = job
  const machine = machineOf(job)
  const client = destinationClient?.clientName ?? subclient?.clientName
  const what = [job.jobType ?? 'Job', client].filter(Boolean).join(' of ')
  return {
    kind: 'job',
    externalId: String(jobId),
    name: `${what} (${jobId})`,
    status: job.status.trim().toLowerCase(),
    url: `${baseOf(config)}/commandcenter/#/jobs/${jobId}`,
    attributes: said({
      type: job.jobType,
      level: job.backupLevelName,
      application: job.appTypeName,
      client,
      subclient: subclient?.subclientName,
      subclientId: subclient?.subclientId?.toString(),
      plan: job.plan?.planName,
      storagePolicy: job.storagePolicy?.storagePolicyName,
      startedAt: timeOf(job.jobStartTime),
      endedAt: timeOf(job.jobEndTime),
      sizeBytes: job.sizeOfApplication,
      writtenBytes: job.sizeOfMediaOnDisk,
      percentComplete: job.percentComplete,
      reason: job.pendingReason?.slice(0, 300),
    }),
    relations: machine === undefined ? [] : [{ type: 'backs-up', kind: kindOf(machine), externalId: String(machine) }],
  }
}

export function baseOf({ url }: Pick<Config, 'url'>): string {
  return new URL(url).origin
}
