import type { Migration } from '../../lib/db/migrate.ts'
import { findingMigrations } from './findings/migrations.ts'

// `seq` numbers assets in the order of their first sight; it is the row id of the search index and never leaves this room.
// A group is all assets that share connection, kind, status, site and staleness. It is what filters choose by and what is
// counted, so that counts and facets need no look at the assets.
const shared = (text: string) => [
  `create table asset_source (
    no integer primary key generatedNo, connection_id ${text} not null unique, connector text not null)`,
  `create table asset_group (
    no integer primary key generatedNo, source_no integer not null, kind ${text} not null, status ${text} not null,
    site ${text} not null, stale integer not null, count integer not null,
    unique (source_no, kind, status, site, stale))`,
  // Most searches leave out the stale, which few groups are.
  'create index asset_group_stale on asset_group (no) where stale = 1',
  `create table asset (
    seq integer primary key, id text not null unique, source_no integer not null, group_no integer not null,
    kind ${text} not null, external_id ${text} not null, name text not null, name_key ${text} not null,
    status text, site text, serial text, addresses text not null, url text, attributes text not null,
    hash text not null, first_seen_at text not null, changed_at ${text} not null, stale_at text,
    unique (source_no, kind, external_id))`,
  'create index asset_by_name on asset (name_key, seq, group_no)',
  'create index asset_by_group on asset (group_no, name_key, seq)',
  'create index asset_by_change on asset (changed_at, seq, group_no)',
  // Apart from the asset, because every run writes it for every asset.
  `create table asset_seen (
    seq integer primary key, source_no integer not null, run_id text not null, last_seen_at text not null)`,
  // The other end is named, not pointed to: it may arrive later, or never.
  `create table asset_relation (
    seq integer not null, source_no integer not null, type text not null, to_kind text not null,
    to_external_id text not null, primary key (seq, type, to_kind, to_external_id)) withoutRowid`,
  'create index asset_relation_to on asset_relation (source_no, to_kind, to_external_id, seq)',
]

// Every ASCII punctuation mark except the quotes is part of a token; text.ts cuts and folds.
const tokenchars = '!#$%&()*+,-./:;<=>?@[\\]^_`{|}~'

// A machine is what assets of several systems are; docs/operate/machines.md tells how that is decided. `form` is empty when unknown,
// `conflicts` a JSON list of the kinds of contradictions among its assets.
const machines = (text: string) => [
  "alter table asset add column facts text not null default '{}'",
  `create table machine (
    no integer primary key generatedNo, id ${text} not null unique, name text not null, name_key ${text} not null,
    form text not null, site text not null, live integer not null, conflicts text not null, changed_at ${text} not null)`,
  'create index machine_by_name on machine (name_key, no)',
  'create index machine_by_change on machine (changed_at, no)',
  'create index machine_by_site on machine (site, name_key, no)',
  "create index machine_in_conflict on machine (name_key, no) where conflicts <> '[]'",
  'create index machine_gone on machine (name_key, no) where live = 0',
  // Ids of machines that became part of another one.
  `create table machine_alias (id ${text} primary key, machine_no integer not null)`,
  'create index machine_alias_of on machine_alias (machine_no)',
  // All that matching reads of an asset, so that it reads no wide rows.
  `create table machine_asset (
    seq integer primary key, source_no integer not null, machine_no integer not null, live integer not null,
    kind text not null, name text not null, marks text not null)`,
  'create index machine_asset_of on machine_asset (machine_no, seq)',
  'create index machine_asset_from on machine_asset (source_no, machine_no)',
  // 32 bits of each mark, to find the assets that share it: a fifth of the size of the marks themselves.
  'create table asset_mark (mark integer not null, seq integer not null, primary key (mark, seq)) withoutRowid',
  // What a person said. `parts` is a JSON list of lists of asset ids as they were then.
  `create table machine_decision (
    no integer primary key generatedNo, id ${text} not null unique, verb text not null, note text not null,
    parts text not null, by_id text not null, by_name text not null, at ${text} not null,
    withdrawn_at text, withdrawn_by text)`,
  `create table machine_verdict (
    seq_a integer not null, seq_b integer not null, decision_no integer not null,
    primary key (seq_a, seq_b, decision_no)) withoutRowid`,
  'create index machine_verdict_b on machine_verdict (seq_b, seq_a)',
  'create index machine_verdict_of on machine_verdict (decision_no)',
  // The history of an asset, of bounded length.
  `create table asset_change (
    no integer primary key generatedNo, seq integer not null, at ${text} not null, what text not null, fields text not null)`,
  'create index asset_change_of on asset_change (seq, no)',
]

const forSqlite = (statement: string) => statement.replace(' generatedNo', '').replace('withoutRowid', 'without rowid')
const forPostgres = (statement: string) =>
  statement.replace(' generatedNo', ' generated by default as identity').replace('withoutRowid', '')

export const inventoryMigrations: readonly Migration[] = [
  {
    id: 600,
    name: 'inventory',
    sqlite: [
      ...shared('text').map(forSqlite),
      `create virtual table asset_search using fts5(
        doc, content='', contentless_delete=1, tokenize="ascii tokenchars '${tokenchars}'")`,
      // Beside the index, because the filter looks here once per match: 1,000,000 rows are 12 MB.
      'create table asset_match (seq integer primary key, group_no integer not null)',
    ],
    postgres: [
      // "C": the same order, byte by byte, as SQLite's.
      ...shared('text collate "C"').map(forPostgres),
      'create sequence asset_seq as integer',
      'alter table asset_seen set (fillfactor = 80)',
      `create table asset_search (
        seq integer primary key, group_no integer not null, name_key text collate "C" not null,
        keys text collate "C" not null, doc tsvector not null)`,
      'alter table asset_search set (fillfactor = 90)',
      // Every word that an asset has, to find those that begin with what is typed.
      'create table asset_word (word text collate "C" primary key)',
      'create index asset_search_doc on asset_search using gin (doc)',
      'alter table asset_search alter column doc set statistics 500',
    ],
  },
  {
    id: 601,
    name: 'machines',
    sqlite: machines('text').map(forSqlite),
    postgres: machines('text collate "C"').map(forPostgres),
  },
  {
    id: 602,
    name: 'relations lead back by index',
    sqlite: [],
    // In the order of the assets' own columns; in another one the index of relations is of no use when they are joined.
    postgres: [
      `alter table asset_relation alter column type type text collate "C", alter column to_kind type text collate "C",
        alter column to_external_id type text collate "C"`,
    ],
  },
  ...findingMigrations,
]
