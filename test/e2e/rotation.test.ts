import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { startNetbox } from '../../simulators/netbox/start.ts'
import { openSqlite } from '../../src/lib/db/database.ts'
import { readKeyFile } from '../../src/lib/root-key.ts'
import { newFolder, startAtlas } from '../../src/testing/server.ts'
import { connect } from './steps.ts'

// A credential's life on the command line: it becomes overdue, the next one is staged and promoted.

test('an overdue credential is named by doctor until the next one is promoted (claims: A8 A36)', async (t) => {
  const netbox = await startNetbox({ seed: 5, devices: 4, vms: 0 })
  t.after(netbox.stop)
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder })
  await connect(first, netbox, 'lab')
  const { stdout: fine } = await first.cli(['doctor'])
  assert.match(fine, /✔ secrets +none is to be changed soon/)
  await first.stop()
  await storedLongAgo(folder)

  const atlas = await startAtlas(t, { folder })
  const overdue = await atlas.cli(['doctor'])
  assert.match(overdue.stdout, /! secrets +overdue for a change: token of con_/)
  assert.match((await atlas.cli(['secrets', 'list', '--rotation', 'overdue'])).stdout, /OVERDUE 2026-/)
  const credential = (verb: string, ...more: string[]) =>
    atlas.cli(['connections', 'credential', verb, 'lab', ...more], { input: netbox.tokens.v2 })
  assert.match((await credential('stage', '--field', 'token', '--from-file', '-')).stdout, /Staged: token/)
  assert.equal((await credential('check')).code, 0)
  assert.match((await credential('promote')).stdout, /signs in with the new credential/)
  assert.match((await atlas.cli(['doctor'])).stdout, /✔ secrets /)
})

/** Nobody waits 90 days; the file says that they have passed. */
async function storedLongAgo(folder: string): Promise<void> {
  const key = readKeyFile(join(folder, 'data', 'root.key')).export()
  const database = openSqlite(join(folder, 'data', 'atlas.db'), key)
  await sql`update secret set remind_at = '2026-01-01T00:00:00.000Z', due_at = '2026-01-02T00:00:00.000Z'
    where due_at is not null`.execute(database.db)
  await database.close()
}
