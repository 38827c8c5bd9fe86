import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'
import { assertLogVerifies } from './steps.ts'

test('atlas incident rotate-all lists what is left until all is done, and says so by its exit code (claims: A42 D34)', async (t) => {
  const folder = newFolder(t)
  const env = { ATLAS_SECRET_KEY_FILE: join(folder, 'a.key') }
  const make = await runAtlas(['secrets', 'gen'], { folder })
  assert.equal(make.code, 0)
  writeFileSync(env.ATLAS_SECRET_KEY_FILE, make.stdout, { mode: 0o600 })
  const before = await startAtlas(t, { folder, env })
  const { id } = await before.api<{ id: string }>('POST', '/secrets', { name: 'switch-login', value: 'value one' })

  const none = await before.cli(['incident', 'rotate-all'])
  assert.deepEqual([none.code, /Say what happened with --reason/.test(none.stderr)], [2, true], none.stderr)
  const opened = await before.cli(['incident', 'rotate-all', '--reason', 'the key was in a ticket'])
  assert.equal(opened.code, 1, opened.stderr)
  assert.match(opened.stdout, /✖ a new root key\. Run: atlas vault rekey/)
  assert.match(opened.stdout, /✔ everything sealed under new keys/)
  assert.match(opened.stdout, /switch-login/)
  const refused = await before.cli(['incident', 'close'])
  assert.deepEqual([refused.code, /root key is still the same/.test(refused.stderr)], [1, true], refused.stderr)
  const doctor = await before.cli(['doctor'])
  assert.match(doctor.stdout, /! incident .*1 of 1 secrets wait/)
  await before.api('POST', `/secrets/${id}/versions`, { value: 'value two' })
  await before.stop()

  const rekeyed = await runAtlas(
    ['vault', 'rekey', '--old-key-file', env.ATLAS_SECRET_KEY_FILE, '--new-key-file', join(folder, 'b.key')],
    { folder, env: { ATLAS_DATA_DIR: before.dataDir } },
  )
  assert.equal(rekeyed.code, 0, rekeyed.stderr)
  const after = await startAtlas(t, { folder, env: { ATLAS_SECRET_KEY_FILE: join(folder, 'b.key') } })
  const done = await after.cli(['incident', 'rotate-all'])
  assert.deepEqual([done.code, (done.stdout.match(/✔/g) ?? []).length], [0, 3], done.stdout + done.stderr)
  const closed = await after.cli(['incident', 'close'])
  assert.equal(closed.code, 0, closed.stderr)
  assert.match((await after.cli(['incident', 'status'])).stdout, /No incident is open/)
  await assertLogVerifies(t, after)
})
