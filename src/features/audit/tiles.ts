import { leafHash, makeCompactRange } from '../../lib/merkle.ts'
import type { StoreReader } from './store-read.ts'

/** A tile or an entry bundle of tlog-tiles: `level` is `entries` or 0–63, `index` its N, `width` 1–256 (256 is full). */
export type TileName = { readonly level: number | 'entries'; readonly index: number; readonly width: number }

export const tileWidth = 256

/** Reads `tile/<L>/<N>[.p/<W>]`; undefined for every other text, among them other spellings of the same tile. */
export function parseTilePath(path: string): TileName | undefined {
  const parts = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path)
  if (!parts) return undefined
  const [, level = '', groups = '', width] = parts
  const tile: TileName = {
    level: level === 'entries' ? level : Number(level),
    index: Number(groups.replaceAll(/[x/]/g, '')),
    width: width === undefined ? tileWidth : Number(width),
  }
  const fits = tile.level === 'entries' || tile.level <= 63
  return fits && Number.isSafeInteger(tile.index * tileWidth) && tilePath(tile) === path ? tile : undefined
}

/** `tile/0/x001/x234/067` or, partial, `tile/0/000.p/17`. */
export function tilePath({ level, index, width }: TileName): string {
  const groups = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0')
  const path = (groups.match(/.{3}/g) ?? []).join('/x')
  const name = groups.length > 3 ? `x${path.replace(/x([0-9]{3})$/, '$1')}` : path
  if (width === tileWidth) return `tile/${level}/${name}`
  // A width of 0 or above 256 has no name: this text never parses back to itself.
  return width >= 1 && width < tileWidth ? `tile/${level}/${name}.p/${width}` : ''
}

/**
 * Every file that a log of `size` entries has, partial ones only where its right edge is. Below `minimum`, the end of a full tile, the
 * entries and their hashes were pruned.
 */
export function* tilesOf(size: number, minimum = 0): Generator<TileName> {
  for (const level of ['entries', 0] as const) yield* levelOf(level, size, minimum / tileWidth)
  for (let level = 1, hashes = Math.floor(size / tileWidth); hashes > 0; level++) {
    yield* levelOf(level, hashes)
    hashes = Math.floor(hashes / tileWidth)
  }
}

/** The bytes of a tile, or undefined when the log does not have all of it. */
export async function readTile(reader: StoreReader, { level, index, width }: TileName): Promise<Buffer | undefined> {
  const start = index * tileWidth
  const parts = level === 'entries' ? await reader.leaves(start, width) : await reader.hashes(level, start, width)
  if (parts.length < width) return undefined
  return Buffer.concat(level === 'entries' ? parts.flatMap(framed) : parts)
}

/** The hash that stands for a full tile of these entries, or nothing when they are not 256. */
export function tileHash(entries: readonly Buffer[]): Buffer {
  const range = makeCompactRange()
  for (const entry of entries) range.append(leafHash(entry))
  return entries.length === tileWidth ? range.root() : Buffer.alloc(0)
}

function* levelOf(level: TileName['level'], hashes: number, from = 0): Generator<TileName> {
  const full = Math.floor(hashes / tileWidth)
  for (let index = from; index < full; index++) yield { level, index, width: tileWidth }
  if (hashes % tileWidth > 0) yield { level, index: full, width: hashes % tileWidth }
}

/** An entry in a bundle is its length in 16 bits, big-endian, and its bytes. */
function framed(entry: Buffer): [Buffer, Buffer] {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(entry.length)
  return [length, entry]
}
