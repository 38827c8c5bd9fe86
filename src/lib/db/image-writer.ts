import { Worker } from 'node:worker_threads'
import type { Extent } from '../backup-file.ts'
import type { PostgresTarget } from './database.ts'
import type { Snapshot, SnapshotOptions } from './image.ts'

/** What is read. `key` is what `openSqlite` takes. */
export type ImageSource =
  | { readonly dialect: 'sqlite'; readonly path: string; readonly key: Uint8Array }
  | ({ readonly dialect: 'postgres' } & PostgresTarget)

export type WorkerOrder = { readonly source: ImageSource; readonly options: SnapshotOptions }
export type SnapshotFacts = Omit<Snapshot, 'read' | 'close'>
/** The file's header and key, made for the state that is being read. The worker writes nothing before it has them. */
export type HeadOfImage = { readonly path: string; readonly header: Uint8Array; readonly fileKey: Uint8Array }
export type FromWorker =
  | ({ readonly type: 'snapshot' } & SnapshotFacts)
  | { readonly type: 'progress'; readonly rows: number }
  | { readonly type: 'sealed'; readonly extent: Extent }
  | { readonly type: 'done'; readonly rows: number; readonly extent: Extent }

type Parts = {
  readonly source: ImageSource
  readonly options: SnapshotOptions
  readonly head: (snapshot: SnapshotFacts) => HeadOfImage
  /** The note over everything before it. */
  readonly sign: (extent: Extent) => string
  readonly onRows?: (rows: number) => void
  readonly signal?: AbortSignal
}

/**
 * Writes all rows of a database into a new backup file, in a thread of its own: the caller's event loop only hears how far it is.
 * The file is on the disk when this resolves. What an abort or a fault leaves of it is the caller's to remove.
 */
export async function writeImage(parts: Parts): Promise<{ rows: number; extent: Extent }> {
  const { source, options, signal } = parts
  signal?.throwIfAborted()
  const worker = new Worker(new URL('./image-worker.ts', import.meta.url), { workerData: { source, options } })
  // The worker has its own copy.
  if (source.dialect === 'sqlite') source.key.fill(0)
  const ended = new Promise((resolve) => worker.once('exit', resolve))
  const stop = () => void worker.terminate()
  signal?.addEventListener('abort', stop)
  try {
    return await converse(worker, parts)
  } finally {
    signal?.removeEventListener('abort', stop)
    await worker.terminate()
    await ended
  }
}

function converse(worker: Worker, { head, sign, onRows, signal }: Parts): Promise<{ rows: number; extent: Extent }> {
  return new Promise((resolve, reject) => {
    const hear = (message: FromWorker) => {
      if (message.type === 'progress') onRows?.(message.rows)
      if (message.type === 'done') resolve({ rows: message.rows, extent: message.extent })
      if (message.type === 'sealed') worker.postMessage(sign(message.extent))
      if (message.type !== 'snapshot') return
      const order = head(message)
      worker.postMessage(order)
      order.fileKey.fill(0)
    }
    worker.on('message', (message: FromWorker) => {
      try {
        hear(message)
      } catch (error) {
        reject(error)
      }
    })
    worker.once('error', reject)
    worker.once('exit', () => reject(signal?.aborted ? signal.reason : new Error('The backup thread ended early')))
  })
}
