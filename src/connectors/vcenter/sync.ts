import { z } from 'zod'
import type { Cursor, Http, Observation, SyncBatch, SyncContext } from '../../core/connector.ts'
import { Problem } from '../../core/problem.ts'
import type { Scene } from './basis.ts'
import { kinds, modelOf, placeTypes, properties } from './models.ts'
import { observe } from './observe.ts'
import { readOffSince } from './power-events.ts'
import { type Found, inView, retrieve, retrieveAll, these, upFrom } from './properties.ts'
import { type Service, serviceOf, sessionMark } from './service.ts'
import type { Ref } from './soap.ts'
import { addPlaces, type Places, treeProperties } from './tree.ts'
import { type Change, currentSession, readChanges, startWatch } from './watch.ts'

export type Config = { readonly url: string; readonly pageSize: number }

/** The most that a cursor tells of snapshots; beyond it, a change of snapshots means that everything is read again. */
const mostSnapshotBytes = 12_000

/** Snapshots by their machine: when one is gone, vCenter only says that the machine changed. */
type Snapshots = Map<string, string[]>

/** Good only in the session that the updates are counted in. */
const SyncCursor = z.object({
  session: z.string(),
  version: z.string(),
  snapshots: z.array(z.tuple([z.string(), z.array(z.string())])).nullable(),
})
type SyncCursor = z.output<typeof SyncCursor>

type Run = { readonly http: Http; readonly config: Config; readonly service: Service; readonly now: Date }

/**
 * Reads the whole inventory, or what changed since the cursor. The changes are counted by a filter that vCenter keeps with the
 * session, so when the session has ended (half an hour without a call, a restart on either side), everything is read.
 */
export async function* sync({ http, config, cursor, now }: SyncContext<Config>): AsyncGenerator<SyncBatch, Cursor> {
  const service = await serviceOf(http)
  const current = await currentSession(http, service)
  const session = sessionMark(current.key)
  // Events are dated by vCenter's clock.
  const run: Run = { http, config, service, now: current.now === undefined ? now() : new Date(current.now) }
  const from = SyncCursor.safeParse(cursor).data
  if (from?.session === session) {
    const since = await changesSince(run, from)
    if (since) return yield* readChanged(run, from, since)
  }
  return yield* readEverything(run, session)
}

async function* readEverything(run: Run, session: string): AsyncGenerator<SyncBatch, Cursor> {
  const { http, config, service } = run
  const snapshots: Snapshots = new Map()
  try {
    // Before anything is read, so that what changes meanwhile is told by the next run.
    const { view, version } = await startWatch(http, service)
    const selection = inView(view)
    const tree: Places = new Map()
    const pagesOf = (wanted: Partial<typeof properties> | typeof treeProperties) =>
      retrieve(http, service.propertyCollector, { wanted, selection, pageSize: config.pageSize })
    for await (const page of pagesOf(treeProperties)) addPlaces(tree, page)
    const scene: Scene = { ...sceneOf(run), tree, offSince: await readOffSince(http, service, run.now) }
    const { VirtualMachine, HostSystem, ...places } = properties
    const stages = [
      { stage: 'places, stores and networks', wanted: places },
      { stage: 'hosts', wanted: { HostSystem } },
      { stage: 'virtual machines', wanted: { VirtualMachine } },
    ]
    for (const { stage, wanted } of stages)
      for await (const page of pagesOf(wanted)) {
        const observations = page.flatMap((found) => observe(scene, found))
        noteSnapshots(snapshots, observations)
        yield { stage, observations, full: true }
      }
    return next(session, version, snapshots)
  } catch (error) {
    throw sessionLost(error)
  }
}

/** Undefined: vCenter or the cursor cannot tell, or so much hangs on what changed that everything is read. */
async function changesSince({ http, service }: Run, { version, snapshots }: SyncCursor) {
  try {
    const since = await readChanges(http, service, version)
    const isFar = since.changes.some(({ ref, isMoved }) => isMoved && placeTypes.has(ref.type))
    return isFar || snapshots === null ? undefined : since
  } catch (error) {
    if (error instanceof Problem && error.type === 'conflict') return undefined
    throw error
  }
}

async function* readChanged(
  run: Run,
  from: SyncCursor,
  { changes, version }: { changes: readonly Change[]; version: string },
): AsyncGenerator<SyncBatch, Cursor> {
  const snapshots: Snapshots = new Map(from.snapshots)
  const known = changes.filter(({ ref }) => modelOf(ref.type))
  const left = known.filter(({ isGone }) => isGone).map(({ ref }) => ref)
  const gone = left.flatMap(({ type, id }) => [
    { kind: kinds[type] ?? '', externalId: id },
    ...goneSnapshots(snapshots, id),
  ])
  for (const { id } of left) snapshots.delete(id)
  if (gone.length > 0) yield { stage: 'what is gone', gone }

  const refs = known.filter(({ isGone }) => !isGone).map(({ ref }) => ref)
  const hasVms = refs.some(({ type }) => type === 'VirtualMachine')
  const offSince = hasVms ? await readOffSince(run.http, run.service, run.now) : new Map()
  for (let start = 0; start < refs.length; start += run.config.pageSize) {
    const found = await readThese(run, refs.slice(start, start + run.config.pageSize))
    const scene = { ...sceneOf(run), tree: await treeAround(run, found), offSince }
    const observations = found.flatMap((one) => observe(scene, one))
    const before = found.flatMap(({ ref }) => goneSnapshots(snapshots, ref.id))
    for (const { ref } of found) snapshots.delete(ref.id)
    noteSnapshots(snapshots, observations)
    const still = new Set(observations.map(({ externalId }) => externalId))
    const removed = before.filter(({ externalId }) => !still.has(externalId))
    yield { stage: 'changes', total: refs.length, observations, ...(removed.length > 0 && { gone: removed }) }
  }
  return next(from.session, version, snapshots)
}

/** What vanished meanwhile is not answered; the next run is told that it is gone. */
async function readThese({ http, service }: Run, refs: readonly Ref[]): Promise<Found[]> {
  const models = new Set(refs.flatMap(({ type }) => modelOf(type) ?? []))
  const wanted = Object.fromEntries([...models].map((model) => [model, properties[model]]))
  return retrieveAll(http, service.propertyCollector, wanted, these(refs))
}

/** The tree above the things found, and above the hosts and pools that machines are on. */
export async function treeAround({ http, service }: { http: Http; service: Service }, found: readonly Found[]) {
  const pointed = (path: string, type: string) =>
    [...new Set(found.flatMap(({ properties: own }) => own.get(path)?.text || []))].map((id) => ({ type, id }))
  const starts = [
    ...found.map(({ ref }) => ref),
    ...pointed('runtime.host', 'HostSystem'),
    ...pointed('resourcePool', 'ResourcePool'),
  ]
  const tree: Places = new Map()
  if (starts.length === 0) return tree
  addPlaces(tree, await retrieveAll(http, service.propertyCollector, treeProperties, upFrom(starts)))
  return tree
}

function sceneOf({ config, service }: Run) {
  return { service, base: config.url.replace(/\/+$/, '') }
}

function noteSnapshots(snapshots: Snapshots, observations: readonly Observation[]): void {
  for (const { kind, externalId, relations } of observations) {
    const vm = relations?.find(({ type }) => type === 'snapshot-of')?.externalId
    if (kind === 'snapshot' && vm !== undefined) snapshots.set(vm, [...(snapshots.get(vm) ?? []), externalId])
  }
}

function goneSnapshots(snapshots: Snapshots, vm: string) {
  return (snapshots.get(vm) ?? []).map((externalId) => ({ kind: 'snapshot', externalId }))
}

function next(session: string, version: string, snapshots: Snapshots): SyncCursor {
  const all = [...snapshots]
  const fits = Buffer.byteLength(JSON.stringify(all)) <= mostSnapshotBytes
  return { session, version, snapshots: fits ? all : null }
}

/** A view that is not there any more, or an unknown page, is of a session that ended under the run. */
function sessionLost(error: unknown): unknown {
  if (!(error instanceof Problem) || error.type !== 'not-found') return error
  return new Problem('upstream-failed', 'The vCenter session ended while everything was read. Run the sync again.', {
    cause: error,
  })
}
