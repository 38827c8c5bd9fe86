import { constants, existsSync, lstatSync } from 'node:fs'
import { type FileHandle, link, open, readdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Problem } from '../../core/problem.ts'
import { openWhole, privateFolder } from '../../lib/disk.ts'
import { isId } from '../../lib/ids.ts'

export type Files = ReturnType<typeof makeFiles>

/**
 * The files of backups, in a folder that only this account can enter. What has its final name is complete; before that it ends
 * in `.part`. Only what ends so is ever swept: a backup that the database does not know may be the one that somebody needs.
 */
export function makeFiles(folder: string) {
  const pathOf = (id: string): string => {
    if (!isId(id)) throw new TypeError('A backup file is named by an id')
    return join(folder, `${id}.backup`)
  }
  return {
    nameOf: (id: string): string => `${id}.backup`,
    pathOf,
    prepare: (): void => prepare(folder),
    /** Runs `write` with a temporary name; what it wrote has its own name only when it is complete, and never replaces a file. */
    async make<T>(path: string, write: (part: string) => Promise<T>): Promise<T> {
      const part = `${path}.part`
      try {
        if (existsSync(path)) throw Object.assign(new Error(`${path} exists`), { code: 'EEXIST' })
        // Left by a process that died: its lock on this backup, the row, is gone.
        await rm(part, { force: true })
        const written = await write(part)
        await link(part, path)
        await rm(part)
        await sync(dirname(resolve(path)))
        return written
      } catch (error) {
        await rm(part, { force: true }).catch(() => {})
        throw storageProblem(error)
      }
    },

    /** A folder that cannot be looked into, such as a disk that is not mounted, has none. */
    isHere(id: string): boolean {
      try {
        return lstatSync(pathOf(id)).isFile()
      } catch {
        return false
      }
    },

    /** Undefined when it is not there, or is not a plain file of that size. */
    open: async (id: string, bytes: number): Promise<FileHandle | undefined> => openWhole(pathOf(id), bytes),

    async remove(id: string): Promise<void> {
      await rm(pathOf(id), { force: true })
    },

    /** Removes a file that was just made. */
    async discard(path: string): Promise<void> {
      await rm(path, { force: true })
    },

    /** Removes what died half made. */
    async sweep(isRunning: (id: string) => boolean): Promise<void> {
      if (!existsSync(folder)) return
      for (const name of await readdir(folder)) {
        const id = /^(bak_[0-9a-z]{24})\.backup\.part$/.exec(name)?.[1]
        if (id !== undefined && !isRunning(id)) await rm(join(folder, name), { force: true })
      }
    },
  }
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function prepare(folder: string): void {
  try {
    privateFolder(folder)
  } catch (error) {
    throw storageProblem(error)
  }
}

/** A fault of the disk in words; its own message would hold a path. */
function storageProblem(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Problem('internal', `The disk of this server is full (${code}); nothing was kept`, { cause: error })
  if (code === 'EEXIST') return new Problem('conflict', 'There is a file of that name already; it is never overwritten')
  if (typeof code === 'string' && /^E(ACCES|PERM|ROFS|NOTDIR|NOENT|LOOP|IO|MFILE|NFILE|FBIG)$/.test(code))
    return new Problem('internal', `The backup cannot be written to its folder (${code}); look at ATLAS_BACKUP_DIR`, {
      cause: error,
    })
  return error
}
