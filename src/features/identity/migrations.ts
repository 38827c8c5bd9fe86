import type { Migration } from '../../lib/db/migrate.ts'

export const identityMigrations: readonly Migration[] = [
  { id: 300, name: 'identity', sqlite: tables('blob'), postgres: tables('bytea') },
  { id: 310, name: 'earlier peppers', sqlite: [peppers('blob')], postgres: [peppers('bytea')] },
]

// What passwords were hashed with before the root key changed; each goes out of use as its people sign in.
function peppers(bytes: 'blob' | 'bytea'): string {
  return `create table password_pepper (id text primary key, box ${bytes} not null)`
}

function tables(bytes: 'blob' | 'bytea'): readonly string[] {
  return [
    // `version` grows with every change of what the principal may do, so that no cached decision outlives it.
    `create table principal (
      id text primary key,
      kind text not null check (kind in ('user', 'agent', 'system')),
      name text not null,
      version integer not null,
      disabled_at text,
      created_at text not null,
      created_by text)`,
    // `username` is the folded form: one person, one row, however the name is typed.
    `create table user_account (
      principal_id text primary key references principal (id) on delete cascade,
      username text not null unique,
      display_name text not null,
      password_hash text,
      password_changed_at text)`,
    // The unique hash makes two equal tokens impossible. Only bootstrap tokens have no expiry: they end with the configuration.
    `create table token (
      id text primary key,
      principal_id text not null references principal (id) on delete cascade,
      kind text not null check (kind in ('api', 'session', 'bootstrap')),
      name text not null,
      lookup text unique,
      secret_hash ${bytes} not null unique,
      hint text not null,
      scopes text,
      cidrs text,
      created_at text not null,
      created_by text,
      expires_at text check (expires_at is not null or kind = 'bootstrap'),
      last_used_at text,
      revoked_at text,
      revoked_by text)`,
    'create index token_principal on token (principal_id)',
    `create table role_binding (
      id text primary key,
      principal_id text not null references principal (id) on delete cascade,
      role text not null,
      scope text not null,
      created_at text not null,
      created_by text,
      unique (principal_id, role, scope))`,
    `create table setup (
      id integer primary key check (id = 1),
      secret_hash ${bytes} not null,
      expires_at text not null,
      used_at text)`,
    'create table identity_epoch (id integer primary key check (id = 1), value integer not null)',
    'insert into identity_epoch (id, value) values (1, 1)',
  ]
}
