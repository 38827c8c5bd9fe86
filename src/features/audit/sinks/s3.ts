import { hash } from 'node:crypto'
import { Problem } from '../../../core/problem.ts'
import type { Secret } from '../../../core/secret.ts'
import { retryAfter } from '../../../lib/http-outcome.ts'
import { makeOutbound, type OutboundAnswer } from '../../../lib/outbound.ts'
import { signV4 } from '../../../lib/sigv4.ts'
import { sizeOf } from '../checkpoints.ts'
import { type TileName, tilePath, tileWidth } from '../tiles.ts'
import type { Round, Sink, Source } from './sink.ts'

export type S3Settings = {
  /** The bucket's own URL, with its name in the host or in the path. */
  readonly bucket: string
  /** Before every key; empty, or ends in a slash. One log, one prefix. */
  readonly prefix: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly ca?: string | undefined
  readonly lockMode: 'COMPLIANCE' | 'GOVERNANCE'
  readonly lockDays: number
}

type Client = ReturnType<typeof makeClient>

// 32 bundles of 256 entries, each with its hash tile.
const mostBundles = 32
const atOnce = 4
const answerMs = 30_000
const dayMs = 86_400_000

/**
 * Writes the log as the files of an export (tlog-tiles) into a bucket with object lock, where nobody can change or delete them before their
 * time: each full bundle and tile as soon as it is full; and from time to time, and at a stop, the partial tiles at the log's end with the
 * checkpoint that they belong to, as `checkpoints/<size>`. Nothing is ever overwritten.
 */
export function makeS3Sink(settings: S3Settings, source: Source, now: () => Date, tailMs: number): Sink {
  const client = makeClient(settings, now)
  let isChecked = false
  let tailAt = Number.NEGATIVE_INFINITY

  async function deliver({ at: { next: from }, size, isLast, signal }: Round) {
    const hasFull = Math.floor(size / tileWidth) > Math.floor(from / tileWidth)
    const isTailDue = isLast || performance.now() - tailAt >= tailMs
    if (from >= size || !(hasFull || isTailDue)) return { next: from, confirmed: from }
    if (!isChecked) await client.checkLock(signal)
    isChecked = true
    const text = await source.checkpoint(size)
    const [first, full] = [Math.floor(from / tileWidth), Math.floor(sizeOf(text) / tileWidth)]
    const last = Math.min(full, first + mostBundles)
    const kept = await source.first()
    // Of what was pruned only the upper levels are left, and without them nobody could verify the rest.
    const isKept = ({ level, index }: TileName) => (level !== 'entries' && level > 0) || (index + 1) * tileWidth > kept
    await putTiles(client, source, [...fullTiles(first, last)].filter(isKept), signal)
    // What is far behind gets its checkpoint at the end only.
    if (last < full || !isTailDue) return reached(Math.max(from, last * tileWidth))
    await putTiles(client, source, partialTiles(sizeOf(text)), signal)
    await client.put(`checkpoints/${sizeOf(text)}`, Buffer.from(text), signal)
    tailAt = performance.now()
    return reached(sizeOf(text))
  }

  return {
    name: 's3',
    target: `${settings.bucket} ${settings.prefix}`,
    isWhole: true,
    deliver,
    async close() {},
  }
}

function reached(size: number) {
  return { next: size, confirmed: size }
}

/** The full tiles of all levels that the bundles [first, last) complete. */
export function* fullTiles(first: number, last: number): Generator<TileName> {
  for (let index = first; index < last; index++) yield { level: 'entries', index, width: tileWidth }
  let [from, to] = [first, last]
  for (let level = 0; to > from; level++) {
    for (let index = from; index < to; index++) yield { level, index, width: tileWidth }
    ;[from, to] = [Math.floor(from / tileWidth), Math.floor(to / tileWidth)]
  }
}

/** The tiles at the right edge of a log of this size, none of them full. */
export function* partialTiles(size: number): Generator<TileName> {
  const [index, width] = [Math.floor(size / tileWidth), size % tileWidth]
  if (width > 0) yield { level: 'entries', index, width }
  for (let level = 0, hashes = size; hashes > 0; level++) {
    const rest = hashes % tileWidth
    hashes = Math.floor(hashes / tileWidth)
    if (rest > 0) yield { level, index: hashes, width: rest }
  }
}

async function putTiles(client: Client, source: Source, tiles: Iterable<TileName>, signal: AbortSignal): Promise<void> {
  const left = [...tiles].map(tilePath)
  const worker = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift())
      await client.put(path, await source.tile(path), signal)
  }
  // All of them have ended when this has: what goes on behind a failure would meet the next try.
  const results = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function makeClient({ bucket, prefix, region, lockMode, lockDays, ca, ...keys }: S3Settings, now: () => Date) {
  const send = makeOutbound({ ca })
  const base = bucket.replace(/\/+$/, '')

  function request(
    method: 'GET' | 'PUT',
    url: string,
    signal: AbortSignal,
    more: { body?: Buffer; headers?: Record<string, string> } = {},
  ) {
    const { body, headers = {} } = more
    const signed = signV4(keys, { method, url, headers, body, service: 's3', region, now: now() })
    return send({ url, method, headers: signed, ...(body && { body }), timeoutMs: answerMs, signal })
  }

  return {
    /** A bucket without object lock protects nothing, so nothing is written there. */
    async checkLock(signal: AbortSignal): Promise<void> {
      const answer = await request('GET', `${base}/?object-lock`, signal)
      const isLocked = /<ObjectLockEnabled>Enabled<\/ObjectLockEnabled>/.test(answer.body.toString('utf8'))
      if (answer.status === 404 || (answer.status === 200 && !isLocked))
        throw new Problem('precondition-failed', 'The bucket is missing or has no object lock')
      if (answer.status !== 200) throw refused(answer, now())
    },
    /** Writes a new object, or finds the same one there. */
    async put(path: string, body: Buffer, signal: AbortSignal): Promise<void> {
      const url = `${base}/${prefix}${path}`
      const headers = {
        'content-type': 'application/octet-stream',
        'if-none-match': '*',
        'x-amz-checksum-sha256': hash('sha256', body, 'base64'),
        'x-amz-object-lock-mode': lockMode,
        'x-amz-object-lock-retain-until-date': new Date(now().getTime() + lockDays * dayMs).toISOString(),
      }
      const answer = await request('PUT', url, signal, { body, headers })
      if (answer.status === 200) return
      if (answer.status !== 412) throw refused(answer, now())
      const there = await request('GET', url, signal)
      if (there.status !== 200) throw refused(there, now())
      if (!there.body.equals(body))
        throw new Problem(
          'conflict',
          `The bucket has another ${path.split('/')[0]} under this name: is it that of another log?`,
        )
    },
  }
}

function refused({ status, headers, body }: OutboundAnswer, now: Date): Problem {
  const [, code] = /<Code>([A-Za-z]{1,60})<\/Code>/.exec(body.toString('utf8')) ?? []
  const retryAfterSeconds = retryAfter(headers, now)
  const kind = status === 401 || status === 403 ? 'upstream-denied' : 'upstream-failed'
  return new Problem(kind, `The object storage answered ${status}${code === undefined ? '' : ` ${code}`}`, {
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  })
}
