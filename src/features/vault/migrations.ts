import type { Migration } from '../../lib/db/migrate.ts'

const tables = (bytes: 'blob' | 'bytea') => [
  `create table vault_key (
    id text primary key,
    scope text not null,
    version integer not null,
    state text not null check (state in ('active', 'retired')),
    wrapped ${bytes} not null,
    wraps integer not null,
    created_at text not null,
    unique (scope, version)
  )`,
  `create unique index vault_key_active on vault_key (scope) where state = 'active'`,
  `create table secret (
    id text primary key,
    name text not null,
    kind text not null,
    owner text,
    created_at text not null,
    current_version integer not null,
    destroyed_at text
  )`,
  // The name of a destroyed secret is free again; without an owner the name is unique among such.
  `create unique index secret_name on secret ((coalesce(owner, '')), name) where destroyed_at is null`,
  `create table secret_version (
    secret_id text not null references secret (id),
    version integer not null,
    key_id text not null references vault_key (id),
    wrapped ${bytes},
    box ${bytes},
    created_at text not null,
    destroyed_at text,
    primary key (secret_id, version)
  )`,
]

export const vaultMigrations: readonly Migration[] = [
  { id: 200, name: 'vault', sqlite: tables('blob'), postgres: tables('bytea') },
]
