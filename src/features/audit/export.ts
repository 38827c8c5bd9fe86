import { mkdir, open, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Problem } from '../../core/problem.ts'
import { openNote, parseCheckpoint, parseVkey } from '../../lib/signed-note.ts'
import type { Declared } from './pruned.ts'
import type { StoreReader } from './store-read.ts'
import { readTile, tilePath, tilesOf } from './tiles.ts'

type Parts = {
  readonly reader: StoreReader
  readonly vkey: string
  readonly checkpoint: string
  /** What retention has declared in the first `size` entries. */
  readonly declared: (size: number) => Promise<Declared | undefined>
}

/**
 * Writes the log up to `checkpoint` as the static files of tlog-tiles, and its `vkey`. The folder must be new or empty;
 * files are 0600. The checkpoint comes last, so a folder without one is an export that did not end.
 */
export async function exportLog(
  { reader, vkey, checkpoint, declared }: Parts,
  folder: string,
): Promise<{ size: number; minimum: number; files: number }> {
  const { size } = parseCheckpoint(openNote(Buffer.from(checkpoint), parseVkey(vkey)))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0) throw new Problem('conflict', 'The folder to export to is not empty')
  const { minimum } = (await declared(size)) ?? { minimum: 0 }
  let files = 2
  for (const tile of tilesOf(size, minimum)) {
    const bytes = await readTile(reader, tile)
    if (!bytes) throw new Problem('internal', 'The log lacks entries that it signed')
    await writeNew(join(folder, tilePath(tile)), bytes)
    files += 1
  }
  await writeNew(join(folder, 'vkey'), `${vkey}\n`)
  await writeNew(join(folder, 'checkpoint'), checkpoint)
  return { size, minimum, files }
}

async function writeNew(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
  } finally {
    await file.close()
  }
}
