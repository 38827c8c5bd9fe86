import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto'

/** A Fernet token that is malformed, or was made with another key. The message says nothing of its content. */
export class FernetError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'FernetError'
  }
}

export type FernetKey = { readonly signing: Buffer; readonly encryption: Buffer }

/** A Fernet key: 32 bytes, 16 that sign and 16 that encrypt. The parts share the bytes, so the caller can zero them. */
export function fernetKey(bytes: Buffer): FernetKey {
  if (bytes.length !== 32) throw new FernetError('A Fernet key has 32 bytes')
  return { signing: bytes.subarray(0, 16), encryption: bytes.subarray(16) }
}

/**
 * Opens a token (fernet/spec): version 0x80 ‖ time (8) ‖ IV (16) ‖ AES-128-CBC ciphertext ‖ HMAC-SHA-256 (32). The MAC is
 * checked before anything is decrypted. With `ttl` (seconds) the token's age counts too: stored secrets do not age.
 * Only for import: new values are never kept like this.
 */
export function openFernet(key: FernetKey, token: string, age?: { readonly ttl: number; readonly now: Date }): Buffer {
  const bytes = decode(token)
  if (!bytes || bytes.length < 73 || (bytes.length - 57) % 16 !== 0 || bytes[0] !== 0x80)
    throw new FernetError('Not a Fernet token')
  const signed = bytes.subarray(0, -32)
  const mac = createHmac('sha256', key.signing).update(signed).digest()
  if (!timingSafeEqual(mac, bytes.subarray(-32))) throw new FernetError('Made with another key, or damaged')
  if (age) checkAge(Number(bytes.readBigUInt64BE(1)), age)
  const decipher = createDecipheriv('aes-128-cbc', key.encryption, bytes.subarray(9, 25))
  try {
    return Buffer.concat([decipher.update(signed.subarray(25)), decipher.final()])
  } catch {
    throw new FernetError('The padding is wrong')
  }
}

const skewSeconds = 60

function checkAge(made: number, { ttl, now }: { ttl: number; now: Date }): void {
  const seconds = now.getTime() / 1000
  if (made + ttl < seconds) throw new FernetError('Too old')
  if (made > seconds + skewSeconds) throw new FernetError('From the future')
}

/** Strict base64url with its padding: a decoder that skips what it does not know would accept a changed token. */
function decode(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9_-]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined
  return Buffer.from(text, 'base64url')
}
