import {
  createCipheriv,
  createDecipheriv,
  createHash,
  type Hash,
  hash,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { z } from 'zod'
import { formatVkey, NoteError, openNote, parseNote, parseVkey } from './signed-note.ts'

// The file of a backup, written and read in one pass each:
//
//   "atlas-backup-1\n"
//   u32 length ‖ header: JSON that anybody may read
//   chunks: u32 length ‖ AES-256-GCM of one deflated piece of the content, the last one marked
//   u32 0
//   a signed note (lib/signed-note.ts) over the SHA-256 of all bytes before it
//
// Chunks are sealed as in STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce is the chunk's number and a mark of the last one,
// so that none can be left out, moved or repeated; the associated data is the hash of the header, so that none fits another file.

/** What is wrong with a backup file; `message` is for the person who wants to use it. */
export class BackupFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BackupFault'
  }
}

const count = z.int().min(0)
const Header = z.strictObject({
  format: z.literal(1),
  id: z.string().regex(/^[a-z]{3}_[0-9a-z]{24}$/),
  /** Of the program that made it. */
  version: z.string().max(100),
  created: z.iso.datetime(),
  dialect: z.enum(['sqlite', 'postgres']),
  /** Fingerprint of the root key that opens it. */
  rootKey: z.string().regex(/^[0-9a-f]{16}$/),
  /** The file key, sealed under the root key (lib/envelope.ts), in base64. */
  key: z.base64().max(1000),
  migrations: z.array(z.strictObject({ id: count, name: z.string().max(200) })).max(10_000),
  /** Rows of each table, in the order in which they come. */
  tables: z.array(z.strictObject({ name: z.string().max(100), rows: count })).max(1_000),
  /** The audit log as the backup holds it, and the newest checkpoint before. */
  log: z.strictObject({
    origin: z.string().max(500),
    vkey: z.string().max(1_000),
    size: count,
    root: z.base64().max(44),
    checkpoint: z.string().max(20_000),
  }),
})
export type BackupHeader = z.output<typeof Header>

const magic = Buffer.from('atlas-backup-1\n')
const tagLength = 16
const pieceSize = 1_048_576
const maxHeader = 4_194_304
// Deflate makes what it cannot shorten a little longer.
const maxChunk = pieceSize + 65_536
const maxNote = 65_536

type Chunk = { readonly number: number; readonly isLast: boolean }

function nonceOf({ number, isLast }: Chunk): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64BE(BigInt(number), 3)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}

/** A number of bytes from the beginning, and their SHA-256 in base64. */
export type Extent = { readonly bytes: number; readonly sha256: string }

/** Writes a new file of mode 0600. `fileKey` must be used for this one file only. */
export function makeBackupWriter(path: string, header: Uint8Array, fileKey: KeyObject) {
  const file = openSync(path, 'wx', 0o600)
  const digest = createHash('sha256')
  const aad = hash('sha256', header, 'buffer')
  let pending: Buffer[] = []
  let pendingBytes = 0
  let bytes = 0
  let number = 0

  function put(...parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      for (let at = 0; at < part.length; ) at += writeSync(file, part, at)
      digest.update(part)
      bytes += part.length
    }
  }

  function seal(piece: Buffer, isLast: boolean): void {
    const cipher = createCipheriv('aes-256-gcm', fileKey, nonceOf({ number, isLast }), { authTagLength: tagLength })
    cipher.setAAD(aad)
    const chunk = Buffer.concat([
      cipher.update(deflateRawSync(piece, { level: 3 })),
      cipher.final(),
      cipher.getAuthTag(),
    ])
    put(lengthOf(chunk), chunk)
    number++
  }

  put(magic, lengthOf(header), header)
  return {
    write(content: Buffer): void {
      pending.push(content)
      pendingBytes += content.length
      if (pendingBytes < pieceSize) return
      let all = Buffer.concat(pending)
      for (; all.length >= pieceSize; all = all.subarray(pieceSize)) seal(all.subarray(0, pieceSize), false)
      pending = [all]
      pendingBytes = all.length
    },
    /** Ends the content. What it answers is what the note is about. */
    end(): Extent {
      seal(Buffer.concat(pending), true)
      put(Buffer.alloc(4))
      return { bytes, sha256: digest.copy().digest('base64') }
    },
    /** Ends the file, which is on the disk then. Answers the extent of all of it. */
    sign(note: string): Extent {
      put(Buffer.from(note))
      fsyncSync(file)
      closeSync(file)
      return { bytes, sha256: digest.digest('base64') }
    },
  }
}

export function encodeHeader(header: BackupHeader): Buffer {
  return Buffer.from(JSON.stringify(Header.parse(header)), 'utf8')
}

/** Who signs backups of a log: the log's own key under another name, so that what it signs never passes as a checkpoint. */
export function backupSigner(origin: string): string {
  return `${origin}/backup`
}

/** The text of the note. Its second line is no number, so it never parses as a checkpoint of anything either. */
export function backupStatement(header: Pick<BackupHeader, 'id' | 'log'>, { bytes, sha256 }: Extent): string {
  return `${backupSigner(header.log.origin)}\natlas-backup-1 ${header.id}\n${bytes}\n${sha256}\n`
}

export type CheckedBackup = {
  readonly header: BackupHeader
  readonly chunks: number
  readonly extent: Extent
}

/**
 * Reads a whole file once and checks its form, its digest and its signature; nothing is decrypted. `vkey` is the verifier key of
 * the log that it must be of; without it the one that the file names counts, which proves no more than that it is undamaged.
 */
export function checkBackup(file: number, vkey?: string): CheckedBackup {
  const digest = createHash('sha256')
  const reader = makeReader(file, digest)
  const { header } = readHeader(reader)
  let chunks = 0
  while (reader.take(4).readUInt32BE() !== 0) {
    reader.back(4)
    readChunk(reader)
    chunks++
  }
  const extent = { bytes: reader.at(), sha256: reader.digest() }
  if (chunks === 0) throw new BackupFault('The backup has no content')
  checkNote(reader.rest(maxNote), header, extent, vkey)
  return { header, chunks, extent }
}

function checkNote(note: Buffer, header: BackupHeader, extent: Extent, vkey?: string): void {
  try {
    if (vkey !== undefined && vkey !== header.log.vkey)
      throw new NoteError(`it is of the log ${header.log.vkey}, and another one is wanted`)
    const { name, publicKey } = parseVkey(header.log.vkey)
    if (name !== header.log.origin) throw new NoteError('the log and its key do not belong together')
    if (parseNote(note).signatures.length !== 1) throw new NoteError('there must be one signature')
    const text = openNote(note, parseVkey(formatVkey(backupSigner(name), publicKey)))
    if (text !== backupStatement(header, extent)) throw new NoteError('the signature is of other bytes')
  } catch (error) {
    if (!(error instanceof NoteError)) throw error
    throw new BackupFault(`The signature of the backup does not verify: ${error.message}`, { cause: error })
  }
}

/** The content, piece by piece. Throws after the last piece when the file is not the one that `checkBackup` saw. */
export function* readBackup(file: number, fileKey: KeyObject, { extent }: CheckedBackup): Generator<Buffer> {
  const digest = createHash('sha256')
  const reader = makeReader(file, digest)
  const aad = hash('sha256', readHeader(reader).bytes, 'buffer')
  for (let number = 0; ; number++) {
    const chunk = readChunk(reader)
    const isLast = reader.take(4).readUInt32BE() === 0
    if (!isLast) reader.back(4)
    yield openChunk(chunk, fileKey, { number, isLast }, aad)
    if (isLast) break
  }
  const same = Buffer.from(reader.digest(), 'base64')
  if (reader.at() !== extent.bytes || !timingSafeEqual(same, Buffer.from(extent.sha256, 'base64')))
    throw new BackupFault('The backup file changed while it was read')
}

function openChunk(chunk: Buffer, key: KeyObject, place: Chunk, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(place), { authTagLength: tagLength })
  decipher.setAAD(aad)
  decipher.setAuthTag(chunk.subarray(-tagLength))
  try {
    const deflated = Buffer.concat([decipher.update(chunk.subarray(0, -tagLength)), decipher.final()])
    return inflateRawSync(deflated, { maxOutputLength: pieceSize })
  } catch (cause) {
    throw new BackupFault(
      `Part ${place.number + 1} of the backup is damaged, or in another place than it was written`,
      {
        cause,
      },
    )
  }
}

type Reader = ReturnType<typeof makeReader>

function readHeader(reader: Reader): { header: BackupHeader; bytes: Buffer } {
  if (!reader.take(magic.length).equals(magic))
    throw new BackupFault('This is not a backup of Atlas, or of a newer form')
  const length = reader.take(4).readUInt32BE()
  if (length > maxHeader) throw new BackupFault('The header of the backup is damaged')
  const bytes = reader.take(length)
  try {
    return { header: Header.parse(JSON.parse(bytes.toString('utf8'))), bytes }
  } catch (cause) {
    throw new BackupFault('The header of the backup is damaged', { cause })
  }
}

function readChunk(reader: Reader): Buffer {
  const length = reader.take(4).readUInt32BE()
  if (length <= tagLength || length > maxChunk)
    throw new BackupFault('The backup is damaged: a part has no length that can be')
  return reader.take(length)
}

/** Reads forward; what was read goes into the digest when the next is taken, so that one step back is possible. */
function makeReader(file: number, hashed: Hash) {
  let position = 0
  let open: Buffer = Buffer.alloc(0)
  return {
    at: () => position,
    take(length: number): Buffer {
      hashed.update(open)
      const bytes = readAt(file, position, length)
      if (bytes.length !== length)
        throw new BackupFault('The backup ends too early: it was cut, or not written to its end')
      position += length
      open = bytes
      return bytes
    },
    /** Undoes the last `take`. */
    back(length: number): void {
      open = Buffer.alloc(0)
      position -= length
    },
    digest(): string {
      hashed.update(open)
      open = Buffer.alloc(0)
      return hashed.digest('base64')
    },
    /** What follows, when it is not more than `most`. */
    rest(most: number): Buffer {
      const bytes = readAt(file, position, most + 1)
      if (bytes.length > most) throw new BackupFault('The backup goes on where it should end')
      return bytes
    },
  }
}

function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const read = readSync(file, bytes, filled, length - filled, position + filled)
    if (read === 0) break
    filled += read
  }
  return bytes.subarray(0, filled)
}
