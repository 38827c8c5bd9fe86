import type { Migration } from '../../lib/db/migrate.ts'

const statements = (big: string) => [
  `create table backup (
    id text primary key,
    state text not null check (state in ('running', 'ready', 'failed')),
    by_id text not null,
    by_name text not null,
    door text not null,
    started_at text not null,
    ended_at text,
    row_count ${big} not null,
    row_total ${big} not null,
    byte_count ${big},
    sha256 text,
    log_size ${big},
    problem text,
    runner text not null,
    beat_at text not null
  )`,
  'create index backup_started on backup (started_at)',
]

export const backupsMigrations: readonly Migration[] = [
  { id: 1000, name: 'backups', sqlite: statements('integer'), postgres: statements('bigint') },
]
