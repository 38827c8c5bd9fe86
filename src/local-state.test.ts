import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspectLocally } from './local-state.ts'

function facts(t: TestContext, env: NodeJS.ProcessEnv, envFile = ''): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-local-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, '.env')
  writeFileSync(file, envFile, { mode: 0o600 })
  const all = inspectLocally({ ATLAS_DATA_DIR: join(folder, 'data'), ...env }, file)
  return Object.fromEntries(all.map(({ check, state, detail }) => [check, `${state}: ${detail}`]))
}

for (const [password, says] of [
  ['swordfish', /^warn: it must have at least 15 characters/],
  ['passwordpassword123', /^warn: it is too easy to guess/],
  ['kV3%2BqLr9tWz2xNpB7mHs', /^ok: long enough/],
  ['', /^ok: none in the address/],
] as const)
  test(`doctor judges the database password ${password === '' ? '(none)' : `of ${password.length} characters`} without showing it (claims: C47)`, (t) => {
    const url = `postgresql://atlas${password === '' ? '' : `:${password}`}@db.example.org/atlas`

    const fact = facts(t, { ATLAS_DATABASE_URL: url })['database password'] ?? ''

    assert.match(fact, says)
    assert.ok(password === '' || !fact.includes(password))
  })

test('doctor names the secrets that stand in .env as plain text (claims: D34)', (t) => {
  const found = facts(t, {}, 'ATLAS_API_TOKEN=Zk3vR8wQ2nT6yB1mX9cL5pHs7dF4gJ0a\nATLAS_PORT=9000\n')

  assert.match(found['plain secrets'] ?? '', /^warn: .* holds ATLAS_API_TOKEN as plain text/)
  assert.doesNotMatch(JSON.stringify(found), /Zk3vR8/)
  assert.equal(facts(t, {}, 'ATLAS_PORT=9000\n')['plain secrets'], undefined)
})

test('doctor says when a change of the root key has not come to its end (SEC-ENC-5)', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-local-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const env = { ATLAS_DATA_DIR: folder }
  const check = () => inspectLocally(env, '').find(({ check: name }) => name === 'change of the root key')

  assert.equal(check(), undefined)
  writeFileSync(join(folder, 'root.key.next'), '', { mode: 0o600 })

  assert.deepEqual(
    [check()?.state, check()?.detail.includes('root.key.next may be what opens the data')],
    ['warn', true],
  )
})

test('doctor says what it may not look at, and goes on', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atlas-local-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'data'), '')

  const found = facts(t, { ATLAS_DATA_DIR: join(folder, 'data') })

  assert.match(found['data'] ?? '', /^warn: not looked at: .*ENOTDIR/)
})
