import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { openSqlite, openSqliteReader } from './database.ts'
import { scrub } from './scrub.ts'

test('the write-ahead log is emptied, and while a backup reads nobody waits for it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-scrub-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [path, key] = [join(folder, 'a.db'), Buffer.alloc(32, 7)]
  const database = openSqlite(path, key)
  const logSize = () => statSync(`${path}-wal`).size
  await sql`create table box (value text)`.execute(database.db)
  await scrub(database)
  assert.equal(logSize(), 0)

  const reader = openSqliteReader(path, key)
  reader.prepare('begin').run()
  reader.prepare('select * from box').all()
  await sql`insert into box values ('one')`.execute(database.db)
  // How long the event loop stands still at most.
  let [last, longest] = [performance.now(), 0]
  const ticking = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  await scrub(database)
  clearInterval(ticking)
  assert.ok(longest < 1_000, `${longest} ms`)
  assert.ok(logSize() > 0)

  // The reader ends, and what could not be done then is done.
  reader.close()
  for (let i = 0; i < 200 && logSize() > 0; i++) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(logSize(), 0)
  await database.close()
})
