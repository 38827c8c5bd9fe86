import { hash } from 'node:crypto'
import { Problem } from '../../../core/problem.ts'
import type { Database } from '../../../lib/db/database.ts'
import { leafHash } from '../../../lib/merkle.ts'
import { sizeOf } from '../checkpoints.ts'
import type { AuditEvent } from '../event.ts'
import type { StoreReader } from '../store-read.ts'
import { makeSinkRecord, type SinkRow } from '../store-sinks.ts'
import { parseTilePath, readTile } from '../tiles.ts'
import { makeDelivery, type Pace, usualPace } from './delivery.ts'
import { makeS3Sink, type S3Settings } from './s3.ts'
import type { Sink, SinkName, Source } from './sink.ts'
import { makeSyslogSink, type SyslogSettings } from './syslog.ts'
import { makeWebhookSink, type WebhookSettings } from './webhook.ts'

export type SinkSettings = {
  readonly syslog?: SyslogSettings
  readonly webhook?: WebhookSettings
  readonly s3?: S3Settings
  /** Where a new sink begins: at the first entry, or at those that come from now on. */
  readonly begin?: 'first' | 'now'
  readonly pace?: Partial<Pace>
}

export type SinkStatus = {
  readonly name: SinkName
  /** Entries below this were delivered. */
  readonly next: number
  readonly lagEntries: number
  /** How long the oldest entry that is not delivered has been waiting. */
  readonly lagSeconds: number
  /** When something was last delivered. */
  readonly at: string | null
  readonly fault: string | null
  readonly failures: number
  readonly failingSince: string | null
  /** It refused for good. */
  readonly isStopped: boolean
}

type Parts = {
  readonly settings: SinkSettings
  readonly database: Database
  readonly reader: StoreReader
  readonly origin: string
  readonly checkpoint: (index: number) => Promise<string>
  readonly isSigner: () => boolean
  readonly append: (event: AuditEvent) => Promise<unknown>
  readonly now: () => Date
  readonly onFault: (error: unknown) => void
}

/** The places beside the log where copies of its entries go. The log never waits for them, and decides nothing by them. */
export function makeSinks(parts: Parts) {
  const { settings, database, reader, now } = parts
  const record = makeSinkRecord(database)
  const size = async () => (await reader.head())?.size ?? 0
  const pace = { ...usualPace, ...settings.pace }
  const sinks = listSinks(settings, makeSource(parts, record.first), pace, now)
  const deliveries = sinks.map((sink) =>
    makeDelivery({ ...parts, sink, record, size, pace, target: targetOf(sink), begin: settings.begin ?? 'first' }),
  )
  return {
    /** How each sink fares, for status and metrics. */
    async status(): Promise<SinkStatus[]> {
      const head = await size()
      return Promise.all(
        sinks.map(async (sink) => {
          const row = await record.find(sink.name)
          const known = row?.target === targetOf(sink) ? row : undefined
          return statusOf(sink.name, known, head, now(), record.timeOf)
        }),
      )
    },
    /** Who still needs the entries from an index on. Whoever refused for good holds up nothing. */
    async holds(): Promise<{ by: string; from: number }[]> {
      const rows = await Promise.all(sinks.map(async (sink) => ({ sink, row: await record.find(sink.name) })))
      return rows.flatMap(({ sink, row }) => {
        if (row?.target !== targetOf(sink)) return [{ by: `the sink ${sink.name}`, from: 0 }]
        return row.is_stopped === 1 ? [] : [{ by: `the sink ${sink.name}`, from: row.confirmed }]
      })
    },
    start(): void {
      for (const delivery of deliveries) delivery.start()
    },
    async stop(): Promise<void> {
      await Promise.all(deliveries.map((delivery) => delivery.stop()))
    },
  }
}

function listSinks({ syslog, webhook, s3 }: SinkSettings, source: Source, pace: Pace, now: () => Date): Sink[] {
  return [
    ...(syslog ? [makeSyslogSink(syslog, source, pace.confirmMs)] : []),
    ...(webhook ? [makeWebhookSink(webhook, source, now)] : []),
    ...(s3 ? [makeS3Sink(s3, source, now, pace.tailMs)] : []),
  ]
}

/** The address itself may hold what gives access, so only its hash is stored. */
function targetOf({ target }: Sink): string {
  return hash('sha256', target, 'base64url')
}

function makeSource({ reader, origin, checkpoint }: Parts, first: Source['first']): Source {
  let newest: string | undefined
  return {
    origin,
    first,
    async entries(start, { count, bytes }) {
      const leaves = await reader.leaves(start, count)
      const hashes = await reader.hashes(0, start, leaves.length)
      const entries = leaves.map((leaf, i) => ({ index: start + i, leaf, hash: leafHash(leaf) }))
      // What was changed in the database must not go out as what was logged.
      if (entries.length === 0 || entries.some(({ hash: own }, i) => !hashes[i]?.equals(own)))
        throw new Problem('internal', 'A stored entry is missing or is not the one that was logged: atlas audit verify')
      return entries.slice(0, fitting(leaves, bytes))
    },
    async checkpoint(covered) {
      if (newest === undefined || sizeOf(newest) < covered) newest = await checkpoint(covered - 1)
      return newest
    },
    async tile(path) {
      const name = parseTilePath(path)
      const bytes = name && (await readTile(reader, name))
      if (!bytes) throw new Problem('internal', 'A tile of the log is missing: atlas audit verify')
      return bytes
    },
  }
}

/** How many of these are at most `bytes` together; one at least. */
function fitting(leaves: readonly Buffer[], bytes: number): number {
  let [count, total] = [0, 0]
  for (const { length } of leaves) {
    total += length
    if (total > bytes) break
    count += 1
  }
  return Math.max(count, 1)
}

async function statusOf(
  name: SinkName,
  row: SinkRow | undefined,
  size: number,
  now: Date,
  timeOf: (index: number) => Promise<string | undefined>,
): Promise<SinkStatus> {
  const next = row?.next ?? 0
  const oldest = next < size ? await timeOf(next) : undefined
  return {
    name,
    next,
    lagEntries: Math.max(0, size - next),
    lagSeconds: oldest === undefined ? 0 : Math.max(0, Math.round((now.getTime() - Date.parse(oldest)) / 1000)),
    at: row?.at ?? null,
    fault: row?.fault ?? null,
    failures: row?.failures ?? 0,
    failingSince: row?.failing_since ?? null,
    isStopped: row?.is_stopped === 1,
  }
}
