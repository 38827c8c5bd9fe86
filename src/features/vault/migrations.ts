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

const use = `create table secret_use (
  secret_id text not null,
  version integer not null,
  used_by text not null,
  hour text not null,
  uses integer not null,
  last_at text not null,
  primary key (secret_id, version, used_by, hour)
)`

/** `scheme`: what is sealed is not the value but where it is kept. `changed_at`: when the value there was made, if that is told. */
const references = [
  'alter table secret_version add column scheme text',
  'alter table secret_version add column changed_at text',
]

const incident = [
  `create table incident (
    id text primary key,
    reason text not null,
    root_key text not null,
    key_version integer not null,
    opened_at text not null,
    closed_at text,
    excuse text
  )`,
  // One at a time: two lists of the same work would both be half done.
  'create unique index incident_open on incident ((1)) where closed_at is null',
  `create table incident_item (
    incident_id text not null references incident (id),
    secret_id text not null references secret (id),
    last_version integer not null,
    primary key (incident_id, secret_id)
  )`,
]

export const vaultMigrations: readonly Migration[] = [
  { id: 200, name: 'vault', sqlite: tables('blob'), postgres: tables('bytea') },
  {
    id: 210,
    name: 'rotation',
    sqlite: rotation((days) => `strftime('%Y-%m-%dT%H:%M:%fZ', v.created_at, '+${days} days')`),
    postgres: rotation(
      (days) =>
        `to_char((v.created_at::timestamptz at time zone 'UTC') + interval '${days} days', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
    ),
  },
  { id: 220, name: 'secret use', sqlite: [use], postgres: [use] },
  { id: 230, name: 'references', sqlite: references, postgres: references },
  { id: 240, name: 'incidents', sqlite: incident, postgres: incident },
]

/** `last_version` gives the next number: with a staged version it is not the current one. 90 and 75 days are those of rotation.ts. */
function rotation(later: (days: number) => string): readonly string[] {
  const from = 'from secret_version v where v.secret_id = secret.id and v.version = secret.current_version'
  return [
    'alter table secret add column last_version integer not null default 1',
    'update secret set last_version = current_version',
    'alter table secret add column staged_version integer',
    'alter table secret add column rotation_days integer',
    'alter table secret add column remind_days integer',
    'alter table secret add column remind_at text',
    'alter table secret add column due_at text',
    `update secret set remind_at = (select ${later(75)} ${from}), due_at = (select ${later(90)} ${from})
      where kind <> 'username'`,
    'create index secret_due on secret (due_at) where destroyed_at is null',
  ]
}
