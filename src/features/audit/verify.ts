import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { parseArgs } from 'node:util'

// The offline verifier of an exported audit log. It imports nothing but Node itself, so that an auditor who trusts neither
// the server nor its authors reads this one file, and runs it: node verify.ts FOLDER [--vkey FILE]
//
// An export is the static files of C2SP tlog-tiles: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`; and
// `vkey`, the key that signs the checkpoint. The work goes from what is signed to what is claimed:
//   vkey → signature of the checkpoint → root → upper tiles → lower tiles → leaf hashes → entries,
// so that the first thing that does not fit is the thing that was changed.

export type Verdict =
  | {
      readonly ok: true
      readonly origin: string
      readonly size: number
      /** Base64, as in the checkpoint. */
      readonly rootHash: string
      /** SHA-256 of the public key's 32 bytes, hex. */
      readonly keyFingerprint: string
      /** The key came only from the folder: whoever made the folder may have made the key, so compare the fingerprint. */
      readonly keyFromFolder: boolean
      readonly entriesPerSecond: number
    }
  | { readonly ok: false; readonly place: string; readonly reason: string }

type Key = { readonly name: string; readonly id: Buffer; readonly publicKey: KeyObject; readonly fingerprint: string }
type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Buffer }
type Tile = { readonly level: number | 'entries'; readonly index: number; readonly width: number }
type Log = { readonly folder: string; readonly size: number; readonly root: Buffer }

/** The first place that does not fit. Never leaves this file. */
class Wrong extends Error {
  readonly place: string
  constructor(place: string, reason: string) {
    super(reason)
    this.place = place
  }
}

const width = 256
const hashSize = 32

/**
 * Verifies an exported log. `vkey`, when given, is the key that the reader trusts; the folder's must be the same.
 * Never throws for what it reads: a folder that is no export is `ok: false` like any other.
 */
export function verifyExport(folder: string, vkey?: string): Verdict {
  const started = performance.now()
  try {
    const text = readVkey(folder, vkey)
    const key = parseKey(text)
    const { origin, size, root } = parseCheckpoint(openNote(read(folder, 'checkpoint'), key), key)
    const log = { folder, size, root }
    checkFiles(log)
    checkRoot(log)
    checkTiles(log)
    checkEntries(log)
    const seconds = (performance.now() - started) / 1000
    return {
      ok: true,
      origin,
      size,
      rootHash: root.toString('base64'),
      keyFingerprint: key.fingerprint,
      keyFromFolder: vkey === undefined,
      entriesPerSecond: Math.round(size / seconds),
    }
  } catch (error) {
    if (error instanceof Wrong) return { ok: false, place: error.place, reason: error.message }
    throw error
  }
}

// --- the key and the checkpoint (C2SP signed-note, tlog-checkpoint) ---

function readVkey(folder: string, expected: string | undefined): string {
  const text = read(folder, 'vkey').toString('latin1')
  if (!text.endsWith('\n') || text.indexOf('\n') !== text.length - 1) throw new Wrong('vkey', 'is not one line')
  const vkey = text.slice(0, -1)
  if (expected !== undefined && vkey !== expected) throw new Wrong('vkey', 'is not the key that was expected')
  return vkey
}

/** `<name>+<key id, 8 hex digits>+<base64 of 0x01 and the 32 bytes of an Ed25519 key>` */
function parseKey(vkey: string): Key {
  const [, name = '', id = '', encoded = ''] = /^([!-*,-~]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(vkey) ?? []
  const typed = Buffer.from(encoded, 'base64')
  if (typed.length !== 33 || typed[0] !== 1) throw new Wrong('vkey', 'is not an Ed25519 verifier key')
  const computed = sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4)
  if (computed.toString('hex') !== id) throw new Wrong('vkey', 'its key id does not belong to its name and key')
  // RFC 8410: an Ed25519 SubjectPublicKeyInfo is this prefix and the raw key.
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), typed.subarray(1)])
  return {
    name,
    id: computed,
    publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }),
    fingerprint: sha256(typed.subarray(1)).toString('hex'),
  }
}

/** The text of the note that `key` signed. Other keys' lines must have the right form and are otherwise ignored. */
function openNote(bytes: Buffer, key: Key): string {
  const note = bytes.toString('utf8')
  const split = note.lastIndexOf('\n\n')
  if (!Buffer.from(note, 'utf8').equals(bytes) || split < 0 || !note.endsWith('\n'))
    throw new Wrong('checkpoint', 'is not a signed note')
  const text = note.slice(0, split + 1)
  let signed = false
  for (const line of note.slice(split + 2, -1).split('\n')) {
    const [, name = '', encoded = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line) ?? []
    const signature = Buffer.from(encoded, 'base64')
    if (signature.length < 5 || signature.toString('base64') !== encoded)
      throw new Wrong('checkpoint', 'has a line that is not a signature')
    if (name !== key.name || !signature.subarray(0, 4).equals(key.id)) continue
    if (!verify(null, Buffer.from(text, 'utf8'), key.publicKey, signature.subarray(4)))
      throw new Wrong('checkpoint', 'its signature does not match its text')
    signed = true
  }
  if (!signed) throw new Wrong('checkpoint', 'is not signed by the key')
  return text
}

function parseCheckpoint(text: string, key: Key): Checkpoint {
  const [origin, size = '', encoded = '', end, ...more] = text.split('\n')
  const root = Buffer.from(encoded, 'base64')
  if (origin !== key.name) throw new Wrong('checkpoint', 'is that of another log than the key')
  if (!/^(0|[1-9][0-9]{0,14})$/.test(size)) throw new Wrong('checkpoint', 'has no tree size')
  if (root.length !== hashSize || root.toString('base64') !== encoded) throw new Wrong('checkpoint', 'has no root hash')
  if (end !== '' || more.length > 0) throw new Wrong('checkpoint', 'has more than origin, size and root')
  return { origin, size: Number(size), root }
}

// --- the files (C2SP tlog-tiles) ---

/** Exactly the files of a log of this size: none missing, none more. */
function checkFiles({ folder, size }: Log): void {
  const present = new Set<string>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/')
    if (entry.isFile()) present.add(path)
    else if (!entry.isDirectory()) throw new Wrong(path, 'is not a plain file')
  }
  present.delete('checkpoint')
  present.delete('vkey')
  for (const tile of tilesOf(size)) {
    const path = pathOf(tile)
    if (!present.delete(path)) throw new Wrong(path, 'is missing')
  }
  for (const path of present) throw new Wrong(path, 'does not belong to a log of this size')
}

function* tilesOf(size: number): Generator<Tile> {
  for (const level of ['entries', ...levelsOf(size)] as const) {
    const hashes = hashesAt(size, level)
    for (let index = 0; index * width < hashes; index++) yield tileAt(size, level, index)
  }
}

/** The levels that have at least one hash, from 0 up. */
function levelsOf(size: number): number[] {
  const levels: number[] = []
  for (let level = 0; hashesAt(size, level) > 0; level++) levels.push(level)
  return levels
}

function hashesAt(size: number, level: Tile['level']): number {
  return level === 'entries' ? size : Math.floor(size / width ** level)
}

function tileAt(size: number, level: Tile['level'], index: number): Tile {
  return { level, index, width: Math.min(width, hashesAt(size, level) - index * width) }
}

/** `tile/0/x001/x234/067.p/8`: the index in groups of three digits, all but the last marked with an x. */
function pathOf(tile: Tile): string {
  let groups = String(tile.index % 1000).padStart(3, '0')
  for (let rest = Math.floor(tile.index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups = `x${String(rest % 1000).padStart(3, '0')}/${groups}`
  return `tile/${tile.level}/${groups}${tile.width < width ? `.p/${tile.width}` : ''}`
}

function read(folder: string, path: string): Buffer {
  try {
    return readFileSync(join(folder, path))
  } catch (error) {
    throw new Wrong(path, `cannot be read (${(error as { code?: string }).code ?? 'unknown error'})`)
  }
}

/** A hash tile's bytes: exactly 32 for each hash. */
function readHashes(folder: string, tile: Tile): Buffer {
  const bytes = read(folder, pathOf(tile))
  if (bytes.length !== tile.width * hashSize)
    throw new Wrong(pathOf(tile), `has ${bytes.length} bytes instead of ${tile.width * hashSize}`)
  return bytes
}

// --- the tree (RFC 6962 §2.1) ---

/** The partial tiles of all levels, the tree's right edge, must give the signed root. */
function checkRoot(log: Log): void {
  const { folder, size, root } = log
  const edge: Buffer[] = []
  for (const tile of rightEdge(size).reverse()) edge.push(...subtreesOf(readHashes(folder, tile)))
  const last = edge.pop() ?? sha256(Buffer.alloc(0))
  if (edge.reduceRight((right, left) => nodeHash(left, right), last).equals(root)) return
  blameEdge(log)
}

/** Some partial tile is not the one that was signed. What lies below tells which. */
function blameEdge({ folder, size }: Log): never {
  for (const tile of rightEdge(size)) {
    const hashes = readHashes(folder, tile)
    const below = tile.level === 0 ? leafHashes(folder, { ...tile, level: 'entries' }) : tileHashes(folder, size, tile)
    for (let i = 0; i < tile.width; i++)
      if (!below[i]?.equals(hashAt(hashes, i)))
        throw new Wrong(`${pathOf(tile)} hash ${i}`, 'is not that of what is below it')
  }
  throw new Wrong('checkpoint', 'its root is not that of the tiles')
}

function rightEdge(size: number): Tile[] {
  return levelsOf(size)
    .map((level) => tileAt(size, level, Math.floor(hashesAt(size, level) / width)))
    .filter((tile) => tile.width > 0)
}

function tileHashes(folder: string, size: number, { level, index, width: count }: Tile): Buffer[] {
  return Array.from({ length: count }, (_, i) =>
    completeHash(readHashes(folder, tileAt(size, (level as number) - 1, index * width + i))),
  )
}

/** From the top down, each hash must be that of the full tile below it. */
function checkTiles({ folder, size }: Log): void {
  for (const level of levelsOf(size).slice(1).reverse())
    for (let index = 0; index * width < hashesAt(size, level); index++) {
      const parent = tileAt(size, level, index)
      const hashes = readHashes(folder, parent)
      for (let i = 0; i < parent.width; i++) {
        const child = tileAt(size, level - 1, index * width + i)
        if (!completeHash(readHashes(folder, child)).equals(hashAt(hashes, i)))
          throw new Wrong(pathOf(child), `is not the tile that ${pathOf(parent)} stands for`)
      }
    }
}

/** Each entry must have the hash that its place in level 0 holds. */
function checkEntries({ folder, size }: Log): void {
  for (let index = 0; index * width < size; index++) {
    const bundle = tileAt(size, 'entries', index)
    const hashes = readHashes(folder, { ...bundle, level: 0 })
    for (const [i, leaf] of leafHashes(folder, bundle).entries())
      if (!leaf.equals(hashAt(hashes, i))) throw new Wrong(entryPlace(bundle, i), 'is not the entry that was logged')
  }
}

/** The leaf hashes of an entry bundle: each entry is its length in two bytes, big-endian, and that many bytes. */
function leafHashes(folder: string, bundle: Tile): Buffer[] {
  const bytes = read(folder, pathOf(bundle))
  const hashes: Buffer[] = []
  let at = 0
  for (let i = 0; i < bundle.width; i++) {
    const start = at + 2
    const end = start + (start <= bytes.length ? bytes.readUInt16BE(at) : 0)
    if (start > bytes.length || end > bytes.length) throw new Wrong(entryPlace(bundle, i), 'is cut short')
    // The length is read, so its second byte can hold the 0x00 that a leaf hash begins with: no entry is copied.
    bytes[start - 1] = 0
    hashes.push(sha256(bytes.subarray(start - 1, end)))
    at = end
  }
  if (at !== bytes.length) throw new Wrong(pathOf(bundle), 'goes on after its last entry')
  return hashes
}

function entryPlace(bundle: Tile, i: number): string {
  return `${pathOf(bundle)} entry ${i} (index ${bundle.index * width + i})`
}

/** The hashes of the complete subtrees, largest first, that the hashes of a partial tile make. */
function subtreesOf(hashes: Buffer): Buffer[] {
  const subtrees: Buffer[] = []
  let at = 0
  for (let count = width / 2; count >= 1; count /= 2)
    if (hashes.length - at >= count * hashSize) {
      subtrees.push(completeHash(hashes.subarray(at, at + count * hashSize)))
      at += count * hashSize
    }
  return subtrees
}

/** The root of 2^k hashes that stand in a row. */
function completeHash(hashes: Buffer): Buffer {
  const row = Buffer.from(hashes)
  const node = Buffer.alloc(1 + 2 * hashSize, 1)
  for (let count = row.length / hashSize; count > 1; count /= 2)
    for (let i = 0; i < count / 2; i++) {
      row.copy(node, 1, 2 * i * hashSize, 2 * (i + 1) * hashSize)
      sha256(node).copy(row, i * hashSize)
    }
  return row.subarray(0, hashSize)
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return sha256(Buffer.concat([Buffer.from([1]), left, right]))
}

function hashAt(hashes: Buffer, i: number): Buffer {
  return hashes.subarray(i * hashSize, (i + 1) * hashSize)
}

function sha256(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer')
}

// --- the command ---

/** One verdict in words, for a person. */
export function describeVerdict(verdict: Verdict): string {
  if (!verdict.ok) return `NOT VERIFIED: ${verdict.place}: ${verdict.reason}\n`
  const { origin, size, rootHash, keyFingerprint, keyFromFolder, entriesPerSecond } = verdict
  const trust = keyFromFolder
    ? 'The key was taken from the folder itself. Compare its fingerprint with the one that you were given, or use --vkey.'
    : 'The key is the one that you gave.'
  return `verified: ${origin}\n  ${size} entries, root ${rootHash}\n  key fingerprint ${keyFingerprint}\n  ${trust}\n  ${entriesPerSecond} entries/s\n`
}

function main(args: readonly string[]): number {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { vkey: { type: 'string' } },
      allowPositionals: true,
    })
    const [folder, ...more] = positionals
    if (folder === undefined || more.length > 0) throw new TypeError('one folder is wanted')
    const vkey = values.vkey === undefined ? undefined : readFileSync(values.vkey, 'utf8').trim()
    const verdict = verifyExport(folder, vkey)
    process.stdout.write(describeVerdict(verdict))
    return verdict.ok ? 0 : 1
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nusage: node verify.ts FOLDER [--vkey FILE]\n`)
    return 2
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
