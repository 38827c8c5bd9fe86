import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../../core/problem.ts'
import { openWhole, privateFolder } from '../../lib/disk.ts'
import { isId } from '../../lib/ids.ts'

type Parts = {
  readonly folder: string
  /** Bytes that one file can have. */
  readonly mostBytes: number
  /** Only tests have another: a full disk. */
  readonly create?: (path: string) => Promise<FileHandle>
}

export type Files = ReturnType<typeof makeFiles>

/**
 * One file for each export, named by its id alone, in a folder that only this account can enter. A file has its name only when it
 * is complete; before, it ends in `.part`.
 */
export function makeFiles({ folder, mostBytes, create = createNew }: Parts) {
  function pathOf(id: string): string {
    if (!isId(id)) throw new TypeError('An export file is named by an id')
    return join(folder, id)
  }

  return {
    /** @throws Problem in words for the owner when the disk is full or the folder cannot be written; too-large */
    async write(id: string, chunks: AsyncIterable<string | Uint8Array>): Promise<Written> {
      const path = pathOf(id)
      const part = `${path}.part`
      let handle: FileHandle | undefined
      try {
        privateFolder(folder)
        handle = await create(part)
        const written = await writeAll(handle, chunks, mostBytes)
        await handle.close()
        await rename(part, path)
        return written
      } catch (error) {
        await handle?.close().catch(() => {})
        await rm(part, { force: true }).catch(() => {})
        throw storageProblem(error)
      }
    },

    /** Undefined when it is not there, or is not a plain file of that size. */
    open: async (id: string, bytes: number): Promise<FileHandle | undefined> => openWhole(pathOf(id), bytes),

    async remove(id: string): Promise<void> {
      await rm(pathOf(id), { force: true })
      await rm(`${pathOf(id)}.part`, { force: true })
    },

    /** Removes what `isKnown` does not want. What is not named like ours is left alone. */
    async sweep(isKnown: (id: string, isComplete: boolean) => boolean): Promise<void> {
      if (!existsSync(folder)) return
      privateFolder(folder)
      for (const name of await readdir(folder)) {
        const id = name.replace(/\.part$/, '')
        if (!id.startsWith('exp_') || !isId(id) || isKnown(id, id === name)) continue
        await rm(join(folder, name), { force: true, recursive: true })
      }
    },
  }
}

type Written = { readonly bytes: number; readonly sha256: string }

async function writeAll(
  handle: FileHandle,
  chunks: AsyncIterable<string | Uint8Array>,
  most: number,
): Promise<Written> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of chunks) {
    const block = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk
    bytes += block.length
    if (bytes > most)
      throw new Problem('too-large', `The file would be larger than ${Math.floor(most / 1_048_576)} MiB; filter more`)
    hash.update(block)
    await handle.writeFile(block)
  }
  // A file that is said to be ready is on the disk.
  await handle.sync()
  return { bytes, sha256: hash.digest('hex') }
}

/** `wx`: never through a link that somebody put there. */
function createNew(path: string): Promise<FileHandle> {
  return open(path, 'wx', 0o600)
}

/** A fault of the disk in words for whoever waits for the export; its own message would hold a path. */
function storageProblem(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Problem('internal', `The disk of this server is full (${code}); nothing was kept`, { cause: error })
  if (typeof code === 'string' && /^E(ACCES|PERM|ROFS|NOTDIR|NOENT|EXIST|LOOP|IO|MFILE|NFILE|FBIG)$/.test(code))
    return new Problem('internal', `The folder for exports cannot be written (${code})`, { cause: error })
  return error
}
