import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { newId } from '../../../lib/ids.ts'
import { rematch, type SubjectsOf } from './match.ts'
import {
  assetsOfDecision,
  type DecisionRow,
  findDecision,
  insertDecision,
  listDecisions,
  namesOfAssets,
  withdrawDecision,
} from './store-decisions.ts'
import { lockMachines } from './store-matching.ts'
import {
  findMachine,
  type MachineRow,
  type MemberRow,
  machinesOfAssets,
  readMachines,
  readMembersOf,
} from './store-read.ts'

type Parts = { readonly database: Database; readonly subjectsOf: SubjectsOf; readonly now: () => Date }
type Person = { readonly id: string; readonly name: string }

export type Decision = {
  readonly id: string
  readonly verb: 'join' | 'split'
  readonly note: string
  readonly by: Person
  readonly at: string
  readonly withdrawnAt: string | null
  /** What was joined, or split from each other. Assets that are gone with their connection are left out. */
  readonly parts: readonly (readonly DecidedAsset[])[]
}

export type DecidedAsset = {
  readonly id: string
  readonly name: string
  readonly connection: string
  readonly machine: string | null
}

/** Every pair of a decision is a row. */
const mostPairs = 4_000

/** What people say about machines. It outweighs every mark and stays until it is withdrawn. */
export function makeDecisions({ database, subjectsOf, now }: Parts) {
  const { db } = database

  async function decide(verb: 'join' | 'split', groups: readonly (readonly MemberRow[])[], by: Person, note: string) {
    const pairs = groups.flatMap((group, at) =>
      groups.slice(at + 1).flatMap((other) => group.flatMap((a) => other.map((b) => ordered(a.seq, b.seq)))),
    )
    if (pairs.length > mostPairs) throw new Problem('conflict', 'These machines have too many assets to decide at once')
    const seqs = groups.flat().map(({ seq }) => seq)
    const at = now().toISOString()
    const id = newId('mdc', now().getTime())
    const parts = JSON.stringify(groups.map((group) => group.map((asset) => asset.id)))
    await database.exclusive('inventory/decisions', async (tx) => {
      await lockMachines(database, tx)
      await insertDecision(database, tx, { id, verb, note, parts, by_id: by.id, by_name: by.name, at }, pairs)
      await rematch({ database, subjectsOf }, tx, at, seqs)
    })
    return { decision: id, machines: await machinesNow(seqs) }
  }

  async function machinesNow(seqs: readonly number[]): Promise<MachineRow[]> {
    const nos = new Set((await machinesOfAssets(database, seqs)).values())
    return readMachines(database, [...nos])
  }

  async function find(id: string): Promise<MachineRow> {
    const machine = await findMachine(database, id)
    if (!machine) throw new Problem('not-found', 'There is no such machine')
    return machine
  }

  return {
    /** Takes assets out of a machine: they are one of their own. */
    async split(id: string, assets: readonly string[], by: Person, note: string) {
      const members = await readMembersOf(database, [(await find(id)).no])
      const out = members.filter((member) => assets.includes(member.id))
      if (out.length < new Set(assets).size) throw refused('/assets', 'has an asset that is not of this machine')
      const rest = members.filter((member) => !assets.includes(member.id))
      if (rest.length === 0) throw refused('/assets', 'must leave the machine at least one asset')
      return decide('split', [out, rest], by, note)
    },

    /** Makes several machines one. */
    async join(ids: readonly string[], by: Person, note: string) {
      const machines = await Promise.all(ids.map(find))
      const nos = [...new Set(machines.map(({ no }) => no))]
      if (nos.length < 2) throw refused('/machines', 'must name at least two machines')
      const members = await readMembersOf(database, nos)
      const groups = nos.map((no) => members.filter(({ machine_no }) => machine_no === no))
      return decide('join', groups, by, note)
    },

    async withdraw(id: string, by: Person): Promise<{ machines: MachineRow[] }> {
      const decision = await findDecision(db, id)
      if (!decision) throw new Problem('not-found', 'There is no such decision')
      const at = now().toISOString()
      const seqs = await assetsOfDecision(db, decision.no)
      await database.exclusive('inventory/decisions', async (tx) => {
        await lockMachines(database, tx)
        if (!(await withdrawDecision(tx, decision.no, at, by.id)))
          throw new Problem('conflict', 'This decision was withdrawn before')
        await rematch({ database, subjectsOf }, tx, at, seqs)
      })
      return { machines: await machinesNow(seqs) }
    },

    /** The newest first. */
    async list(before: number | undefined, limit: number): Promise<{ decisions: Decision[]; next: number | null }> {
      const rows = await listDecisions(db, before, limit + 1)
      const page = rows.slice(0, limit)
      const next = rows.length > limit ? (page.at(-1)?.no ?? null) : null
      return { decisions: await shown(database, page), next }
    },
  }
}

/** Decisions for their readers. */
export async function shown(database: Database, rows: readonly DecisionRow[]): Promise<Decision[]> {
  const parts = rows.map((row) => JSON.parse(row.parts) as string[][])
  const assets = await namesOfAssets(database, database.db, [...new Set(parts.flat(2))])
  const byId = new Map(assets.map((asset) => [asset.id, asset]))
  return rows.map(({ id, verb, note, by_id, by_name, at, withdrawn_at }, place) => ({
    id,
    verb,
    note,
    by: { id: by_id, name: by_name },
    at,
    withdrawnAt: withdrawn_at,
    parts: (parts[place] ?? []).map((group) => group.flatMap((asset) => byId.get(asset) ?? [])),
  }))
}

function ordered(a: number, b: number): [number, number] {
  return a < b ? [a, b] : [b, a]
}

function refused(field: string, rule: string): Problem {
  return new Problem('invalid-input', `The input ${rule}`, { faults: [{ field, rule }] })
}
