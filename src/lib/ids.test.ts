import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isId, newId } from './ids.ts'

test('an id has its kind, sorts by time, and is never the same twice', () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => newId('ast', 1_767_225_600_000 + Math.floor(i / 100)))
  assert.ok(ids.every(isId))
  assert.equal(new Set(ids).size, ids.length)
  const times = ids.map((id) => id.slice(0, 13))
  assert.deepEqual(times, times.toSorted())
})

test('only the form of an id is an id', () => {
  const good = newId('usr')
  const others = [
    '',
    'usr_',
    good.slice(1),
    `${good}0`,
    good.toUpperCase(),
    good.replace('usr', 'user'),
    `${good.slice(0, -1)}i`,
    'someone@example.org',
    `${good}\n`,
  ]
  assert.deepEqual(others.filter(isId), [])
})
