import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { deriveKey } from '../../lib/envelope.ts'
import { hashSize } from '../../lib/merkle.ts'
import type { HeadRow } from './store.ts'

/** Where the log ends: its size, the right edge of its tree, and the last checkpoint that was signed. */
export type Head = { readonly size: number; readonly edge: readonly Buffer[]; readonly checkpoint: string | null }

/** The head in the database is not one that this log wrote, or the log does not extend what it signed. Nothing may be appended. */
export class LogDamaged extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'LogDamaged'
  }
}

/**
 * Reads and writes head rows. The row carries an HMAC under a key derived from the root key: whoever can write the table but
 * lacks the key cannot cut the log short and set the head back to match. (Putting back an older row whole is what
 * witnesses are for.)
 */
export function makeHeads(rootKey: KeyObject) {
  const key = deriveKey(rootKey, 'atlas/audit-head')
  const macOf = (row: Omit<HeadRow, 'mac'>) =>
    createHmac('sha256', key)
      .update(`${row.size}\n${row.checkpoint ?? ''}\n\n`)
      .update(row.compact)
      .digest()
  return {
    read(row: HeadRow | undefined): Head {
      if (!row) throw new LogDamaged('the head of the log is missing')
      const mac = macOf(row)
      if (mac.length !== row.mac.length || !timingSafeEqual(mac, row.mac))
        throw new LogDamaged('the head of the log was changed from outside')
      const edge = Array.from({ length: row.compact.length / hashSize }, (_, i) =>
        row.compact.subarray(i * hashSize, (i + 1) * hashSize),
      )
      return { size: row.size, edge, checkpoint: row.checkpoint }
    },
    write({ size, edge, checkpoint }: Head): HeadRow {
      const row = { size, compact: Buffer.concat(edge), checkpoint }
      return { ...row, mac: macOf(row) }
    },
  }
}
