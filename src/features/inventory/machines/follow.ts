import type { Database, Db } from '../../../lib/db/database.ts'
import type { Written } from '../store-batch.ts'
import { loadedOf } from './gather.ts'
import { differences } from './history.ts'
import type { Marks } from './marks.ts'
import { type Change, matchChanges, type SubjectsOf } from './match.ts'
import { addHistory, type BeforeRow, type HistoryEntry } from './store-history.ts'
import { readCandidates } from './store-matching.ts'

type Parts = { readonly database: Database; readonly subjectsOf: SubjectsOf }
type Source = { readonly source: number; readonly connector: string; readonly at: string }

/** How many changes of an asset are kept. */
const historyLength = 50

/** After a batch was written: history and machines follow, in the same transaction. */
export async function followBatch(
  parts: Parts,
  tx: Db,
  source: Source,
  written: {
    readonly created: readonly Written[]
    readonly updated: readonly Written[]
    /** The updated assets before the update. */
    readonly before: readonly BeforeRow[]
    readonly returned: readonly number[]
  },
): Promise<void> {
  const { database } = parts
  const bySeq = new Map(written.before.map((row) => [row.seq, row]))
  const updates = written.updated.flatMap((asset) => {
    const before = bySeq.get(asset.seq)
    return before ? [{ asset, before }] : []
  })
  const created = written.created.flatMap((asset) => changeOf(asset, undefined) ?? [])
  const changed = updates.flatMap(({ asset, before }) => (isOutwardly(asset, before) ? changeOf(asset, before) : []))
  const touched = updates.flatMap(({ asset, before }) =>
    before.marks !== null && !isOutwardly(asset, before) ? [asset.seq] : [],
  )
  const back = await readCandidates(database, tx, written.returned)
  const returned = back.map((row) => flipped(loadedOf(row), true))
  const entries = [
    ...updates.flatMap(({ asset, before }) => historyOf(asset, before)),
    ...written.returned.map((seq): HistoryEntry => ({ seq, what: 'returned', fields: '{}' })),
  ]
  await addHistory(database, tx, source.at, entries, historyLength)
  await matchChanges(parts, tx, { ...source, changes: [...created, ...changed, ...returned], touched })
}

/** The same after assets became stale. */
export async function followStale(parts: Parts, tx: Db, source: Source, seqs: readonly number[]): Promise<void> {
  const { database } = parts
  const entries = seqs.map((seq): HistoryEntry => ({ seq, what: 'gone', fields: '{}' }))
  await addHistory(database, tx, source.at, entries, historyLength)
  const rows = await readCandidates(database, tx, seqs)
  const changes = rows.map((row) => flipped(loadedOf(row), false))
  await matchChanges(parts, tx, { ...source, changes, touched: [] })
}

function historyOf({ seq, prepared }: Written, before: BeforeRow): HistoryEntry[] {
  const fields = differences(before, prepared)
  const entries: HistoryEntry[] = before.stale_at === null ? [] : [{ seq, what: 'returned', fields: '{}' }]
  if (Object.keys(fields).length > 0) entries.push({ seq, what: 'changed', fields: JSON.stringify(fields) })
  return entries
}

/** Whether anything changed that says which machine it is or what the machine is called. */
function isOutwardly({ prepared }: Written, before: BeforeRow): boolean {
  const marks = prepared.marks === undefined ? null : JSON.stringify(prepared.marks)
  return marks !== before.marks || before.stale_at !== null || prepared.observation.name !== before.name
}

function changeOf({ seq, prepared }: Written, before: BeforeRow | undefined): Change[] {
  const { kind, name } = prepared.observation
  const had = before?.marks ? (JSON.parse(before.marks) as Marks) : undefined
  if (!had && !prepared.marks) return []
  return [{ seq, kind, name, live: true, before: had, after: prepared.marks, machine: before?.machine_no ?? null }]
}

function flipped(asset: ReturnType<typeof loadedOf>, live: boolean): Change {
  const { seq, kind, name, machine, marks } = asset
  return { seq, kind, name, live, before: marks, after: marks, machine }
}
