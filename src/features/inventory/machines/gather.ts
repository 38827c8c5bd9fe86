import type { Database, Db } from '../../../lib/db/database.ts'
import { evidenceOf, isEnough } from './evidence.ts'
import { hashOf, keysOf, type Marks } from './marks.ts'
import { type Candidate, isStrong, mayBeEvidence, type Verdict } from './partition.ts'
import { type CandidateRow, readCandidates, readHolders, readMembers, readVerdicts } from './store-matching.ts'

/** An asset as matching knows it. */
export type Loaded = Candidate & { readonly connector: string; readonly name: string }

/** Assets that can only be the same machine as others of the same component. */
export type Component = {
  readonly candidates: readonly Loaded[]
  readonly decided: ReadonlySet<number>
  readonly ignored: ReadonlySet<string>
  readonly verdicts: readonly Verdict[]
}

// Bounds on the work that one change can cause. A key that more assets share than this is no evidence; a machine with more
// assets keeps the older ones as they are; what is further away than so many steps is decided when it changes itself.
const maxHolders = 64
export const maxMembers = 128
const maxSteps = 6
const maxLoaded = 20_000

type Start = {
  /** New and changed assets, as they are now. */
  readonly changed: readonly Loaded[]
  /** Assets that are to be decided again as they are. */
  readonly others: readonly number[]
  /** Keys that changed assets no longer have: those who share them may now be decided otherwise. */
  readonly lostKeys: readonly string[]
}

/** Reads everything that a decision about the given assets depends on, and puts it into components. */
export async function gather(database: Database, tx: Db, start: Start): Promise<Component[]> {
  const state = {
    loaded: new Map<number, Loaded>(start.changed.map((asset) => [asset.seq, asset])),
    holders: new Map<string, readonly number[]>(),
    ignored: new Set<string>(),
    decided: new Set<number>(),
    verdicts: new Map<string, Verdict>(),
    neighbours: new Map<number, readonly number[]>(),
  }
  const lost = start.lostKeys.filter(isStrong)
  await lookUp(database, tx, state, lost)
  const strangers = lost.flatMap((key) => state.holders.get(key) ?? [])
  await load(database, tx, state, [...start.others, ...strangers])
  let frontier = [...new Set([...state.loaded.keys()])]
  for (let step = 0; frontier.length > 0 && step < maxSteps; step++) {
    const own = frontier.flatMap((seq) => state.loaded.get(seq) ?? [])
    for (const { seq } of own) state.decided.add(seq)
    const near = await neighboursOf(database, tx, state, own, step === 0)
    frontier = state.loaded.size > maxLoaded ? [] : near.filter((seq) => !state.decided.has(seq))
  }
  return componentsOf(state)
}

type State = {
  readonly loaded: Map<number, Loaded>
  readonly holders: Map<string, readonly number[]>
  readonly ignored: Set<string>
  readonly decided: Set<number>
  readonly verdicts: Map<string, Verdict>
  /** Assets of the same machine, and those that a person spoke of together with this one. */
  readonly neighbours: Map<number, readonly number[]>
}

/** Who must be decided together with these: whoever is linked to one of them, was one machine with it, or shares a strong key. */
async function neighboursOf(
  database: Database,
  tx: Db,
  state: State,
  own: readonly Loaded[],
  isFirst: boolean,
): Promise<number[]> {
  const keys = new Set(own.flatMap((asset) => asset.keys))
  await lookUp(database, tx, state, [...keys])
  const machines = [...new Set(own.flatMap(({ machine }) => machine ?? []))]
  const members = await readMembers(database, tx, machines, maxMembers)
  const verdicts = await readVerdicts(
    database,
    tx,
    own.map(({ seq }) => seq),
  )
  // Deleted first, so that the last thing said stands last.
  for (const verdict of verdicts) {
    const pair = `${verdict.a}/${verdict.b}`
    state.verdicts.delete(pair)
    state.verdicts.set(pair, verdict)
  }
  const saidOf = (seq: number) => verdicts.flatMap(({ a, b }) => (a === seq ? [b] : b === seq ? [a] : []))
  const hasVerdicts = verdicts.length > 0
  const near = new Set<number>()
  const mates = own.map(({ seq, machine, marks, keys }) => {
    const bound = [...(machine === null ? [] : (members.get(machine) ?? [])), ...(hasVerdicts ? saidOf(seq) : [])]
    state.neighbours.set(seq, bound)
    for (const other of bound) near.add(other)
    return { seq, marks, others: matesOf(state, seq, keys) }
  })
  await load(database, tx, state, [...near, ...mates.flatMap(({ others }) => [...others.keys()])])
  for (const { marks, others } of mates)
    for (const [other, hasStrong] of others) {
      const theirs = state.loaded.get(other)?.marks
      if (!theirs || near.has(other) || state.decided.has(other)) continue
      if ((isFirst && hasStrong) || isLinked(marks, theirs, state.ignored)) near.add(other)
    }
  return [...near]
}

/** Who shares a key, and whether a strong one. */
function matesOf({ holders }: State, seq: number, keys: readonly string[]): Map<number, boolean> {
  const mates = new Map<number, boolean>()
  for (const key of keys)
    for (const other of holders.get(key) ?? []) if (other !== seq) mates.set(other, mates.get(other) || isStrong(key))
  return mates
}

function isLinked(a: Marks, b: Marks, ignored: ReadonlySet<string>): boolean {
  return isEnough(
    evidenceOf(a, b, (key) => mayBeEvidence(key, ignored)),
    a,
    b,
  )
}

async function lookUp(database: Database, tx: Db, state: State, keys: readonly string[]): Promise<void> {
  const unknown = keys.filter((key) => !state.holders.has(key))
  const marks = new Map(unknown.map((key) => [key, hashOf(key)]))
  const found = await readHolders(database, tx, [...new Set(marks.values())], maxHolders + 1)
  for (const [key, mark] of marks) {
    const seqs = found.get(mark) ?? []
    const isTooMany = seqs.length > maxHolders
    if (isTooMany) state.ignored.add(key)
    state.holders.set(key, isTooMany ? [] : seqs)
  }
}

async function load(database: Database, tx: Db, { loaded }: State, seqs: readonly number[]): Promise<void> {
  const unknown = [...new Set(seqs)].filter((seq) => !loaded.has(seq))
  if (unknown.length === 0) return
  for (const row of await readCandidates(database, tx, unknown)) loaded.set(row.seq, loadedOf(row))
}

export function loadedOf(row: CandidateRow): Loaded {
  const { seq, source_no, machine_no, kind, live, connector, name } = row
  const marks = JSON.parse(row.marks) as Marks
  return {
    seq,
    source: source_no,
    machine: machine_no,
    kind,
    live: live === 1,
    connector,
    name,
    marks,
    keys: keysOf(marks),
  }
}

/** Groups of loaded assets that share a key, a machine or a verdict; groups in which nothing is decided are left out. */
function componentsOf(state: State): Component[] {
  const { loaded, decided, ignored, verdicts, neighbours, holders } = state
  const parent = new Map<number, number>()
  const root = (seq: number): number => {
    let at = seq
    for (let up = parent.get(at); up !== undefined; up = parent.get(at)) at = up
    if (at !== seq) parent.set(seq, at)
    return at
  }
  const unite = (a: number, b: number) => {
    const [one, other] = [root(a), root(b)]
    if (one !== other) parent.set(one, other)
  }
  for (const [seq, others] of neighbours) for (const other of others) if (loaded.has(other)) unite(seq, other)
  for (const seqs of holders.values()) {
    const [first, ...others] = seqs.filter((seq) => loaded.has(seq))
    if (first !== undefined) for (const other of others) unite(first, other)
  }
  const groups = Map.groupBy(loaded.values(), ({ seq }) => root(seq))
  const said = [...verdicts.values()]
  const saidIn = Map.groupBy(said, ({ a }) => root(a))
  return [...groups].flatMap(([at, candidates]) => {
    const own = new Set(candidates.flatMap(({ seq }) => (decided.has(seq) ? [seq] : [])))
    return own.size === 0 ? [] : [{ candidates, decided: own, ignored, verdicts: saidIn.get(at) ?? [] }]
  })
}
