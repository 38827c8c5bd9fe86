import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, rmSync } from 'node:fs'
import { link, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { setTimeout as sleep } from 'node:timers/promises'
import { CliError, type Json } from '../client.ts'
import { fields, makeProgress, print } from '../output.ts'
import type { Shell } from '../program.ts'
import { orderOf } from './export-order.ts'

/** Orders a file, waits for it and downloads it. What the server keeps stays there until its time is over. */
export async function makeExport(shell: Shell, dataset: string, filters: readonly string[], options: Json) {
  const { name, output } = options as { name?: string; output?: string }
  if (output !== undefined) refuseMissingFolder(output)
  const client = shell.client()
  const body = { ...orderOf(dataset, filters, options), ...(name !== undefined && { name }) }
  const { id } = await client.send('POST', '/exports', body)
  if (id === undefined) throw new CliError('The export waits for an approval; nothing was made yet')
  await ready(shell, String(id))
  const answer = await fetchFile(shell, String(id), output)
  print(shell.output(), answer, () => fields(answer))
}

async function ready(shell: Shell, id: string): Promise<void> {
  const progress = makeProgress(shell.output())
  try {
    for (let pause = 100; ; pause = Math.min(2_000, pause * 1.5)) {
      const { state, rows, problem } = await shell.client().get(`/exports/${encodeURIComponent(id)}`)
      if (state === 'ready') return
      if (state !== 'running')
        throw new CliError(`The export is ${state}: ${(problem as Json | null)?.['detail'] ?? 'no reason given'}`)
      progress.show(`Exporting: ${rows} rows`)
      await sleep(pause)
    }
  } finally {
    progress.end()
  }
}

/** The file of an export; a name that the caller chose may replace a file. */
export async function fetchFile(shell: Shell, id: string, output?: string): Promise<Json> {
  const place = { output, mayReplace: output !== undefined }
  return { ...(await download(shell, `/api/v1/exports/${encodeURIComponent(id)}/content`, place)), export: id }
}

type Place = { readonly output: string | undefined; readonly mayReplace: boolean }

/** Downloads to a temporary name beside the file, so that what has the file's name is complete and what it should be. */
export async function download(shell: Shell, from: string, { output, mayReplace }: Place): Promise<Json> {
  const { response, name, size, digest } = await ask(shell, from)
  const path = output ?? name
  if (output === undefined && existsSync(path)) throw new CliError(`${path} exists; choose another name with -o`)
  const part = `${path}.${process.pid}.part`
  const progress = makeProgress(shell.output())
  const hash = createHash('sha256')
  let bytes = 0
  try {
    const body = Readable.fromWeb((response.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>)
    await pipeline(
      body,
      async function* (chunks) {
        for await (const chunk of chunks as AsyncIterable<Buffer>) {
          hash.update(chunk)
          bytes += chunk.length
          progress.show(`Downloading: ${Math.floor(bytes / 1024)} of ${Math.floor(size / 1024)} KiB`)
          yield chunk
        }
      },
      createWriteStream(part, { flags: 'wx', mode: 0o600 }),
    )
    const sha256 = hash.digest('hex')
    if (sha256 !== digest)
      throw new CliError('The file was changed on its way: its SHA-256 is not what the server says')
    await keep(part, path, mayReplace)
    return { file: path, bytes, sha256 }
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(`${path} was not written: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`)
  } finally {
    progress.end()
    rmSync(part, { force: true })
  }
}

/** A name that the server chose never replaces a file, also not one that came meanwhile. */
async function keep(part: string, path: string, mayReplace: boolean): Promise<void> {
  await (mayReplace ? rename(part, path) : link(part, path))
}

async function ask(shell: Shell, from: string) {
  const response = await shell.client().fetch(from)
  const digest = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(response.headers.get('repr-digest') ?? '')?.[1]
  if (digest === undefined) throw new CliError('The server does not say what the file should be; it was not downloaded')
  return {
    response,
    name: nameOf(response.headers.get('content-disposition') ?? ''),
    size: Number(response.headers.get('content-length')),
    digest: Buffer.from(digest, 'base64').toString('hex'),
  }
}

/** A plain name in this folder, whatever the server says. */
function nameOf(disposition: string): string {
  const [, encoded = ''] = /filename\*=UTF-8''([^;]*)/i.exec(disposition) ?? []
  const name = decoded(encoded).replaceAll(/[/\\:*?"<>|\p{Cc}\p{Cf}]/gu, '_')
  return join('.', name.replace(/^[.-]+/, '') || 'export')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

export function refuseMissingFolder(path: string): void {
  if (!existsSync(join(path, '..'))) throw new CliError(`The folder of ${path} does not exist`, 2)
}
