import type { Migration } from '../../lib/db/migrate.ts'

const tables = [
  `create table connection (
    id text primary key,
    connector text not null,
    name text not null,
    name_key text not null unique,
    config text not null,
    secrets text not null,
    ca_certificate text,
    schedule text,
    revision integer not null,
    last_check text,
    sync_problem text,
    sync_cursor text,
    last_full_at text,
    last_synced_at text,
    last_queued_at text,
    created_at text not null,
    updated_at text not null
  )`,
  `create table sync_run (
    id text primary key,
    connection_id text not null references connection (id) on delete cascade,
    mode text not null,
    is_full integer,
    state text not null,
    stage text,
    total integer,
    read_count integer not null default 0,
    created_count integer not null default 0,
    updated_count integer not null default 0,
    unchanged_count integer not null default 0,
    gone_count integer not null default 0,
    stale_count integer not null default 0,
    attempt integer not null,
    owner text,
    cancel_requested integer not null default 0,
    cursor_before text,
    cursor_after text,
    problem_type text,
    problem_detail text,
    queued_at text not null,
    started_at text,
    heartbeat_at text,
    ended_at text
  )`,
  'create index sync_run_connection on sync_run (connection_id, id)',
  // Holds over processes: a connection has at most one run that is queued or running.
  `create unique index sync_run_active on sync_run (connection_id) where state in ('queued', 'running')`,
]

// Nothing that an agent does reaches a connected system's data until somebody has said so for this connection.
const allowWrites = ['alter table connection add column allow_writes integer not null default 0']

const webhooks = [
  `alter table connection add column webhook_secrets text not null default '[]'`,
  'alter table connection add column wanted_at text',
  `create table webhook_delivery (
    connection_id text not null references connection (id) on delete cascade,
    delivery text not null,
    received_at text not null,
    primary key (connection_id, delivery)
  )`,
  'create index webhook_delivery_received on webhook_delivery (received_at)',
]

const certificate = ['alter table connection add column certificate_ends_at text']

const tls = [
  'alter table connection add column certificate_pin text',
  `alter table connection add column tls text not null default '{"certificate":null,"failure":null,"told":{}}'`,
]

/** 700+. The same plain SQL fits both databases. */
export const connectionsMigrations: readonly Migration[] = [
  { id: 700, name: 'connections and sync runs', sqlite: tables, postgres: tables },
  { id: 701, name: 'connections that take changes', sqlite: allowWrites, postgres: allowWrites },
  { id: 702, name: 'deliveries of connected systems', sqlite: webhooks, postgres: webhooks },
  { id: 703, name: 'end of the certificate of a connected system', sqlite: certificate, postgres: certificate },
  { id: 704, name: 'certificate and pin of a connected system', sqlite: tls, postgres: tls },
]
