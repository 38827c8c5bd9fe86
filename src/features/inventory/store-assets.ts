import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { all, first, int, rowsFrom } from './store-tables.ts'

export type AssetRow = {
  readonly seq: number
  readonly id: string
  readonly connection_id: string
  readonly connector: string
  readonly kind: string
  readonly external_id: string
  readonly name: string
  readonly status: string | null
  readonly site: string | null
  readonly serial: string | null
  readonly addresses: string
  readonly url: string | null
  readonly attributes: string
  readonly first_seen_at: string
  readonly last_seen_at: string
  readonly changed_at: string
  readonly stale_at: string | null
}

/** The other end of a relation; `id` and `name` are null while it is not in the inventory. */
export type RelatedRow = {
  readonly type: string
  readonly kind: string
  readonly external_id: string
  readonly id: string | null
  readonly name: string | null
  readonly stale: number | null
}

const columns = sql`a.seq, a.id, s.connection_id, s.connector, a.kind, a.external_id, a.name, a.status, a.site, a.serial,
  a.addresses, a.url, a.attributes, a.first_seen_at, n.last_seen_at, a.changed_at, a.stale_at`

/** Assets in the order of the given numbers; ones that are gone meanwhile are left out. */
export async function readAssets({ db, dialect }: Database, seqs: readonly number[]): Promise<AssetRow[]> {
  const rows = await all(
    db,
    sql<AssetRow>`select ${columns} from ${rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )}
      cross join asset a cross join asset_seen n cross join asset_source s
      where a.seq = r.seq and n.seq = a.seq and s.no = a.source_no`,
  )
  const bySeq = new Map(rows.map((row) => [row.seq, row]))
  return seqs.flatMap((seq) => bySeq.get(seq) ?? [])
}

export function readAsset({ db }: Database, id: string): Promise<(AssetRow & { source_no: number }) | undefined> {
  return first(
    db,
    sql<AssetRow & { source_no: number }>`select ${columns}, a.source_no
      from asset a join asset_seen n on n.seq = a.seq join asset_source s on s.no = a.source_no where a.id = ${id}`,
  )
}

/** What the asset points to. */
export function readOutgoing({ db }: Database, seq: number, limit: number): Promise<RelatedRow[]> {
  return all(
    db,
    sql<RelatedRow>`select l.type, l.to_kind as kind, l.to_external_id as external_id, b.id, b.name,
        case when b.id is null then null when b.stale_at is null then 0 else 1 end as stale
      from asset_relation l left join asset b
        on b.source_no = l.source_no and b.kind = l.to_kind and b.external_id = l.to_external_id
      where l.seq = ${int(seq)} order by l.type, l.to_kind, l.to_external_id limit ${int(limit)}`,
  )
}

/** What points to the asset, in the order of first sight. */
export function readIncoming(
  { db }: Database,
  { source_no, kind, external_id }: { source_no: number; kind: string; external_id: string },
  limit: number,
): Promise<RelatedRow[]> {
  return all(
    db,
    sql<RelatedRow>`select l.type, a.kind, a.external_id, a.id, a.name, case when a.stale_at is null then 0 else 1 end as stale
      from asset_relation l join asset a on a.seq = l.seq
      where l.source_no = ${int(source_no)} and l.to_kind = ${kind} and l.to_external_id = ${external_id}
      order by l.seq, l.type limit ${int(limit)}`,
  )
}
