import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import type { SearchQuery, SearchResult } from '../search.ts'
import { type Decision, shown } from './decisions.ts'
import { type Explanation, explain } from './explain.ts'
import type { SubjectsOf } from './match.ts'
import { type Mention, makeMentions } from './mentions.ts'
import { makeMachineSearch } from './search.ts'
import { decisionsAbout } from './store-decisions.ts'
import { readHistory } from './store-history.ts'
import {
  findMachine,
  type MachineRow,
  type MemberRow,
  machinesOfAssets,
  type NeighbourRow,
  readMachines,
  readMembersOf,
  readNeighbours,
} from './store-read.ts'
import type { MachineAsset } from './view.ts'
import { assetOf } from './views.ts'

/** What happened to one of a machine's assets. */
export type Event = {
  readonly at: string
  readonly what: 'seen' | 'changed' | 'gone' | 'returned'
  readonly asset: string
  /** Field → before, after. */
  readonly fields: Readonly<Record<string, readonly [unknown, unknown]>>
}

export type Whole = {
  readonly machine: MachineRow
  readonly assets: readonly MachineAsset[]
  readonly explanation: Explanation
  /** Number of an asset → its id. */
  readonly idOf: ReadonlyMap<number, string>
  /** Number of another machine → its row. */
  readonly others: ReadonlyMap<number, MachineRow>
  readonly neighbours: readonly NeighbourRow[]
  readonly mentions: { readonly tickets: readonly Mention[]; readonly pages: readonly Mention[] }
  readonly decisions: readonly Decision[]
  readonly timeline: readonly Event[]
}

type Parts = {
  readonly database: Database
  readonly search: (query: SearchQuery) => Promise<SearchResult>
  readonly counts: () => Promise<readonly { readonly connection: string; readonly connector: string }[]>
  readonly subjectsOf: SubjectsOf
}

const mostNeighbours = 200
const mostEvents = 100

/** Reads machines. */
export function makeMachineReader({ database, search, counts, subjectsOf }: Parts) {
  const mentions = makeMentions({ search, counts, subjectsOf })
  const found = makeMachineSearch(database, search)

  async function find(id: string): Promise<MachineRow> {
    const machine = await findMachine(database, id)
    if (!machine) throw new Problem('not-found', 'There is no such machine')
    return machine
  }

  return {
    search: found.search,

    /** The machine, or what it became part of, with everything that is known of it. @throws Problem not-found */
    async get(id: string): Promise<Whole> {
      const machine = await find(id)
      const members = await readMembersOf(database, [machine.no])
      const seqs = members.map(({ seq }) => seq)
      const explanation = await explain(database, seqs)
      const machines = explanation.candidates.map((candidate) => candidate.machine)
      const others = await readMachines(database, [...new Set(machines)])
      const foreign = explanation.conflicts.flatMap(({ assets }) => assets)
      return {
        machine,
        assets: members.map((row) => assetOf(row, subjectsOf)),
        explanation,
        idOf: await idsOf(members, [...foreign, ...explanation.candidates.map(({ asset }) => asset)]),
        others: new Map(others.map((other) => [other.no, other])),
        neighbours: await readNeighbours(database, seqs, mostNeighbours),
        mentions: await mentions(machine.name),
        decisions: await shown(database, await decisionsAbout(database, database.db, seqs)),
        timeline: await timelineOf(members),
      }
    },

    /** The machines that a text may mean, the best first: an id, a name, an address, a serial, a UUID or a MAC address. */
    async resolve(text: string): Promise<MachineRow[]> {
      return /^mch_/.test(text) ? [await find(text)] : found.resolve(text, 10)
    },
  }

  async function idsOf(members: readonly MemberRow[], seqs: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const known = new Map(members.map(({ seq, id }) => [seq, id]))
    const unknown = seqs.filter((seq) => !known.has(seq))
    const nos = [...new Set((await machinesOfAssets(database, unknown)).values())]
    for (const { seq, id } of await readMembersOf(database, nos)) known.set(seq, id)
    return known
  }

  async function timelineOf(members: readonly MemberRow[]): Promise<Event[]> {
    const idOf = new Map(members.map(({ seq, id }) => [seq, id]))
    const rows = await readHistory(
      database,
      members.map(({ seq }) => seq),
      mostEvents,
    )
    const changes = rows.map(({ at, what, seq, fields }): Event => {
      return { at, what, asset: idOf.get(seq) ?? '', fields: JSON.parse(fields) as Event['fields'] }
    })
    const seen = members.map(
      ({ first_seen_at, id }): Event => ({ at: first_seen_at, what: 'seen', asset: id, fields: {} }),
    )
    return [...changes, ...seen].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0)).slice(0, mostEvents)
  }
}
