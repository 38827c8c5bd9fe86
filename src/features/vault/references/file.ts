import { constants } from 'node:fs'
import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { sep } from 'node:path'
import type { ReferenceOf } from './reference.ts'
import { type Document, type Source, toValue, Unreadable } from './source.ts'

/** Room for the longest value in UTF-8, and a line end. */
const largest = 65_538

/** `file:///path`: files below the one directory in ATLAS_REFERENCE_DIR, wherever links in the path lead. */
export function makeFileSource({ directory }: { readonly directory: string }): Source<ReferenceOf<'file'>> {
  const inside = directory.endsWith('/') ? directory : `${directory}/`
  return {
    refusal: ({ path }) => (path.startsWith(inside) ? undefined : 'the path is not below ATLAS_REFERENCE_DIR'),
    documentOf: ({ path }) => path,
    fetch: ({ path }) => readFileBelow(directory, path),
  }
}

async function readFileBelow(directory: string, path: string): Promise<Document> {
  let handle: FileHandle | undefined
  try {
    const root = await realpath(directory)
    if ((await stat(root)).mode & 0o022)
      throw new Unreadable('ATLAS_REFERENCE_DIR can be written by others, who could put another file there')
    const real = await realpath(path)
    if (!real.startsWith(root + sep)) throw new Unreadable('the path leads out of ATLAS_REFERENCE_DIR')
    // No link may have taken its place meanwhile, and a pipe must not hold us up.
    handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    return await readOpen(handle)
  } catch (error) {
    if (error instanceof Unreadable) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new Unreadable(reasons[code ?? ''] ?? 'the file cannot be read', { cause: error })
  } finally {
    await handle?.close()
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'the user that runs Atlas may not read the file',
  ELOOP: 'the path leads in circles',
}

async function readOpen(handle: FileHandle): Promise<Document> {
  const found = await handle.stat()
  if (!found.isFile()) throw new Unreadable('this is not a regular file')
  // A group may read it, as mounted secrets want it; nobody else may, and none but the owner may change it.
  if (found.mode & 0o027) throw new Unreadable('others may read or change the file; run chmod 600 (or 640) on it')
  const bytes = Buffer.alloc(largest + 1)
  try {
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    if (bytesRead > largest) throw new Unreadable('the file is larger than a value may be')
    const value = toValue(bytes.toString('utf8', 0, bytesRead).replace(/\r?\n$/, ''))
    return { valueOf: () => value, changedAt: found.mtime.toISOString() }
  } finally {
    bytes.fill(0)
  }
}
