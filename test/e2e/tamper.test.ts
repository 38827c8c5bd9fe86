import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { type Db, openPostgres, openSqlite } from '../../src/lib/db/database.ts'
import { leafHash } from '../../src/lib/merkle.ts'
import { readKeyFile } from '../../src/lib/root-key.ts'
import { freshPostgresUrl } from '../../src/testing/databases.ts'
import { newFolder, startAtlas } from '../../src/testing/server.ts'

// AUD-2 on the command line: what somebody with the database did is named, and the command ends with 1. A rollback that nothing in the
// database can show is the witnesses' matter: src/features/audit/witness.test.ts.

const leafAt = async (db: Db, index: number): Promise<Buffer> => {
  const { rows } = await sql<{ leaf: Buffer }>`select leaf from audit_entry where idx = ${index}`.execute(db)
  assert.ok(rows[0], `there is an entry ${index}`)
  return Buffer.from(rows[0].leaf)
}
const write = (db: Db, index: number, leaf: Buffer) =>
  sql`update audit_entry set leaf = ${leaf}, hash = ${leafHash(leaf)} where idx = ${index}`.execute(db)

/** Each change, and the entry that must be named. */
const changes: readonly [string, (db: Db) => Promise<unknown>, number][] = [
  ['an edited entry', (db) => sql`update audit_entry set leaf = ${Buffer.from('{}')} where idx = 7`.execute(db), 7],
  ['a removed entry', (db) => sql`delete from audit_entry where idx = 5`.execute(db), 5],
  [
    'two entries that changed places',
    async (db) => {
      const [a, b] = [await leafAt(db, 10), await leafAt(db, 11)]
      await write(db, 10, b)
      await write(db, 11, a)
    },
    10,
  ],
  ['a hidden outcome', (db) => sql`update audit_entry set outcome = 'changed' where idx = 9`.execute(db), 9],
  ['a cut tail', (db) => sql`delete from audit_entry where idx >= 20`.execute(db), 20],
]

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  test(`${dialect}: after each change of the stored log, atlas audit verify ends with 1 and names the first bad entry (AUD-2)`, async (t) => {
    const folder = newFolder(t)
    const url = dialect === 'PostgreSQL' ? await freshPostgresUrl(t) : undefined
    const start = () => startAtlas(t, { folder, ...(url && { env: { ATLAS_DATABASE_URL: url } }) })
    const atlas = await start()
    await Promise.all(Array.from({ length: 20 }, () => atlas.api('GET', '/me')))
    assert.equal((await atlas.cli(['audit', 'verify'])).code, 0)
    const rootKey = readKeyFile(join(atlas.dataDir, 'root.key'))
    const { db, close } = url
      ? openPostgres({ url, maxConnections: 1 })
      : openSqlite(join(atlas.dataDir, 'atlas.db'), rootKey.export())
    t.after(close)

    for (const [what, change, index] of changes) {
      await sql`create table kept as select * from audit_entry`.execute(db)
      await change(db)

      const { code, stderr } = await atlas.cli(['audit', 'verify'])

      assert.equal(code, 1, what)
      assert.match(stderr, new RegExp(`does not verify: audit_entry ${index} `), what)
      await sql`insert into audit_entry select * from kept where idx not in (select idx from audit_entry)`.execute(db)
      await sql`update audit_entry set leaf = k.leaf, hash = k.hash, outcome = k.outcome from kept as k where k.idx = audit_entry.idx`.execute(
        db,
      )
      await sql`drop table kept`.execute(db)
    }
    const whole = await atlas.cli(['audit', 'verify'])
    assert.equal(whole.code, 0, whole.stderr)
  })
