import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncPath } from './disk.ts'
import { deriveKey } from './envelope.ts'

/** A root key that cannot be used. The message says what to change and never shows any of the value. */
export class BadKey extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BadKey'
  }
}

/**
 * Reads a root key: 32 bytes as base64 or base64url (43 characters, or 44 with the `=`, the form of a Fernet key) or as
 * 64 hexadecimal digits. White space around it is ignored. Throws `BadKey` for another form and for a key nobody drew at random.
 */
export function parseRootKey(text: string): KeyObject {
  const trimmed = text.trim()
  const bytes = decode(trimmed)
  try {
    const weakness = weaknessOf(trimmed, bytes)
    if (weakness) throw new BadKey(`The root key is not random: ${weakness}. Make one with: openssl rand -base64 32`)
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

/**
 * Reads a root key from a file that only its owner can read, owned by this process's user or by root. A symbolic link
 * counts as the file it leads to. Throws `BadKey`, or the file system's own error when the file cannot be opened.
 */
export function readKeyFile(path: string): KeyObject {
  // Non-blocking: a named pipe put in the file's place must not hang the start.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const buffer = Buffer.alloc(1025)
  try {
    // The open file is examined, not the path: nothing can be exchanged between the check and the read.
    const stat = fstatSync(file)
    const us = process.getuid?.()
    if (!stat.isFile()) throw new BadKey(`The key file ${path} is not a regular file`)
    if (us !== undefined && stat.uid !== us && stat.uid !== 0)
      throw new BadKey(`The key file ${path} belongs to another user; give it to the user that runs Atlas`)
    if (us !== undefined && (stat.mode & 0o077) !== 0)
      throw new BadKey(`The key file ${path} is open to others; run: chmod 600 ${path}`)
    if (stat.size === 0) throw new BadKey(`The key file ${path} is empty`)
    const length = readSync(file, buffer)
    if (length === buffer.length) throw new BadKey(`The key file ${path} holds more than a key`)
    return parseRootKey(buffer.toString('utf8', 0, length))
  } finally {
    buffer.fill(0)
    closeSync(file)
  }
}

/** Makes a new root key in a new file (mode 0600, durable when this returns). Throws `BadKey` when the file already exists. */
export function createKeyFile(path: string): KeyObject {
  const bytes = randomBytes(32)
  const key = createSecretKey(bytes)
  bytes.fill(0)
  writeKeyFile(path, key)
  return key
}

/** Writes a root key into a new file (mode 0600, durable when this returns). Throws `BadKey` when the file already exists. */
export function writeKeyFile(path: string, key: KeyObject): void {
  const bytes = key.export()
  const line = Buffer.from(`${bytes.toString('base64url')}=\n`)
  try {
    writeDurably(path, line)
  } finally {
    bytes.fill(0)
    line.fill(0)
  }
}

/** Names a root key without telling it: 16 hexadecimal digits, to compare a key with a note of it. */
export function rootKeyFingerprint(key: KeyObject): string {
  return deriveKey(key, 'atlas/root-key-fingerprint').export().toString('hex', 0, 8)
}

function decode(text: string): Buffer {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  const body = text.replace(/=+$/, '')
  const bytes = Buffer.from(body, 'base64url') // reads both alphabets
  const isUnpadded = body === text
  const isOne = (encoding: 'base64' | 'base64url') => bytes.toString(encoding).replace(/=+$/, '') === body
  if (bytes.length === 32 && (isOne('base64') || isOne('base64url')) && (isUnpadded || text.length === 44)) return bytes
  bytes.fill(0)
  throw new BadKey(
    text === ''
      ? 'The root key is empty'
      : 'The root key is not 32 bytes as base64 or base64url (43 or 44 characters) or as 64 hexadecimal digits',
  )
}

/** Each rule refuses a random key with a probability below 2^-40. */
function weaknessOf(text: string, bytes: Buffer): string | undefined {
  const steps = [...bytes].map((byte, i) => (byte - (bytes[i - 1] ?? 0)) & 255).slice(1)
  if (new Set(bytes).size === 1) return 'all bytes are equal'
  if (new Set(bytes).size < 16) return 'it has few different bytes'
  if (bytes.subarray(0, 16).equals(bytes.subarray(16))) return 'it repeats itself'
  if (new Set(steps).size < 10) return 'its bytes follow a pattern'
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'it is text'
  if (text.length < 64 && (/^([a-z]+|[A-Z]+)=?$/.test(text) || new Set(text).size < 14))
    return 'it uses few of the possible characters'
  return undefined
}

function writeDurably(path: string, content: Buffer): void {
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new BadKey(`The key file ${path} exists already; it is never overwritten`, { cause: error })
  }
  try {
    if (writeSync(file, content) !== content.length) throw new Error(`The key file ${path} could not be written whole`)
    fsyncSync(file)
  } catch (error) {
    unlinkSync(path) // half a key would stop the next start
    throw error
  } finally {
    closeSync(file)
  }
  syncPath(dirname(path))
}
