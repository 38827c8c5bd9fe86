import { type Contradiction, contradictionOf, type Evidence, evidenceOf, isEnough, scoreOf } from './evidence.ts'
import type { Marks } from './marks.ts'

export type Candidate = {
  readonly seq: number
  /** Number of the connection. */
  readonly source: number
  /** What it is there: a machine has one asset of each connection and kind. */
  readonly kind: string
  /** False: its system no longer reports it. */
  readonly live: boolean
  /** The machine that it belonged to so far. */
  readonly machine: number | null
  readonly marks: Marks
  /** `keysOf` its marks. */
  readonly keys: readonly string[]
}

/** What a person said about two assets; of several about the same two, the last in the list counts. */
export type Verdict = { readonly a: number; readonly b: number; readonly verb: 'join' | 'split' }

export type Link = { readonly a: number; readonly b: number; readonly evidence: readonly Evidence[] }

/** Why two assets with something in common were not put into one machine. */
export type Refusal = Link & {
  readonly because:
    | Contradiction['kind']
    /** The other machine already has an asset of that connection and kind. */
    | 'taken'
    /** Two fit equally well, and they are two machines. */
    | 'ambiguous'
    /** Too little in common. */
    | 'weak'
    | 'split'
  readonly areLive: boolean
}

/** A strong key that several live assets of one connection and kind share. */
export type Clone = { readonly key: string; readonly seqs: readonly number[] }

export type Cluster = { readonly members: readonly Candidate[]; readonly links: readonly Link[] }

export type Partition = {
  readonly clusters: readonly Cluster[]
  readonly refused: readonly Refusal[]
  readonly clones: readonly Clone[]
}

type Question = {
  readonly candidates: readonly Candidate[]
  /** Those to decide about; the others only tell which keys are shared. */
  readonly decided: ReadonlySet<number>
  /** Keys that so many assets share that no pair is looked for by them. */
  readonly ignored: ReadonlySet<string>
  readonly verdicts: readonly Verdict[]
}

/**
 * Decides which assets are the same machine. Links are made from the strongest on; each is refused where it would put two things
 * into one machine that cannot be one. Stale assets bind nothing: each goes with the live machine that it is most like, else
 * with what it was with before.
 */
export function partition({ candidates, decided, ignored, verdicts }: Question): Partition {
  const bySeq = new Map(candidates.map((candidate) => [candidate.seq, candidate]))
  const chosen = candidates.filter(({ seq }) => decided.has(seq)).sort((a, b) => a.seq - b.seq)
  const [first] = chosen
  if (candidates.length === 1 && first) return { clusters: [{ members: [first], links: [] }], refused: [], clones: [] }
  const clones = findClones(candidates)
  const cloned = new Set(clones.map(({ key }) => key))
  const isEvidence = (key: string) => mayBeEvidence(key, ignored) && !cloned.has(key)
  const said = new Map(verdicts.map((verdict) => [pairOf(verdict.a, verdict.b), verdict]))
  const { links, refused } = compare(chosen, bySeq, { isEvidence, ignored }, said)
  const live = joinLive(
    chosen.filter((candidate) => candidate.live),
    links.filter(({ a, b }) => bySeq.get(a)?.live && bySeq.get(b)?.live),
    said,
    refused,
  )
  const stale = chosen.filter((candidate) => !candidate.live)
  const clusters = attachStale(live, stale, links, said)
  return { clusters, refused, clones: clones.filter(({ seqs }) => seqs.some((seq) => decided.has(seq))) }
}

/** Two numbers as one text, whatever their order. */
function pairOf(a: number, b: number): string {
  return a < b ? `${a}/${b}` : `${b}/${a}`
}

function verbOf(said: ReadonlyMap<string, Verdict>, a: number, b: number): Verdict['verb'] | undefined {
  return said.size === 0 ? undefined : said.get(pairOf(a, b))?.verb
}

function findClones(candidates: readonly Candidate[]): Clone[] {
  const live = candidates.filter((candidate) => candidate.live)
  const clones: Clone[] = []
  for (const [key, holders] of holdersOf(live, isStrong)) {
    if (holders.length < 2) continue
    for (const own of Map.groupBy(holders, ({ source, kind }) => `${source} ${kind}`).values())
      if (own.length > 1) clones.push({ key, seqs: own.map(({ seq }) => seq) })
  }
  return clones
}

function holdersOf(candidates: readonly Candidate[], isMeant: (key: string) => boolean): Map<string, Candidate[]> {
  const holders = new Map<string, Candidate[]>()
  for (const candidate of candidates)
    for (const key of candidate.keys) {
      const known = holders.get(key)
      if (known) known.push(candidate)
      else if (isMeant(key)) holders.set(key, [candidate])
    }
  return holders
}

/** What too many share says nothing, but for a name: `web01` is at every site, and with an address it is still one of them. */
export function mayBeEvidence(key: string, ignored: ReadonlySet<string>): boolean {
  return !ignored.has(key) || key.startsWith('name:')
}

export function isStrong(key: string): boolean {
  return !key.startsWith('name:') && !key.startsWith('address:')
}

/** All pairs that have something in common: those with enough as links, the others with the reason why not. */
function compare(
  chosen: readonly Candidate[],
  bySeq: ReadonlyMap<number, Candidate>,
  { isEvidence, ignored }: { isEvidence: (key: string) => boolean; ignored: ReadonlySet<string> },
  said: ReadonlyMap<string, Verdict>,
): { links: Link[]; refused: Refusal[] } {
  const links: Link[] = []
  const refused: Refusal[] = []
  for (const [a, b] of pairsToCompare(chosen, (key) => isEvidence(key) && !ignored.has(key), said)) {
    const [one, other] = [bySeq.get(a), bySeq.get(b)]
    if (!one || !other) continue
    const evidence = evidenceOf(one.marks, other.marks, isEvidence)
    const verb = verbOf(said, a, b)
    const areLive = one.live && other.live
    const link = { a, b, evidence }
    const contradiction = contradictionOf(one.marks, other.marks, evidence)
    if (verb === 'join') links.push({ ...link, evidence: [byPerson, ...evidence] })
    else if (verb === 'split') refused.push({ ...link, areLive, because: 'split' })
    else if (!isEnough(evidence, one.marks, other.marks)) refused.push({ ...link, areLive, because: 'weak' })
    else if (contradiction && !(isSuccession(one, other) && contradiction.kind === 'uuid' && hasParts(evidence)))
      refused.push({ ...link, areLive, because: contradiction.kind })
    else links.push(link)
  }
  return { links: links.sort((x, y) => scoreOf(y.evidence) - scoreOf(x.evidence) || x.a - y.a || x.b - y.b), refused }
}

/** One took the place of the other: made anew or restored, it may have another UUID and the same card or serial. */
function isSuccession(a: Candidate, b: Candidate): boolean {
  return a.live !== b.live && a.source === b.source && a.kind === b.kind
}

function hasParts(evidence: readonly Evidence[]): boolean {
  return evidence.some(({ kind }) => kind === 'mac' || kind === 'serial')
}

/** Pairs of one connection that are compared: one that gives all its assets something in common must not cost gigabytes. */
const mostOwnPairs = 20_000

const byPerson: Evidence = { kind: 'person', value: 'joined by a person', strength: 'strong' }

function pairsToCompare(
  chosen: readonly Candidate[],
  isMeant: (key: string) => boolean,
  said: ReadonlyMap<string, Verdict>,
): Iterable<readonly [number, number]> {
  // By the lower number: texts of both would cost more than all the rest.
  const others = new Map(chosen.map(({ seq }) => [seq, new Set<number>()]))
  const ofSource = new Map<number, number>()
  const isOneTooMany = (a: Candidate, b: Candidate): boolean => {
    if (a.source !== b.source) return false
    const count = (ofSource.get(a.source) ?? 0) + 1
    ofSource.set(a.source, count)
    return count > mostOwnPairs
  }
  // `chosen` is in the order of the numbers, so whoever comes later in a list has the higher one.
  for (const holders of holdersOf(chosen, isMeant).values())
    for (const [at, a] of holders.entries()) {
      const own = others.get(a.seq)
      for (let next = at + 1; next < holders.length; next++) {
        const b = holders[next]
        if (b && !isOneTooMany(a, b)) own?.add(b.seq)
      }
    }
  for (const { a, b } of said.values()) {
    const [low, high] = a < b ? [a, b] : [b, a]
    others.set(low, (others.get(low) ?? new Set()).add(high))
  }
  return [...others].flatMap(([a, own]) => [...own].map((b) => [a, b] as const))
}

type Growing = { members: Candidate[]; links: Link[] }

function joinLive(
  live: readonly Candidate[],
  links: readonly Link[],
  said: ReadonlyMap<string, Verdict>,
  refused: Refusal[],
): Growing[] {
  const clusterOf = new Map(live.map((candidate) => [candidate.seq, { members: [candidate], links: [] } as Growing]))
  const linksOf = Map.groupBy(
    links.flatMap((link) => [
      { seq: link.a, link },
      { seq: link.b, link },
    ]),
    ({ seq }) => seq,
  )
  const blocked = (one: Growing, other: Growing, link: Link) => blockOf(one, other, link, said)

  /** Another cluster that one of the two could be joined with as well, although it cannot be one with the other. */
  function hasRival(one: Growing, other: Growing, score: number): boolean {
    return one.members.some(({ seq }) =>
      (linksOf.get(seq) ?? []).some(({ link }) => {
        const rival = clusterOf.get(link.a === seq ? link.b : link.a)
        if (!rival || rival === one || rival === other || scoreOf(link.evidence) !== score) return false
        return blocked(one, rival, link) === undefined && blocked(other, rival, link) !== undefined
      }),
    )
  }

  for (const link of links) {
    const [one, other] = [clusterOf.get(link.a), clusterOf.get(link.b)]
    if (!one || !other) continue
    if (one === other) {
      one.links.push(link)
      continue
    }
    const score = scoreOf(link.evidence)
    const isPersons = link.evidence.some(({ kind }) => kind === 'person')
    const block = blocked(one, other, link)
    const because =
      block ?? (!isPersons && (hasRival(one, other, score) || hasRival(other, one, score)) ? 'ambiguous' : undefined)
    if (because) {
      refused.push({ ...link, areLive: true, because })
      continue
    }
    one.members.push(...other.members)
    one.links.push(...other.links, link)
    for (const { seq } of other.members) clusterOf.set(seq, one)
  }
  return [...new Set(clusterOf.values())]
}

/** Why two groups of assets cannot be one machine. */
function blockOf(
  one: Growing,
  other: Growing,
  { evidence }: Link,
  said: ReadonlyMap<string, Verdict>,
): Refusal['because'] | undefined {
  const has = (...kinds: Evidence['kind'][]) => evidence.some(({ kind }) => kinds.includes(kind))
  let found: Refusal['because'] | undefined
  for (const a of one.members)
    for (const b of other.members) {
      const verb = verbOf(said, a.seq, b.seq)
      if (verb === 'split') return 'split'
      if (verb === 'join' || has('person')) continue
      const isTaken = a.source === b.source && a.kind === b.kind
      // Hardware that two systems agree on outweighs that one of them has the machine twice.
      found ??=
        contradictionOf(a.marks, b.marks, evidence)?.kind ?? (isTaken && !has('uuid', 'serial') ? 'taken' : undefined)
    }
  return found
}

/** Stale assets go with the live ones that they are most like, the rest stay with those that they were with. */
function attachStale(
  clusters: readonly Growing[],
  stale: readonly Candidate[],
  links: readonly Link[],
  said: ReadonlyMap<string, Verdict>,
): Growing[] {
  if (stale.length === 0) return [...clusters]
  const liveHome = new Map(clusters.flatMap((cluster) => cluster.members.map(({ seq }) => [seq, cluster] as const)))
  const isSplit = (seq: number, cluster: Growing) =>
    cluster.members.some((member) => verbOf(said, seq, member.seq) === 'split')
  const all = [...clusters]
  for (const candidate of stale) {
    const { seq, machine } = candidate
    // The links are in the order of their strength.
    const own = links.flatMap((link) => {
      const cluster = link.a === seq ? liveHome.get(link.b) : link.b === seq ? liveHome.get(link.a) : undefined
      return cluster && !isSplit(seq, cluster) ? [{ link, cluster, score: scoreOf(link.evidence) }] : []
    })
    const [best] = own
    const isClear = best && own.every(({ cluster, score }) => cluster === best.cluster || score < best.score)
    if (isClear) best.cluster.links.push(best.link)
    const isPossible = (cluster: Growing) => !isSplit(seq, cluster) && !isContradicted(candidate, cluster)
    const home = isClear ? best.cluster : machine === null ? undefined : mostOf(machine, all, isPossible)
    if (home) home.members.push(candidate)
    else all.push({ members: [candidate], links: [] })
  }
  return all
}

function isContradicted(candidate: Candidate, { members }: Growing): boolean {
  return members.some((member) => member.live && contradictionOf(member.marks, candidate.marks, []) !== undefined)
}

/** The group that holds most of what a machine was. */
function mostOf(machine: number, clusters: readonly Growing[], isAllowed: (cluster: Growing) => boolean) {
  const shares = clusters.filter(isAllowed).map((cluster) => {
    return { cluster, count: cluster.members.filter((member) => member.machine === machine).length }
  })
  const [most] = shares.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count)
  return most?.cluster
}
