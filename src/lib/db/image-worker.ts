import { createSecretKey } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { makeBackupWriter } from '../backup-file.ts'
import { encodeRow, encodeTable, type Snapshot } from './image.ts'
import type { FromWorker, HeadOfImage, WorkerOrder } from './image-writer.ts'
import { openPostgresSnapshot } from './snapshot-postgres.ts'
import { openSqliteSnapshot } from './snapshot-sqlite.ts'

// The thread that reads the whole database and seals it, so that the server answers meanwhile. image-writer.ts starts it.

const port = parentPort
if (!port) throw new Error('This runs as a worker thread')
const { source, options } = workerData as WorkerOrder
const tell = (message: FromWorker) => port.postMessage(message)

const snapshot = await open()
try {
  const { tables, migrations, first } = snapshot
  tell({ type: 'snapshot', dialect: snapshot.dialect, tables, migrations, first })
  await write(snapshot, await answer<HeadOfImage>())
} finally {
  await snapshot.close()
}

function answer<T>(): Promise<T> {
  return new Promise((resolve) => port?.once('message', resolve))
}

function open(): Snapshot | Promise<Snapshot> {
  if (source.dialect === 'postgres') return openPostgresSnapshot(source, options)
  try {
    return openSqliteSnapshot(source.path, source.key, options)
  } finally {
    source.key.fill(0)
  }
}

async function write({ tables, read }: Snapshot, { path, header, fileKey }: HeadOfImage): Promise<void> {
  const key = createSecretKey(fileKey)
  fileKey.fill(0)
  const file = makeBackupWriter(path, header, key)
  let rows = 0
  let told = performance.now()
  for (const table of tables) {
    file.write(Buffer.from(encodeTable(table)))
    let inTable = 0
    for await (const row of read(table)) {
      file.write(Buffer.from(encodeRow(row)))
      inTable++
      if (performance.now() - told < 200) continue
      told = performance.now()
      tell({ type: 'progress', rows: rows + inTable })
    }
    if (inTable !== table.rows) throw new Error(`${table.name} had ${table.rows} rows and then ${inTable}`)
    rows += inTable
  }
  tell({ type: 'sealed', extent: file.end() })
  tell({ type: 'done', rows, extent: file.sign(await answer<string>()) })
}
