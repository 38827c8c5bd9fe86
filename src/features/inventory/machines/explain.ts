import type { Database } from '../../../lib/db/database.ts'
import type { Evidence } from './evidence.ts'
import { gather, type Loaded } from './gather.ts'
import { kindOf } from './marks.ts'
import { type Partition, partition, type Refusal } from './partition.ts'

export type Explanation = {
  /** Why two assets of the machine are in it. Numbers of assets. */
  readonly links: readonly {
    readonly a: number
    readonly b: number
    readonly strength: Evidence['strength']
    readonly reasons: readonly string[]
  }[]
  readonly conflicts: readonly { readonly kind: string; readonly detail: string; readonly assets: readonly number[] }[]
  /** Assets of other machines that have something in common with it, but not enough. */
  readonly candidates: readonly {
    readonly asset: number
    readonly machine: number
    readonly reasons: readonly string[]
  }[]
}

const most = 50

/** Why a machine is what it is: the decision is made again from the marks, nothing is written. */
export async function explain(database: Database, members: readonly number[]): Promise<Explanation> {
  const components = await gather(database, database.db, { changed: [], others: members, lostKeys: [] })
  const own = new Set(members)
  const about = components
    .filter(({ candidates }) => candidates.some(({ seq }) => own.has(seq)))
    // Those that only share a weak key take part as well here: they are who else it may be.
    .map((component) => {
      const decided = new Set(component.candidates.map(({ seq }) => seq))
      return { component, decision: partition({ ...component, decided }) }
    })
  const links = about.flatMap(({ decision }) =>
    decision.clusters.flatMap((cluster) => cluster.links.filter(({ a, b }) => own.has(a) && own.has(b))),
  )
  const loaded = new Map(about.flatMap(({ component }) => component.candidates.map((one) => [one.seq, one] as const)))
  return {
    links: links.slice(0, most).map(({ a, b, evidence }) => ({
      a,
      b,
      strength: evidence.some(({ strength }) => strength === 'strong') ? 'strong' : 'weak',
      reasons: evidence.map(reasonOf),
    })),
    conflicts: about.flatMap(({ decision }) => conflictsOf(decision, own, loaded)).slice(0, most),
    candidates: about.flatMap(({ decision }) => candidatesOf(decision, own, loaded)).slice(0, most),
  }
}

const nouns: Readonly<Record<Evidence['kind'], string>> = {
  uuid: 'BIOS UUID',
  serial: 'serial number',
  mac: 'MAC address',
  fqdn: 'full name',
  name: 'host name',
  address: 'address',
  site: 'site',
  person: 'person',
}

function reasonOf({ kind, value }: Evidence): string {
  return kind === 'person' ? value : `same ${nouns[kind]} ${value}`
}

function conflictsOf(
  { refused, clones, clusters }: Partition,
  own: ReadonlySet<number>,
  loaded: ReadonlyMap<number, Loaded>,
): Explanation['conflicts'] {
  const refusals = refused
    .filter(({ a, b, because, areLive }) => areLive && !quiet.has(because) && (own.has(a) || own.has(b)))
    .map((refusal) => ({ kind: refusal.because, detail: detailOf(refusal, loaded), assets: [refusal.a, refusal.b] }))
  const copies = clones
    .filter(({ seqs }) => seqs.some((seq) => own.has(seq)))
    .map(({ key, seqs }) => ({
      kind: 'clone',
      detail: `${seqs.length} assets of one connection have the ${nouns[kindOf(key)]} ${key.slice(key.indexOf(':') + 1)}, so it says nothing`,
      assets: seqs.slice(0, 10),
    }))
  const forms = clusters.flatMap(({ members }) => {
    const live = members.filter(({ seq, live, marks }) => own.has(seq) && live && marks.form)
    const kinds = new Set(live.map(({ marks }) => marks.form))
    const detail = 'one system calls it physical, another virtual'
    return kinds.size > 1 ? [{ kind: 'form', detail, assets: live.map(({ seq }) => seq) }] : []
  })
  return [...refusals, ...copies, ...forms]
}

const quiet: ReadonlySet<Refusal['because']> = new Set(['weak', 'split'])

function detailOf({ a, b, because, evidence }: Refusal, loaded: ReadonlyMap<number, Loaded>): string {
  const [one, other] = [loaded.get(a), loaded.get(b)]
  const common = evidence.map(({ kind, value }) => `${nouns[kind]} ${value}`).join(', ')
  const differ = (values: readonly [string | null | undefined, string | null | undefined]) => values.join(' and ')
  if (because === 'serial')
    return `same ${common}, but the serial numbers ${differ([one?.marks.serials[0], other?.marks.serials[0]])}`
  if (because === 'uuid')
    return `same ${common}, but the BIOS UUIDs ${differ([one?.marks.uuids[0], other?.marks.uuids[0]])}`
  if (because === 'form') return `same ${common}, but one is physical and the other virtual`
  if (because === 'taken') return `same ${common}, but its connection has another asset in this machine`
  return `same ${common}, but another machine fits as well`
}

function candidatesOf(
  { refused }: Partition,
  own: ReadonlySet<number>,
  loaded: ReadonlyMap<number, Loaded>,
): Explanation['candidates'] {
  const found = refused.flatMap(({ a, b, evidence }) => {
    const other = own.has(a) === own.has(b) ? undefined : loaded.get(own.has(a) ? b : a)
    // An address alone is mostly one that was used again.
    if (!other?.live || other.machine === null || evidence.every(({ kind }) => kind === 'address')) return []
    return [{ asset: other.seq, machine: other.machine, reasons: evidence.map(reasonOf) }]
  })
  return [...new Map(found.map((candidate) => [candidate.asset, candidate])).values()]
}
