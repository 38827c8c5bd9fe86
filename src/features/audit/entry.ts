import { hash } from 'node:crypto'
import { canonicalJson } from '../../lib/canonical.ts'
import { isId } from '../../lib/ids.ts'
import { catalogue } from './catalogue.ts'
import type { AuditEvent } from './event.ts'
import { isPlainPruned } from './retention-policy.ts'

/** An entry bundle gives each entry's length in 16 bits (tlog-tiles, "Log entries"). */
export const maxEntryBytes = 65_535
/** A payload above this is cut; the log must not be filled by one caller's input. */
const maxPayloadChars = 65_536

/** An event made ready to be written as soon as its index and its subjects are known. */
export type Draft = {
  /** What the leaf says openly: only words from our own closed or checked vocabularies, never free text. */
  readonly words: Readonly<Record<string, unknown>> & { readonly at: string; readonly code: string }
  /** Whose key seals the payload; `''` for events of nobody who signed in. Absent: no principal and no payload. */
  readonly principalId?: string
  readonly onBehalfOf?: string
  readonly resource?: { readonly type: string; readonly id?: string; readonly personal: boolean }
  readonly payload?: string
}

/** What the flush adds to a draft. */
export type Placement = {
  readonly seq: number
  readonly subject?: string
  readonly onBehalfOf?: string
  readonly resource?: { readonly type: string; readonly id?: string }
  readonly payloadCommit?: string
}

// Resources that are people: their ids would tie a pseudonym to its principal, so they become pseudonyms too.
const personalTypes = new Set(['user', 'agent', 'principal'])

/**
 * Sorts an event into what the leaf may say and what is sealed. Principal ids become pseudonyms; names, token ids, input
 * hashes (unsalted, so guessable), details and everything that is not in the form of one of our words or ids is sealed.
 * Throws only for a code that is not in the catalogue, which is a bug.
 */
export function draftOf(event: AuditEvent, at: string): Draft {
  if (!Object.hasOwn(catalogue, event.code)) throw new TypeError('An audit code is one of the catalogue')
  const { principal, resource, decision } = event
  const open: Record<string, unknown> = {}
  const sealed: Record<string, unknown> = {}
  const sort = (name: string, value: unknown, fits: boolean) => {
    if (value !== undefined) (fits ? open : sealed)[name] = value
  }
  sort('kind', principal?.kind, isWord(principal?.kind))
  for (const name of ['door', 'action', 'access', 'outcome'] as const) sort(name, event[name], isWord(event[name]))
  for (const name of ['requestId', 'approval'] as const) sort(name, event[name], isOurs(event[name]))
  sort('decision', decision, isPlainDecision(decision))
  sort('erased', event.erased, event.erased?.every(Number.isSafeInteger) === true)
  sort('pruned', event.pruned, isPlainPruned(event.pruned))
  const openType = isWord(resource?.type)
  const openId = openType && (resource?.id === '*' || isOurs(resource?.id))
  if (!openType) sort('resource', resource, false)
  else if (!openId) sort('resource', resource && { id: resource.id }, false)
  sort('name', principal?.name, false)
  sort('tokenId', principal?.tokenId, false)
  sort('inputHash', event.inputHash, false)
  sort('detail', event.detail, false)
  const payload = Object.keys(sealed).length > 0 ? payloadOf(sealed) : undefined
  return {
    words: { ...open, at, code: event.code },
    ...((principal || payload !== undefined) && { principalId: principal ? mappingId(principal.id) : '' }),
    ...(principal?.onBehalfOf !== undefined && { onBehalfOf: mappingId(principal.onBehalfOf) }),
    ...(resource &&
      openType && {
        resource: {
          type: resource.type,
          ...(openId && { id: resource.id }),
          personal:
            openId && resource.id !== '*' && (personalTypes.has(resource.type) || resource.id === principal?.id),
        },
      }),
    ...(payload !== undefined && { payload }),
  }
}

/** The leaf: canonical JSON (RFC 8785) without line breaks, so no field can look like a record's or a note's boundary. */
export function leafOf({ words }: Draft, placement: Placement): Buffer {
  const leaf = Buffer.from(canonicalJson({ v: 1, ...words, ...placement }), 'utf8')
  if (leaf.length > maxEntryBytes) throw new RangeError(`An entry of ${leaf.length} bytes does not fit a bundle`)
  return leaf
}

/** The sealed part as JSON, cut with a marker when it is too large or cannot be said in canonical JSON. Never throws. */
function payloadOf(sealed: Record<string, unknown>): string {
  const whole = jsonOf(sealed)
  if (whole.length <= maxPayloadChars) return whole
  const { detail, ...rest } = sealed
  const cutDetail = jsonOf({ ...rest, detail: cut(jsonOf(detail)) })
  return cutDetail.length <= maxPayloadChars ? cutDetail : jsonOf({ detail: cut(whole) })
}

function cut(json: string) {
  return { truncated: true, length: json.length, start: json.slice(0, maxPayloadChars / 4).toWellFormed() }
}

function jsonOf(value: unknown): string {
  try {
    return canonicalJson(value)
  } catch {
    return plainJson(value)
  }
}

/** For what canonical JSON refuses: lone surrogates, bigint, NaN. Something circular is only named. */
function plainJson(value: unknown): string {
  try {
    return JSON.stringify(value, (_name, member) => (typeof member === 'bigint' ? String(member) : member)) ?? 'null'
  } catch {
    return '{"unreadable":true}'
  }
}

/** A principal's id as the mapping table holds it: one odd id must not make a database refuse a whole batch. */
export function mappingId(id: string): string {
  return /^[\x20-\x7e]{1,200}$/.test(id) ? id : `sha256:${hash('sha256', id, 'hex')}`
}

export function isWord(text: unknown): boolean {
  return typeof text === 'string' && /^[a-z0-9*][a-z0-9._:-]{0,63}$/i.test(text)
}

export function isOurs(text: unknown): boolean {
  return typeof text === 'string' && isId(text)
}

function isPlainDecision(decision: AuditEvent['decision']): boolean {
  return (
    decision !== undefined &&
    isWord(decision.effect) &&
    isWord(decision.version) &&
    decision.policies.length <= 32 &&
    decision.policies.every(isWord)
  )
}
