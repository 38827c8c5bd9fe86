import { randomBytes } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * A new id such as `ast_06f3k2…`: 45 bits of milliseconds, then 75 random bits, base32 (Crockford, lower case, 24 characters).
 * Sorting by id is sorting by creation, which keeps index inserts at the end of the tree.
 */
export function newId(kind: string, at = Date.now()): string {
  let time = ''
  for (let rest = at, i = 0; i < 9; i++) {
    time = alphabet[rest % 32] + time
    rest = Math.floor(rest / 32)
  }
  return `${kind}_${time}${randomText(15)}`
}

// Asking the system for a few bytes at a time costs more than everything else here.
let pool = Buffer.alloc(0)
let used = 0

/** `length` characters of 5 random bits each. No byte is used twice. */
function randomText(length: number): string {
  if (used + length > pool.length) {
    pool = randomBytes(4096)
    used = 0
  }
  let text = ''
  for (const byte of pool.subarray(used, used + length)) text += alphabet[byte & 31]
  used += length
  return text
}

/** Whether a text has the form of one of our ids, and so names nobody by itself. */
export function isId(text: string): boolean {
  return /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{24}$/.test(text)
}
