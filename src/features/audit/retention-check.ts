import { setImmediate } from 'node:timers/promises'
import { LogDamaged } from './head.ts'
import type { makeProofs } from './proofs.ts'
import { checkSigned, cutOf } from './pruned.ts'
import { detailClasses, type Pruned } from './retention-policy.ts'
import { parseLeaf } from './search.ts'
import type { StoreReader } from './store-read.ts'
import type { JudgedRow, RetentionStore } from './store-retention.ts'
import { tileHash, tileWidth } from './tiles.ts'

type Parts = {
  readonly rows: RetentionStore
  readonly reader: StoreReader
  readonly proofs: ReturnType<typeof makeProofs>
  readonly vkey: string
  /** The signed checkpoint that covers everything that is to go. */
  readonly checkpoint: string
  /** Nothing younger counts for the plan. */
  readonly before: string
}

/**
 * Throws `LogDamaged` unless what goes is as old as the plan took it for. The plan reads columns that are copies of the leaves: whoever
 * can write the table, and has no key, could make yesterday's entries old, and have them deleted under a signed entry that says so.
 */
export async function checkAges(known: Pruned, wanted: Pruned, parts: Parts): Promise<void> {
  const ends = detailClasses.map((name) => ({ from: cutOf(known, name), to: cutOf(wanted, name) }))
  const open = [{ from: known.minimum, to: wanted.minimum }, ...ends].filter(({ from, to }) => to > from)
  const end = Math.max(0, ...open.map(({ to }) => to))
  for (let at = Math.min(end, ...open.map(({ from }) => from)); at < end; at += tileWidth) {
    await checkTile(at, parts)
    await setImmediate()
  }
  // What stands before such an entry is taken for old whatever its time.
  for (const row of await parts.rows.clockAccepted(parts.before)) {
    checkCopies(row)
    await checkSigned(row, parts)
  }
}

async function checkTile(start: number, { rows, reader }: Parts): Promise<void> {
  const found = await rows.judged(start, start + tileWidth)
  const [node] = await reader.hashes(1, start / tileWidth, 1)
  if (!node?.equals(tileHash(found.map(({ leaf }) => leaf))))
    throw new LogDamaged(
      `the entries ${start}–${start + tileWidth - 1} are not those that were signed, and were not deleted`,
    )
  for (const row of found) checkCopies(row)
}

function checkCopies({ index, at, code, leaf }: JudgedRow): void {
  const said = parseLeaf(leaf)
  if (said.at !== at || said.code !== code)
    throw new LogDamaged(`the time or the code of entry ${index} was changed from outside, and nothing was deleted`)
}
