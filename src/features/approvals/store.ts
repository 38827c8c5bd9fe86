import type { Kysely } from 'kysely'
import type { Database, Db } from '../../lib/db/database.ts'
import type { Exact, State } from './approval.ts'

export type Row = {
  id: string
  principal_id: string
  on_behalf_of: string | null
  token_id: string | null
  action: string
  resource_type: string
  resource_id: string
  input_hash: string
  policy_version: string
  request_box: Uint8Array
  state: State
  requested_at: string
  expires_at: string
  reviewer_id: string | null
  reviewed_at: string | null
  review_box: Uint8Array | null
  redeemed_at: string | null
}

/** The keys by which calls were named under an earlier root key, kept while something is open that was asked then. */
export type CallKeysRow = { id: string; box: Uint8Array; until: string }

export type Tables = { approval: Row; approval_call_keys: CallKeysRow }

export type Store = ReturnType<typeof makeStore>

/** Times are ISO text in UTC, all of one length, so that comparing texts compares times. */
export function makeStore(database: Database) {
  const db = database.db.withTables<Tables>()
  return {
    request: (wish: Wish, make: (tx: Db) => Promise<Row>) => request(database, wish, make),

    callKeys: (at: string): Promise<CallKeysRow[]> =>
      db.selectFrom('approval_call_keys').selectAll().where('until', '>', at).execute(),

    list: (filter: Filter) => list(db, filter),

    find(id: string): Promise<Row | undefined> {
      return db.selectFrom('approval').selectAll().where('id', '=', id).executeTakeFirst()
    },

    /** Approved, unused and unexpired ones for this exact call, oldest first. */
    findApproved(exact: Exact, hashes: readonly string[], at: string): Promise<Row[]> {
      return db
        .selectFrom('approval')
        .selectAll()
        .where((eb) => eb.and(exactly(exact)))
        .where('input_hash', 'in', hashes)
        .where('state', '=', 'approved')
        .where('expires_at', '>', at)
        .orderBy('id')
        .limit(20)
        .execute()
    },

    /** Single use rests on this one conditional statement: of any number of callers, one changes the row. */
    async redeem(id: string, exact: Exact, at: string): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('approval')
        .set({ state: 'redeemed', redeemed_at: at })
        .where('id', '=', id)
        .where((eb) => eb.and(exactly(exact)))
        .where('input_hash', '=', exact.inputHash)
        .where('state', '=', 'approved')
        .where('expires_at', '>', at)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },

    /** False when it is no longer pending, expired, or lies there under another root key by now: somebody was faster. */
    async review({ id, request_box }: Row, reviewedAt: string, change: Answer): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('approval')
        .set({ ...change, reviewed_at: reviewedAt })
        .where('id', '=', id)
        .where('request_box', '=', request_box)
        .where('state', '=', 'pending')
        .where('expires_at', '>', reviewedAt)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
  }
}

/** Closes every question that is open: after a restore a yes that was used since would be there once more. */
export async function expireAll(db: Db): Promise<void> {
  await db
    .withTables<Tables>()
    .updateTable('approval')
    .set({ state: 'expired' })
    .where('state', 'in', ['pending', 'approved'])
    .execute()
}

/** `hashes` are the names of the call, today's and earlier ones. */
type Wish = { readonly exact: Exact; readonly hashes: readonly string[]; readonly at: string; readonly most: number }
type Answer = Pick<Row, 'reviewer_id' | 'review_box'> & { state: 'approved' | 'denied' }
type Filter = { of?: string; state?: State; before?: string; limit: number; at: string }

/**
 * The open question for this exact call, or the one that `make` gives. At most `most` are open for one principal.
 * What has expired is marked on the way; nothing relies on the mark.
 */
function request(
  database: Database,
  { exact, hashes, at, most }: Wish,
  make: (tx: Db) => Promise<Row>,
): Promise<string | 'too-many'> {
  return database.exclusive('approvals', async (transaction) => {
    const tx = transaction.withTables<Tables>()
    await tx
      .updateTable('approval')
      .set({ state: 'expired' })
      .where('state', 'in', ['pending', 'approved'])
      .where('expires_at', '<=', at)
      .execute()
    const pending = tx.selectFrom('approval').where('state', '=', 'pending')
    const same = await pending
      .select('id')
      .where((eb) => eb.and(exactly(exact)))
      .where('input_hash', 'in', hashes)
      .executeTakeFirst()
    if (same) return same.id
    const { open } = await pending
      .select((eb) => eb.fn.countAll().as('open'))
      .where('principal_id', '=', exact.principal.id)
      .executeTakeFirstOrThrow()
    if (Number(open) >= most) return 'too-many'
    const row = await make(transaction)
    await tx.insertInto('approval').values(row).execute()
    return row.id
  })
}

/** Newest first. `of` keeps it to what a principal asked, or what was asked for it. */
function list(db: Kysely<Tables>, { of, state, before, limit, at }: Filter): Promise<Row[]> {
  let query = db.selectFrom('approval').selectAll().orderBy('id', 'desc').limit(limit)
  if (of !== undefined) query = query.where((eb) => eb.or([eb('principal_id', '=', of), eb('on_behalf_of', '=', of)]))
  if (before !== undefined) query = query.where('id', '<', before)
  if (state === 'pending' || state === 'approved') query = query.where('expires_at', '>', at)
  if (state !== undefined && state !== 'expired') query = query.where('state', '=', state)
  if (state === 'expired')
    query = query.where((eb) =>
      eb.or([
        eb('state', '=', 'expired'),
        eb.and([eb('state', 'in', ['pending', 'approved']), eb('expires_at', '<=', at)]),
      ]),
    )
  return query.execute()
}

function exactly({ principal, action, resource, policyVersion }: Exact) {
  return {
    principal_id: principal.id,
    action,
    resource_type: resource.type,
    resource_id: resource.id,
    policy_version: policyVersion,
  }
}
