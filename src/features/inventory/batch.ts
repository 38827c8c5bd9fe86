import { setImmediate as pause } from 'node:timers/promises'
import type { Observation } from '../../core/connector.ts'
import type { Database, Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { followBatch, followStale } from './machines/follow.ts'
import { forgetAssets, type SubjectsOf } from './machines/match.ts'
import { readBefore } from './machines/store-history.ts'
import { identifier, keyOf, type Prepared, prepare, searchHash } from './prepare.ts'
import type { SearchIndex } from './search-index.ts'
import {
  deleteAssets,
  deleteSource,
  findKnown,
  findOfSource,
  findUnseen,
  flipAssets,
  insertAssets,
  type Known,
  lastSeq,
  replaceRelations,
  touchAssets,
  updateAssets,
  type Written,
} from './store-batch.ts'
import { addToGroups, findSource, findSourceRow, type GroupKey, groupName, groupNos, sourceNo } from './store-groups.ts'
import { makeDocuments } from './text.ts'

export type Batch = {
  readonly connectionId: string
  readonly connector: string
  /** Names the sync run; `finishFullRun` marks what its batches have not seen. */
  readonly runId: string
  /** At most a few thousand: the batch is one transaction. Of two with the same kind and id the later counts. */
  readonly observations: readonly Observation[]
  readonly gone?: readonly { readonly kind: string; readonly externalId: string }[]
}

export type BatchCounts = {
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly gone: number
}

type Parts = {
  readonly database: Database
  readonly index: SearchIndex
  readonly subjectsOf: SubjectsOf
  readonly now: () => Date
}

// Bounds on one transaction, because SQLite runs it on the thread that also answers calls.
const windowSize = 20_000
const chunkSize = 1_000

/** Everything that changes assets. Counts, search index and assets change in one transaction. */
export function makeBatches(parts: Parts) {
  const { database, index, now } = parts
  const exclusive = <T>(connectionId: string, run: (tx: Db) => Promise<T>) =>
    database.exclusive(`inventory/${connectionId}`, run)

  /** Walks the assets in steps of bounded size; `step` answers the last `seq` it did when it stopped before the end. */
  async function walk(connectionId: string, step: (tx: Db, from: number, to: number) => Promise<number | undefined>) {
    const last = await lastSeq(database.db)
    for (let from = 0; from < last; ) {
      const to = from + windowSize
      from = (await exclusive(connectionId, (tx) => step(tx, from, to))) ?? to
      await pause()
    }
  }

  return {
    /** Writes what one step of a run has seen and what it knows to be gone. Unchanged assets are only marked as seen. */
    async applyBatch(batch: Batch): Promise<BatchCounts> {
      const seen = new Map(batch.observations.map(prepare).map((prepared) => [prepared.key, prepared]))
      return exclusive(batch.connectionId, (tx) => apply(parts, tx, batch, seen))
    },

    /** Marks as stale what a complete run has not seen; answers how many. Never deletes. */
    async finishFullRun({ connectionId, runId }: { connectionId: string; runId: string }): Promise<number> {
      const source = await findSourceRow(database.db, connectionId)
      if (!source) return 0
      let marked = 0
      await walk(connectionId, async (tx, from, to) => {
        const unseen = await findUnseen(tx, source.no, runId, from, to, chunkSize)
        await markStale(parts, tx, { ...source, at: now().toISOString() }, unseen)
        marked += unseen.length
        return unseen.length === chunkSize ? unseen.at(-1)?.seq : undefined
      })
      await index.settle()
      return marked
    },

    /** Removes a connection's assets, in steps; when it is interrupted, call it again. */
    async removeConnection(connectionId: string): Promise<void> {
      const source = await findSource(database.db, connectionId)
      if (source === undefined) return
      await walk(connectionId, async (tx, from, to) => {
        const seqs = await findOfSource(tx, source, from, to, chunkSize)
        await forgetAssets(parts, tx, now().toISOString(), seqs)
        await index.remove(tx, seqs)
        await deleteAssets(database, tx, seqs)
        return seqs.length === chunkSize ? seqs.at(-1) : undefined
      })
      await exclusive(connectionId, (tx) => deleteSource(tx, source))
      await index.forget()
      await index.settle()
    },
  }
}

async function apply(
  parts: Parts,
  tx: Db,
  { connectionId, connector, runId, gone = [] }: Batch,
  seen: ReadonlyMap<string, Prepared>,
): Promise<BatchCounts> {
  const { database, index, now } = parts
  const at = now().toISOString()
  const run = { id: runId, at }
  const source = await sourceNo(tx, connectionId, connector)
  const lost = gone
    .map(({ kind, externalId }) => ({ kind: identifier(kind), externalId: identifier(externalId) }))
    .filter((thing) => !seen.has(keyOf(thing)))
  const things = [...[...seen.values()].map(({ observation }) => observation), ...lost]
  const rows = await findKnown(database, tx, source, things)
  const known = new Map(rows.map((row) => [keyOf({ kind: row.kind, externalId: row.external_id }), row]))

  const { created, changed, returned, unchanged } = compare(seen, known)
  const groups = await groupNos(database, tx, source, distinct([...created, ...changed, ...returned].map(liveGroup)))
  const deltas = new Map<number, number>()
  const documentOf = makeDocuments(connectionId)
  const write = (prepared: Prepared, seq: number): Written => {
    const group = groups.get(groupName(liveGroup(prepared))) ?? 0
    const before = known.get(prepared.key)
    if (before) add(deltas, before.group_no, -1)
    add(deltas, group, 1)
    return { seq, group, prepared, document: documentOf(prepared.observation) }
  }
  const seqs = created.length === 0 ? [] : await index.nextSeqs(tx, created.length)
  const inserts = created.map((prepared, i) => write(prepared, seqs[i] ?? 0))
  const updates = changed.map((prepared) => write(prepared, known.get(prepared.key)?.seq ?? 0))
  const returns = returned.map((prepared) => write(prepared, known.get(prepared.key)?.seq ?? 0))

  await insertAssets(
    database,
    tx,
    source,
    run,
    inserts,
    inserts.map(() => newId('ast', Date.parse(at))),
  )
  const before = await readBefore(
    database,
    tx,
    updates.map(({ seq }) => seq),
  )
  await updateAssets(database, tx, at, updates)
  await flipAssets(database, tx, at, null, returns)
  await touchAssets(database, tx, run, [...[...updates, ...returns].map(({ seq }) => seq), ...unchanged])
  await replaceRelations(database, tx, source, inserts, updates)
  await updateIndex(index, tx, known, inserts, updates, returns)
  await addToGroups(database, tx, deltas)
  const from = { source, connector, at }
  const back = returns.map(({ seq }) => seq)
  await followBatch(parts, tx, from, { created: inserts, updated: updates, before, returned: back })
  const dead = lost.flatMap((thing) => known.get(keyOf(thing)) ?? []).filter(({ stale }) => stale === 0)
  await markStale(parts, tx, { no: source, connector, at }, [...new Set(dead)])
  return {
    created: created.length,
    updated: changed.length + returned.length,
    unchanged: unchanged.length,
    gone: new Set(dead).size,
  }
}

/** The search index follows; what changed in nothing that it holds is left alone. */
async function updateIndex(
  index: SearchIndex,
  tx: Db,
  known: ReadonlyMap<string, Known>,
  created: readonly Written[],
  updated: readonly Written[],
  returned: readonly Written[],
): Promise<void> {
  const isSame = ({ prepared: { key, hash } }: Written) => searchHash(hash) === searchHash(known.get(key)?.hash ?? '')
  const other = updated.filter((asset) => !isSame(asset))
  await index.remove(
    tx,
    other.map(({ seq }) => seq),
  )
  await index.add(tx, [...created, ...other])
  const moved = updated.filter((asset) => isSame(asset) && known.get(asset.prepared.key)?.group_no !== asset.group)
  await index.place(tx, [...returned, ...moved])
}

function compare(seen: ReadonlyMap<string, Prepared>, known: ReadonlyMap<string, Known>) {
  const created: Prepared[] = []
  const changed: Prepared[] = []
  const returned: Prepared[] = []
  const unchanged: number[] = []
  for (const prepared of seen.values()) {
    const before = known.get(prepared.key)
    if (!before) created.push(prepared)
    else if (before.hash !== prepared.hash) changed.push(prepared)
    else if (before.stale === 1) returned.push(prepared)
    else unchanged.push(before.seq)
  }
  return { created, changed, returned, unchanged }
}

async function markStale(
  parts: Parts,
  tx: Db,
  { no: source, connector, at }: { readonly no: number; readonly connector: string; readonly at: string },
  assets: readonly Known[],
): Promise<void> {
  if (assets.length === 0) return
  const { database, index } = parts
  const staleGroup = ({ kind, status, site }: Known): GroupKey => ({ kind, status, site, stale: 1 })
  const groups = await groupNos(database, tx, source, distinct(assets.map(staleGroup)))
  const deltas = new Map<number, number>()
  const moves = assets.map((asset) => {
    const group = groups.get(groupName(staleGroup(asset))) ?? 0
    add(deltas, asset.group_no, -1)
    add(deltas, group, 1)
    return { seq: asset.seq, group }
  })
  await flipAssets(database, tx, at, at, moves)
  await index.place(tx, moves)
  await addToGroups(database, tx, deltas)
  await followStale(
    parts,
    tx,
    { source, connector, at },
    assets.map(({ seq }) => seq),
  )
}

function liveGroup({ observation: { kind }, status, site }: Prepared): GroupKey {
  return { kind, status, site, stale: 0 }
}

function distinct(keys: readonly GroupKey[]): GroupKey[] {
  return [...new Map(keys.map((key) => [groupName(key), key])).values()]
}

function add(deltas: Map<number, number>, group: number, by: number): void {
  deltas.set(group, (deltas.get(group) ?? 0) + by)
}
