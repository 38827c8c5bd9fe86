import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestTarget } from './http-path.ts'

const good: readonly (readonly [string, string])[] = [
  ['/api/devices/', '/base/api/devices/'],
  ['/', '/base/'],
  ['/api/devices/a%20b/', '/base/api/devices/a%20b/'],
  ['/api/devices/a%2Fb/', '/base/api/devices/a%2Fb/'],
  ['/api/100%25/', '/base/api/100%25/'],
  ['/api/..a/b..', '/base/api/..a/b..'],
]
const bad: readonly string[] = [
  '',
  'api/devices',
  '//evil.example.org/x',
  '/api//x',
  'https://evil.example.org/',
  '/api\\x',
  '/api/../admin',
  '/api/..',
  '/api/./x',
  '/api/%2e%2e/admin',
  '/api/%2E./admin',
  '/api/%252e%252e/admin',
  '/api/a%2f..%2fadmin',
  '/api/..%5cadmin',
  '/api/..;/admin',
  '/api/x?y=1',
  '/api/x#y',
  '/api/x\r\nhost: evil',
  '/api/x%0d%0ahost: evil',
  '/api/x%00',
  '/api/x y',
  '/api/é',
  '/api/%zz',
]

test('a path stays below the base path', () => {
  assert.deepEqual(
    good.map(([path]) => [path, requestTarget('/base', path)]),
    good,
  )
})

test('a path that could climb out, start a query or split the request is refused', () => {
  for (const path of bad) assert.throws(() => requestTarget('/base', path), { type: 'invalid-input' }, path)
})

test('query values are encoded, lists repeat, undefined is left out', () => {
  const query = { name: 'a&b=c', id: [1, 2], none: undefined, exact: true }
  assert.equal(requestTarget('', '/x', query), '/x?name=a%26b%3Dc&id=1&id=2&exact=true')
})
