import { createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto'
import { deriveKey, open, reseal, seal } from '../../lib/envelope.ts'
import { newId } from '../../lib/ids.ts'
import { type RootKey, type RootKeys, ringOf, rootKeyOf } from '../../lib/root-keys.ts'

/** A principal as the log knows it: a random pseudonym, and the key of everything personal. The row ties the two. */
export type Subject = { readonly id: string; readonly principalId: string; readonly key: KeyObject }
export type SubjectRow = { readonly id: string; readonly principal_id: string; readonly box: Buffer }
export type SealedPayload = { readonly salt: Buffer; readonly box: Buffer; readonly commit: string }

/** How the writer finds and makes subjects inside its transaction. */
export type SubjectRows = {
  readonly find: (principalIds: readonly string[]) => Promise<readonly SubjectRow[]>
  readonly insert: (rows: readonly SubjectRow[]) => Promise<void>
}

const maxCached = 10_000

/** Pseudonyms and keys, kept in memory while nobody else writes. The root key seals the subjects' keys. */
export function makeSubjects(key: RootKey) {
  const ring = ringOf(key)
  const cache = new Map<string, Subject>()
  return {
    /** The subjects of these principals, made where they are new: under the head's root key. Only the writer calls this, under the head's lock. */
    async resolve(
      principalIds: Iterable<string>,
      rows: SubjectRows,
      rootKey: KeyObject,
    ): Promise<ReadonlyMap<string, Subject>> {
      if (cache.size > maxCached) cache.clear()
      const wanted = new Set(principalIds)
      const unknown = [...wanted].filter((id) => !cache.has(id))
      if (unknown.length > 0) {
        for (const row of await rows.find(unknown)) cache.set(row.principal_id, openSubject(ring, row))
        const made = unknown.filter((id) => !cache.has(id)).map((id) => makeSubject(wrappingKey(rootKey), id))
        if (made.length > 0) await rows.insert(made.map(({ row }) => row))
        for (const { subject } of made) cache.set(subject.principalId, subject)
      }
      return new Map([...wanted].map((id) => [id, cache.get(id) as Subject]))
    },
    /** After a failed write, or when another process wrote: what is cached may not be in the database. */
    drop: () => cache.clear(),
    open: (row: SubjectRow) => openSubject(ring, row),
  }
}

/**
 * Seals a payload for its subject and its place in the log, with a fresh 32-byte `salt`. The leaf gets `commit`, SHA-256(salt ‖ box): once key, salt and
 * box are destroyed it says nothing, and until then it ties the payload to the tree.
 */
export function sealPayload(subject: Subject, index: number, payload: string, salt: Buffer): SealedPayload {
  const box = seal(subject.key, Buffer.from(payload, 'utf8'), aadOf(subject.id, index))
  return { salt, box, commit: commitOf(salt, box) }
}

/** The payload's JSON value. Throws `EnvelopeError` when it is damaged or another entry's. */
export function openPayload(subject: Subject, index: number, box: Buffer): unknown {
  return JSON.parse(open(subject.key, box, aadOf(subject.id, index)).toString('utf8'))
}

/** `count` salts of 32 random bytes, drawn at once: a draw costs more than a hash. */
export function drawSalts(count: number): (at: number) => Buffer {
  const bytes = randomBytes(32 * count)
  return (at) => bytes.subarray(32 * at, 32 * (at + 1))
}

export function commitOf(salt: Buffer, box: Buffer): string {
  return hash('sha256', Buffer.concat([salt, box]), 'base64')
}

function makeSubject(wrapping: KeyObject, principalId: string): { row: SubjectRow; subject: Subject } {
  const id = newId('sub')
  const bytes = randomBytes(32)
  const row = { id, principal_id: principalId, box: seal(wrapping, bytes, keyAad(id, principalId)) }
  const subject = { id, principalId, key: createSecretKey(bytes) }
  bytes.fill(0)
  return { row, subject }
}

function openSubject(ring: RootKeys, { id, principal_id, box }: SubjectRow): Subject {
  const bytes = open(wrappingKey(rootKeyOf(ring, wrappingKey, box)), box, keyAad(id, principal_id))
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return { id, principalId: principal_id, key }
}

/** A subject's key, sealed for another root key. */
export function sealSubjectAnew({ id, principal_id, box }: SubjectRow, from: KeyObject, to: KeyObject): Buffer {
  return reseal(wrappingKey(from), wrappingKey(to), box, keyAad(id, principal_id))
}

function wrappingKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/audit-subjects')
}

// The principal is bound too: giving a pseudonym to somebody else in the table makes its key unusable.
function keyAad(id: string, principalId: string): string[] {
  return ['atlas', 'audit_subject', id, principalId, 'key']
}

function aadOf(subject: string, index: number): string[] {
  return ['atlas', 'audit_payload', subject, String(index)]
}
