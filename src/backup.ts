import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { readHeadRow } from './features/audit/attest.ts'
import type { AuditLog } from './features/audit/log.ts'
import { type Backups, type BackupsParts, makeBackups } from './features/backups/backups.ts'
import { searchTables } from './features/inventory/store-rebuild.ts'
import { type BackupHeader, backupStatement, encodeHeader } from './lib/backup-file.ts'
import type { Database } from './lib/db/database.ts'
import { type ImageSource, type SnapshotFacts, writeImage } from './lib/db/image-writer.ts'
import { deriveKey, seal } from './lib/envelope.ts'
import { rootKeyFingerprint } from './lib/root-key.ts'
import type { RootKey } from './lib/root-keys.ts'

// What a backup is made of: the rows of all rooms, sealed under the root key, signed by the audit log. restore.ts is the way back.

/** Which files a server has is true of that server only. */
const ownTables = ['backup']

export type BackupOrder = {
  readonly id: string
  /** A name that does not exist. */
  readonly path: string
  readonly signal?: AbortSignal
  /** Rows written so far, and in all. */
  readonly onRows?: (rows: number, total: number) => void
}

export type Made = {
  readonly bytes: number
  /** In hex. */
  readonly sha256: string
  readonly rows: number
  /** Entries of the audit log in it. */
  readonly logSize: number
}

export type MakeBackup = (order: BackupOrder) => Promise<Made>

/** Where the files go unless another place is named. */
export function backupFolder({ ATLAS_BACKUP_DIR, ATLAS_DATA_DIR }: Config): string {
  return ATLAS_BACKUP_DIR ?? join(ATLAS_DATA_DIR, 'backups')
}

type RoomParts = Parts & {
  readonly config: Config
  readonly database: Database
  readonly record: BackupsParts['record']
  readonly report: BackupsParts['log']
}

/** The room of backups, which knows nothing of what they are made of. */
export function openBackups({ config, database, record, report, ...parts }: RoomParts): Backups {
  return makeBackups({
    database,
    folder: backupFolder(config),
    schedule: config.ATLAS_BACKUP_SCHEDULE,
    keep: config.ATLAS_BACKUP_KEEP,
    write: makeBackup(parts),
    record,
    now: parts.now,
    log: report,
  })
}

type Parts = {
  readonly log: Pick<AuditLog, 'origin' | 'vkey' | 'checkpoint' | 'attest'>
  readonly rootKey: RootKey
  readonly source: () => ImageSource
  readonly version: string
  readonly now: () => Date
}

/** Writes one whole backup while others read and write the database. */
export function makeBackup({ log, rootKey: keys, source, version, now }: Parts): MakeBackup {
  return async ({ id, path, signal, onRows = () => {} }) => {
    const checkpoint = await log.checkpoint()
    let header: BackupHeader | undefined
    let total = 0

    /** Made for the state that the worker holds on to. */
    const head = (snapshot: SnapshotFacts) => {
      const fileKey = randomBytes(32)
      // While the root key is changed there are two: the backup hangs on the one that its rows hang on.
      const { size, root, rootKey } = readHeadRow(keys, snapshot.first['audit_head'])
      total = snapshot.tables.reduce((sum, { rows }) => sum + rows, 0)
      header = {
        format: 1,
        id,
        version,
        created: now().toISOString(),
        dialect: snapshot.dialect,
        rootKey: rootKeyFingerprint(rootKey),
        key: seal(backupKey(rootKey), fileKey, fileKeyAad(id)).toString('base64'),
        migrations: [...snapshot.migrations],
        tables: snapshot.tables.map(({ name, rows }) => ({ name, rows })),
        log: { origin: log.origin, vkey: log.vkey, size, root: root.toString('base64'), checkpoint },
      }
      return { path, header: encodeHeader(header), fileKey }
    }

    const { rows, extent } = await writeImage({
      source: source(),
      options: { leaveOut: [...searchTables, ...ownTables], first: ['audit_head'] },
      head,
      sign: (before) => log.attest('backup', backupStatement(header as BackupHeader, before)),
      onRows: (done) => onRows(done, total),
      ...(signal && { signal }),
    })
    const sha256 = Buffer.from(extent.sha256, 'base64').toString('hex')
    return { bytes: extent.bytes, sha256, rows, logSize: header?.log.size ?? 0 }
  }
}

export function backupKey(rootKey: KeyObject): KeyObject {
  return deriveKey(rootKey, 'atlas/backup')
}

export function fileKeyAad(id: string): readonly string[] {
  return ['atlas', 'backup', id, 'file-key']
}

/** A file key as it was sealed; the bytes are zeroed. */
export function toFileKey(bytes: Buffer): KeyObject {
  try {
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}
