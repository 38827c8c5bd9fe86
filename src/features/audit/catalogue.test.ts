import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { testDoors } from '../../testing/doors.ts'
import { logActions } from './actions-log.ts'
import { catalogue } from './catalogue.ts'

const source = globSync('src/**/*.ts')
  .filter((file) => !file.endsWith('.test.ts') && !file.startsWith('src/testing/') && !file.endsWith('/catalogue.ts'))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n')
const codes = Object.keys(catalogue)

test('every code that the program records is in the catalogue, and every code of the catalogue is recorded (AUD-4)', () => {
  const recorded = [...source.matchAll(/\b(?:code|summary): '([a-z]+(?:\.[a-z-]+)+)'|event\(call, '([a-z.-]+)'/g)]
    .map(([, one, other]) => one ?? other ?? '')
    // The codes of other vocabularies have one word before the dot in capitals or none; these are ours.
    .filter((code) => /^(action|auth|login|setup|webhook|vault|server|log|audit)\./.test(code))

  assert.deepEqual(
    recorded.filter((code) => !codes.includes(code)),
    [],
  )
  assert.ok(recorded.length > 15, `${recorded.length} found`)
  assert.deepEqual(
    codes.filter((code) => !source.includes(`'${code}'`)),
    [],
  )
})

test('codes are lower case words joined by dots, short enough for a column, and are explained', () => {
  for (const [code, { title, means, fields }] of Object.entries(catalogue)) {
    assert.match(code, /^(?=.{3,64}$)[a-z]+(\.[a-z][a-z-]*)+$/)
    assert.ok(title.length > 8 && means.endsWith('.'), code)
    assert.equal(new Set<string>(fields).size, fields.length, code)
  }
})

test('every route and every action says which events it leaves, and all of them are in the catalogue (AUD-4)', () => {
  const { routes } = testDoors()
  for (const { method, path, events } of routes)
    assert.deepEqual(
      events.filter((code) => !codes.includes(code)),
      [],
      `${method} ${path}`,
    )
  const silent = routes.filter(({ events, public: isPublic }) => events.length === 0 && isPublic)
  assert.deepEqual(silent.map(({ path }) => path).sort(), [
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp',
    '/api/v1/openapi.json',
    '/docs/problems',
    '/health',
    '/livez',
    '/metrics',
    '/readyz',
    '/setup',
  ])
  for (const action of logActions({} as never))
    assert.deepEqual(
      (action.events ?? []).filter((code) => !codes.includes(code)),
      [],
      action.name,
    )
})
