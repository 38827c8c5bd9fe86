import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Database, openPostgres, openSqlite } from '../../lib/db/database.ts'
import { migrate } from '../../lib/db/migrate.ts'
import { checkLog } from '../../testing/check-log.ts'
import { freshPostgresUrl, testRootKey } from '../../testing/databases.ts'
import { openLog } from './log.ts'
import { auditMigrations } from './migrations.ts'

// A process that appends from 40 lanes at once and prints each index as soon as it is acknowledged.
const appender = `
  import { writeSync } from 'node:fs'
  import { openPostgres, openSqlite } from '${new URL('../../lib/db/database.ts', import.meta.url)}'
  import { testRootKey } from '${new URL('../../testing/databases.ts', import.meta.url)}'
  import { openLog } from '${new URL('./log.ts', import.meta.url)}'
  const where = process.argv[1]
  const database = where.startsWith('postgres') ? openPostgres({ url: where }) : openSqlite(where, testRootKey.export())
  const log = await openLog({ database, rootKey: testRootKey, now: () => new Date() })
  const lane = async (n) => {
    for (let i = 0; ; i++) {
      const { index } = await log.append({ code: 'action.started', principal: { id: 'user' + (n % 7) + i % 50, kind: 'user', name: 'Ada' } })
      writeSync(1, index + '\\n')
      if (index % 100 === 0) await log.checkpoint()
    }
  }
  await Promise.all(Array.from({ length: 40 }, (_, n) => lane(n)))
`

/** Starts the appender, kills it hard after a random while, and returns what it acknowledged. */
async function appendUntilKilled(where: string): Promise<number[]> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', appender, where], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: number[] = []
  const lines = createInterface({ input: child.stdout })
  const first = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      acknowledged.push(Number(line))
      resolve()
    })
  })
  const closed = new Promise<void>((resolve) => lines.once('close', resolve))
  await Promise.race([first, closed])
  await setTimeout(20 + Math.random() * 400)
  child.kill('SIGKILL')
  await closed
  return acknowledged
}

async function fiveCrashes(where: string, open: () => Database, t: TestContext): Promise<void> {
  const database = open()
  await migrate(database, auditMigrations, () => new Date())
  await database.close()
  const acknowledged = new Set<number>()
  for (let round = 0; round < 5; round++) {
    const indexes = await appendUntilKilled(where)
    assert.ok(indexes.length > 0, 'the process acknowledged nothing')
    // An index given twice would be an entry lost and overwritten.
    for (const index of indexes) {
      assert.ok(!acknowledged.has(index), `index ${index} was given twice`)
      acknowledged.add(index)
    }
    const reopened = open()
    try {
      const { size } = await checkLog(reopened, testRootKey)
      assert.ok(size > Math.max(...acknowledged), `${size} entries, but ${Math.max(...acknowledged)} was acknowledged`)
    } finally {
      await reopened.close()
    }
  }
  const last = open()
  t.after(() => last.close())
  const log = await openLog({ database: last, rootKey: testRootKey, now: () => new Date() })
  assert.equal((await log.append({ code: 'server.started' })).index, log.size() - 1)
  t.diagnostic(`${acknowledged.size} acknowledged in five crashes, ${log.size()} in the log`)
}

test('what was acknowledged survives kill -9, and the log verifies (SQLite) (claims: C25)', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-crash-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'atlas.db')
  await fiveCrashes(path, () => openSqlite(path, testRootKey.export()), t)
})

test('what was acknowledged survives kill -9, and the log verifies (PostgreSQL) (claims: C25)', async (t) => {
  const url = await freshPostgresUrl(t)
  await fiveCrashes(url, () => openPostgres({ url, maxConnections: 4 }), t)
})
