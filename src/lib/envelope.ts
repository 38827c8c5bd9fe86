import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'

// Container: magic "HS" ‖ format 1 ‖ algorithm 1 (AES-256-GCM) ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
const prefix = Buffer.from([0x48, 0x53, 1, 1])
const keyIdAt = prefix.length
const nonceAt = keyIdAt + 8
const bodyAt = nonceAt + 12
const tagLength = 16

/** The box was sealed with another key, is damaged, or belongs to another row. `reason` is safe to record. */
export class EnvelopeError extends Error {
  readonly reason: 'unknown-key' | 'integrity'
  constructor(reason: 'unknown-key' | 'integrity') {
    super(reason === 'unknown-key' ? 'unknown key' : 'the sealed value is damaged or belongs elsewhere')
    this.name = 'EnvelopeError'
    this.reason = reason
  }
}

/** A 32-byte key for one purpose: HKDF-SHA-256 of `key` with `info`, so that no key serves two purposes. */
export function deriveKey(key: KeyObject, info: string): KeyObject {
  const known = derived.get(key) ?? new Map<string, KeyObject>()
  derived.set(key, known)
  const before = known.get(info)
  if (before) return before
  const bytes = Buffer.from(hkdfSync('sha256', key, '', info, 32))
  try {
    const made = createSecretKey(bytes)
    known.set(info, made)
    return made
  } finally {
    bytes.fill(0)
  }
}

// Rooms derive at each use, because the root key can change under them. What was derived goes with its key.
const derived = new WeakMap<KeyObject, Map<string, KeyObject>>()

/** Names a key without telling it: the first 8 bytes of HKDF(key, "kek-id"). GCM does not commit to its key; this does. */
export function keyId(key: KeyObject): Buffer {
  const known = keyIds.get(key)
  if (known) return known
  const id = Buffer.from(hkdfSync('sha256', key, '', 'kek-id', 8))
  keyIds.set(key, id)
  return id
}

// Sealing asks for it each time, and deriving it costs more than sealing a short value.
const keyIds = new WeakMap<KeyObject, Buffer>()

/**
 * Seals `plain` for exactly the row that `aad` names: product, table, id, version, field …; opening it elsewhere fails.
 * Each part is length-prefixed, so no two lists give the same bytes.
 */
export function seal(key: KeyObject, plain: Uint8Array, aad: readonly string[]): Buffer {
  const id = keyId(key)
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
  cipher.setAAD(encodeAad(aad, id))
  return Buffer.concat([prefix, id, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Whether a box names `key` as the one that it was sealed with. Says nothing of whether it opens. */
export function isSealedWith(key: KeyObject, box: Uint8Array): boolean {
  return keyId(key).equals(box.subarray(keyIdAt, nonceAt))
}

/** Opens a box, or throws `EnvelopeError` without a byte of plaintext. The caller zeroes the buffer it gets. */
export function open(key: KeyObject, box: Uint8Array, aad: readonly string[]): Buffer {
  const bytes = Buffer.from(box.buffer, box.byteOffset, box.byteLength)
  if (bytes.length < bodyAt + tagLength || !bytes.subarray(0, keyIdAt).equals(prefix))
    throw new EnvelopeError('integrity')
  const id = bytes.subarray(keyIdAt, nonceAt)
  if (!id.equals(keyId(key))) throw new EnvelopeError('unknown-key')
  // Without authTagLength Node would accept a tag cut to 4 bytes.
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(nonceAt, bodyAt), { authTagLength: tagLength })
  decipher.setAAD(encodeAad(aad, id))
  decipher.setAuthTag(bytes.subarray(-tagLength))
  const plain = decipher.update(bytes.subarray(bodyAt, -tagLength))
  try {
    decipher.final()
    return plain
  } catch {
    plain.fill(0)
    throw new EnvelopeError('integrity')
  }
}

/** The same content for the same row, under another key. Throws `EnvelopeError` like `open`. */
export function reseal(from: KeyObject, to: KeyObject, box: Uint8Array, aad: readonly string[]): Buffer {
  const plain = open(from, box, aad)
  try {
    return seal(to, plain, aad)
  } finally {
    plain.fill(0)
  }
}

function encodeAad(parts: readonly string[], id: Buffer): Buffer {
  const encoded = parts.flatMap((part) => {
    const bytes = Buffer.from(part, 'utf8')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return Buffer.concat([...encoded, id])
}
