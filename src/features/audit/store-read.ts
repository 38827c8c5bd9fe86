import { sql } from 'kysely'
import type { Database } from '../../lib/db/database.ts'
import { type HeadRow, headOf, type KeyRow, type Reader, type Tables } from './store.ts'
import type { SubjectRow } from './subject.ts'

/** What a reader gets of an entry; the columns beside the leaf only serve search, so only verification reads them. */
export type StoredEntry = {
  readonly index: number
  readonly leaf: Buffer
  readonly hash: Buffer
  readonly subject: string | null
  readonly payload?: { readonly salt: Buffer; readonly box: Buffer }
}
export type Filter = {
  readonly subject?: string
  readonly behalf?: string
  readonly action?: string
  /** Every action but this one. */
  readonly notAction?: string
  readonly code?: string
  readonly outcome?: string
  readonly resourceType?: string
  /** Any of these ids. */
  readonly resourceIds?: readonly string[]
  /** ISO 8601 UTC with milliseconds: `from` inclusive, `to` exclusive. */
  readonly from?: string
  readonly to?: string
  /** Only entries with a smaller index; newest first. */
  readonly before?: number
  /** Only entries with a larger index; oldest first. */
  readonly after?: number
  readonly limit: number
}
export type TouchedRow = {
  readonly type: string
  readonly id: string | null
  readonly action: string | null
  readonly entries: number
  readonly succeeded: number
  readonly failed: number
  readonly first: string
  readonly last: string
  readonly lastIndex: number
}
export type StoreReader = ReturnType<typeof readerOn>

export function makeReader({ db }: Database): StoreReader {
  return readerOn(db.withTables<Tables>())
}

/** The reading side of the log's tables, on the database or inside one of its transactions. */
export function readerOn(db: Reader) {
  return { ...treeOn(db), ...eventsOn(db) }
}

/** The reads behind tiles, proofs and checkpoints. */
function treeOn(db: Reader) {
  return {
    async key(): Promise<KeyRow | undefined> {
      return db.selectFrom('audit_key').selectAll().executeTakeFirst()
    },
    async head(): Promise<HeadRow | undefined> {
      const row = await db.selectFrom('audit_head').select(['size', 'compact', 'checkpoint', 'mac']).executeTakeFirst()
      return row && headOf(row)
    },
    /** The hashes [start, start + count) of a tile level, as far as they exist without a gap. */
    async hashes(level: number, start: number, count: number): Promise<Buffer[]> {
      const rows =
        level === 0
          ? await db
              .selectFrom('audit_entry')
              .select(['idx', 'hash'])
              .where('idx', '>=', start)
              .where('idx', '<', start + count)
              .orderBy('idx')
              .execute()
          : await db
              .selectFrom('audit_node')
              .select(['idx', 'hash'])
              .where('level', '=', level)
              .where('idx', '>=', start)
              .where('idx', '<', start + count)
              .orderBy('idx')
              .execute()
      return gapless(rows, start).map(({ hash }) => hash)
    },
    /** The greatest time of an entry, of those from the newest entry with the code `since` on. */
    async newestTime(since: string): Promise<string | undefined> {
      const accepted = await db
        .selectFrom('audit_entry')
        .select('idx')
        .where('code', '=', since)
        .orderBy('idx', 'desc')
        .limit(1)
        .executeTakeFirst()
      let query = db.selectFrom('audit_entry').select('at').orderBy('at', 'desc').limit(1)
      if (accepted) query = query.where('idx', '>=', accepted.idx)
      return (await query.executeTakeFirst())?.at
    },
    async leaves(start: number, count: number): Promise<Buffer[]> {
      const rows = await db
        .selectFrom('audit_entry')
        .select(['idx', 'leaf'])
        .where('idx', '>=', start)
        .where('idx', '<', start + count)
        .orderBy('idx')
        .execute()
      return gapless(rows, start).map(({ leaf }) => leaf)
    },
  }
}

/** The reads behind search and single events. */
function eventsOn(db: Reader) {
  return {
    async entry(index: number): Promise<StoredEntry | undefined> {
      const row = await db
        .selectFrom('audit_entry')
        .select(['idx', 'leaf', 'hash', 'subject'])
        .where('idx', '=', index)
        .executeTakeFirst()
      if (!row) return undefined
      const [entry] = await withPayloads(db, [row])
      return entry
    },
    /** Newest first, unless `after` is given. */
    async search(filter: Filter): Promise<StoredEntry[]> {
      let query = db.selectFrom('audit_entry').select(['idx', 'leaf', 'hash', 'subject'])
      if (filter.subject !== undefined) query = query.where('subject', '=', filter.subject)
      if (filter.behalf !== undefined) query = query.where('behalf', '=', filter.behalf)
      if (filter.action !== undefined) query = query.where('action', '=', filter.action)
      if (filter.notAction !== undefined) query = query.where(sql<boolean>`action is distinct from ${filter.notAction}`)
      if (filter.code !== undefined) query = query.where('code', '=', filter.code)
      if (filter.outcome !== undefined) query = query.where('outcome', '=', filter.outcome)
      if (filter.resourceType !== undefined) query = query.where('resource_type', '=', filter.resourceType)
      if (filter.resourceIds !== undefined) query = query.where('resource_id', 'in', filter.resourceIds)
      if (filter.from !== undefined) query = query.where('at', '>=', filter.from)
      if (filter.to !== undefined) query = query.where('at', '<', filter.to)
      if (filter.before !== undefined) query = query.where('idx', '<', filter.before)
      if (filter.after !== undefined) query = query.where('idx', '>', filter.after)
      const order = filter.after === undefined ? 'desc' : 'asc'
      return withPayloads(db, await query.orderBy('idx', order).limit(filter.limit).execute())
    },
    /** Everything that a subject did, or had done for it: one row for each thing and action, the latest first. */
    async touched(subject: string, limit: number): Promise<TouchedRow[]> {
      const rows = await db
        .selectFrom('audit_entry')
        .select((eb) => [
          'resource_type as type',
          'resource_id as id',
          'action',
          eb.fn.countAll().as('entries'),
          sql<number>`sum(case when outcome = 'ok' then 1 else 0 end)`.as('succeeded'),
          sql<number>`sum(case when outcome <> 'ok' then 1 else 0 end)`.as('failed'),
          eb.fn.min('at').as('first'),
          eb.fn.max('at').as('last'),
          eb.fn.max('idx').as('lastIndex'),
        ])
        .where((eb) => eb.or([eb('subject', '=', subject), eb('behalf', '=', subject)]))
        .where('resource_type', 'is not', null)
        .groupBy(['resource_type', 'resource_id', 'action'])
        .orderBy('lastIndex', 'desc')
        .limit(limit)
        .execute()
      const numbers = ['entries', 'succeeded', 'failed', 'lastIndex'] as const
      return rows.map((row) => ({
        ...row,
        ...Object.fromEntries(numbers.map((n) => [n, Number(row[n])])),
      })) as TouchedRow[]
    },
    async subjectOf(principalId: string): Promise<SubjectRow | undefined> {
      return db.selectFrom('audit_subject').selectAll().where('principal_id', '=', principalId).executeTakeFirst()
    },
    async subjects(ids: readonly string[]): Promise<SubjectRow[]> {
      if (ids.length === 0) return []
      return db.selectFrom('audit_subject').selectAll().where('id', 'in', ids).execute()
    },
  }
}

async function withPayloads(
  db: Reader,
  rows: readonly { idx: number; leaf: Buffer; hash: Buffer; subject: string | null }[],
): Promise<StoredEntry[]> {
  if (rows.length === 0) return []
  const found = await db
    .selectFrom('audit_payload')
    .selectAll()
    .where(
      'idx',
      'in',
      rows.map(({ idx }) => idx),
    )
    .execute()
  const payloads = new Map(found.map(({ idx, salt, box }) => [Number(idx), { salt, box }]))
  return rows.map(({ idx, ...row }) => {
    const payload = payloads.get(Number(idx))
    return { index: Number(idx), ...row, ...(payload && { payload }) }
  })
}

/** A row missing in the middle ends what is read: a hash must never slip into another's place. */
function gapless<Row extends { idx: number }>(rows: readonly Row[], start: number): readonly Row[] {
  const gap = rows.findIndex(({ idx }, i) => Number(idx) !== start + i)
  return gap < 0 ? rows : rows.slice(0, gap)
}
