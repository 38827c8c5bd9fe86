import type { KeyObject } from 'node:crypto'
import type { Principal } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import type { Database, Db } from '../../lib/db/database.ts'
import { newId } from '../../lib/ids.ts'
import { type RootKey, type RootKeys, ringOf } from '../../lib/root-keys.ts'
import {
  type Approval,
  type Exact,
  fromRow,
  isApproved,
  isIntact,
  openCallKeys,
  type State,
  sealRequest,
  sealReview,
} from './approval.ts'
import { type HashSecret, makeHashInput } from './hash-input.ts'
import { makeStore, type Row, type Store } from './store.ts'

type Parts = {
  readonly database: Database
  readonly rootKey: RootKey
  /** The root key that the database is under in this transaction. Default: the current one. */
  readonly rootKeyIn?: (tx: Db) => Promise<KeyObject>
  readonly now: () => Date
  /** How long a question stays open; a yes must be used within the same time. */
  readonly ttlMs: number
  /** A keyed hash of a secret's value, from the vault. */
  readonly hashSecret: HashSecret
}

// A reviewer who is asked too often stops reading.
const mostOpen = 50

/**
 * The approvals room. An approval is another principal's yes to one exact call: same principal, action, resource, input and
 * policy version; it is used once, and expires. The gate finds one that fits, or requests one, and redeems it before it acts.
 */
export function makeApprovals({ database, rootKey, rootKeyIn, now, ttlMs, hashSecret }: Parts) {
  const store = makeStore(database)
  const keys = ringOf(rootKey)
  const hashInput = makeHashInput({ rootKey, hashSecret })
  const room: Room = {
    store,
    keys,
    hashInput,
    rootKeyIn: rootKeyIn ?? (async () => keys.current()),
    ttlMs,
    at: () => now().toISOString(),
  }
  return {
    hashInput,
    find: (exact: Exact, id?: string) => (id === undefined ? findAny(room, exact) : findNamed(room, exact, id)),
    request: (call: Exact & { readonly input: unknown }) => request(room, call),

    /** Uses an approval up. Of any number of callers exactly one gets true, and only for the exact call that was approved. */
    async redeem(id: string, exact: Exact): Promise<boolean> {
      const row = await store.find(id)
      if (!row || !isApproved(keys, row) || !(await hashesOf(room, exact)).includes(row.input_hash)) return false
      return store.redeem(id, { ...exact, inputHash: row.input_hash }, room.at())
    },

    review: (id: string, reviewer: Principal, verdict: Verdict) => review(room, id, reviewer, verdict),
    list: (principal: Principal, filter: Filter) => list(room, principal, filter),

    /** What does not exist and what a principal may not see are the same `not-found`. */
    async get(principal: Principal, id: string): Promise<Approval> {
      const row = await store.find(id)
      const own = row && (row.principal_id === principal.id || row.on_behalf_of === principal.id)
      if (!row || !(own || seesAll(principal))) throw unknown()
      return fromRow(keys, row, room.at())
    },
  }
}

type Room = {
  readonly store: Store
  readonly keys: RootKeys
  readonly hashInput: ReturnType<typeof makeHashInput>
  readonly rootKeyIn: (tx: Db) => Promise<KeyObject>
  readonly ttlMs: number
  readonly at: () => string
}
type Verdict = { readonly decision: 'approved' | 'denied'; readonly reason?: string | undefined }
type Filter = { readonly state?: State | undefined; readonly cursor?: string | undefined; readonly limit: number }

/** The names of this exact call: today's, and those by which it was asked about before the root key was changed. */
async function hashesOf({ store, keys, hashInput, at }: Room, exact: Exact): Promise<string[]> {
  const { action, input, inputHash, revision } = exact
  const earlier = (await store.callKeys(at())).flatMap((row) => openCallKeys(keys, row) ?? [])
  return [inputHash, ...earlier.map((each) => hashInput(action, input, revision, each))]
}

/** The id of the oldest approval for this exact call that can be redeemed now, if there is one. */
async function findAny(room: Room, exact: Exact): Promise<string | undefined> {
  const { store, keys, at } = room
  const rows = await store.findApproved(exact, await hashesOf(room, exact), at())
  return rows.find((row) => isApproved(keys, row))?.id
}

/** As `findAny` for one approval: undefined while it waits, and `denied` when no answer can make it fit any more. */
async function findNamed(room: Room, exact: Exact, id: string): Promise<string | undefined> {
  const { store, keys, at } = room
  const row = await store.find(id)
  if (row && isFor(row, exact, await hashesOf(room, exact)) && row.expires_at > at()) {
    if (row.state === 'approved' && isApproved(keys, row)) return row.id
    if (row.state === 'pending') return undefined
  }
  throw new Problem('denied', 'The approval was denied, is used up, has expired, or is for another call')
}

/**
 * Asks for a yes to this exact call, and answers with the id of the question. Asking again while it is open gives the same id.
 * `input` is kept sealed, with secrets as `[secret]`, for the reviewer to see. Too many open questions: `rate-limited`.
 */
async function request(room: Room, exact: Exact & { input: unknown }) {
  const { store, rootKeyIn, ttlMs, at } = room
  const requestedAt = at()
  const hashes = await hashesOf(room, exact)
  const id = await store.request({ exact, hashes, at: requestedAt, most: mostOpen }, async (tx) => {
    const { principal, action, resource, input, inputHash, policyVersion } = exact
    const bound = {
      id: newId('apr', Date.parse(requestedAt)),
      principal_id: principal.id,
      on_behalf_of: principal.onBehalfOf ?? null,
      token_id: principal.tokenId ?? null,
      action,
      resource_type: resource.type,
      resource_id: resource.id,
      input_hash: inputHash,
      policy_version: policyVersion,
      requested_at: requestedAt,
      expires_at: new Date(Date.parse(requestedAt) + ttlMs).toISOString(),
    }
    const request_box = sealRequest(await rootKeyIn(tx), bound, principal, input)
    const open = { reviewer_id: null, reviewed_at: null, review_box: null, redeemed_at: null }
    return { ...bound, ...open, request_box, state: 'pending' }
  })
  if (id !== 'too-many') return id
  throw new Problem('rate-limited', `${mostOpen} requests wait for an answer already`, { retryAfterSeconds: 60 })
}

/** Says yes or no. Problems: `not-found`, `denied` (not this reviewer), `conflict` (answered, expired or damaged). */
async function review(room: Room, id: string, reviewer: Principal, verdict: Verdict): Promise<Approval> {
  const { store, keys, at } = room
  const { decision, reason } = verdict
  const row = await store.find(id)
  if (!row) throw unknown()
  mustBeAnother(row, reviewer)
  if (decision === 'approved' && !isIntact(keys, row))
    throw new Problem('conflict', 'The stored request is damaged, so it cannot be approved')
  const reviewedAt = at()
  const who = { id: reviewer.id, kind: reviewer.kind, name: reviewer.name }
  const review_box = sealReview(keys, row, reviewedAt, { decision, reviewer: who, reason })
  const done = await store.review(row, reviewedAt, { state: decision, reviewer_id: reviewer.id, review_box })
  const now = (await store.find(id)) ?? row
  // The root key was changed in this moment: the same question lies there under another key.
  if (!done && !Buffer.from(now.request_box).equals(row.request_box)) return review(room, id, reviewer, verdict)
  const after = fromRow(keys, now, reviewedAt)
  if (!done) throw new Problem('conflict', `This request does not wait for an answer: it is ${after.state}`)
  return after
}

/** Newest first; what a principal may see. `next` continues the list. */
async function list({ store, keys, at }: Room, principal: Principal, { state, cursor, limit }: Filter) {
  const moment = at()
  const rows = await store.list({
    ...(!seesAll(principal) && { of: principal.id }),
    ...(state !== undefined && { state }),
    ...(cursor !== undefined && { before: cursor }),
    limit: limit + 1,
    at: moment,
  })
  const items = rows.slice(0, limit).map((row) => fromRow(keys, row, moment))
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null }
}

function isFor(row: Row, { principal, action, resource, policyVersion }: Exact, hashes: readonly string[]): boolean {
  return (
    row.principal_id === principal.id &&
    row.action === action &&
    row.resource_type === resource.type &&
    row.resource_id === resource.id &&
    hashes.includes(row.input_hash) &&
    row.policy_version === policyVersion
  )
}

// Held in code and not in a policy that could be edited: an approval is another person's yes.
function mustBeAnother(row: Row, reviewer: Principal): void {
  if (reviewer.kind !== 'user') throw new Problem('denied', 'Only a person may review')
  const same = reviewer.id === row.principal_id || reviewer.onBehalfOf === row.principal_id
  const sameToken = row.token_id !== null && reviewer.tokenId === row.token_id
  if (same || sameToken) throw new Problem('denied', 'Nobody may review what they asked for themselves')
}

const reviewers = ['admin', 'operator', 'auditor']

function seesAll({ bindings }: Principal): boolean {
  return bindings.some(({ role, scope }) => scope === '*' && reviewers.includes(role))
}

function unknown(): Problem {
  return new Problem('not-found', 'There is no such approval')
}
