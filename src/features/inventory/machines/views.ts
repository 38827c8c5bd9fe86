import type { Attribute, Facts } from '../../../core/connector.ts'
import type { Database } from '../../../lib/db/database.ts'
import type { Marks } from './marks.ts'
import type { SubjectsOf } from './match.ts'
import {
  type MachineRow,
  type MemberRow,
  machinesOfAssets,
  pageOfMachines,
  pageOfThings,
  readMachines,
  readMembersOf,
} from './store-read.ts'
import type { MachineAsset, MachineView } from './view.ts'

const pageSize = 500

/** An asset that carries facts and is no machine: a pool, a snapshot, a problem. */
export type ThingView = MachineAsset & {
  /** The machine that it points to in its own system. */
  readonly machine: { readonly id: string; readonly name: string } | null
}

/** Machines and other things with facts as findings read them, in pages, so that an estate of any size fits in memory. */
export function makeViews({ database, subjectsOf }: { readonly database: Database; readonly subjectsOf: SubjectsOf }) {
  async function viewsOf(machines: readonly MachineRow[]): Promise<MachineView[]> {
    const members = await readMembersOf(
      database,
      machines.map(({ no }) => no),
    )
    const byMachine = Map.groupBy(members, ({ machine_no }) => machine_no)
    return machines.map(({ no, id, name, form, site }) => ({
      id,
      name,
      form: form || null,
      site: site || null,
      assets: (byMachine.get(no) ?? []).map((row) => assetOf(row, subjectsOf)),
    }))
  }

  return {
    /**
     * All machines in the order in which they were made; with `since` only those of which anything changed at or after that time.
     * A machine that is made, joined or split while this runs may be left out or come as it was before.
     */
    async *machineViews({ since }: { readonly since?: Date } = {}): AsyncGenerator<readonly MachineView[], void> {
      for (let after = 0; ; ) {
        const machines = await pageOfMachines(database, { after, since: since?.toISOString(), limit: pageSize })
        if (machines.length === 0) return
        yield await viewsOf(machines)
        after = machines.at(-1)?.no ?? after
      }
    },

    /** The machines of these assets (their numbers). */
    async machineViewsOfAssets(seqs: readonly number[]): Promise<MachineView[]> {
      const nos = [...new Set((await machinesOfAssets(database, seqs)).values())]
      return viewsOf(await readMachines(database, nos))
    },

    viewsOf,

    async *thingViews(): AsyncGenerator<readonly ThingView[], void> {
      for (let after = 0; ; ) {
        const rows = await pageOfThings(database, after, pageSize)
        if (rows.length === 0) return
        yield rows.map((row) => ({
          ...assetOf(row, subjectsOf),
          machine: row.machine === null ? null : { id: row.machine, name: row.machine_name ?? '' },
        }))
        after = rows.at(-1)?.seq ?? after
      }
    },
  }
}

export function assetOf(row: MemberRow, subjectsOf: SubjectsOf): MachineAsset {
  const marks = row.marks === null ? undefined : (JSON.parse(row.marks) as Marks)
  return {
    id: row.id,
    connection: row.connection_id,
    connector: row.connector,
    subjects: subjectsOf(row.connector),
    kind: row.kind,
    externalId: row.external_id,
    name: row.name,
    status: row.status,
    site: row.site,
    serial: row.serial,
    addresses: JSON.parse(row.addresses) as string[],
    url: row.url,
    attributes: JSON.parse(row.attributes) as Record<string, Attribute>,
    facts: JSON.parse(row.facts) as Facts,
    form: marks?.form ?? null,
    lastSeenAt: row.last_seen_at,
    staleAt: row.stale_at,
  }
}
