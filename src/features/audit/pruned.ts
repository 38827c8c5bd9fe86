import type { Database } from '../../lib/db/database.ts'
import { leafHash, verifyInclusion } from '../../lib/merkle.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { prunedCode } from './event.ts'
import { LogDamaged } from './head.ts'
import type { makeProofs } from './proofs.ts'
import { type DetailClass, isPlainPruned, type Pruned } from './retention-policy.ts'
import { makeRetentionStore, type PrunedRow } from './store-retention.ts'

/** What a `log.pruned` entry of the log declares, and where it stands. */
export type Declared = Pruned & { readonly index: number; readonly at: string }

export const nothingPruned: Pruned = { minimum: 0, details: {}, keep: {} }

/** What a leaf declares; undefined for every other leaf, and for one that speaks of entries behind its own. */
export function declaredBy(leaf: { code: string; seq: number; at: string; pruned?: Pruned }): Declared | undefined {
  const { code, seq, at, pruned } = leaf
  if (code !== prunedCode || !isPlainPruned(pruned) || !pruned) return undefined
  const reach = [pruned.minimum, ...Object.values(pruned.details)]
  return reach.every((end) => end <= seq) ? { ...pruned, index: seq, at } : undefined
}

export function readDeclared(row: PrunedRow | undefined): Declared | undefined {
  const declared = row && declaredBy(JSON.parse(row.leaf.toString('utf8')))
  return declared?.index === row?.index ? declared : undefined
}

/** Reads what retention has declared, in the first `size` entries when it is given. */
export function makeDeclared(database: Database) {
  const { newestPruned } = makeRetentionStore(database)
  return async (size?: number): Promise<Declared | undefined> => readDeclared(await newestPruned(size))
}

/** How far the details of a class are declared to be gone. */
export function cutOf({ details, minimum }: Pruned, name: DetailClass): number {
  return Math.max(details[name] ?? 0, minimum)
}

/**
 * Throws `LogDamaged` unless the entry is in the tree that `checkpoint` signs: whoever can write the table must not be able to have
 * anything deleted by a row of his own.
 */
export async function checkSigned(
  { index, leaf }: Pick<PrunedRow, 'index' | 'leaf'>,
  { checkpoint, vkey, proofs }: { checkpoint: string; vkey: string; proofs: ReturnType<typeof makeProofs> },
): Promise<void> {
  const { size, root } = parseCheckpoint(openNote(Buffer.from(checkpoint), parseVkey(vkey)))
  if (index >= size) throw new LogDamaged(`entry ${index}, which retention goes by, is not signed yet`)
  const path = await proofs.proveInclusion(index, size)
  if (!verifyInclusion(leafHash(leaf), index, size, path, root))
    throw new LogDamaged(`entry ${index}, which says what retention deletes, is not the one that was signed`)
}
