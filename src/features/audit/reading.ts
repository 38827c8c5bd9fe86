import { formatProof } from '../../lib/tlog-proof.ts'
import { sizeOf } from './checkpoints.ts'
import { exportLog } from './export.ts'
import type { makeProofs } from './proofs.ts'
import type { Declared } from './pruned.ts'
import type { makeSearch } from './search.ts'
import type { StoreReader } from './store-read.ts'
import { parseTilePath, readTile } from './tiles.ts'

type Parts = {
  readonly reader: StoreReader
  readonly proofs: ReturnType<typeof makeProofs>
  readonly search: ReturnType<typeof makeSearch>
  /** What retention has declared, in the first `size` entries when it is given. */
  readonly declared: (size?: number) => Promise<Declared | undefined>
  readonly vkey: string
  readonly size: () => number
  /** The checkpoint for readers, over entry `index` at least. */
  readonly checkpoint: (index?: number) => Promise<string>
}

/** What readers of the log take away: tiles, proofs, and the whole of it. */
export function makeReading({ reader, proofs, search, declared, vkey, size, checkpoint }: Parts) {
  return {
    /** The bytes of `tile/<L>/<N>[.p/<W>]` or `tile/entries/…` (tlog-tiles); undefined for anything else. */
    async tile(path: string): Promise<Buffer | undefined> {
      const name = parseTilePath(path)
      return name && readTile(reader, name)
    },
    proveInclusion: (index: number, at = size()) => proofs.proveInclusion(index, at),
    /** The entry with its proof, as a `.tlog-proof`. Throws `not-found`. */
    async proofOf(index: number): Promise<string> {
      const { leaf } = await search.read(index)
      const text = await checkpoint(index)
      const hashes = await proofs.proveInclusion(index, sizeOf(text))
      return formatProof({ extra: leaf, index, hashes, checkpoint: text })
    },
    /** Writes `checkpoint`, `tile/…` and `vkey` into a new or empty folder; verify.ts checks it without this program. */
    exportTo: async (folder: string) => exportLog({ reader, vkey, checkpoint: await checkpoint(), declared }, folder),
  }
}
