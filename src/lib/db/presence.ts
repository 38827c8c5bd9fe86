import { hkdfSync } from 'node:crypto'
import { chmodSync } from 'node:fs'
import SqliteDatabase from 'better-sqlite3-multiple-ciphers'
import pg from 'pg'
import { type PostgresTarget, postgresOptions } from './database.ts'

/** Somebody else works with the data. */
export class InUse extends Error {
  constructor() {
    super('another Atlas process works with this data')
    this.name = 'InUse'
  }
}

// One number that every process of this version and later ones asks the same PostgreSQL for.
const lockNumber = Buffer.from(hkdfSync('sha256', 'atlas/presence', '', '', 8))
  .readBigInt64BE()
  .toString()

// Kept here because a lock that nobody refers to is collected, and ends without a word.
const held = new Set<SqliteDatabase.Database>()

/**
 * Holds a folder until `release`, or the end of the process however it ends: the kernel lets go of the lock. Throws `InUse`
 * at once when another process holds it.
 */
export function holdFolder(path: string): { release: () => void } {
  const native = new SqliteDatabase(path, { timeout: 0 })
  try {
    chmodSync(path, 0o600)
    native.pragma('locking_mode = exclusive')
    native.prepare('begin exclusive').run()
  } catch (error) {
    native.close()
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw new InUse()
    throw error
  }
  held.add(native)
  return {
    release() {
      held.delete(native)
      native.close()
    },
  }
}

type Hold = PostgresTarget & {
  /** Servers are many, whoever changes the root key is alone. */
  readonly mode: 'shared' | 'exclusive'
  /** The connection was lost and another process took the place meanwhile. */
  readonly onTaken?: () => void
}

/** To be alone for a while with what is held in common. */
export type Alone = {
  /** Throws `InUse` when another process holds the data too; while `run` runs no other can begin to. */
  alone<T>(run: (isStillAlone: () => Promise<boolean>) => Promise<T>): Promise<T>
}

/** The same for a PostgreSQL database, on a connection of its own. A connection that drops is made anew. */
export async function holdPostgres({
  mode,
  onTaken = () => {},
  ...target
}: Hold): Promise<Alone & { release: () => Promise<void> }> {
  const take = mode === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let isReleased = false

  async function hold(): Promise<void> {
    const next = new pg.Client({ ...postgresOptions(target), keepAlive: true })
    next.on('error', () => {})
    try {
      await next.connect()
      const { rows } = await next.query<{ ok: boolean }>(`select ${take}(${lockNumber}) as ok`)
      if (!rows[0]?.ok) throw new InUse()
    } catch (error) {
      await next.end().catch(() => {})
      throw error
    }
    client = next
    next.once('end', () => {
      client = undefined
      if (!isReleased) again()
    })
  }

  function again(): void {
    timer = setTimeout(() => {
      hold().catch((error: unknown) => (error instanceof InUse ? onTaken() : again()))
    }, 1000)
    timer.unref()
  }

  /**
   * The session asks for the same lock alone: its own shared one does not stand in the way, each other process's does, and
   * later ones find it taken. So no moment is without a lock, and no process can come in between.
   */
  async function alone<T>(run: (isStillAlone: () => Promise<boolean>) => Promise<T>): Promise<T> {
    const session = client
    if (!session) throw new InUse()
    const { rows } = await session.query<{ ok: boolean }>(`select pg_try_advisory_lock(${lockNumber}) as ok`)
    if (!rows[0]?.ok) throw new InUse()
    try {
      // The lock lasts as long as its session.
      return await run(async () => client === session && (await answers(session)))
    } finally {
      await session.query(`select pg_advisory_unlock(${lockNumber})`).catch(() => {})
    }
  }

  await hold()
  return {
    alone,
    async release() {
      isReleased = true
      clearTimeout(timer)
      await client?.end()
    },
  }
}

async function answers(session: pg.Client): Promise<boolean> {
  return session.query('select 1').then(
    () => true,
    () => false,
  )
}
