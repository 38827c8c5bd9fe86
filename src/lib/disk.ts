import { chmodSync, closeSync, constants, existsSync, fsyncSync, lstatSync, mkdirSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Makes a file durable, or the names in a folder: what was made, renamed or removed there stays so. */
export function syncPath(path: string): void {
  const file = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Makes sure of a folder of mode 0700; a link is not taken for one. Throws the file system's own error. */
export function privateFolder(folder: string): void {
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { mode } = lstatSync(folder)
  if ((mode & constants.S_IFMT) !== constants.S_IFDIR) throw Object.assign(new Error(), { code: 'ENOTDIR' })
  if (mode & 0o077) chmodSync(folder, 0o700)
}

/** A plain file of exactly that size, for reading; undefined when it is not there or is anything else. No link is followed. */
export async function openWhole(path: string, bytes: number): Promise<FileHandle | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined)
  const found = await handle?.stat()
  if (found?.isFile() && found.size === bytes) return handle
  await handle?.close()
  return undefined
}
