import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { holdFolder, InUse } from './presence.ts'

const holder = `
  import { holdFolder } from '${new URL('./presence.ts', import.meta.url)}'
  holdFolder(process.argv[1])
  process.stdout.write('held')
  setInterval(() => {}, 1000)
`

test('a second process is refused while the first lives, and served after it was killed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-alone-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'lock')
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', holder, path])
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')

  assert.throws(() => holdFolder(path), InUse)
  child.kill('SIGKILL')
  await once(child, 'close')
  const held = holdFolder(path)
  assert.throws(() => holdFolder(path), InUse)
  held.release()
  holdFolder(path).release()
})
