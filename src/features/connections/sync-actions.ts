import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { syncModes, syncStates } from './connection.ts'
import type { Connections } from './connections.ts'
import { Connection, ShownProblem } from './fields.ts'

type Syncs = Connections['syncs']

/** Actions on sync runs. Only `connections.syncs.run` does the work; the schedule door calls it. */
export function syncActions({ syncs }: Connections): readonly Action[] {
  return [startSync(syncs), listSyncs(syncs), getSync(syncs), cancelSync(syncs), runSync(syncs)]
}

const SyncId = z
  .string()
  .regex(/^syn_[0-9a-hjkmnp-tv-z]{24}$/, 'must be the id of a sync run')
  .describe('Id of the sync run.')

const SyncView = z.object({
  id: z.string(),
  connection: z.string(),
  mode: z.enum(syncModes),
  full: z.boolean().nullable().describe('Whether it reads everything, or only what changed; null until it starts.'),
  state: z.enum(syncStates),
  stage: z.string().nullable().describe('What is being read.'),
  total: z.int().nullable().describe('How many the stage will report, when known.'),
  counts: z.object({
    read: z.int(),
    created: z.int(),
    updated: z.int(),
    unchanged: z.int(),
    gone: z.int(),
    stale: z.int(),
  }),
  rate: z.number().describe('Read per second.'),
  attempt: z.int(),
  problem: ShownProblem.nullable(),
  queuedAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
})

const ofConnection = ({ connection }: { connection: string }) => ({ type: 'connection', id: connection })
const ofSync = ({ sync }: { sync: string }) => ({ type: 'sync', id: sync })

function startSync(syncs: Syncs) {
  return defineAction({
    name: 'connections.syncs.start',
    title: 'Start a sync',
    description:
      'Queues a sync run that reads the system into the inventory. `auto` reads only what changed when it can. Watch it with its id.',
    access: 'write',
    http: { method: 'POST', path: '/connections/{connection}/syncs' },
    input: z.strictObject({
      connection: Connection,
      mode: z.enum(syncModes).default('auto').describe('`full` reads everything again.'),
    }),
    output: SyncView,
    resource: ofConnection,
    run: ({ connection, mode }) => syncs.start(connection, mode),
  })
}

function listSyncs(syncs: Syncs) {
  return defineAction({
    name: 'connections.syncs.list',
    title: 'List sync runs',
    description: 'Sync runs of a connection, newest first, with what they read and how they ended.',
    access: 'read',
    http: { method: 'GET', path: '/connections/{connection}/syncs' },
    input: z.strictObject({
      connection: Connection,
      limit: z.int().min(1).max(200).default(50).describe('At most so many.'),
      cursor: SyncId.optional().describe('`next` of the page before.'),
    }),
    output: z.object({ items: z.array(SyncView), next: z.string().nullable() }),
    resource: ofConnection,
    run: ({ connection, limit, cursor }) => syncs.list(connection, limit, cursor),
  })
}

function getSync(syncs: Syncs) {
  return defineAction({
    name: 'connections.syncs.get',
    title: 'Show a sync run',
    description: 'Progress of one sync run: stage, counts, rate, and the problem when it failed.',
    access: 'read',
    http: { method: 'GET', path: '/syncs/{sync}' },
    input: z.strictObject({ sync: SyncId }),
    output: SyncView,
    resource: ofSync,
    run: ({ sync }) => syncs.get(sync),
  })
}

function cancelSync(syncs: Syncs) {
  return defineAction({
    name: 'connections.syncs.cancel',
    title: 'Cancel a sync run',
    description: 'Stops a queued or running sync. What it saw so far stays; nothing becomes stale.',
    access: 'write',
    http: { method: 'POST', path: '/syncs/{sync}/cancel' },
    input: z.strictObject({ sync: SyncId }),
    output: SyncView,
    resource: ofSync,
    run: ({ sync }) => syncs.cancel(sync),
  })
}

function runSync(syncs: Syncs) {
  return defineAction({
    name: 'connections.syncs.run',
    title: 'Carry out a sync run',
    description: 'Carries out a queued sync run to its end. The schedule does this by itself.',
    access: 'write',
    http: { method: 'POST', path: '/syncs/{sync}/run' },
    input: z.strictObject({ sync: SyncId }),
    output: SyncView,
    resource: ofSync,
    run: ({ sync }, { signal }) => syncs.run(sync, signal),
  })
}
