import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { deriveKey } from '../../lib/envelope.ts'
import { hashSize } from '../../lib/merkle.ts'
import { type RootKey, ringOf } from '../../lib/root-keys.ts'
import type { HeadRow } from './store.ts'

/** Where the log ends: its size, the right edge of its tree, and the last checkpoint that was signed. */
export type Head = {
  readonly size: number
  readonly edge: readonly Buffer[]
  readonly checkpoint: string | null
  /** Under which the row is authenticated, and with it everything that the writer seals beside it. */
  readonly rootKey: KeyObject
}

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
export function makeHeads(key: RootKey) {
  const ring = ringOf(key)
  const macOf = (row: Omit<HeadRow, 'mac'>, rootKey: KeyObject) =>
    createHmac('sha256', deriveKey(rootKey, 'atlas/audit-head'))
      .update(`${row.size}\n${row.checkpoint ?? ''}\n\n`)
      .update(row.compact)
      .digest()
  return {
    read(row: HeadRow | undefined): Head {
      if (!row) throw new LogDamaged('the head of the log is missing')
      const rootKey = ring.all().find((each) => isSame(macOf(row, each), row.mac))
      if (!rootKey) throw new LogDamaged('the head of the log was changed from outside')
      const edge = Array.from({ length: row.compact.length / hashSize }, (_, i) =>
        row.compact.subarray(i * hashSize, (i + 1) * hashSize),
      )
      return { size: row.size, edge, checkpoint: row.checkpoint, rootKey }
    },
    write({ size, edge, checkpoint, rootKey }: Head): HeadRow {
      const row = { size, compact: Buffer.concat(edge), checkpoint }
      return { ...row, mac: macOf(row, rootKey) }
    },
  }
}

function isSame(mac: Buffer, stored: Buffer): boolean {
  return mac.length === stored.length && timingSafeEqual(mac, stored)
}
