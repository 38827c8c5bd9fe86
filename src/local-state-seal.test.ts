import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspectLocally } from './local-state.ts'

test('doctor sees whether the root key of a seal is wrapped, and one that still lies in the clear', (t) => {
  const data = mkdtempSync(join(tmpdir(), 'atlas-doctor-'))
  t.after(() => rmSync(data, { recursive: true, force: true }))
  chmodSync(data, 0o700)
  const env = {
    ATLAS_DATA_DIR: data,
    ATLAS_SEAL: 'transit',
    ATLAS_TRANSIT_URL: 'https://bao.example',
    ATLAS_TRANSIT_KEY: 'atlas',
    ATLAS_TRANSIT_TOKEN: 'any',
  }
  const seen = () => {
    const fact = inspectLocally(env, join(data, 'no.env')).find(({ check }) => check === 'root key')
    return [fact?.state, fact?.detail.replace(data, '')]
  }

  assert.deepEqual(seen(), ['warn', '/root.sealed does not exist yet. The first start makes it, or: atlas vault seal'])
  writeFileSync(join(data, 'root.sealed'), '{}')
  assert.deepEqual(seen(), ['ok', '/root.sealed, wrapped by transit'])
  writeFileSync(join(data, 'root.key'), '', { mode: 0o600 })
  assert.deepEqual(seen(), ['warn', 'it lies in the clear beside the data, and a seal is configured. Remove the file'])
})
