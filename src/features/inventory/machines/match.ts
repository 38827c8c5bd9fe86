import type { Subject } from '../../../core/connector.ts'
import type { Database, Db } from '../../../lib/db/database.ts'
import { newId } from '../../../lib/ids.ts'
import { nameKeyOf } from '../text.ts'
import { type Component, gather, type Loaded, maxMembers } from './gather.ts'
import { inherit } from './inherit.ts'
import { hashOf, keysOf, type Marks } from './marks.ts'
import { type Cluster, type Partition, partition } from './partition.ts'
import { removeVerdicts } from './store-decisions.ts'
import {
  addMarks,
  dropEmptyMachines,
  insertMachines,
  lockMachines,
  type MachineSummary,
  putMembers,
  readCandidates,
  readMembers,
  removeMarks,
  removeMembers,
  retireMachines,
  touchMachines,
  updateMachines,
} from './store-matching.ts'

export type SubjectsOf = (connector: string) => readonly Subject[]

/** What a batch did to one asset that is or was part of a machine. */
export type Change = {
  readonly seq: number
  readonly kind: string
  readonly name: string
  readonly live: boolean
  /** Undefined: it had or has none. */
  readonly before: Marks | undefined
  readonly after: Marks | undefined
  readonly machine: number | null
}

export type Matching = {
  readonly source: number
  readonly connector: string
  readonly at: string
  readonly changes: readonly Change[]
  /** Machine assets that changed in nothing that matching looks at. */
  readonly touched: readonly number[]
}

type Parts = { readonly database: Database; readonly subjectsOf: SubjectsOf }

/** Brings the machines up to date with what a batch changed, in the batch's transaction. */
export async function matchChanges({ database, subjectsOf }: Parts, tx: Db, matching: Matching): Promise<void> {
  const { source, connector, at, changes, touched } = matching
  if (changes.length === 0 && touched.length === 0) return
  await lockMachines(database, tx)
  await touchMachines(database, tx, at, touched)
  const changed = changes.flatMap(({ after, before: _, ...rest }): Loaded[] =>
    after ? [{ ...rest, source, connector, marks: after, keys: keysOf(after) }] : [],
  )
  const lostKeys = await writeMarks(database, tx, changes, new Map(changed.map(({ seq, keys }) => [seq, keys])))
  const lost = changes.filter(({ after, before }) => !after && before)
  await removeMembers(
    database,
    tx,
    lost.map(({ seq }) => seq),
  )
  const left = [...new Set(lost.flatMap(({ machine }) => machine ?? []))]
  const others = await readMembers(database, tx, left, maxMembers)
  const components = await gather(database, tx, { changed, others: [...others.values()].flat(), lostKeys })
  await write({ database, subjectsOf }, tx, at, components, new Set(changed.map(({ seq }) => seq)))
  await dropEmptyMachines(database, tx, left)
}

/** Decides about assets again that did not change themselves. */
export async function rematch({ database, subjectsOf }: Parts, tx: Db, at: string, seqs: readonly number[]) {
  const components = await gather(database, tx, { changed: [], others: seqs, lostKeys: [] })
  await write({ database, subjectsOf }, tx, at, components, new Set(seqs))
}

/** Takes assets that are about to be deleted out of their machines; the rest of those is decided again. */
export async function forgetAssets(parts: Parts, tx: Db, at: string, seqs: readonly number[]): Promise<void> {
  const { database } = parts
  await lockMachines(database, tx)
  const rows = await readCandidates(database, tx, seqs)
  if (rows.length === 0) return
  const keys = rows.flatMap(({ seq, marks }) => keysOf(JSON.parse(marks) as Marks).map((key) => ({ seq, key })))
  await removeMarks(
    database,
    tx,
    keys.map(({ seq, key }) => [hashOf(key), seq]),
  )
  await removeMembers(database, tx, seqs)
  await removeVerdicts(database, tx, seqs)
  const lostKeys = [...new Set(keys.map(({ key }) => key))]
  const machines = [...new Set(rows.map(({ machine_no }) => machine_no))]
  const others = await readMembers(database, tx, machines, maxMembers)
  const components = await gather(database, tx, { changed: [], others: [...others.values()].flat(), lostKeys })
  await write(parts, tx, at, components, new Set())
  await dropEmptyMachines(database, tx, machines)
}

/** Answers the keys that somebody lost. */
async function writeMarks(
  database: Database,
  tx: Db,
  changes: readonly Change[],
  keysNow: ReadonlyMap<number, readonly string[]>,
): Promise<string[]> {
  const added: [number, number][] = []
  const removed: [number, number][] = []
  const lostKeys = new Set<string>()
  for (const { seq, before } of changes) {
    const had = new Set(before ? keysOf(before) : [])
    const has = new Set(keysNow.get(seq))
    for (const key of has.difference(had)) added.push([hashOf(key), seq])
    for (const key of had.difference(has)) {
      removed.push([hashOf(key), seq])
      lostKeys.add(key)
    }
  }
  await removeMarks(database, tx, removed)
  await addMarks(database, tx, added)
  return [...lostKeys]
}

/** Writes what the partitions of all components come to. `changed`: assets whose rows are written in any case. */
async function write(
  { database, subjectsOf }: Parts,
  tx: Db,
  at: string,
  components: readonly Component[],
  changed: ReadonlySet<number>,
): Promise<void> {
  const outcomes = components.flatMap((component) => {
    const parts = partition(component)
    const { machines, retired } = inherit(parts.clusters)
    return parts.clusters.map((cluster, place) => {
      const machine = machines[place] ?? null
      const heirOf = [...retired].flatMap(([no, heir]) => (heir === place ? [no] : []))
      const moved = cluster.members.filter((member) => member.machine !== machine || changed.has(member.seq))
      const isChanged = moved.length > 0 || heirOf.length > 0
      return { machine, heirOf, moved: moved as Loaded[], isChanged, summary: summaryOf(cluster, parts, subjectsOf) }
    })
  })
  const fresh = outcomes.filter(({ machine }) => machine === null)
  const numbers = await insertMachines(
    database,
    tx,
    at,
    fresh.map(({ summary }) => ({ id: newId('mch', Date.parse(at)), summary })),
  )
  const numberOf = new Map(fresh.map((outcome, place) => [outcome, numbers[place] ?? 0]))
  const targetOf = (outcome: (typeof outcomes)[number]) => outcome.machine ?? numberOf.get(outcome) ?? 0
  await putMembers(
    database,
    tx,
    outcomes.flatMap((outcome) =>
      outcome.moved.map(({ seq, source, kind, name, live, marks }) => ({
        seq,
        source_no: source,
        machine_no: targetOf(outcome),
        live: live ? 1 : 0,
        kind,
        name,
        marks: JSON.stringify(marks),
      })),
    ),
  )
  const kept = outcomes.filter(({ machine }) => machine !== null)
  await updateMachines(
    database,
    tx,
    at,
    kept.map(({ machine, isChanged, summary }) => ({ no: machine ?? 0, isChanged, summary })),
  )
  const moves = outcomes.flatMap((outcome) => outcome.heirOf.map((from) => ({ from, to: targetOf(outcome) })))
  await retireMachines(database, tx, moves)
}

/** Who names a machine: what people keep by hand, then who runs it, then who is on it, then who watches it. */
const naming: readonly Subject[] = ['registry', 'virtualization', 'configuration', 'monitoring', 'backup']

function summaryOf(cluster: Cluster, decision: Partition, subjectsOf: SubjectsOf): MachineSummary {
  const rankOf = ({ connector, live }: Loaded) => {
    const ranks = subjectsOf(connector).map((subject) => naming.indexOf(subject))
    return Math.min(naming.length, ...ranks.filter((rank) => rank >= 0)) + (live ? 0 : 100)
  }
  const members = (cluster.members as readonly Loaded[])
    .map((member) => ({ member, rank: rankOf(member) }))
    .sort((a, b) => a.rank - b.rank || a.member.seq - b.member.seq)
    .map(({ member }) => member)
  const name = members[0]?.name ?? ''
  return {
    name,
    nameKey: nameKeyOf(name),
    form: members.find(({ marks }) => marks.form)?.marks.form ?? '',
    site: members.find(({ marks }) => marks.site)?.marks.site ?? '',
    live: members.filter(({ live }) => live).length,
    conflicts: JSON.stringify(conflictKinds(cluster, decision)),
  }
}

/** The kinds of contradictions that concern a machine, sorted. */
export function conflictKinds({ members }: Cluster, { refused, clones }: Partition): string[] {
  const live = new Set(members.flatMap((member) => (member.live ? [member.seq] : [])))
  const forms = new Set(members.flatMap(({ live, marks }) => (live && marks.form ? [marks.form] : [])))
  const kinds = [
    ...refused.flatMap(({ a, b, because, areLive }) =>
      because !== 'weak' && because !== 'split' && areLive && (live.has(a) || live.has(b)) ? [because] : [],
    ),
    ...(clones.some(({ seqs }) => seqs.some((seq) => live.has(seq))) ? ['clone'] : []),
    ...(forms.size > 1 ? ['form'] : []),
  ]
  return [...new Set(kinds)].sort()
}
