import { hash, timingSafeEqual } from 'node:crypto'

/**
 * The Merkle tree of RFC 6962 §2.1 with SHA-256: leaf and node hashes, inclusion and consistency proofs, and the compact
 * range that appends without the rest of the tree. Sizes and indexes are safe integers; hashes are 32 bytes.
 */
export const hashSize = 32

/** The root of the tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Buffer = hash('sha256', Buffer.alloc(0), 'buffer')

/** A leaf hash is SHA-256(0x00 ‖ entry), RFC 6962 §2.1. The prefix keeps a leaf from posing as a node. */
export function leafHash(entry: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(entry.length + 1)
  bytes[0] = 0
  bytes.set(entry, 1)
  return hash('sha256', bytes, 'buffer')
}

/** A node hash is SHA-256(0x01 ‖ left ‖ right), RFC 6962 §2.1. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(1 + left.length + right.length)
  bytes[0] = 1
  bytes.set(left, 1)
  bytes.set(right, 1 + left.length)
  return hash('sha256', bytes, 'buffer')
}

/** A complete subtree: the leaves [index·2^level, (index+1)·2^level). */
export type Node = { readonly level: number; readonly index: number }

/** The leaves [start, end). */
export type Span = { readonly start: number; readonly end: number }

/** The complete subtrees, left to right, whose hashes give the hash of a span that is a node of some tree. */
export function nodesOf({ start, end }: Span): Node[] {
  const nodes: Node[] = []
  let at = start
  while (at < end) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level++
    nodes.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return nodes
}

/** The hash of a span from the hashes of its `nodesOf`; the empty root for none. */
export function foldNodes(hashes: readonly Buffer[]): Buffer {
  const last = hashes.at(-1)
  if (!last) return emptyRoot
  return hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
}

/** The spans whose hashes prove that leaf `index` is in the tree of `size` leaves: PATH of RFC 6962 §2.1.1, leaf side first. */
export function inclusionPath(index: number, size: number): Span[] {
  if (!isSize(index) || !isSize(size) || index >= size) throw new RangeError(`No leaf ${index} in a tree of ${size}`)
  const path: Span[] = []
  let span: Span = { start: 0, end: size }
  while (span.end - span.start > 1) {
    const middle = span.start + splitOf(span.end - span.start)
    const left: Span = { start: span.start, end: middle }
    const right: Span = { start: middle, end: span.end }
    path.push(index < middle ? right : left)
    span = index < middle ? left : right
  }
  return path.reverse()
}

/** The spans whose hashes prove that the tree of `older` leaves begins the tree of `newer`: PROOF of RFC 6962 §2.1.2. */
export function consistencyPath(older: number, newer: number): Span[] {
  if (!isSize(older) || !isSize(newer) || older > newer) throw new RangeError(`${older} leaves cannot become ${newer}`)
  if (older === 0 || older === newer) return []
  const path: Span[] = []
  let span: Span = { start: 0, end: newer }
  while (span.end !== older) {
    const middle = span.start + splitOf(span.end - span.start)
    const left: Span = { start: span.start, end: middle }
    const right: Span = { start: middle, end: span.end }
    path.push(older <= middle ? right : left)
    span = older <= middle ? left : right
  }
  // The old tree's own root is known to the verifier, so it is not part of the proof.
  if (span.start !== 0) path.push(span)
  return path.reverse()
}

/** Whether `proof` shows that `leaf` is at `index` of the tree with `size` leaves and `root` (RFC 9162 §2.1.3.2). */
export function verifyInclusion(
  leaf: Buffer,
  index: number,
  size: number,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || !allHashes([leaf, root, ...proof])) return false
  let [fn, sn, computed] = [index, size - 1, leaf]
  for (const sibling of proof) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      computed = nodeHash(sibling, computed)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else computed = nodeHash(computed, sibling)
    ;[fn, sn] = [half(fn), half(sn)]
  }
  return sn === 0 && timingSafeEqual(computed, root)
}

/**
 * Whether `proof` shows that the tree of `older` leaves with `oldRoot` begins the tree of `newer` leaves with `newRoot`
 * (RFC 9162 §2.1.4.2). The empty tree begins every tree; its proof is empty.
 */
export function verifyConsistency(
  older: number,
  newer: number,
  oldRoot: Buffer,
  newRoot: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!isSize(older) || !isSize(newer) || older > newer || !allHashes([oldRoot, newRoot, ...proof])) return false
  if (newer === 0 && !newRoot.equals(emptyRoot)) return false
  if (older === 0) return proof.length === 0 && oldRoot.equals(emptyRoot)
  if (older === newer) return proof.length === 0 && oldRoot.equals(newRoot)
  const [first, ...rest] = Number.isInteger(Math.log2(older)) ? [oldRoot, ...proof] : proof
  if (!first) return false
  let [fn, sn] = [older - 1, newer - 1]
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)]
  let [before, after] = [first, first]
  for (const node of rest) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      before = nodeHash(node, before)
      after = nodeHash(node, after)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else after = nodeHash(after, node)
    ;[fn, sn] = [half(fn), half(sn)]
  }
  return sn === 0 && before.equals(oldRoot) && after.equals(newRoot)
}

/**
 * The right edge of a tree: the hashes of its complete subtrees, largest first. Appending a leaf needs nothing else.
 * `onNode` hears of every subtree above the leaves that becomes complete.
 */
export function makeCompactRange(size = 0, hashes: readonly Buffer[] = []) {
  const edge = [...hashes]
  let count = size
  if (!isSize(size) || edge.length !== popcount(size) || !allHashes(edge))
    throw new RangeError(`${edge.length} hashes are not the edge of a tree of ${size}`)
  return {
    size: () => count,
    hashes: (): readonly Buffer[] => edge,
    root: () => foldNodes(edge),
    append(leaf: Buffer, onNode?: (node: Node, hash: Buffer) => void): void {
      let [level, index, top] = [0, count, leaf]
      while (index % 2 === 1) {
        top = nodeHash(edge.pop() as Buffer, top)
        level += 1
        index = half(index)
        onNode?.({ level, index }, top)
      }
      edge.push(top)
      count += 1
    },
  }
}

function half(n: number): number {
  return Math.floor(n / 2)
}

/** The largest power of two below n, for n > 1. */
function splitOf(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

function popcount(n: number): number {
  let ones = 0
  for (let rest = n; rest > 0; rest = half(rest)) ones += rest % 2
  return ones
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}

function allHashes(hashes: readonly Buffer[]): boolean {
  return hashes.every((h) => h.length === hashSize)
}
