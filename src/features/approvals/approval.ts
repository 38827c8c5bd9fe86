import { createSecretKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Principal, Resource } from '../../core/action.ts'
import { deriveKey, EnvelopeError, open, reseal, seal } from '../../lib/envelope.ts'
import { type RootKeys, rootKeyOf } from '../../lib/root-keys.ts'
import type { CallKeys } from './hash-input.ts'
import type { CallKeysRow, Row } from './store.ts'

/** One exact call. An approval serves this call and no other. */
export type Exact = {
  readonly principal: Principal
  readonly action: string
  readonly resource: Resource
  readonly inputHash: string
  readonly policyVersion: string
  /** What `inputHash` is made of, to know the call by its earlier names too. */
  readonly input?: unknown
  readonly revision?: number | undefined
}

export const states = ['pending', 'approved', 'denied', 'redeemed', 'expired'] as const
export type State = (typeof states)[number]

const Who = z.object({ id: z.string(), kind: z.enum(['user', 'agent', 'system']), name: z.string() })
type Who = z.output<typeof Who>

// What the reviewer is shown, sealed into the row: who asked, and the input with secrets as `[secret]`.
const Request = z.object({ principal: Who.extend({ onBehalfOf: z.string().optional() }), input: z.unknown() })
const Review = z.object({ decision: z.enum(['approved', 'denied']), reviewer: Who, reason: z.string().optional() })

/** An approval as a person sees it. `input` is absent, and `damaged` true, when the row is not what was stored. */
export type Approval = {
  readonly id: string
  readonly state: State
  readonly action: string
  readonly resource: Resource
  readonly input?: unknown
  readonly damaged: boolean
  readonly principal: {
    readonly id: string
    readonly kind?: string
    readonly name?: string
    readonly onBehalfOf?: string
  }
  readonly inputHash: string
  readonly policyVersion: string
  readonly requestedAt: string
  readonly expiresAt: string
  readonly reviewer?: Who
  readonly reviewedAt?: string
  readonly reason?: string
  readonly redeemedAt?: string
}

type Bound = Omit<Row, 'request_box' | 'review_box' | 'state' | 'reviewer_id' | 'reviewed_at' | 'redeemed_at'>

/** `rootKey` is the one that the database is under in the transaction that stores the row. */
export function sealRequest(
  rootKey: KeyObject,
  row: Bound,
  { id, kind, name, onBehalfOf }: Principal,
  input: unknown,
): Buffer {
  const principal = { id, kind, name, ...(onBehalfOf !== undefined && { onBehalfOf }) }
  const request = { principal, input: input ?? null }
  return sealJson(approvalKey(rootKey), request, aadOf(row, 'request'))
}

/** The review is sealed too, so that writing `approved` into the database approves nothing; under the root key of the request. */
export function sealReview(keys: RootKeys, row: Row, at: string, review: z.input<typeof Review>): Buffer {
  return sealJson(approvalKey(rootKeyOf(keys, approvalKey, row.request_box)), review, [...aadOf(row, 'review'), at])
}

/** Whether a reviewer approved exactly this row. */
export function isApproved(keys: RootKeys, row: Row): boolean {
  return openReview(keys, row)?.decision === 'approved' && openRequest(keys, row) !== undefined
}

/** Whether the request is what was stored. */
export function isIntact(keys: RootKeys, row: Row): boolean {
  return openRequest(keys, row) !== undefined
}

export function fromRow(keys: RootKeys, row: Row, at: string): Approval {
  const request = openRequest(keys, row)
  const review = openReview(keys, row)
  const open = row.state === 'pending' || row.state === 'approved'
  return {
    id: row.id,
    state: open && row.expires_at <= at ? 'expired' : row.state,
    action: row.action,
    resource: { type: row.resource_type, id: row.resource_id },
    ...(request && { input: request.input }),
    damaged: !request || !isReviewed(row, review),
    principal: request ? withoutAbsent(request.principal) : { id: row.principal_id },
    inputHash: row.input_hash,
    policyVersion: row.policy_version,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    ...(review && row.reviewed_at !== null && { reviewer: review.reviewer, reviewedAt: row.reviewed_at }),
    ...(review?.reason !== undefined && { reason: review.reason }),
    ...(row.redeemed_at !== null && { redeemedAt: row.redeemed_at }),
  }
}

/** Whether the row's state is one that this review, or none, can have led to. */
function isReviewed({ state, reviewer_id }: Row, review: z.output<typeof Review> | undefined): boolean {
  if (state === 'pending') return reviewer_id === null
  if (state === 'expired') return reviewer_id === null || review?.decision === 'approved'
  return review?.decision === (state === 'denied' ? 'denied' : 'approved')
}

function withoutAbsent({ onBehalfOf, ...who }: z.output<typeof Request>['principal']): Approval['principal'] {
  return { ...who, ...(onBehalfOf !== undefined && { onBehalfOf }) }
}

/** The key that seals approvals. */
function approvalKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/approvals/box')
}

/** A row's boxes under another root key. One that does not open stays as it is, so that it is still seen as damaged. */
export function sealAnew(row: Row, from: KeyObject, to: KeyObject): Pick<Row, 'request_box' | 'review_box'> {
  const again = (box: Uint8Array, aad: readonly string[]): Uint8Array => {
    try {
      return reseal(approvalKey(from), approvalKey(to), box, aad)
    } catch (error) {
      if (error instanceof EnvelopeError) return box
      throw error
    }
  }
  const { request_box, review_box, reviewed_at } = row
  return {
    request_box: again(request_box, aadOf(row, 'request')),
    review_box: review_box && reviewed_at !== null ? again(review_box, [...aadOf(row, 'review'), reviewed_at]) : null,
  }
}

/** The keys of an earlier root key, sealed under another. */
export function sealCallKeys(rootKey: KeyObject, id: string, { call, secret }: CallKeys): Buffer {
  const bytes = Buffer.concat([call.export(), secret.export()])
  try {
    return seal(approvalKey(rootKey), bytes, callKeysAad(id))
  } finally {
    bytes.fill(0)
  }
}

/** Undefined when the row is damaged. */
export function openCallKeys(keys: RootKeys, { id, box }: CallKeysRow): CallKeys | undefined {
  try {
    const bytes = open(approvalKey(rootKeyOf(keys, approvalKey, box)), box, callKeysAad(id))
    const opened = { call: createSecretKey(bytes.subarray(0, 32)), secret: createSecretKey(bytes.subarray(32)) }
    bytes.fill(0)
    return opened
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined
    throw error
  }
}

function callKeysAad(id: string): string[] {
  return ['atlas/approval-call-keys', id]
}

function openRequest(keys: RootKeys, row: Row): z.output<typeof Request> | undefined {
  return Request.optional().parse(openJson(keys, row.request_box, aadOf(row, 'request')))
}

function openReview(keys: RootKeys, row: Row): z.output<typeof Review> | undefined {
  if (row.review_box === null || row.reviewed_at === null) return undefined
  const review = Review.optional().parse(openJson(keys, row.review_box, [...aadOf(row, 'review'), row.reviewed_at]))
  return review?.reviewer.id === row.reviewer_id ? review : undefined
}

// Every column that says what was asked, by whom and until when; changing one makes the box not open.
function aadOf(row: Bound, field: 'request' | 'review'): string[] {
  const { id, principal_id, on_behalf_of, token_id, action, resource_type, resource_id } = row
  const { input_hash, policy_version, requested_at, expires_at } = row
  return [
    'atlas/approval',
    id,
    field,
    principal_id,
    on_behalf_of ?? '',
    token_id ?? '',
    action,
    resource_type,
    resource_id,
    input_hash,
    policy_version,
    requested_at,
    expires_at,
  ]
}

function sealJson(key: KeyObject, value: unknown, aad: readonly string[]): Buffer {
  const plain = Buffer.from(JSON.stringify(value), 'utf8')
  try {
    return seal(key, plain, aad)
  } finally {
    plain.fill(0)
  }
}

/** Undefined when the box is damaged or of another row. */
function openJson(keys: RootKeys, box: Uint8Array, aad: readonly string[]): unknown {
  try {
    const plain = open(approvalKey(rootKeyOf(keys, approvalKey, box)), box, aad)
    const value: unknown = JSON.parse(plain.toString('utf8'))
    plain.fill(0)
    return value
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined
    throw error
  }
}
