import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNarrower, TokenScope } from './scopes.ts'

test('a scope is an action, an area or an access word', () => {
  for (const scope of ['read', 'destroy', 'inventory.*', 'inventory.assets.search', 'netbox.device.set-status'])
    assert.equal(TokenScope.safeParse(scope).success, true, scope)
  for (const scope of [
    '',
    '*',
    'READ',
    'inventory',
    'inventory.assets.*',
    'a.b',
    'a.b.c.d',
    'read ',
    'inventory.*\n',
    '.*',
    '*.assets.search',
  ])
    assert.equal(TokenScope.safeParse(scope).success, false, JSON.stringify(scope))
})

const cases: readonly [wanted: readonly string[], held: readonly string[], narrower: boolean][] = [
  [['read'], ['read', 'write'], true],
  [['inventory.assets.search'], ['inventory.*'], true],
  [['inventory.*'], ['inventory.*'], true],
  [['inventory.*'], ['inventory.assets.search'], false],
  [['inventory.assets.search', 'vault.secrets.list'], ['inventory.*'], false],
  [['inventory.assets.search'], ['read'], false],
  [['read'], ['inventory.*'], false],
  [['inventoryx.assets.search'], ['inventory.*'], false],
]

test('scopes are narrower only when each is shown to be', () => {
  for (const [wanted, held, narrower] of cases) assert.equal(isNarrower(wanted, held), narrower, `${wanted} in ${held}`)
})
