import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { tilePath, tilesOf, tileWidth } from './tiles.ts'

/** What was downloaded lacks a file that its newest checkpoint names, or has no checkpoint. */
export class Incomplete extends Error {}

/**
 * Makes an export out of what the object storage sink wrote and somebody downloaded: of all checkpoints the newest, of all partial tiles
 * those that belong to it. A bucket that was begun after retention had pruned the log begins with a later bundle. Checks nothing; that is the verifier's work. `to` must be new or empty.
 */
export async function assemble(from: string, to: string, vkey: string): Promise<{ size: number; files: number }> {
  const size = (await checkpointsIn(from)).reduce((newest, one) => Math.max(newest, one), -1)
  if (size < 0) throw new Incomplete(`${from} has no checkpoints/<size>`)
  await mkdir(to, { recursive: true, mode: 0o700 })
  if ((await readdir(to)).length > 0) throw new Incomplete(`${to} is not empty`)
  let files = 2
  for (const path of [...tilesOf(size, lowestIn(from, size))].map(tilePath)) {
    await copy(join(from, path), join(to, path), path)
    files += 1
  }
  await writeFile(join(to, 'vkey'), `${vkey.trim()}\n`, { mode: 0o600 })
  await copy(join(from, `checkpoints/${size}`), join(to, 'checkpoint'), `checkpoints/${size}`)
  return { size, files }
}

async function checkpointsIn(folder: string): Promise<number[]> {
  const names = await readdir(join(folder, 'checkpoints')).catch(() => [])
  return names.filter((name) => /^[1-9][0-9]{0,14}$/.test(name)).map(Number)
}

/** Where the first full bundle begins that is there, or the partial one when there is none. */
function lowestIn(folder: string, size: number): number {
  const full = Math.floor(size / tileWidth)
  for (let index = 0; index < full; index++)
    if (existsSync(join(folder, tilePath({ level: 'entries', index, width: tileWidth })))) return index * tileWidth
  return full * tileWidth
}

async function copy(from: string, to: string, name: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  await copyFile(from, to).catch((error: NodeJS.ErrnoException) => {
    throw new Incomplete(`${name} cannot be copied (${error.code})`)
  })
}
