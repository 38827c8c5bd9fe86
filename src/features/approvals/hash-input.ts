import { createHmac, type KeyObject } from 'node:crypto'
import { Secret } from '../../core/secret.ts'
import { canonicalJson } from '../../lib/canonical.ts'
import { deriveKey } from '../../lib/envelope.ts'
import { fingerprintKey, type RootKey, ringOf } from '../../lib/root-keys.ts'

type Parts = {
  readonly rootKey: RootKey
  /** A keyed hash of the value: equal for equal values, and no help in finding the value. */
  readonly hashSecret: HashSecret
}

export type HashSecret = (secret: Secret, key: KeyObject) => string

/** How long a question stays open; a yes must be used within the same time. */
export const approvalTtlMs = 24 * 3_600_000

/** The keys that a call's name is made with: of the call, and of the secrets in it. */
export type CallKeys = { readonly call: KeyObject; readonly secret: KeyObject }

/**
 * Names one exact call: HMAC-SHA-256, in hex, over the RFC 8785 form of action and parsed input. A changed secret changes the
 * hash, and so does an edit of the connection that the call is about. Keyed, because a plain hash of a short input can be guessed by whoever reads the log.
 */
export function makeHashInput({ rootKey, hashSecret }: Parts) {
  const ring = ringOf(rootKey)
  return function hashInput(
    action: string,
    input: unknown,
    revision?: number,
    keys: CallKeys = callKeys(ring.current()),
  ): string {
    const shown = plain(input, (secret) => hashSecret(secret, keys.secret))
    const exact = canonicalJson([action, shown, ...(revision === undefined ? [] : [revision])])
    return createHmac('sha256', keys.call).update(exact).digest('hex')
  }
}

export function callKeys(rootKey: KeyObject): CallKeys {
  return { call: deriveKey(rootKey, 'atlas/approvals/input'), secret: fingerprintKey(rootKey) }
}

// What has no exact JSON form throws: a Map, printed as {}, would let one approval serve another call.
function plain(value: unknown, hashSecret: (secret: Secret) => string): unknown {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Secret) return { '\u0000secret': hashSecret(value) }
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map((item) => plain(item, hashSecret))
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError('An input of this type has no exact form')
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member, hashSecret)]))
}
