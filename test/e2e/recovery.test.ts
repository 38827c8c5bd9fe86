import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { newFolder, runAtlas, startAtlas } from '../../src/testing/server.ts'

// The key is lost; some people come with their shares.

test('without its root key nothing opens; with enough shares of the kit everything does (claims: A41)', async (t) => {
  const folder = newFolder(t)
  const first = await startAtlas(t, { folder })
  const { id } = await first.api<{ id: string }>('POST', '/secrets', { name: 'token', value: 'kept value' })
  await first.stop()
  const rootKey = join(folder, 'data', 'root.key')
  const lost = readFileSync(rootKey, 'utf8').trim()
  const share = (n: number) => join(folder, 'kit', `share-${n}.txt`)
  const vault = async (...args: string[]) => {
    const { code, stdout, stderr } = await runAtlas(['vault', ...args], {
      folder,
      env: { ATLAS_DATA_DIR: join(folder, 'data') },
    })
    assert.ok(!(stdout + stderr).includes(lost.replace('=', '')), 'the root key was printed')
    return [code, stdout + stderr] as const
  }

  assert.equal((await vault('recovery-kit', join(folder, 'kit'), '--shares', '4', '--threshold', '3'))[0], 0)
  assert.deepEqual(readdirSync(join(folder, 'kit')).length, 4)
  assert.equal(statSync(share(1)).mode & 0o777, 0o600)
  assert.match((await vault('recovery-kit', join(folder, 'kit')))[1], /exists already/)
  assert.match((await vault('verify-recovery', share(4), share(1), share(3)))[1], /verified +true/)
  assert.match(
    (await vault('verify-recovery', share(4), share(1), share(4)))[1],
    /3 different shares are needed, and these are 2/,
  )
  renameSync(rootKey, join(folder, 'gone'))
  const without = await runAtlas(['serve'], { folder, env: { ATLAS_PORT: '0', ATLAS_DATA_DIR: join(folder, 'data') } })
  assert.deepEqual([without.code, /unknown key/.test(without.stderr)], [2, true])
  const [, fingerprint = '', threshold = '', , y = ''] = readFileSync(share(2), 'utf8').trim().split(' ')
  const damaged = join(folder, 'damaged.txt')
  writeFileSync(damaged, `atlas-share-1 ${fingerprint} ${threshold} 3 ${y}\n`)
  const [code, text] = await vault('recover', share(1), share(2), damaged, '--key-file', rootKey)
  assert.deepEqual([code, /at least one of them is damaged/.test(text)], [1, true])
  assert.equal((await vault('recover', share(1), share(2), share(4), '--key-file', rootKey))[0], 0)
  assert.match((await vault('recover', share(1), share(2), share(4), '--key-file', rootKey))[1], /exists already/)

  assert.equal(readFileSync(rootKey, 'utf8').trim(), lost)
  assert.equal(statSync(rootKey).mode & 0o777, 0o600)
  const again = await startAtlas(t, { folder })
  assert.equal((await again.api<{ version: number }>('GET', `/secrets/${id}`)).version, 1)
})
