import { hkdfSync, type KeyObject } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncPath } from '../disk.ts'
import { deriveKey, isSealedWith, open, seal } from '../envelope.ts'

// The key of a SQLite file comes from the root key: HKDF-SHA-256, info `atlas/database`. When the root key was changed while the file
// was in use, the file keeps its key, and that lies in a small file beside it, sealed for the root key: one line of base64 for each
// root key that opens it, which are two while the root key is changed.

/** Where the key of a SQLite file is kept once it is not that of the root key. */
export function keptKeyPath(path: string): string {
  return `${path.replace(/\.db$/, '')}.key`
}

/** The key that a new file gets. */
export function ownFileKey(rootKey: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', rootKey, '', 'atlas/database', 32))
}

/** The key that is kept beside the file for this root key; undefined when there is none. */
export function keptFileKey(path: string, rootKey: KeyObject): Buffer | undefined {
  const box = boxesOf(path).find((each) => isSealedWith(wrappingKey(rootKey), each))
  return box && open(wrappingKey(rootKey), box, aad)
}

/** Keeps `fileKey` beside the file, for these root keys and no other; durable and whole when it returns. */
export function keepFileKey(path: string, fileKey: Buffer, rootKeys: readonly KeyObject[]): void {
  const kept = keptKeyPath(path)
  const lines = rootKeys.map((rootKey) => `${seal(wrappingKey(rootKey), fileKey, aad).toString('base64')}\n`)
  const file = openSync(`${kept}.new`, 'w', 0o600)
  try {
    const content = Buffer.from(lines.join(''))
    if (writeSync(file, content) !== content.length) throw new Error(`${kept} could not be written whole`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(`${kept}.new`, kept)
  syncPath(dirname(kept))
}

/** For a file whose key is that of the root key again. */
export function dropKeptFileKey(path: string): void {
  const kept = keptKeyPath(path)
  rmSync(`${kept}.new`, { force: true })
  if (!existsSync(kept)) return
  rmSync(kept)
  syncPath(dirname(kept))
}

/** Whether a key is kept beside the file at all. */
export function isFileKeyKept(path: string): boolean {
  return existsSync(keptKeyPath(path))
}

function boxesOf(path: string): Buffer[] {
  const kept = keptKeyPath(path)
  if (!existsSync(kept)) return []
  const lines = readFileSync(kept, 'latin1').split('\n')
  return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'))
}

function wrappingKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/database-key')
}

const aad = ['atlas', 'database', 'file-key']
