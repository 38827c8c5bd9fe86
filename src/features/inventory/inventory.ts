import { Problem } from '../../core/problem.ts'
import type { Database } from '../../lib/db/database.ts'
import { makeBatches } from './batch.ts'
import { makeDecisions } from './machines/decisions.ts'
import { makeMachineReader } from './machines/machine.ts'
import type { SubjectsOf } from './machines/match.ts'
import { makeViews } from './machines/views.ts'
import { makeSearch } from './search.ts'
import { type AssetRow, type RelatedRow, readAsset, readIncoming, readOutgoing } from './store-assets.ts'
import { countsByKind } from './store-groups.ts'
import { makePostgresIndex } from './store-postgres.ts'
import { makeSqliteIndex } from './store-sqlite.ts'

export type Inventory = ReturnType<typeof makeInventory>

export type Asset = Omit<AssetRow, 'attributes'> & {
  readonly attributes: Record<string, string | number | boolean | null | string[]>
  readonly relations: readonly Related[]
  /** There are more relations than are listed. */
  readonly moreRelations: boolean
}

export type Related = RelatedRow & { readonly direction: 'out' | 'in' }

const relationLimit = 200

type Parts = {
  readonly database: Database
  /** What a kind of system is the witness of. */
  readonly subjectsOf: SubjectsOf
  readonly now: () => Date
}

/** What the hub believes about the connected systems: written by syncs, searched by everyone. */
export function makeInventory({ database, subjectsOf, now }: Parts) {
  const index = database.dialect === 'sqlite' ? makeSqliteIndex(database) : makePostgresIndex(database)
  const search = makeSearch(database, index)
  const counts = () => countsByKind(database.db)
  const { machineViews, machineViewsOfAssets, thingViews } = makeViews({ database, subjectsOf })
  const reader = makeMachineReader({ database, search, counts, subjectsOf })
  const { list: decisions, split, join, withdraw } = makeDecisions({ database, subjectsOf, now })
  const { applyBatch, finishFullRun, removeConnection } = makeBatches({ database, index, subjectsOf, now })
  return {
    applyBatch,
    finishFullRun,
    removeConnection,

    search,

    machines: { search: reader.search, get: reader.get, resolve: reader.resolve, split, join, withdraw, decisions },

    machineViews,
    machineViewsOfAssets,
    thingViews,

    /** One asset with its relations in both directions, at most 200 each. @throws Problem not-found */
    async get(id: string): Promise<Asset> {
      const row = await readAsset(database, id)
      if (!row) throw new Problem('not-found', 'There is no such asset')
      const outgoing = await readOutgoing(database, row.seq, relationLimit + 1)
      const incoming = await readIncoming(database, row, relationLimit + 1)
      const relations = [
        ...outgoing.slice(0, relationLimit).map((other) => ({ ...other, direction: 'out' as const })),
        ...incoming.slice(0, relationLimit).map((other) => ({ ...other, direction: 'in' as const })),
      ]
      const moreRelations = outgoing.length > relationLimit || incoming.length > relationLimit
      return { ...row, attributes: JSON.parse(row.attributes), relations, moreRelations }
    },

    /** Live and stale assets per connection and kind. */
    counts,
  }
}
