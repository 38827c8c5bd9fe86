import { sql } from 'kysely'
import type { Database, Db } from '../../lib/db/database.ts'
import type { Prepared } from './prepare.ts'
import { all, first, int, rowsFrom, text } from './store-tables.ts'
import type { Document } from './text.ts'

export type Known = {
  readonly seq: number
  readonly kind: string
  readonly external_id: string
  readonly hash: string
  readonly group_no: number
  readonly status: string
  readonly site: string
  readonly stale: number
}

export type Written = {
  readonly seq: number
  readonly group: number
  readonly prepared: Prepared
  readonly document: Document
}

const content = {
  seq: 'int',
  group_no: 'int',
  name: 'text',
  name_key: 'text',
  status: 'text',
  site: 'text',
  serial: 'text',
  addresses: 'text',
  url: 'text',
  attributes: 'text',
  facts: 'text',
  hash: 'text',
} as const

/** What the tables know of things of one connection. */
export function findKnown(
  { dialect }: Database,
  tx: Db,
  source: number,
  things: readonly { readonly kind: string; readonly externalId: string }[],
): Promise<Known[]> {
  const rows = rowsFrom(
    dialect,
    { kind: 'text', external_id: 'text' },
    things.map(({ kind, externalId }) => [kind, externalId]),
  )
  return all(
    tx,
    sql<Known>`select a.seq, a.kind, a.external_id, a.hash, a.group_no, g.status, g.site, g.stale
      from ${rows} cross join asset a cross join asset_group g
      where a.source_no = ${int(source)} and a.kind = r.kind and a.external_id = r.external_id and g.no = a.group_no`,
  )
}

/** `ids` are the public ids of the new assets, in the same order. */
export async function insertAssets(
  { dialect }: Database,
  tx: Db,
  source: number,
  run: { readonly id: string; readonly at: string },
  written: readonly Written[],
  ids: readonly string[],
): Promise<void> {
  if (written.length === 0) return
  const columns = { ...content, id: 'text', kind: 'text', external_id: 'text' } as const
  const rows = written.map((asset, at) => {
    const { kind, externalId } = asset.prepared.observation
    return [...contentOf(asset), ids[at] ?? '', kind, externalId]
  })
  await sql`insert into asset (seq, group_no, name, name_key, status, site, serial, addresses, url, attributes,
      facts, hash, id, kind, external_id, source_no, first_seen_at, changed_at)
    select r.seq, r.group_no, r.name, r.name_key, r.status, r.site, r.serial, r.addresses, r.url, r.attributes,
      r.facts, r.hash, r.id, r.kind, r.external_id, ${int(source)}, ${text(run.at)}, ${text(run.at)}
    from ${rowsFrom(dialect, columns, rows)}`.execute(tx)
  await sql`insert into asset_seen (seq, source_no, run_id, last_seen_at)
    select r.seq, ${int(source)}, ${text(run.id)}, ${text(run.at)}
    from ${rowsFrom(
      dialect,
      { seq: 'int' },
      written.map(({ seq }) => [seq]),
    )}`.execute(tx)
}

export async function updateAssets(
  { dialect }: Database,
  tx: Db,
  at: string,
  written: readonly Written[],
): Promise<void> {
  if (written.length === 0) return
  await sql`update asset set group_no = r.group_no, name = r.name, name_key = r.name_key, status = r.status,
      site = r.site, serial = r.serial, addresses = r.addresses, url = r.url, attributes = r.attributes,
      facts = r.facts, hash = r.hash,
      changed_at = ${at}, stale_at = null
    from ${rowsFrom(dialect, content, written.map(contentOf))} where asset.seq = r.seq`.execute(tx)
}

/** Moves assets to another group: they became stale (`staleAt`) or were seen again (null). */
export async function flipAssets(
  { dialect }: Database,
  tx: Db,
  at: string,
  staleAt: string | null,
  moves: readonly { readonly seq: number; readonly group: number }[],
): Promise<void> {
  if (moves.length === 0) return
  const rows = rowsFrom(
    dialect,
    { seq: 'int', group_no: 'int' },
    moves.map(({ seq, group }) => [seq, group]),
  )
  await sql`update asset set group_no = r.group_no, stale_at = ${staleAt}, changed_at = ${at}
    from ${rows} where asset.seq = r.seq`.execute(tx)
}

/** Notes that a run has seen these assets. */
export async function touchAssets(
  { dialect }: Database,
  tx: Db,
  run: { readonly id: string; readonly at: string },
  seqs: readonly number[],
): Promise<void> {
  if (seqs.length === 0) return
  await sql`update asset_seen set run_id = ${run.id}, last_seen_at = ${run.at}
    from ${rowsFrom(
      dialect,
      { seq: 'int' },
      seqs.map((seq) => [seq]),
    )} where asset_seen.seq = r.seq`.execute(tx)
}

export async function replaceRelations(
  { dialect }: Database,
  tx: Db,
  source: number,
  created: readonly Written[],
  updated: readonly Written[],
): Promise<void> {
  await deleteFrom(
    dialect,
    tx,
    'asset_relation',
    updated.map(({ seq }) => seq),
  )
  const rows = [...created, ...updated].flatMap(({ seq, prepared }) =>
    prepared.relations.map(({ type, kind, externalId }) => [seq, type, kind, externalId]),
  )
  if (rows.length === 0) return
  const columns = { seq: 'int', type: 'text', to_kind: 'text', to_external_id: 'text' } as const
  await sql`insert into asset_relation (seq, source_no, type, to_kind, to_external_id)
    select r.seq, ${int(source)}, r.type, r.to_kind, r.to_external_id from ${rowsFrom(dialect, columns, rows)}`.execute(
    tx,
  )
}

export async function lastSeq(db: Db): Promise<number> {
  const row = await first(db, sql<{ last: number | null }>`select max(seq) as last from asset_seen`)
  return row?.last ?? 0
}

/** Live assets of one connection that a run has not seen, with `from < seq <= to`. */
export function findUnseen(
  tx: Db,
  source: number,
  runId: string,
  from: number,
  to: number,
  limit: number,
): Promise<Known[]> {
  return all(
    tx,
    sql<Known>`select a.seq, a.kind, a.external_id, a.hash, a.group_no, g.status, g.site, g.stale
      from asset_seen s cross join asset a cross join asset_group g
      where s.seq > ${int(from)} and s.seq <= ${int(to)} and s.source_no = ${int(source)} and s.run_id <> ${runId}
        and a.seq = s.seq and a.stale_at is null and g.no = a.group_no
      order by s.seq limit ${int(limit)}`,
  )
}

export async function findOfSource(tx: Db, source: number, from: number, to: number, limit: number): Promise<number[]> {
  const rows = await all(
    tx,
    sql<{ seq: number }>`select seq from asset_seen where seq > ${int(from)} and seq <= ${int(to)}
      and source_no = ${int(source)} order by seq limit ${int(limit)}`,
  )
  return rows.map(({ seq }) => seq)
}

export async function deleteAssets({ dialect }: Database, tx: Db, seqs: readonly number[]): Promise<void> {
  for (const table of ['asset_change', 'asset_relation', 'asset_seen', 'asset'])
    await deleteFrom(dialect, tx, table, seqs)
}

export async function deleteSource(tx: Db, source: number): Promise<void> {
  await sql`delete from asset_group where source_no = ${source}`.execute(tx)
  await sql`delete from asset_source where no = ${source}`.execute(tx)
}

async function deleteFrom(dialect: Database['dialect'], tx: Db, table: string, seqs: readonly number[]): Promise<void> {
  if (seqs.length === 0) return
  const rows = rowsFrom(
    dialect,
    { seq: 'int' },
    seqs.map((seq) => [seq]),
  )
  await sql`delete from ${sql.table(table)} where seq in (select r.seq from ${rows})`.execute(tx)
}

function contentOf({ seq, group, prepared, document }: Written): (string | number | null)[] {
  const { observation, addresses, attributes, facts, hash } = prepared
  const { name, status, site, serial, url } = observation
  return [
    seq,
    group,
    name,
    document.nameKey,
    status ?? null,
    site ?? null,
    serial ?? null,
    addresses,
    url ?? null,
    attributes,
    facts,
    hash,
  ]
}
