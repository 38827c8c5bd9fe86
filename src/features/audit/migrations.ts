import type { Migration } from '../../lib/db/migrate.ts'

// Names and times are compared byte by byte in both databases ("C"), so that ranges over `at` mean the same.
const text = 'text collate "C"'

export const auditMigrations: readonly Migration[] = [
  {
    id: 100,
    name: 'audit log',
    sqlite: [
      `create table audit_key (id integer primary key check (id = 1), origin text not null, vkey text not null,
        box blob not null, created_at text not null)`,
      `create table audit_head (id integer primary key check (id = 1), size integer not null, compact blob not null,
        checkpoint text, mac blob not null)`,
      `create table audit_entry (idx integer primary key, at text not null, code text not null, subject text, action text,
        resource_type text, resource_id text, outcome text, leaf blob not null, hash blob not null)`,
      'create index audit_entry_at on audit_entry (at)',
      'create index audit_entry_code on audit_entry (code)',
      'create index audit_entry_subject on audit_entry (subject) where subject is not null',
      'create index audit_entry_action on audit_entry (action) where action is not null',
      'create index audit_entry_resource on audit_entry (resource_id) where resource_id is not null',
      'create index audit_entry_outcome on audit_entry (outcome) where outcome is not null',
      `create table audit_node (level integer not null, idx integer not null, hash blob not null,
        primary key (level, idx)) without rowid`,
      'create table audit_payload (idx integer primary key, salt blob not null, box blob not null)',
      `create table audit_subject (id text primary key, principal_id text not null unique, box blob not null)`,
    ],
    postgres: [
      `create table audit_key (id integer primary key check (id = 1), origin text not null, vkey text not null,
        box bytea not null, created_at text not null)`,
      `create table audit_head (id integer primary key check (id = 1), size bigint not null, compact bytea not null,
        checkpoint text, mac bytea not null)`,
      `create table audit_entry (idx bigint primary key, at ${text} not null, code ${text} not null, subject ${text},
        action ${text}, resource_type ${text}, resource_id ${text}, outcome ${text}, leaf bytea not null,
        hash bytea not null)`,
      'create index audit_entry_at on audit_entry (at)',
      'create index audit_entry_code on audit_entry (code, idx)',
      'create index audit_entry_subject on audit_entry (subject, idx) where subject is not null',
      'create index audit_entry_action on audit_entry (action, idx) where action is not null',
      'create index audit_entry_resource on audit_entry (resource_id, idx) where resource_id is not null',
      'create index audit_entry_outcome on audit_entry (outcome, idx) where outcome is not null',
      `create table audit_node (level integer not null, idx bigint not null, hash bytea not null,
        primary key (level, idx))`,
      'create table audit_payload (idx bigint primary key, salt bytea not null, box bytea not null)',
      `create table audit_subject (id ${text} primary key, principal_id ${text} not null unique, box bytea not null)`,
    ],
  },
  {
    id: 101,
    name: 'who signs the audit log',
    // `seen` is milliseconds of the database's own clock, so that the clocks of two servers need not agree.
    ...same([
      `create table audit_lease (id integer primary key check (id = 1), holder text not null, fence bigint not null,
        seen bigint not null, wanted bigint not null)`,
      `insert into audit_lease (id, holder, fence, seen, wanted) values (1, '', 0, 0, 0)`,
      'create table audit_run (id text primary key, started_at text not null, seen bigint not null)',
    ]),
  },
  {
    id: 102,
    name: 'witnesses of the audit log',
    ...same([
      'create table audit_cosigned (size bigint primary key, checkpoint text not null, is_met integer not null)',
      'create table audit_witness (name text primary key, size bigint not null, at text not null, fault text)',
    ]),
  },
  {
    id: 103,
    name: 'on whose behalf an audit event was',
    sqlite: [
      'alter table audit_entry add column behalf text',
      `update audit_entry set behalf = json_extract(cast(leaf as text), '$.onBehalfOf')`,
      'create index audit_entry_behalf on audit_entry (behalf) where behalf is not null',
    ],
    postgres: [
      `alter table audit_entry add column behalf ${text}`,
      `update audit_entry set behalf = convert_from(leaf, 'UTF8')::json ->> 'onBehalfOf'`,
      'create index audit_entry_behalf on audit_entry (behalf, idx) where behalf is not null',
    ],
  },
  {
    id: 104,
    name: 'sinks of the audit log',
    ...same([
      `create table audit_sink (name text primary key, target text not null, next bigint not null, confirmed bigint not null,
        at text, fault text, failures bigint not null, failing_since text, told_at text, is_told integer not null,
        is_stopped integer not null)`,
    ]),
  },
  {
    id: 105,
    name: 'how far the details of the audit log were deleted',
    ...same(['create table audit_pruned (class text primary key, done bigint not null)']),
  },
]

function same(statements: readonly string[]): Pick<Migration, 'sqlite' | 'postgres'> {
  return { sqlite: statements, postgres: statements }
}
