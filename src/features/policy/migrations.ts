import type { Migration } from '../../lib/db/migrate.ts'

const statements = [
  `create table policy_version (
    id integer primary key,
    created_at text not null,
    created_by text not null,
    hash text not null,
    text text not null
  )`,
]

export const policyMigrations: readonly Migration[] = [
  { id: 400, name: 'policy versions', sqlite: statements, postgres: statements },
]
