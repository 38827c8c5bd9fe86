import type { Migration } from '../../lib/db/migrate.ts'

const statements = (big: string) => [
  `create table export (
    id text primary key,
    name text not null,
    owner_id text not null,
    owner_name text not null,
    plan_id text,
    dataset text not null,
    params text not null,
    format text not null check (format in ('csv', 'xlsx', 'jsonl')),
    profile text not null check (profile in ('full', 'sanitised')),
    state text not null check (state in ('running', 'ready', 'failed', 'expired')),
    row_count ${big} not null,
    byte_count ${big},
    sha256 text,
    problem text,
    runner text not null,
    beat_at text not null,
    created_at text not null,
    ready_at text,
    expires_at text not null
  )`,
  `create index export_owner on export (owner_id, id)`,
  `create index export_state on export (state, expires_at)`,
  `create table export_reader (
    export_id text not null references export (id) on delete cascade,
    principal_id text not null,
    primary key (principal_id, export_id)
  )`,
  `create index export_reader_export on export_reader (export_id)`,
  `create table export_download (
    id text primary key,
    export_id text not null references export (id) on delete cascade,
    principal_id text not null,
    principal_name text not null,
    door text not null,
    remote_address text,
    at text not null
  )`,
  `create index export_download_export on export_download (export_id, id)`,
  `create table export_plan (
    id text primary key,
    name text not null,
    owner_id text not null,
    owner_name text not null,
    dataset text not null,
    params text not null,
    format text not null check (format in ('csv', 'xlsx', 'jsonl')),
    profile text not null check (profile in ('full', 'sanitised')),
    keep_days integer not null,
    readers text not null,
    schedule text not null,
    publish text,
    created_at text not null,
    last_run_at text,
    last_export text,
    problem text,
    publication text
  )`,
  `create index export_plan_owner on export_plan (owner_id, id)`,
]

export const exportsMigrations: readonly Migration[] = [
  { id: 800, name: 'exports', sqlite: statements('integer'), postgres: statements('bigint') },
]
