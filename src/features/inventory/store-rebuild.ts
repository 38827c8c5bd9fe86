import { sql } from 'kysely'
import type { Observation } from '../../core/connector.ts'
import type { Database } from '../../lib/db/database.ts'
import type { SearchIndex } from './search-index.ts'
import { makePostgresIndex } from './store-postgres.ts'
import { makeSqliteIndex } from './store-sqlite.ts'
import { all, int } from './store-tables.ts'
import { makeDocuments } from './text.ts'

/** What is made of the assets alone, and differs between the databases: backups leave it out. */
export const searchTables = ['asset_search', 'asset_match', 'asset_word'] as const

type Row = {
  readonly seq: number
  readonly group_no: number
  readonly connection_id: string
  readonly kind: string
  readonly external_id: string
  readonly name: string
  readonly status: string | null
  readonly site: string | null
  readonly serial: string | null
  readonly addresses: string
  readonly attributes: string
}

const pageSize = 500

/** Makes the search index anew from the assets. It must be empty. */
export async function rebuildSearch(database: Database): Promise<void> {
  const index = database.dialect === 'sqlite' ? makeSqliteIndex(database) : makePostgresIndex(database)
  await database.exclusive('restore', async (tx) => {
    const documentsOf = new Map<string, ReturnType<typeof makeDocuments>>()
    for (let after = 0; ; ) {
      const rows = await all(
        tx,
        sql<Row>`select a.seq, a.group_no, s.connection_id, a.kind, a.external_id, a.name, a.status, a.site, a.serial,
            a.addresses, a.attributes
          from asset a join asset_source s on s.no = a.source_no where a.seq > ${int(after)} order by a.seq
          limit ${int(pageSize)}`,
      )
      await index.add(
        tx,
        rows.map((row) => entryOf(row, documentsOf)),
      )
      const last = rows.at(-1)
      if (!last) break
      after = last.seq
    }
    if (database.dialect === 'postgres')
      await sql`select setval('asset_seq', greatest(coalesce(max(seq), 0), 1), coalesce(max(seq), 0) > 0) from asset`.execute(
        tx,
      )
  })
}

function entryOf(
  row: Row,
  known: Map<string, ReturnType<typeof makeDocuments>>,
): Parameters<SearchIndex['add']>[1][number] {
  let documentOf = known.get(row.connection_id)
  if (!documentOf) {
    documentOf = makeDocuments(row.connection_id)
    known.set(row.connection_id, documentOf)
  }
  const observation: Observation = {
    kind: row.kind,
    externalId: row.external_id,
    name: row.name,
    addresses: JSON.parse(row.addresses) as string[],
    attributes: JSON.parse(row.attributes) as Observation['attributes'],
    ...(row.status !== null && { status: row.status }),
    ...(row.site !== null && { site: row.site }),
    ...(row.serial !== null && { serial: row.serial }),
  }
  return { seq: row.seq, group: row.group_no, document: documentOf(observation) }
}
