import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { checkPolicy, logKey, openNote, parseCheckpoint, parseKey, parsePolicy, sha256, Wrong } from './verify-note.ts'

// The offline verifier of an exported audit log. The two files import nothing but Node itself, so that an auditor who trusts neither
// the server nor its authors reads this file and verify-note.ts, and runs it:
//   node verify.ts FOLDER [--vkey FILE] [--policy FILE]
//   node verify.ts --proof FILE --vkey FILE [--policy FILE]
//
// An export is the static files of C2SP tlog-tiles: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`; and
// `vkey`, the key that signs the checkpoint. The work goes from what is signed to what is claimed:
//   vkey → signature of the checkpoint → root → upper tiles → lower tiles → leaf hashes → entries,
// so that the first thing that does not fit is the thing that was changed. Where retention deleted the oldest entries, full bundles and
// full tiles of level 0 are missing from the beginning on; every tile above them is there, and an entry that is left says up to where.
// A proof (C2SP tlog-proof) is the same for one entry. A policy
// (C2SP tlog-policy) names the witnesses whose cosignatures (C2SP tlog-cosignature) the checkpoint must carry.

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
      /** The witnesses of the policy that cosigned the checkpoint. */
      readonly witnesses: readonly string[]
      /** Entries below `minimum` are not here: retention deleted them, as the entry `entry` says. */
      readonly pruned?: Pruned
      readonly entriesPerSecond: number
    }
  | { readonly ok: false; readonly place: string; readonly reason: string }

export type ProofVerdict =
  | {
      readonly ok: true
      readonly origin: string
      readonly index: number
      readonly size: number
      readonly keyFingerprint: string
      readonly witnesses: readonly string[]
      /** The entry, as it was hashed. */
      readonly entry: string
    }
  | Extract<Verdict, { ok: false }>

type Tile = { readonly level: number | 'entries'; readonly index: number; readonly width: number }
type Log = { readonly folder: string; readonly size: number; readonly root: Buffer; readonly minimum: number }
type Pruned = { readonly minimum: number; readonly entry: number; readonly at: string }

const width = 256
const hashSize = 32

/**
 * Verifies an exported log. `vkey`, when given, is the key that the reader trusts; the folder's must be the same. `policy` is the
 * text of one. Never throws for what it reads: a folder that is no export is `ok: false` like any other.
 */
export function verifyExport(folder: string, vkey?: string, policy?: string): Verdict {
  const started = performance.now()
  return verdictOf(() => {
    const rules = policy === undefined ? undefined : parsePolicy(policy)
    const text = readVkey(folder, vkey)
    const key = parseKey(text, 'vkey', [logKey])
    const note = openNote(read(folder, 'checkpoint'), key)
    const { origin, size, root } = parseCheckpoint(note.text, key)
    const witnesses = checkPolicy(rules, note, text)
    const files = filesIn(folder)
    const log = { folder, size, root, minimum: lowestOf(files) }
    checkFiles(log, files)
    checkRoot(log)
    checkTiles(log)
    const pruned = checkEntries(log)
    const seconds = (performance.now() - started) / 1000
    return {
      ok: true,
      origin,
      size,
      rootHash: root.toString('base64'),
      keyFingerprint: key.fingerprint,
      keyFromFolder: vkey === undefined && !rules?.logs.includes(text),
      witnesses,
      ...(pruned && { pruned }),
      entriesPerSecond: Math.round((size - log.minimum) / seconds),
    }
  })
}

/** Verifies a `.tlog-proof` whose `extra` is the entry. `vkey` is the key that the reader trusts. */
export function verifyProof(proof: Buffer, vkey: string, policy?: string): ProofVerdict {
  return verdictOf(() => {
    const rules = policy === undefined ? undefined : parsePolicy(policy)
    const key = parseKey(vkey, 'vkey', [logKey])
    const { entry, index, hashes, checkpoint } = parseProof(proof)
    const note = openNote(checkpoint, key)
    const { origin, size, root } = parseCheckpoint(note.text, key)
    const witnesses = checkPolicy(rules, note, vkey)
    if (index >= size) throw new Wrong('index', 'is not below the size of the checkpoint')
    if (!rootFrom(leafHash(entry), index, size, hashes)?.equals(root))
      throw new Wrong('proof', 'the entry is not at this index of the log that was signed')
    const said = entry.toString('utf8')
    return { ok: true, origin, index, size, keyFingerprint: key.fingerprint, witnesses, entry: said }
  })
}

function verdictOf<T>(check: () => T): T | Extract<Verdict, { ok: false }> {
  try {
    return check()
  } catch (error) {
    if (error instanceof Wrong) return { ok: false, place: error.place, reason: error.message }
    throw error
  }
}

// --- the key and the checkpoint (C2SP signed-note, tlog-checkpoint) ---

function readVkey(folder: string, expected: string | undefined): string {
  // Who copied the key by hand may have lost the end of its line.
  const text = `${read(folder, 'vkey').toString('latin1').replace(/\n$/, '')}\n`
  if (text.indexOf('\n') !== text.length - 1) throw new Wrong('vkey', 'is not one line')
  const vkey = text.slice(0, -1)
  if (expected !== undefined && vkey !== expected) throw new Wrong('vkey', 'is not the key that was expected')
  return vkey
}

// --- a proof (C2SP tlog-proof) ---

function parseProof(bytes: Buffer): { entry: Buffer; index: number; hashes: Buffer[]; checkpoint: Buffer } {
  const split = bytes.indexOf('\n\n')
  const [head, extra = '', index = '', ...lines] = bytes.toString('latin1', 0, Math.max(split, 0)).split('\n')
  const [, encoded = ''] = /^extra (\S+)$/.exec(extra) ?? []
  const [, number] = /^index (0|[1-9][0-9]{0,14})$/.exec(index) ?? []
  const hashes = lines.map((line) => Buffer.from(line, 'base64'))
  if (head !== 'c2sp.org/tlog-proof@v1' || number === undefined)
    throw new Wrong('proof', 'is not a tlog-proof with its entry')
  if (Buffer.from(encoded, 'base64').toString('base64') !== encoded) throw new Wrong('proof', 'its entry is not base64')
  if (hashes.some((one, i) => one.length !== hashSize || one.toString('base64') !== lines[i]))
    throw new Wrong('proof', 'has a line that is not a hash')
  return {
    entry: Buffer.from(encoded, 'base64'),
    index: Number(number),
    hashes,
    checkpoint: bytes.subarray(split + 2),
  }
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2); undefined when it has too many or too few hashes. */
function rootFrom(leaf: Buffer, index: number, size: number, hashes: readonly Buffer[]): Buffer | undefined {
  let [at, last, root] = [index, size - 1, leaf]
  for (const one of hashes) {
    if (last === 0) return undefined
    if (at % 2 === 1 || at === last) {
      root = nodeHash(one, root)
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
    } else root = nodeHash(root, one)
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 ? root : undefined
}

function leafHash(entry: Buffer): Buffer {
  return sha256(Buffer.concat([Buffer.from([0]), entry]))
}

// --- the files (C2SP tlog-tiles) ---

function filesIn(folder: string): Set<string> {
  const present = new Set<string>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/')
    if (entry.isFile()) present.add(path)
    else if (!entry.isDirectory()) throw new Wrong(path, 'is not a plain file')
  }
  return present
}

/** The index of the first entry of which anything is here; 0 when nothing is. */
function lowestOf(present: ReadonlySet<string>): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const path of present) {
    const [, groups = ''] = /^tile\/(?:entries|0)\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/\d+)?$/.exec(path) ?? []
    if (groups !== '') lowest = Math.min(lowest, Number(groups.replaceAll(/[x/]/g, '')))
  }
  return lowest === Number.POSITIVE_INFINITY ? 0 : lowest * width
}

function isPruned({ minimum }: Log, { level, index }: Tile): boolean {
  return (level === 0 || level === 'entries') && index * width < minimum
}

/** Exactly the files of a log of this size and minimum: none missing, none more. */
function checkFiles({ size, minimum }: Log, present: Set<string>): void {
  present.delete('checkpoint')
  present.delete('vkey')
  for (const tile of tilesOf(size, minimum)) {
    const path = pathOf(tile)
    if (!present.delete(path)) throw new Wrong(path, 'is missing')
  }
  for (const path of present) throw new Wrong(path, 'does not belong to a log of this size')
}

function* tilesOf(size: number, minimum: number): Generator<Tile> {
  for (const level of ['entries', ...levelsOf(size)] as const) {
    const hashes = hashesAt(size, level)
    const first = level === 'entries' || level === 0 ? minimum / width : 0
    for (let index = first; index * width < hashes; index++) yield tileAt(size, level, index)
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
function blameEdge(log: Log): never {
  const { folder, size } = log
  for (const tile of rightEdge(size)) {
    const hashes = readHashes(folder, tile)
    const below = hashesBelow(log, tile)
    for (let i = 0; i < tile.width; i++)
      if (!(below(i) ?? hashAt(hashes, i)).equals(hashAt(hashes, i)))
        throw new Wrong(`${pathOf(tile)} hash ${i}`, 'is not that of what is below it')
  }
  throw new Wrong('checkpoint', 'its root is not that of the tiles')
}

function rightEdge(size: number): Tile[] {
  return levelsOf(size)
    .map((level) => tileAt(size, level, Math.floor(hashesAt(size, level) / width)))
    .filter((tile) => tile.width > 0)
}

/** What each hash of a tile must be by what lies below it: entries, or full tiles. Undefined for those that were pruned. */
function hashesBelow(log: Log, tile: Tile): (i: number) => Buffer | undefined {
  const leaves = tile.level === 0 ? leafHashes(log.folder, { ...tile, level: 'entries' }) : []
  return (i) => {
    if (tile.level === 0) return leaves[i]
    const child = tileAt(log.size, (tile.level as number) - 1, tile.index * width + i)
    return isPruned(log, child) ? undefined : completeHash(readHashes(log.folder, child))
  }
}

/** From the top down, each hash must be that of the full tile below it. */
function checkTiles(log: Log): void {
  const { folder, size } = log
  for (const level of levelsOf(size).slice(1).reverse())
    for (let index = 0; index * width < hashesAt(size, level); index++) {
      const parent = tileAt(size, level, index)
      const hashes = readHashes(folder, parent)
      const below = hashesBelow(log, parent)
      for (let i = 0; i < parent.width; i++)
        if (!(below(i) ?? hashAt(hashes, i)).equals(hashAt(hashes, i)))
          throw new Wrong(
            pathOf(tileAt(size, level - 1, index * width + i)),
            `is not the tile that ${pathOf(parent)} stands for`,
          )
    }
}

/** Each entry must have the hash that its place in level 0 holds, and where entries are missing one of the others must say so. */
function checkEntries({ folder, size, minimum }: Log): Pruned | undefined {
  let pruned: Pruned | undefined
  for (let index = minimum / width; index * width < size; index++) {
    const bundle = tileAt(size, 'entries', index)
    const hashes = readHashes(folder, { ...bundle, level: 0 })
    const see = (entry: Buffer, i: number) => {
      pruned = prunedBy(entry, index * width + i) ?? pruned
    }
    for (const [i, leaf] of leafHashes(folder, bundle, see).entries())
      if (!leaf.equals(hashAt(hashes, i))) throw new Wrong(entryPlace(bundle, i), 'is not the entry that was logged')
  }
  const said = pruned?.minimum ?? 0
  if (minimum > said)
    throw new Wrong(pathOf(tileAt(size, 'entries', said / width)), 'is missing, and no entry says that it was pruned')
  return minimum > 0 && pruned ? { ...pruned, minimum } : undefined
}

/** What an entry says was pruned: everything below `minimum`, which lies before the entry itself. */
function prunedBy(entry: Buffer, index: number): Pruned | undefined {
  if (!entry.includes('"code":"log.pruned"')) return undefined
  const { code, at, pruned } = JSON.parse(entry.toString('utf8')) as { code: string; at: string; pruned?: Pruned }
  const end = pruned?.minimum ?? -1
  const fits = code === 'log.pruned' && Number.isInteger(end / width) && end >= 0 && end <= index
  return fits ? { minimum: end, entry: index, at } : undefined
}

/** The leaf hashes of an entry bundle: each entry is its length in two bytes, big-endian, and that many bytes. */
function leafHashes(folder: string, bundle: Tile, see?: (entry: Buffer, i: number) => void): Buffer[] {
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
    see?.(bytes.subarray(start, end), i)
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

// --- the command ---

/** One verdict in words, for a person. */
export function describeVerdict(verdict: Verdict | ProofVerdict): string {
  if (!verdict.ok) return `NOT VERIFIED: ${verdict.place}: ${verdict.reason}\n`
  const { origin, size, keyFingerprint, witnesses } = verdict
  const seen = witnesses.length > 0 ? `  cosigned by ${witnesses.join(', ')}\n` : ''
  const key = `  key fingerprint ${keyFingerprint}\n${seen}`
  if ('entry' in verdict)
    return `verified: entry ${verdict.index} of ${origin}, as signed at ${size} entries\n${key}${verdict.entry}\n`
  const trust = verdict.keyFromFolder
    ? 'The key was taken from the folder itself. Compare its fingerprint with the one that you were given, or use --vkey.'
    : 'The key is the one that you gave.'
  const { pruned } = verdict
  const gone = pruned
    ? `  entries 0–${pruned.minimum - 1} were pruned by retention (entry ${pruned.entry} of ${pruned.at} says so)\n`
    : ''
  return `verified: ${origin}\n  ${size} entries, root ${verdict.rootHash}\n${gone}${key}  ${trust}\n  ${verdict.entriesPerSecond} entries/s\n`
}

const usage =
  'usage: node verify.ts FOLDER [--vkey FILE] [--policy FILE]\n       node verify.ts --proof FILE --vkey FILE [--policy FILE]'

function main(args: readonly string[]): number {
  try {
    const file = { type: 'string' } as const
    const options = { vkey: file, policy: file, proof: file }
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const [folder, ...more] = positionals
    if ((folder === undefined) === (values.proof === undefined) || more.length > 0)
      throw new TypeError('one folder or one proof is wanted')
    const vkey = values.vkey === undefined ? undefined : readFileSync(values.vkey, 'utf8').trim()
    const policy = values.policy === undefined ? undefined : readFileSync(values.policy, 'utf8')
    if (values.proof !== undefined && vkey === undefined) throw new TypeError('a proof needs --vkey')
    const verdict =
      values.proof === undefined
        ? verifyExport(folder ?? '', vkey, policy)
        : verifyProof(readFileSync(values.proof), vkey ?? '', policy)
    process.stdout.write(describeVerdict(verdict))
    return verdict.ok ? 0 : 1
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}\n`)
    return 2
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
