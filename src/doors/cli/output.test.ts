import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, cell, fields, table } from './output.ts'

const now = Date.parse('2026-11-26T12:00:00.000Z')
const columns = {
  name: (row: Record<string, unknown>) => row['name'],
  id: (row: Record<string, unknown>) => row['id'],
  about: (row: Record<string, unknown>) => row['about'],
}
const rows = [{ name: 'a-name-that-is-long', id: 'con_1m8asry0tpe9ma9p815nc3f7', about: 'one two three four five six' }]

test('a table that goes to a file is never cut', () => {
  assert.equal(
    table(rows, columns, '', Number.POSITIVE_INFINITY),
    [
      'NAME                 ID                            ABOUT',
      'a-name-that-is-long  con_1m8asry0tpe9ma9p815nc3f7  one two three four five six',
    ].join('\n'),
  )
})

test('on a narrow terminal the last column goes on below, others end with a sign, and ids stay whole', () => {
  assert.equal(
    table(rows, columns, '', 70),
    [
      'NAME            ID                            ABOUT',
      'a-name-that-i…  con_1m8asry0tpe9ma9p815nc3f7  one two three four five',
      '                                              six',
    ].join('\n'),
  )
})

test('a word longer than the last column is broken and not lost', () => {
  const text = table([{ text: 'x'.repeat(60) }], { text: (row) => row['text'] }, '', 24)
  assert.deepEqual(text.split('\n'), ['TEXT', 'x'.repeat(24), 'x'.repeat(24), 'x'.repeat(12)])
})

const shown: [unknown, string][] = [
  [null, '-'],
  ['', '-'],
  [[], '-'],
  [false, 'false'],
  [['a', 'b'], 'a, b'],
  ['2026-11-26T02:08:43.672Z', '2026-11-26 02:08:43Z'],
  ['2026-11-26', '2026-11-26'],
  [{ type: 'x', id: 7 }, 'type x, id 7'],
  ['red \u001b[31m \u202e', 'red �[31m �'],
]
test('a cell says a value in one line', () => {
  for (const [value, text] of shown) assert.equal(cell(value), text)
})

test('fields show what is inside a value below its name, and how far times are away', () => {
  const thing = {
    id: 'con_1',
    at: '2026-11-26T11:57:00.000Z',
    config: { url: 'https://a', 'na\u0007me': 1 },
    roles: [
      { role: 'admin', scope: '*' },
      { role: 'viewer', scope: 'x' },
    ],
    text: 'permit (\n  principal\n);\n',
    none: {},
  }
  assert.deepEqual(fields(thing, now).split('\n'), [
    'id    con_1',
    'at    2026-11-26 11:57:00Z (3 minutes ago)',
    'config',
    '  url    https://a',
    '  na�me  1',
    'roles',
    '  - role   admin',
    '    scope  *',
    '  - role   viewer',
    '    scope  x',
    'text',
    '  permit (',
    '    principal',
    '  );',
    'none  -',
  ])
})

test('times away from now', () => {
  const cases: [string, string][] = [
    ['2026-11-26T12:00:20.000Z', ' (now)'],
    ['2026-11-26T10:59:00.000Z', ' (1 hour ago)'],
    ['2027-02-24T12:00:00.000Z', ' (in 90 days)'],
    ['x', ''],
  ]
  for (const [at, text] of cases) assert.equal(ago(at, now), text)
})
