import { Problem } from '../../core/problem.ts'
import { consistencyPath, foldNodes, inclusionPath, type Node, nodesOf, type Span } from '../../lib/merkle.ts'
import type { StoreReader } from './store-read.ts'
import { tileWidth } from './tiles.ts'

/** Proofs and roots from the stored hashes. Nothing is cached over calls: a stored hash may be damaged meanwhile. */
export function makeProofs(reader: StoreReader) {
  return {
    /** The hashes, leaf side first, that lead from leaf `index` to the root of the tree of `size`. */
    proveInclusion(index: number, size: number): Promise<Buffer[]> {
      return hashSpans(reader, inclusionPath(index, size))
    },
    /** The hashes that lead from the root at `older` to the root at `newer`. */
    proveConsistency(older: number, newer: number): Promise<Buffer[]> {
      return hashSpans(reader, consistencyPath(older, newer))
    },
    async rootAt(size: number): Promise<Buffer> {
      const [root] = await hashSpans(reader, [{ start: 0, end: size }])
      return root as Buffer
    },
  }
}

async function hashSpans(reader: StoreReader, spans: readonly Span[]): Promise<Buffer[]> {
  const hashNode = makeNodeHasher(reader)
  const hashes: Buffer[] = []
  for (const span of spans) {
    const nodes: Buffer[] = []
    for (const node of nodesOf(span)) nodes.push(await hashNode(node))
    hashes.push(foldNodes(nodes))
  }
  return hashes
}

/** A complete subtree's hash, from the hashes of the tile level at or below it. Each stretch is read once. */
function makeNodeHasher(reader: StoreReader) {
  const read = new Map<string, Promise<Buffer[]>>()
  return async function hashNode({ level, index }: Node): Promise<Buffer> {
    const tileLevel = Math.floor(level / 8)
    const count = 2 ** (level % 8)
    const start = index * count
    const tile = Math.floor(start / tileWidth)
    const name = `${tileLevel}/${tile}`
    const hashes = read.get(name) ?? reader.hashes(tileLevel, tile * tileWidth, tileWidth)
    read.set(name, hashes)
    const offset = start - tile * tileWidth
    const leaves = (await hashes).slice(offset, offset + count)
    if (leaves.length < count) throw new Problem('not-found', 'The log does not have all of these entries')
    return foldComplete(leaves)
  }
}

/** The hash of 2^k sibling hashes: a complete tree is its own right-leaning fold of `nodesOf`, level by level. */
function foldComplete(hashes: readonly Buffer[]): Buffer {
  let row = [...hashes]
  while (row.length > 1) row = Array.from({ length: row.length / 2 }, (_, i) => foldNodes(row.slice(2 * i, 2 * i + 2)))
  return row[0] as Buffer
}
