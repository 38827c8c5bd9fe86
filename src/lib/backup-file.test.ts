import assert from 'node:assert/strict'
import { createHash, createSecretKey, generateKeyPairSync, hash, type KeyObject, randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  BackupFault,
  type BackupHeader,
  backupSigner,
  backupStatement,
  checkBackup,
  encodeHeader,
  makeBackupWriter,
  readBackup,
} from './backup-file.ts'
import { formatCheckpoint, formatVkey, openNote, parseVkey, signNote } from './signed-note.ts'

const folder = mkdtempSync(join(tmpdir(), 'atlas-backup-file-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const origin = 'atlas.example.org/audit'
const log = generateKeyPairSync('ed25519')
const vkey = formatVkey(origin, log.publicKey)
const other = generateKeyPairSync('ed25519')
const fileKey = createSecretKey(Buffer.alloc(32, 5))
/** Does not get shorter by deflating, so that it takes three parts. */
const content = randomBytes(2_500_000)

function headerOf(id: string): BackupHeader {
  return {
    format: 1,
    id,
    version: '1.2.3',
    created: '2026-01-01T00:00:00.000Z',
    dialect: 'sqlite',
    rootKey: '0123456789abcdef',
    key: Buffer.alloc(70, 1).toString('base64'),
    migrations: [{ id: 100, name: 'audit log' }],
    tables: [{ name: 'secret', rows: 2 }],
    log: { origin, vkey, size: 7, root: Buffer.alloc(32).toString('base64'), checkpoint: 'none' },
  }
}

function write(name: string, header: BackupHeader, what = content): Buffer {
  const path = join(folder, name)
  const writer = makeBackupWriter(path, encodeHeader(header), fileKey)
  for (let at = 0; at < what.length; at += 90_000) writer.write(what.subarray(at, at + 90_000))
  const statement = backupStatement(header, writer.end())
  const note = signNote(statement, backupSigner(origin), log.privateKey)
  const whole = writer.sign(note)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const bytes = readFileSync(path)
  assert.deepEqual(whole, { bytes: bytes.length, sha256: hash('sha256', bytes, 'base64') })
  return bytes
}

const first = headerOf('bak_000000000000000000000001')
const good = write('good', first)
const second = write('second', headerOf('bak_000000000000000000000002'))

type Parts = { magic: Buffer; header: Buffer; chunks: Buffer[]; note: Buffer }

function partsOf(bytes: Buffer): Parts {
  const magic = bytes.subarray(0, 15)
  const headerEnd = 19 + bytes.readUInt32BE(15)
  const chunks: Buffer[] = []
  let at = headerEnd
  for (let length = bytes.readUInt32BE(at); length !== 0; length = bytes.readUInt32BE(at)) {
    chunks.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { magic, header: bytes.subarray(19, headerEnd), chunks, note: bytes.subarray(at + 4) }
}

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function join_({ magic, header, chunks, note }: Parts): Buffer {
  return Buffer.concat([magic, withLength(header), ...chunks.map(withLength), Buffer.alloc(4), note])
}

/** As somebody would who has the signing key of the log, but not the root key. */
function resigned(parts: Parts): Buffer {
  const before = join_({ ...parts, note: Buffer.alloc(0) })
  const extent = { bytes: before.length, sha256: createHash('sha256').update(before).digest('base64') }
  const header = JSON.parse(parts.header.toString()) as BackupHeader
  const note = signNote(backupStatement(header, extent), backupSigner(origin), log.privateKey)
  return Buffer.concat([before, Buffer.from(note)])
}

/** `read`, `refused: <why>` by the first look, or `not opened: <why>` by decryption. */
function outcome(bytes: Buffer, pinned: string | undefined = vkey, key: KeyObject = fileKey): string {
  const path = join(folder, 'candidate')
  writeFileSync(path, bytes)
  const file = openSync(path, 'r')
  try {
    const checked = checkBackup(file, pinned)
    try {
      const read = Buffer.concat([...readBackup(file, key, checked)])
      return read.equals(content) ? 'read' : 'read something else'
    } catch (error) {
      assert.ok(error instanceof BackupFault, String(error))
      return `not opened: ${error.message}`
    }
  } catch (error) {
    assert.ok(error instanceof BackupFault, String(error))
    return `refused: ${error.message}`
  } finally {
    closeSync(file)
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const bad = Buffer.from(bytes)
  bad[at] = (bad[at] ?? 0) ^ 1
  return bad
}

test('what was written is read back, with and without the pinned key of the log', () => {
  assert.equal(outcome(good), 'read')
  assert.equal(outcome(good, undefined as unknown as string), 'read')
  const { chunks, header } = partsOf(good)
  assert.equal(chunks.length, 3)
  assert.deepEqual(JSON.parse(header.toString()), first)
})

test('one changed bit anywhere in a small backup is refused before anything is decrypted (claims: E36)', () => {
  const small = write('small', headerOf('bak_000000000000000000000003'), Buffer.from('some rows'))
  const accepted = [...small.keys()].filter((at) => !outcome(flipped(small, at)).startsWith('refused: '))
  assert.deepEqual(accepted, [])
})

test('one changed bit in any part of a large backup is refused before anything is decrypted (claims: E36)', () => {
  const { header, chunks } = partsOf(good)
  const starts = chunks.map(
    (_, i) => 23 + header.length + chunks.slice(0, i).reduce((sum, { length }) => sum + length + 4, 0),
  )
  const places = starts.flatMap((start, i) => {
    const { length } = chunks[i]!
    // Its length, its first, middle and last bytes, and its tag.
    return [-4, -3, -2, -1, 0, 1, length >> 1, length - 17, length - 16, length - 1].map((n) => start + n)
  })
  const accepted = places.filter((at) => !outcome(flipped(good, at)).startsWith('refused: '))
  assert.deepEqual(accepted, [])
})

test('a file that ends too early or too late is refused', () => {
  const parts = partsOf(good)
  const bounds = [15, 19, 19 + parts.header.length]
  for (const { length } of parts.chunks) bounds.push(bounds.at(-1)! + 4, bounds.at(-1)! + 4 + length)
  bounds.push(bounds.at(-1)! + 4)
  const cuts = bounds.flatMap((at) => [at - 1, at, at + 1])
  for (const end of [0, 1, ...cuts, good.length - 1])
    assert.match(outcome(good.subarray(0, end)), /^refused: /, `cut at ${end}`)
  assert.match(outcome(resigned({ ...parts, chunks: [] })), /^refused: The backup has no content/)
  assert.match(outcome(Buffer.concat([good, Buffer.alloc(70_000, 10)])), /^refused: The backup goes on/)
  for (const more of ['\n', 'x', `— ${backupSigner(origin)} AAAA\n`])
    assert.match(outcome(Buffer.concat([good, Buffer.from(more)])), /^refused: /)
})

// Each of these is signed anew with the true key of the log, so that only the sealing stands in the way.
const rearranged: Record<string, (parts: Parts, stranger: Parts) => Partial<Parts>> = {
  'the first part is missing': ({ chunks }) => ({ chunks: chunks.slice(1) }),
  'a middle part is missing': ({ chunks: [a, , c] }) => ({ chunks: [a!, c!] }),
  'the last part is missing': ({ chunks }) => ({ chunks: chunks.slice(0, -1) }),
  'two parts changed places': ({ chunks: [a, b, c] }) => ({ chunks: [b!, a!, c!] }),
  'the last two parts changed places': ({ chunks: [a, b, c] }) => ({ chunks: [a!, c!, b!] }),
  'a part comes twice': ({ chunks: [a, b, c] }) => ({ chunks: [a!, b!, b!, c!] }),
  'the last part comes twice': ({ chunks: [a, b, c] }) => ({ chunks: [a!, b!, c!, c!] }),
  'the first part is of another backup': ({ chunks: [, b, c] }, { chunks: [a] }) => ({ chunks: [a!, b!, c!] }),
  'the last part is of another backup': ({ chunks: [a, b] }, { chunks: [, , c] }) => ({ chunks: [a!, b!, c!] }),
  'all parts are of another backup': (_, { chunks }) => ({ chunks }),
  'the header is of another backup': (_, { header }) => ({ header }),
  'a part has a shorter tag': ({ chunks: [a, b, c] }) => ({ chunks: [a!.subarray(0, -4), b!, c!] }),
}

for (const [what, change] of Object.entries(rearranged))
  test(`with a true signature, but ${what}: it does not open (claims: E36)`, () => {
    const parts = partsOf(good)
    const bytes = resigned({ ...parts, ...change(parts, partsOf(second)) })
    assert.match(outcome(bytes), /^not opened: /)
    assert.match(outcome(join_({ ...parts, ...change(parts, partsOf(second)) })), /^refused: /)
  })

test('a header whose numbers were changed does not open, even with a true signature', () => {
  const parts = partsOf(good)
  const header = encodeHeader({ ...first, log: { ...first.log, size: 8 } })
  assert.match(outcome(resigned({ ...parts, header })), /^not opened: Part 1 /)
})

test('another file key opens nothing', () => {
  assert.match(outcome(good, vkey, createSecretKey(Buffer.alloc(32, 6))), /^not opened: Part 1 /)
})

test('the signature must be of the log that is meant', () => {
  const parts = partsOf(good)
  const before = join_({ ...parts, note: Buffer.alloc(0) })
  const extent = { bytes: before.length, sha256: hash('sha256', before, 'base64') }
  const statement = backupStatement(first, extent)
  const as = (note: string) => outcome(Buffer.concat([before, Buffer.from(note)]))
  const foreign = formatVkey(origin, other.publicKey)
  const signature = signNote(statement, backupSigner(origin), other.privateKey).split('\n').at(-2)
  const table: Record<string, string> = {
    'another key': as(signNote(statement, backupSigner(origin), other.privateKey)),
    'the name of the log itself': as(signNote(statement, origin, log.privateKey)),
    'a checkpoint': as(signNote(formatCheckpoint({ origin, size: 7, root: Buffer.alloc(32) }), origin, log.privateKey)),
    'another text': as(signNote(`${backupSigner(origin)}\nx\n`, backupSigner(origin), log.privateKey)),
    'two signatures': as(`${signNote(statement, backupSigner(origin), log.privateKey)}${signature}\n`),
    'none at all': as(''),
    'another pinned key': outcome(good, foreign),
    'another pinned log': outcome(good, formatVkey('elsewhere.example.org', log.publicKey)),
    'a pinned key that is none': outcome(good, 'x'),
    'a header that names another log than its key': (() => {
      const header = encodeHeader({ ...first, log: { ...first.log, origin: 'elsewhere.example.org' } })
      const bytes = join_({ ...parts, header, note: Buffer.alloc(0) })
      const there = { bytes: bytes.length, sha256: hash('sha256', bytes, 'base64') }
      const text = backupStatement(JSON.parse(header.toString()) as BackupHeader, there)
      return outcome(Buffer.concat([bytes, Buffer.from(signNote(text, backupSigner(origin), log.privateKey))]))
    })(),
    // Whoever forges the whole file forges the key in it too: that is what the pinned key is for.
    'a forged log': outcome(
      resigned({ ...parts, header: encodeHeader({ ...first, log: { ...first.log, vkey: foreign } }) }),
    ),
  }
  assert.deepEqual(
    Object.entries(table).filter(
      ([, what]) => !what.startsWith('refused: The signature of the backup does not verify'),
    ),
    [],
  )
})

test('the note of a backup is none of the log: neither its key nor its text fits a checkpoint', () => {
  const { note } = partsOf(good)
  assert.throws(() => openNote(note, parseVkey(vkey)), /no signature of/)
  const text = openNote(note, parseVkey(formatVkey(backupSigner(origin), log.publicKey)))
  assert.deepEqual(text.split('\n').slice(0, 2), [`${origin}/backup`, `atlas-backup-1 ${first.id}`])
})

test('a file that changes between the look and the reading is refused', () => {
  const path = join(folder, 'changing')
  writeFileSync(path, good)
  const file = openSync(path, 'r')
  const checked = checkBackup(file, vkey)
  writeFileSync(path, second)
  assert.throws(() => [...readBackup(file, fileKey, checked)], /changed while it was read/)
  closeSync(file)
})

test('what exists is never overwritten', () => {
  assert.throws(() => write('good', first), { code: 'EEXIST' })
})
