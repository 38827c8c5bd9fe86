import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { hashSize } from './merkle.ts'

/** C2SP signed-note v1.0.0 with Ed25519 keys (type 0x01), and the tlog-checkpoint v1.0.0 text inside one. */
export type NoteSignature = { readonly name: string; readonly keyId: Buffer; readonly signature: Buffer }
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] }
export type VerifierKey = { readonly name: string; readonly keyId: Buffer; readonly publicKey: KeyObject }
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Buffer }

/** Not a note, a verifier key or a checkpoint; `message` names the rule. */
export class NoteError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'NoteError'
  }
}

const ed25519 = 1
const maxSignatures = 64

/** Signs `text` (it ends in a newline) under `name`, which must be a key name. */
export function signNote(text: string, name: string, privateKey: KeyObject): string {
  checkText(text)
  const raw = rawPublicKey(createPublicKey(privateKey))
  const signature = sign(null, Buffer.from(text, 'utf8'), privateKey)
  return `${text}\n— ${name} ${Buffer.concat([keyIdOf(name, raw), signature]).toString('base64')}\n`
}

/** Takes a note apart without checking a signature. Text and signatures part at the last empty line. */
export function parseNote(bytes: Uint8Array): Note {
  const note = decode(bytes)
  const split = note.lastIndexOf('\n\n')
  if (split < 0 || !note.endsWith('\n')) throw new NoteError('a note is a text, an empty line and signature lines')
  const text = note.slice(0, split + 1)
  checkText(text)
  const lines = note.slice(split + 2, -1).split('\n')
  if (lines.length > maxSignatures) throw new NoteError('a note carries at most 64 signatures here')
  return { text, signatures: lines.map(parseSignature) }
}

/**
 * The text of a note that `key` signed. Other keys' signatures are ignored, a wrong one of `key` rejects the note,
 * and so does none (signed-note, "Verifying").
 */
export function openNote(bytes: Uint8Array, key: VerifierKey): string {
  const { text, signatures } = parseNote(bytes)
  const ours = signatures.filter(({ name, keyId }) => name === key.name && keyId.equals(key.keyId))
  if (ours.length === 0) throw new NoteError(`no signature of ${key.name}+${key.keyId.toString('hex')}`)
  const message = Buffer.from(text, 'utf8')
  for (const { signature } of ours)
    if (signature.length !== 64 || !verify(null, message, key.publicKey, signature))
      throw new NoteError('the signature does not match the text')
  return text
}

/** `<name>+<hex key id>+<base64(type ‖ public key)>` */
export function formatVkey(name: string, publicKey: KeyObject): string {
  checkName(name)
  const raw = rawPublicKey(publicKey)
  return `${name}+${keyIdOf(name, raw).toString('hex')}+${typed(raw).toString('base64')}`
}

/** Reads a verifier key of the log's own type. */
export function parseVkey(vkey: string): VerifierKey {
  const { name, keyId, typedKey } = splitVkey(vkey)
  if (typedKey[0] !== ed25519 || typedKey.length !== 33)
    throw new NoteError('only Ed25519 (type 1) verifier keys are known')
  return { name, keyId, publicKey: publicKeyOf(typedKey.subarray(1)) }
}

/** The parts of a verifier key of any type; the key id must be that of the name and the key. */
export function splitVkey(vkey: string): { name: string; keyId: Buffer; typedKey: Buffer } {
  const parts = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey)
  const [, name = '', id = '', encoded = ''] = parts ?? []
  const typedKey = Buffer.from(encoded, 'base64')
  if (!parts || typedKey.toString('base64') !== encoded)
    throw new NoteError('a verifier key is <name>+<hex id>+<base64>')
  const keyId = noteKeyId(name, typedKey)
  if (keyId.toString('hex') !== id) throw new NoteError('the key id does not belong to the name and the key')
  return { name, keyId, typedKey }
}

/** The signed text of a checkpoint: origin, size, root. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/** Reads a checkpoint's text. Extension lines are allowed (not recommended) and ignored. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n')
  const [origin = '', size = '', root = '', ...rest] = lines
  if (rest.pop() !== '' || rest.includes('') || origin === '')
    throw new NoteError('a checkpoint has an origin, a size and a root line, and no empty line')
  if (!/^(0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw new NoteError('the size is a decimal number without leading zeros')
  const bytes = Buffer.from(root, 'base64')
  if (bytes.length !== hashSize || bytes.toString('base64') !== root)
    throw new NoteError('the root is 32 bytes in base64')
  return { origin, size: Number(size), root: bytes }
}

/** Whether a text can name a key (and so an origin): not empty, no Unicode space, no `+`, no control character. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\s+\p{Cc}\p{Z}]/u.test(name)
}

function parseSignature(line: string): NoteSignature {
  const parts = /^— ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line)
  const [, name = '', encoded = ''] = parts ?? []
  const bytes = Buffer.from(encoded, 'base64')
  if (!parts || !isKeyName(name) || bytes.length < 5 || bytes.toString('base64') !== encoded)
    throw new NoteError('a signature line is an em dash, a key name and base64')
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) }
}

function decode(bytes: Uint8Array): string {
  try {
    // ignoreBOM keeps a leading U+FEFF: a decoder that drops it would accept two files as one note.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new NoteError('a note is UTF-8')
  }
}

function checkText(text: string): void {
  if (!text.endsWith('\n')) throw new NoteError('the text ends in a newline')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the format forbids
  if (/[\x00-\x09\x0b-\x1f\x7f]/.test(text)) throw new NoteError('the text has no control character but the newline')
  if (!text.isWellFormed()) throw new NoteError('the text is UTF-8')
}

function checkName(name: string): void {
  if (!isKeyName(name)) throw new NoteError('a key name is not empty and has no space, plus or control character')
}

/** SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]; `typedKey` is the type's byte and the key. */
export function noteKeyId(name: string, typedKey: Buffer): Buffer {
  checkName(name)
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), typedKey]), 'buffer').subarray(0, 4)
}

function keyIdOf(name: string, rawKey: Buffer): Buffer {
  return noteKeyId(name, typed(rawKey))
}

function typed(rawKey: Buffer): Buffer {
  return Buffer.concat([Buffer.from([ed25519]), rawKey])
}

// An Ed25519 SubjectPublicKeyInfo is this prefix and the raw 32 bytes (RFC 8410 §4).
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')

function rawPublicKey(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(spkiPrefix.length)
}

function publicKeyOf(raw: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' })
}
