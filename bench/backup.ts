import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Database, openPostgres, openSqlite } from '../src/lib/db/database.ts'
import { startPostgres } from '../src/testing/postgres.ts'
import { note, type Print, quantile, round } from './line.ts'
import { type Started, startAtlas } from './process.ts'

const token = `bench-${randomBytes(24).toString('base64url')}`
const everyMs = 20

/**
 * How long the requests of others wait while a backup of `rows` rows is made, held against the same without one. One read and one
 * recorded write in turn, fifty each second, whatever the answers take.
 */
export async function benchBackup(print: Print, { rows }: { rows: number }): Promise<void> {
  await one(print, 'SQLite', rows)
  const postgres = await startPostgres({ durable: true })
  try {
    await one(print, 'PostgreSQL', rows, postgres.url)
  } finally {
    await postgres.stop()
  }
}

async function one(print: Print, name: string, rows: number, url?: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-backup-'))
  const rootKey = randomBytes(32)
  const env = {
    ATLAS_SECRET_KEY: rootKey.toString('base64'),
    ATLAS_API_TOKEN: token,
    ATLAS_RATE_LIMIT_RPM: '1000000',
    ...(url !== undefined && { ATLAS_DATABASE_URL: url }),
  }
  const path = join(folder, 'data', 'atlas.db')
  try {
    await (await startAtlas(folder, env)).stop()
    note(`backup: filling ${name}`)
    await fillUp(url === undefined ? openSqlite(path, rootKey) : openPostgres({ url }), rows)
    const server = await startAtlas(folder, env)
    await load(server, sleep(2_000))
    const without = await load(server, sleep(8_000))
    let made: Made = { bytes: 0, rows: 0, millis: 0 }
    const during = await load(
      server,
      backUp(server).then((answer) => {
        made = answer
      }),
    )
    await server.stop()
    if (url === undefined)
      print({ figure: 'backup: SQLite file', value: round(statSync(path).size / 1e6, 1), unit: 'MB' })
    print({ figure: `backup: ${name}`, value: round(made.millis / 1000), unit: 's' })
    print({ figure: `backup: ${name}, rows`, value: Math.round((made.rows / made.millis) * 1000), unit: 'rows/s' })
    print({ figure: `backup: ${name}, file`, value: round(made.bytes / 1e6, 1), unit: 'MB' })
    for (const share of [0.5, 0.95, 0.99])
      print({
        figure: `backup: ${name}, requests meanwhile p${share * 100}`,
        value: round(quantile(during, share), 1),
        unit: 'ms',
        against: `without a backup: ${round(quantile(without, share), 1)} ms`,
        ratio: round(quantile(during, share) / quantile(without, share)),
      })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function fillUp(database: Database, rows: number): Promise<void> {
  const text = database.dialect === 'sqlite' ? sql`hex(randomblob(150))` : sql`repeat(md5(i::text), 9)`
  await sql`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${sql.lit(rows)})
    insert into asset_change (seq, at, what, fields) select i, '2026-01-01', 'x', ${text} from n`.execute(database.db)
  await database.close()
}

/** Milliseconds that each request took, until `end`. */
async function load({ url }: Started, end: Promise<unknown>): Promise<number[]> {
  const took: number[] = []
  let isOver = false
  void end.finally(() => {
    isOver = true
  })
  const running: Promise<void>[] = []
  for (let i = 0; !isOver; i++) {
    running.push(timed(url, i, took))
    await sleep(everyMs)
  }
  await Promise.all(running)
  await end
  return took
}

async function timed(url: string, i: number, took: number[]): Promise<void> {
  const began = performance.now()
  const { status } = await (i % 2 === 0
    ? ask(url, 'GET', '/assets')
    : ask(url, 'POST', '/secrets', { name: `s${randomBytes(9).toString('hex')}`, value: 'v' }))
  if (status >= 300) throw new Error(`A request was answered ${status}`)
  took.push(performance.now() - began)
}

async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

type Made = { bytes: number; rows: number; millis: number }

async function backUp({ url }: Started): Promise<Made> {
  const { id } = (await ask(url, 'POST', '/backups', {})).body as { id: string }
  for (;;) {
    const view = (await ask(url, 'GET', `/backups/${id}`)).body as Record<string, string> & Made
    const { state, startedAt = '', endedAt = '' } = view
    if (state === 'failed') throw new Error(`The backup failed: ${view['problem']}`)
    if (state === 'ready')
      return { bytes: view.bytes, rows: view.rows, millis: Date.parse(endedAt) - Date.parse(startedAt) }
    await sleep(200)
  }
}
