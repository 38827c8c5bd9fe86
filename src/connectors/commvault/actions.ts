import { z } from 'zod'
import { type ConnectionContext, connectionAction } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import { ask, type Config } from './api.ts'
import { hasEnded, type JobFilter, jobObservation, machineOf, readJobs } from './jobs.ts'
import { type JobSummary, Jobs, Started } from './schema.ts'

const Id = z.string().regex(/^[1-9]\d{0,14}$/, 'must be a number')
const Guid = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'must be a GUID')

const Job = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  hasEnded: z.boolean(),
  url: z.string(),
  clientId: z.string().nullable(),
  attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])),
})

const listJobs = connectionAction({
  name: 'commvault.jobs.list',
  title: 'List backup jobs in Commvault',
  description:
    'Asks Commvault itself, now, for jobs that run or ended in the last hours, the newest first. For a search over all systems use the inventory.',
  access: 'read',
  http: { method: 'GET', path: '/commvault/jobs' },
  input: {
    category: z.enum(['all', 'active', 'finished']).default('all').describe('Running jobs, ended jobs, or both.'),
    hours: z.coerce.number().int().min(1).max(8760).default(24).describe('How many hours back (1 to 8760).'),
    client: Id.optional().describe("A client's id in Commvault: only its jobs."),
    limit: z.coerce.number().int().min(1).max(200).default(25).describe('How many at most (1 to 200).'),
    cursor: z
      .string()
      .regex(/^\d{1,7}$/)
      .optional()
      .describe('`next` of the previous answer.'),
  },
  output: z.object({ items: z.array(Job), next: z.string().nullable(), total: z.number().int() }),
  async run({ category, hours, client, limit, cursor }, context) {
    const { http, config } = context as Context
    const offset = Number(cursor ?? 0)
    const filter: JobFilter = {
      category,
      seconds: () => hours * 3600,
      ...(client !== undefined && { clientId: Number(client) }),
    }
    const { jobs, total } = await readJobs(http, config, filter, { offset, limit })
    const end = offset + jobs.length
    return {
      items: jobs.map((job) => shown(job, config)),
      next: jobs.length > 0 && end < total ? String(end) : null,
      total,
    }
  },
})

const getJob = connectionAction({
  name: 'commvault.job.get',
  title: 'Read one job from Commvault',
  description: 'Reads the state, size and progress of one job in Commvault, now.',
  access: 'read',
  http: { method: 'GET', path: '/commvault/jobs/{id}' },
  input: { id: Id.describe("The job's id in Commvault.") },
  output: Job,
  run: async ({ id }, context) => shown(await readJob(context as Context, id), (context as Context).config),
})

const startBackup = connectionAction({
  name: 'commvault.backup.start',
  title: 'Start a backup in Commvault',
  description:
    'Starts a backup job of one subclient, or of one virtual machine. For a subclient that is being backed up already, the running job is answered and nothing is started; for a virtual machine every call starts a job.',
  access: 'write',
  http: { method: 'POST', path: '/commvault/backups' },
  input: {
    subclient: Id.optional().describe("The subclient's id: `subclientId` of a job or of a virtual machine."),
    vm: Guid.optional().describe("The virtual machine's GUID in Commvault, instead of a subclient."),
    level: z.enum(['incremental', 'differential', 'full']).default('incremental').describe('What to back up.'),
  },
  output: z.object({ jobIds: z.array(z.string()), started: z.boolean() }),
  async run({ subclient, vm, level }, context) {
    const { http, config } = context as Context
    if ((subclient === undefined) === (vm === undefined))
      throw new Problem('invalid-input', 'Name either a subclient or a virtual machine')
    if (vm !== undefined && level === 'differential')
      throw new Problem('invalid-input', 'A virtual machine is backed up incrementally or in full')
    const running = subclient === undefined ? [] : await runningBackups(context as Context, subclient)
    if (running.length > 0) return { jobIds: running.map(({ jobId }) => String(jobId)), started: false }
    const path = vm === undefined ? `/Subclient/${subclient}/action/backup` : `/v2/vsa/vm/${vm.toLowerCase()}/backup`
    const { body } = await http.exchange(
      { method: 'POST', path: `${config.apiPath}${path}`, query: { backupLevel: levels[level] } },
      z.union([z.null(), Started]),
    )
    const jobIds = (body?.jobIds ?? []).map(String)
    if (jobIds.length === 0)
      throw new Problem('upstream-invalid', 'Commvault named no job; look at its job list before trying again')
    return { jobIds, started: true }
  },
})

const killJob = connectionAction({
  name: 'commvault.job.kill',
  title: 'Kill a running job in Commvault',
  description:
    'Ends a running job in Commvault for good; what it backed up so far is lost. A job that has ended already stays as it is.',
  access: 'write',
  http: { method: 'POST', path: '/commvault/jobs/{id}/kill' },
  input: { id: Id.describe("The job's id in Commvault.") },
  output: z.object({ id: z.string(), previousStatus: z.string(), changed: z.boolean() }),
  async run({ id }, context) {
    const { http, config } = context as Context
    const job = await readJob(context as Context, id)
    const previousStatus = job.status.trim().toLowerCase()
    if (hasEnded(job)) return { id, previousStatus, changed: false }
    await http.send('POST', `${config.apiPath}/Job/${id}/action/kill`, z.unknown())
    return { id, previousStatus, changed: true }
  },
})

export const actions = [listJobs, getJob, startBackup, killJob] as const

type Context = ConnectionContext<Config>

const levels = { incremental: 'Incremental', differential: 'Differential', full: 'Full' } as const
const tries = 3
const pauseMs = 200

/** A job that has just begun or ended can be missing for a moment, so it is asked for more than once. */
async function readJob({ http, config, signal }: Context, id: string): Promise<JobSummary> {
  for (let left = tries; left > 0; left--) {
    const { body } = await ask(http, config, Jobs, { method: 'GET', path: `/Job/${id}` })
    const job = body.jobs?.find(({ jobSummary }) => String(jobSummary.jobId) === id)
    if (job) return job.jobSummary
    if (left > 1) await pause(pauseMs, signal)
  }
  throw new Problem('not-found', 'Commvault has no such job, or the account may not see it')
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
  if (signal.aborted) throw new Problem('cancelled')
}

async function runningBackups({ http, config }: Context, subclient: string): Promise<JobSummary[]> {
  const filter = { seconds: () => 60, category: 'active' } as const
  const { jobs } = await readJobs(http, config, filter, { offset: 0, limit: 1000 })
  return jobs.filter(
    (job) => String(job.subclient?.subclientId) === subclient && /^backup$/i.test(job.jobType ?? '') && !hasEnded(job),
  )
}

function shown(job: JobSummary, config: Config) {
  const { externalId, name, status = '', url = '', attributes } = jobObservation(job, config, () => 'client')
  const clientId = machineOf(job)?.toString() ?? null
  return {
    id: externalId,
    name,
    status,
    hasEnded: hasEnded(job),
    url,
    clientId,
    attributes: { ...attributes } as never,
  }
}
