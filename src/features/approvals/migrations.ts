import type { Migration } from '../../lib/db/migrate.ts'

const statements = (bytes: string) => [
  `create table approval (
    id text primary key,
    principal_id text not null,
    on_behalf_of text,
    token_id text,
    action text not null,
    resource_type text not null,
    resource_id text not null,
    input_hash text not null,
    policy_version text not null,
    request_box ${bytes} not null,
    state text not null check (state in ('pending', 'approved', 'denied', 'redeemed', 'expired')),
    requested_at text not null,
    expires_at text not null,
    reviewer_id text,
    reviewed_at text,
    review_box ${bytes},
    redeemed_at text
  )`,
  // One open question per exact call: asking again answers with the same one.
  `create unique index approval_pending on approval
    (principal_id, action, resource_type, resource_id, input_hash, policy_version) where state = 'pending'`,
  `create index approval_open on approval (state, expires_at)`,
  `create index approval_principal on approval (principal_id, id)`,
]

const callKeys = (bytes: string) =>
  `create table approval_call_keys (id text primary key, box ${bytes} not null, until text not null)`

export const approvalsMigrations: readonly Migration[] = [
  { id: 500, name: 'approvals', sqlite: statements('blob'), postgres: statements('bytea') },
  { id: 510, name: 'call keys', sqlite: [callKeys('blob')], postgres: [callKeys('bytea')] },
]
