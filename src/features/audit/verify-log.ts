import { setImmediate } from 'node:timers/promises'
import type { Database } from '../../lib/db/database.ts'
import { EnvelopeError } from '../../lib/envelope.ts'
import { leafHash, makeCompactRange, type Node } from '../../lib/merkle.ts'
import type { RootKey } from '../../lib/root-keys.ts'
import { type Checkpoint, NoteError, openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import { columnsOf } from './commit.ts'
import { forgottenCode } from './event.ts'
import { type Head, LogDamaged, makeHeads } from './head.ts'
import { cutOf, declaredBy, nothingPruned } from './pruned.ts'
import { classOf, type DetailClass, detailClasses, type Pruned } from './retention-policy.ts'
import { type Leaf, parseLeaf } from './search.ts'
import { openKey } from './signing.ts'
import type { EntryRow, PayloadRow } from './store.ts'
import { makeReader, type StoreReader } from './store-read.ts'
import { makeRetentionStore, type RetentionStore } from './store-retention.ts'
import { makeVerifyReader, type VerifyReader } from './store-verify.ts'
import { commitOf, makeSubjects } from './subject.ts'

export type LogVerdict =
  | {
      readonly ok: true
      readonly size: number
      readonly rootHash: string
      readonly fingerprint: string
      readonly signedSize: number
      /** Entries below it were deleted by retention, as an entry of the log says. */
      readonly minimum?: number
    }
  | { readonly ok: false; readonly place: string; readonly reason: string }

type Parts = { readonly database: Database; readonly rootKey: RootKey; readonly signal?: AbortSignal }

/** Where the stored log first contradicts itself. Thrown inside this file only. */
class Fault extends Error {
  readonly place: string
  constructor(place: string, reason: string) {
    super(reason)
    this.place = place
  }
}

type Reader = StoreReader & VerifyReader & Pick<RetentionStore, 'first'>

// One full tile: its hash is checked before a later entry is, so that the first bad stretch is the one that is named.
const stretch = 256

/**
 * Derives everything again from the stored entries and holds it against what else is stored: order, leaf hashes, search
 * columns, payload commitments, subjects, tile hashes, head, and the signed checkpoint. Reads only, and only as far as the
 * log reached when it began. Names the first bad table and index. Throws `UnknownKey` under another root key.
 */
export async function verifyLog({ database, rootKey, signal }: Parts): Promise<LogVerdict> {
  const { first } = makeRetentionStore(database)
  const reader = { ...makeReader(database), ...makeVerifyReader(database), first }
  try {
    return await verifyAll(reader, rootKey, signal)
  } catch (error) {
    if (error instanceof Fault) return { ok: false, place: error.place, reason: error.message }
    if (error instanceof LogDamaged) return { ok: false, place: 'audit_head', reason: error.message }
    throw error
  }
}

async function verifyAll(reader: Reader, rootKey: RootKey, signal?: AbortSignal): Promise<LogVerdict> {
  const keyRow = await reader.key()
  if (!keyRow) throw new Fault('audit_key', 'the log has no signing key: it was never opened, or its key was removed')
  const { vkey, fingerprint } = openKey(rootKey, keyRow)
  for (;;) {
    const first = await reader.first()
    try {
      return {
        ...(await verifyFrom(reader, { rootKey, vkey, first: first ?? 0, ...(signal && { signal }) })),
        fingerprint,
      }
    } catch (error) {
      // Retention went on while this was reading: what is missing now may be what it deleted.
      if (!(error instanceof Fault) || (await reader.first()) === first) throw error
    }
  }
}

type From = {
  readonly rootKey: RootKey
  readonly vkey: string
  /** The lowest entry that is stored. */
  readonly first: number
  readonly signal?: AbortSignal
}
type Verified = Extract<LogVerdict, { ok: true }>

async function verifyFrom(
  reader: Reader,
  { rootKey, vkey, first, signal }: From,
): Promise<Omit<Verified, 'fingerprint'>> {
  const heads = makeHeads(rootKey)
  let head = heads.read(await reader.head())
  const signed = signedHead(head, vkey)
  const range = await rangeBelow(reader, first, signed)
  const walk = makeWalk(range, signed)
  for (let start = first, end = first; start < head.size; start = end) {
    signal?.throwIfAborted()
    // Other work gets its turn: SQLite answers without leaving the event loop.
    await setImmediate()
    end = Math.min(start + stretch, head.size)
    const { entries, payloads } = await reader.stretch(start, end)
    for (let index = start; index < end; index++) walk.entry(index, entries[index - start], payloads.get(index))
    await checkNodes(reader, walk.takeNodes())
    // What explains something that is missing may have been written while this was reading.
    if (end === head.size && !walk.isExplained(first)) head = heads.read(await reader.head())
  }
  if (!range.hashes().every((hash, i) => hash.equals(head.edge[i] as Buffer)))
    throw new Fault('audit_head', 'the head does not belong to the stored entries')
  if (first > walk.declared().minimum)
    throw new Fault(
      `audit_entry ${walk.declared().minimum}`,
      'the entry is missing, and no entry says that retention deleted it',
    )
  await checkMissing(reader, walk)
  await checkSubjects(reader, rootKey, walk.forgotten)
  await checkExtent(reader)
  return {
    ok: true,
    size: head.size,
    rootHash: range.root().toString('base64'),
    signedSize: signed?.size ?? 0,
    ...(first > 0 && { minimum: first }),
  }
}

/**
 * The tree over the entries that are no longer stored, from the hashes of their tiles; empty when there are none. Every hash above
 * those of the tiles is derived again.
 */
async function rangeBelow(reader: Reader, first: number, signed: Checkpoint | undefined) {
  const place = `audit_entry ${Math.floor(first / stretch) * stretch}`
  if (first % stretch !== 0) throw new Fault(place, 'the entry is missing')
  if (first > (signed?.size ?? 0)) throw new Fault(`audit_entry 0`, 'the entry is missing, and was never signed')
  const tiles = makeCompactRange()
  for (let start = 0; start < first / stretch; start += stretch) {
    await setImmediate()
    const end = Math.min(start + stretch, first / stretch)
    const hashes = await reader.hashes(1, start, end - start)
    const nodes: (Node & { hash: Buffer })[] = []
    if (hashes.length < end - start) throw new Fault(`audit_node 1/${start + hashes.length}`, 'the hash is missing')
    for (const one of hashes)
      tiles.append(one, ({ level, index }, hash) => {
        if (level % 8 === 0) nodes.push({ level: level + 8, index, hash })
      })
    await checkNodes(reader, nodes)
  }
  return makeCompactRange(first, tiles.hashes())
}

/** The checks of one entry after the other. */
function makeWalk(range: ReturnType<typeof makeCompactRange>, signed: Checkpoint | undefined) {
  const forgotten = new Set<string>()
  // For each subject and class the last detail that is missing.
  const missing = new Map<string, { subject: string; name: DetailClass; last: number }>()
  const erased = new Set<number>()
  let declared: Pruned = nothingPruned
  let nodes: (Node & { hash: Buffer })[] = []
  checkSigned(range, signed)
  // A detail may be gone only when an entry says that its subject was forgotten, or that its class is not kept that long.
  const lacking = () =>
    [...missing.values()].filter(({ subject, name, last }) => !forgotten.has(subject) && last >= cutOf(declared, name))
  return {
    forgotten: forgotten as ReadonlySet<string>,
    entry(index: number, row: EntryRow | undefined, payload: PayloadRow | undefined): void {
      const place = `audit_entry ${index}`
      if (row?.idx !== index) throw new Fault(place, 'the entry is missing')
      const computed = leafHash(row.leaf)
      if (!computed.equals(row.hash)) throw new Fault(place, 'the leaf does not have the hash that is stored beside it')
      const leaf = leafOf(row.leaf, place)
      if (leaf.seq !== index) throw new Fault(place, `the entry was written as number ${leaf.seq}`)
      checkColumns(row, leaf, place)
      if (payload && (leaf.payloadCommit === undefined || commitOf(payload.salt, payload.box) !== leaf.payloadCommit))
        throw new Fault(`audit_payload ${index}`, 'the payload is not the one that the entry commits to')
      if (!payload && leaf.payloadCommit !== undefined) {
        const [subject, name] = [leaf.subject ?? '', classOf(leaf)]
        missing.set(`${name} ${subject}`, { subject, name, last: index })
      }
      if (leaf.code === forgottenCode && leaf.resource?.id !== undefined) forgotten.add(leaf.resource.id)
      if (leaf.code === forgottenCode) for (const one of leaf.erased ?? []) erased.add(one)
      declared = together(declared, declaredBy(leaf))
      range.append(computed, (node, hash) => {
        if (node.level % 8 === 0) nodes.push({ ...node, hash })
      })
      checkSigned(range, signed)
    },
    takeNodes() {
      const taken = nodes
      nodes = []
      return taken
    },
    declared: () => declared,
    erased: erased as ReadonlySet<number>,
    lacking,
    isExplained: (first: number) => first <= declared.minimum && lacking().length === 0,
  }
}

/** Names the first detail that is missing although neither it nor its subject was forgotten and its class is kept that long. */
async function checkMissing(reader: Reader, walk: ReturnType<typeof makeWalk>): Promise<void> {
  const lacking = walk.lacking()
  const isLacking = (leaf: Leaf) =>
    leaf.payloadCommit !== undefined &&
    !walk.erased.has(leaf.seq) &&
    leaf.seq >= cutOf(walk.declared(), classOf(leaf)) &&
    lacking.some(({ subject, name }) => subject === (leaf.subject ?? '') && name === classOf(leaf))
  const end = Math.max(0, ...lacking.map(({ last }) => last + 1))
  for (
    let start = Math.min(...lacking.map(({ name }) => cutOf(walk.declared(), name)));
    start < end;
    start += stretch
  ) {
    const { entries, payloads } = await reader.stretch(start, Math.min(start + stretch, end))
    const found = entries.find(({ idx, leaf }) => !payloads.has(idx) && isLacking(parseLeaf(leaf)))
    if (found) throw new Fault(`audit_payload ${found.idx}`, 'the payload is missing')
  }
}

/** Everything that the two declare. */
function together(a: Pruned, b: Pruned | undefined): Pruned {
  if (!b) return a
  const minimum = Math.max(a.minimum, b.minimum)
  const details = Object.fromEntries(
    detailClasses.map((name) => [name, Math.max(a.details[name] ?? 0, b.details[name] ?? 0)]),
  )
  return { minimum, details, keep: b.keep }
}

function signedHead({ checkpoint, size }: Head, vkey: string): Checkpoint | undefined {
  if (checkpoint === null) return undefined
  try {
    const signed = parseCheckpoint(openNote(Buffer.from(checkpoint), parseVkey(vkey)))
    if (signed.size > size)
      throw new Fault(`audit_entry ${size}`, `the log had ${signed.size} entries when it was last signed`)
    return signed
  } catch (error) {
    if (error instanceof NoteError) throw new Fault('audit_head', `the last checkpoint: ${error.message}`)
    throw error
  }
}

function checkSigned(range: ReturnType<typeof makeCompactRange>, signed: Checkpoint | undefined): void {
  if (signed?.size === range.size() && !signed.root.equals(range.root()))
    throw new Fault(`audit_entry 0–${signed.size - 1}`, 'these are not the entries that were signed')
}

function leafOf(bytes: Buffer, place: string): Leaf {
  try {
    return parseLeaf(bytes)
  } catch {
    throw new Fault(place, 'the leaf is not JSON')
  }
}

/** The search columns are copies; a changed copy would hide an entry from a search while the tree still verifies. */
function checkColumns(row: EntryRow, { seq: _seq, ...leaf }: Leaf, place: string): void {
  const expected = columnsOf(leaf, leaf)
  for (const [column, value] of Object.entries(expected))
    if (row[column as keyof typeof expected] !== value)
      throw new Fault(place, `the column ${column} differs from the leaf`)
}

async function checkNodes(reader: Reader, nodes: readonly (Node & { hash: Buffer })[]): Promise<void> {
  for (const { level, index, hash } of nodes) {
    const [stored] = await reader.hashes(level / 8, index, 1)
    if (!stored?.equals(hash))
      throw new Fault(
        `audit_node ${level / 8}/${index}`,
        stored
          ? `the hash is not that of the entries ${index * 2 ** level}–${(index + 1) * 2 ** level - 1}`
          : 'the hash is missing',
      )
  }
}

async function checkSubjects(reader: Reader, rootKey: RootKey, forgotten: ReadonlySet<string>): Promise<void> {
  const subjects = makeSubjects(rootKey)
  for (const row of await reader.allSubjects()) {
    if (forgotten.has(row.id))
      throw new Fault(`audit_subject ${row.id}`, 'the subject was forgotten but its key is here')
    try {
      subjects.open(row)
    } catch (error) {
      if (error instanceof EnvelopeError) throw new Fault(`audit_subject ${row.id}`, 'the key does not open')
      throw error
    }
  }
}

/** No rows beyond the head, and no tile hashes but those of full tiles. Entries appended since the walk began are fine. */
async function checkExtent(reader: Reader): Promise<void> {
  const { size, first, firstPayload, lastEntry, lastPayload } = await reader.extent()
  if (Math.min(first, firstPayload) < 0)
    throw new Fault(`audit_entry ${Math.min(first, firstPayload)}`, 'an entry stands before the beginning of the log')
  if (firstPayload < first) throw new Fault(`audit_payload ${firstPayload}`, 'a payload belongs to no entry')
  if (lastEntry !== size - 1)
    throw new Fault(`audit_entry ${Math.min(lastEntry + 1, size)}`, 'the table does not end where the head does')
  if (lastPayload >= size) throw new Fault(`audit_payload ${lastPayload}`, 'a payload belongs to no entry')
  for (const level of await reader.nodeLevels()) {
    const before = await reader.head()
    const count = await reader.nodeCount(level)
    const after = await reader.head()
    const full = (entries: number) => Math.floor(entries / 256 ** level)
    if (level < 1 || count < full(before?.size ?? 0) || count > full(after?.size ?? 0))
      throw new Fault(`audit_node ${level}`, 'there are hashes of no tile')
  }
}
