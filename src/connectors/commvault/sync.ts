import { z } from 'zod'
import type { Cursor, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { ask, type Config, timeOf } from './api.ts'
import { goodBackupEnd, hasEnded, jobObservation, jobPages, machineOf } from './jobs.ts'
import {
  type BackupAt,
  clientObservation,
  machineId,
  readClients,
  readHypervisors,
  readStoragePools,
  virtualMachinePages,
  vmObservation,
} from './machines.ts'
import { CommServ } from './schema.ts'

const minutes = 60_000
const days = 1440 * minutes

/** Re-read before the last run's start: a job is listed as ended some time after its end. */
const skew = 15 * minutes
const oldestCursor = 30 * days
/** How far back the last good backup of a machine is looked for: ten years, below the largest 32-bit number of seconds. */
const furthestBack = 3650 * 86_400
/** After so many pages of one machine's jobs without a good one, nothing is said. */
const mostPages = 20
const chunk = 500
const atOnce = 4

/** `since`: the server's time at the start of the last run. `lastClient`: the highest client id that was seen. */
const SyncCursor = z.object({ since: z.iso.datetime(), lastClient: z.int().min(0) })

type Context = SyncContext<Config>
/** Machines with a job that ended in the window: the end of the last good backup in epoch seconds, 0 for none. */
type Ended = Map<number, number>
type Seen = { readonly ended: Ended; readonly isWanted: (clientId: number | null | undefined) => boolean }

/**
 * Reads storage pools, jobs, virtual machines and clients. With a cursor: only jobs that run or ended since, and the machines
 * they were about; Commvault has no list of changes or deletions.
 */
export async function* sync(context: Context): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config } = context
  const { headers } = await ask(http, config, CommServ, { method: 'GET', path: '/CommServ' })
  const local = context.now().getTime()
  const server = Date.parse(headers['date'] ?? '') || local
  const cursor = freshCursor(context.cursor, server)
  const full = cursor ? {} : ({ full: true } as const)
  const from = cursor ? Date.parse(cursor.since) - skew : server - config.jobDays * days
  const seconds = () => Math.ceil((server - from + (context.now().getTime() - local)) / 1000)

  yield { stage: 'storage pools', ...full, observations: await readStoragePools(http, config) }
  const hypervisors = await readHypervisors(http, config)
  const virtual = await virtualClients(context)
  const ended: Ended = new Map()
  for await (const { jobs, total } of jobPages(http, config, { seconds })) {
    for (const job of jobs) note(ended, job)
    const kindOf = (id: number) => (virtual.has(id) ? 'virtual-machine' : 'client')
    yield { stage: 'jobs', total, ...full, observations: jobs.map((job) => jobObservation(job, config, kindOf)) }
  }
  const last = cursor?.lastClient ?? 0
  const seen: Seen = { ended, isWanted: (id) => !cursor || !id || id > last || ended.has(id) }
  for await (const batch of machines(context, seen, { hypervisors, virtual })) yield { ...batch, ...full }
  return { since: new Date(server).toISOString(), lastClient: virtual.last }
}

function freshCursor(cursor: Cursor | undefined, server: number) {
  const parsed = SyncCursor.safeParse(cursor).data
  if (!parsed) return undefined
  const age = server - Date.parse(parsed.since)
  return age >= 0 && age < oldestCursor ? parsed : undefined
}

/** The clients that stand for virtual machines, so that each machine is reported once; grows while clients are read. */
type Virtual = Set<number> & { last: number }

async function virtualClients({ http, config }: Context): Promise<Virtual> {
  const ids = Object.assign(new Set<number>(), { last: 0 })
  for await (const { rows } of virtualMachinePages(http, config))
    for (const { client } of rows) if (client?.clientId) ids.add(client.clientId)
  return ids
}

function note(ended: Ended, job: Parameters<typeof machineOf>[0]): void {
  const machine = machineOf(job)
  if (machine === undefined || !hasEnded(job)) return
  ended.set(machine, Math.max(ended.get(machine) ?? 0, goodBackupEnd(job) ?? 0))
}

async function* machines(
  context: Context,
  seen: Seen,
  { hypervisors, virtual }: { hypervisors: ReadonlySet<number>; virtual: Virtual },
): AsyncGenerator<SyncBatch> {
  const { http, config } = context
  for await (const { rows, total } of virtualMachinePages(http, config)) {
    const wanted = rows.filter(({ client }) => seen.isWanted(client?.clientId))
    const backups = await backupTimes(
      context,
      seen,
      wanted.filter((vm) => !vm.isDeleted).map(({ client }) => client?.clientId),
    )
    for (const { client } of rows) {
      virtual.last = Math.max(virtual.last, client?.clientId ?? 0)
      if (client?.clientId) virtual.add(client.clientId)
    }
    const observations = wanted.map((vm) => vmObservation(vm, backups.get(machineId(vm))))
    yield { stage: 'virtual machines', total, observations }
  }
  const clients = await readClients(http, config)
  for (const { clientEntity } of clients) virtual.last = Math.max(virtual.last, clientEntity.clientId)
  const wanted = clients.filter(({ clientEntity: { clientId } }) => !virtual.has(clientId) && seen.isWanted(clientId))
  for (let i = 0; i < wanted.length; i += chunk) {
    const part = wanted.slice(i, i + chunk)
    const servers = part.map(({ clientEntity }) => clientEntity.clientId).filter((id) => !hypervisors.has(id))
    const backups = await backupTimes(context, seen, servers)
    const observations: Observation[] = part.map((client) => {
      const { clientId } = client.clientEntity
      return clientObservation(client, hypervisors.has(clientId), backups.get(String(clientId)))
    })
    yield { stage: 'clients', total: wanted.length, observations }
  }
}

/** The last good backup of each machine: from the jobs of the window, or else by asking for the machine's own jobs. */
async function backupTimes(context: Context, { ended }: Seen, ids: readonly (number | null | undefined)[]) {
  const times = new Map<string, BackupAt>()
  const unknown: number[] = []
  for (const id of ids) {
    if (!id) continue
    const good = timeOf(ended.get(id))
    if (good) times.set(String(id), good)
    else unknown.push(id)
  }
  for (let i = 0; i < unknown.length; i += atOnce) {
    const asked = unknown
      .slice(i, i + atOnce)
      .map(async (id) => times.set(String(id), await lastGoodBackup(context, id)))
    await Promise.all(asked)
  }
  return times
}

async function lastGoodBackup({ http, config }: Context, clientId: number): Promise<BackupAt> {
  const filter = { seconds: () => furthestBack, category: 'finished', clientId, aged: true } as const
  let pages = 0
  for await (const { jobs } of jobPages(http, { ...config, pageSize: 100 }, filter)) {
    const ends = jobs.filter((job) => machineOf(job) === clientId).map((job) => goodBackupEnd(job) ?? 0)
    const good = timeOf(Math.max(0, ...ends))
    if (good) return good
    if (++pages === mostPages) return undefined
  }
  return null
}
