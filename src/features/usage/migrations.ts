import type { Migration } from '../../lib/db/migrate.ts'

const statements = [
  `create table usage_baseline (
    credential text primary key,
    last_at text not null,
    baseline text not null
  )`,
  'create index usage_baseline_last on usage_baseline (last_at)',
  // The unique columns are the promise: one event per credential, kind and hour, however many processes see it.
  `create table usage_anomaly (
    id text primary key,
    credential text not null,
    kind text not null,
    hour text not null,
    principal_id text not null,
    principal_kind text not null,
    token_id text not null,
    detected_at text not null,
    seen text not null,
    usual text not null,
    recorded_at text,
    unique (credential, kind, hour)
  )`,
  'create index usage_anomaly_unrecorded on usage_anomaly (id) where recorded_at is null',
]

/** 850. The same plain SQL fits both databases. */
export const usageMigrations: readonly Migration[] = [
  { id: 850, name: 'usage baselines and anomalies', sqlite: statements, postgres: statements },
]
