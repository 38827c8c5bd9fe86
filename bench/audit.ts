import { createSecretKey, hash, randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AuditEvent } from '../src/features/audit/event.ts'
import { type AuditLog, openLog } from '../src/features/audit/log.ts'
import { auditMigrations } from '../src/features/audit/migrations.ts'
import { verifyExport } from '../src/features/audit/verify.ts'
import { openSqlite } from '../src/lib/db/database.ts'
import { migrate } from '../src/lib/db/migrate.ts'
import { newId } from '../src/lib/ids.ts'

type Line = { figure: string; value: number; unit: string; against?: string; ratio?: number }

const lanes = 512
const appendSeconds = 6

/** Durable events per second through the whole log on encrypted SQLite, and entries per second of the offline verifier. At most 20 s. */
export async function benchAudit(print: (line: Line) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
  const rootKey = createSecretKey(randomBytes(32))
  const database = openSqlite(join(folder, 'atlas.db'), rootKey.export())
  try {
    await migrate(database, auditMigrations, () => new Date())
    const log = await openLog({ database, rootKey, now: () => new Date() })
    await appendFor(log, 0.5)
    const before = log.size()
    const { perSecond, millis } = await appendFor(log, appendSeconds)
    const raw = rawAppend(join(folder, 'raw'), await bundleBytes(log, before), lanes)
    print({
      figure: 'audit: durable events',
      value: Math.round(perSecond),
      unit: 'events/s',
      against: `the same entries appended to a file, ${lanes} for each fsync`,
      ratio: round(perSecond / raw),
    })
    print({ figure: 'audit: append p95', value: round(millis), unit: 'ms' })
    await log.exportTo(join(folder, 'export'))
    printVerify(join(folder, 'export'), log.vkey, print)
    await log.close()
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Every lane appends one event after the other, as that many calls in flight do. */
async function appendFor(log: AuditLog, seconds: number): Promise<{ perSecond: number; millis: number }> {
  const events = Array.from({ length: 64 }, (_, i) => eventOf(i))
  const latencies: number[] = []
  const started = performance.now()
  const end = started + seconds * 1000
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let i = lane, begun = performance.now(); begun < end; i++, begun = performance.now()) {
        await log.append(events[i % events.length] as AuditEvent)
        latencies.push(performance.now() - begun)
      }
    }),
  )
  const elapsed = (performance.now() - started) / 1000
  latencies.sort((a, b) => a - b)
  return { perSecond: latencies.length / elapsed, millis: latencies[Math.floor(latencies.length * 0.95)] ?? 0 }
}

function eventOf(i: number): AuditEvent {
  return {
    code: i % 2 === 0 ? 'action.started' : 'action.succeeded',
    principal: { id: newId('usr'), kind: 'user', name: `Person ${i}`, tokenId: newId('tok') },
    door: 'mcp',
    action: 'inventory.assets.search',
    access: 'read',
    requestId: newId('req'),
    resource: { type: 'inventory', id: '*' },
    decision: { effect: 'permit', policies: ['viewer-read'], version: '1' },
    ...(i % 2 === 0
      ? { detail: { remoteAddress: '192.0.2.7', input: { q: `web-${i}`, limit: 50 } } }
      : { outcome: 'ok' }),
  }
}

async function bundleBytes(log: AuditLog, from: number): Promise<Buffer[]> {
  const tile = Math.floor(from / 256)
  const bundle = await log.tile(`tile/entries/${String(tile).padStart(3, '0')}`)
  if (!bundle) throw new Error('the log is too short to compare')
  const entries: Buffer[] = []
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    entries.push(bundle.subarray(at, at + 2 + bundle.readUInt16BE(at)))
  return entries
}

/** Entries per second of the least that durability costs: one write and one fsync for each batch. */
function rawAppend(path: string, entries: readonly Buffer[], batch: number): number {
  const file = openSync(path, 'w', 0o600)
  const bytes = Buffer.concat(Array.from({ length: batch }, (_, i) => entries[i % entries.length] as Buffer))
  const started = performance.now()
  let written = 0
  while (performance.now() - started < 1000) {
    writeSync(file, bytes)
    fsyncSync(file)
    written += batch
  }
  closeSync(file)
  return written / ((performance.now() - started) / 1000)
}

function printVerify(folder: string, vkey: string, print: (line: Line) => void): void {
  const verdict = verifyExport(folder, vkey)
  if (!verdict.ok) throw new Error(`${verdict.place}: ${verdict.reason}`)
  const raw = verdict.size / rawHashSeconds(join(folder, 'tile/entries'))
  print({
    figure: 'audit: verified entries',
    value: verdict.entriesPerSecond,
    unit: 'entries/s',
    against: 'one SHA-256 of each entry, read from the same files',
    ratio: round(verdict.entriesPerSecond / raw),
  })
}

function rawHashSeconds(folder: string): number {
  const started = performance.now()
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue
    const bundle = readFileSync(join(file.parentPath, file.name))
    for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
      hash('sha256', bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)), 'buffer')
  }
  return (performance.now() - started) / 1000
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
