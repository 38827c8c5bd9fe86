import type { KeyObject } from 'node:crypto'
import { foldNodes } from '../../lib/merkle.ts'
import type { RootKey } from '../../lib/root-keys.ts'
import { signNote } from '../../lib/signed-note.ts'
import { makeHeads } from './head.ts'
import type { SigningKey } from './signing.ts'

/**
 * A note of the log's key about something else than the log, under the name `<origin>/<purpose>`. The signature covers the text
 * alone, so the text begins with that name: none can pass as a checkpoint, whose first line is the origin.
 */
export function attest({ origin, privateKey }: SigningKey, purpose: string, text: string): string {
  const name = `${origin}/${purpose}`
  if (!text.startsWith(`${name}\n`)) throw new TypeError(`What is signed for ${purpose} says so in its first line`)
  return signNote(text, name, privateKey)
}

/** Where the log ends according to a head row that was read elsewhere, and the root key that it hangs on. Throws `LogDamaged` when it is not this log's. */
export function readHeadRow(
  key: RootKey,
  row: Readonly<Record<string, unknown>> | undefined,
): { size: number; root: Buffer; rootKey: KeyObject } {
  const { size, edge, rootKey } = makeHeads(key).read(
    row && {
      size: Number(row['size']),
      compact: Buffer.from(row['compact'] as Uint8Array),
      checkpoint: row['checkpoint'] as string | null,
      mac: Buffer.from(row['mac'] as Uint8Array),
    },
  )
  return { size, root: foldNodes(edge), rootKey }
}
