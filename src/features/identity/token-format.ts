import { createHmac, hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Secret } from '../../core/secret.ts'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const form = /^atl_([0-9A-Za-z]{10})_[0-9A-Za-z]{43}_([0-9A-Za-z]{6})$/

/** What a leak scanner looks for; the last six characters let it tell a real token from noise without asking us. */
export const tokenPattern = 'atl_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}'

/** A new token: shown once as `text`; only `lookup` (public) and `hash` are stored. */
export function newToken(): { readonly text: string; readonly lookup: string; readonly hash: Buffer } {
  const lookup = base62(toInteger(randomBytes(16)), 10)
  const text = formatToken(lookup, randomBytes(32))
  return { text, lookup, hash: hashToken(text) }
}

/** A new one-time secret of 256 bits, 43 characters, for a link. */
export function newSecretText(): string {
  return base62(toInteger(randomBytes(32)), 43)
}

/** `atl_<10: public id>_<43: 256-bit secret>_<6: CRC-32 of all before>`, all base62 (SECURITY.md §3.7). */
export function formatToken(lookup: string, secret: Uint8Array): string {
  const head = `atl_${lookup}_${base62(toInteger(secret), 43)}`
  return `${head}_${checksum(head)}`
}

/** Reads a token's public id, or says why the text cannot be a token of ours. Needs no database. */
export function readToken(text: string): { readonly lookup: string } | 'malformed' | 'checksum' {
  const [, lookup, sum] = form.exec(text) ?? []
  if (lookup === undefined || sum === undefined) return 'malformed'
  return checksum(text.slice(0, -7)) === sum ? { lookup } : 'checksum'
}

/**
 * SHA-256 of the whole token. A fast hash is right here: nobody can guess 256 random bits.
 * The public id is inside the hash, so a stored hash moved to another row fits no token.
 */
export function hashToken(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

/** What is stored of a sign-in's token when sign-ins hang on a secret of their own: another secret, and none of them fits any more. */
export function sessionHash(tokenHash: Buffer, secret: Secret | undefined): Buffer {
  return secret ? createHmac('sha256', secret.reveal()).update(tokenHash).digest() : tokenHash
}

function checksum(head: string): string {
  let rest = crc32(head)
  let text = ''
  for (let i = 0; i < 6; i++) {
    text = alphabet[rest % 62] + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** The lowest `length` base62 digits. 43 digits hold 256 bits; 10 digits of 128 random bits are even to 2⁻⁶⁸. */
function base62(value: bigint, length: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < length; i++) {
    text = alphabet[Number(rest % 62n)] + text
    rest /= 62n
  }
  return text
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}
