import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readWorkbook, textOf } from '../../testing/workbook.ts'
import { csv } from './csv.ts'
import { jsonLines } from './json-lines.ts'
import { sheetName } from './sheet-name.ts'
import type { Cell, Column, Row, Sheet } from './table.ts'
import { xlsx } from './xlsx.ts'

const columns: readonly Column[] = [
  { key: 'name', title: 'Name', type: 'text', holds: 'name' },
  { key: 'memory', title: 'Memory (MiB)', type: 'number' },
  { key: 'managed', title: 'Managed', type: 'flag' },
  { key: 'seenAt', title: 'Last seen', type: 'time' },
]

function sheet(rows: readonly Row[], name = 'Assets', pageSize = 2): Sheet {
  return {
    name,
    columns,
    async *rows() {
      for (let at = 0; at < rows.length; at += pageSize) yield rows.slice(at, at + pageSize)
    },
  }
}

const names = (...all: readonly string[]) => sheet(all.map((name) => [name, null, null, null]))
const csvOf = async (...all: readonly string[]) =>
  (await textOf(csv(names(...all))))
    .split('\r\n')
    .slice(1, -1)
    .map((line) => line.slice(0, -3))

test('a table as CSV: a byte order mark, a header, CRLF, empty cells for nothing', async () => {
  const rows: Row[] = [
    ['web-1', 4096, true, '2026-01-01T00:00:00.000Z'],
    ['a "quoted", name', -1.5, false, null],
    [' spaced ', Number.NaN, null, null],
  ]

  assert.equal(
    await textOf(csv(sheet(rows))),
    '\uFEFFName,Memory (MiB),Managed,Last seen\r\n' +
      'web-1,4096,true,2026-01-01T00:00:00.000Z\r\n' +
      '"a ""quoted"", name",-1.5,false,\r\n' +
      '" spaced ",,,\r\n',
  )
})

const formulas: readonly [text: string, field: string][] = [
  ['=cmd|/c calc!A1', "'=cmd|/c calc!A1"],
  ['+1+1', "'+1+1"],
  ['-1+1', "'-1+1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['|x', "'|x"],
  ['%x', "'%x"],
  ['\t=1', `"'\t'=1"`],
  ['\r=1', `"'\r'=1"`],
  ['\n=1', `"'\n'=1"`],
  ['\tweb', `"'\tweb"`],
  [' =1', "' =1"],
  ['\u00a0=1', "'\u00a0=1"],
  ['\u200b=1', "'\u200b=1"],
  ['\u0001=1', "'\u0001=1"],
  ['＝1', "'＝1"],
  ['＋1', "'＋1"],
  ['－1', "'－1"],
  ['＠x', "'＠x"],
  ['a;=cmd|x', `"a;'=cmd|x"`],
  ['a\n@x', `"a\n'@x"`],
  ['"=1', '"""=1"'],
  ['web-01', 'web-01'],
  ['a=b', 'a=b'],
  ['user@example.net', 'user@example.net'],
  ['a; b', '"a; b"'],
]
test('no text of a CSV file begins like a formula, wherever a spreadsheet takes a cell to begin', async () => {
  for (const [text, field] of formulas) assert.deepEqual([text, ...(await csvOf(text))], [text, field])
})

test('a hostile title of a column is no formula either', async () => {
  const hostile: Sheet = { ...names(), columns: [{ key: 'x', title: '=1', type: 'number' }] }

  assert.equal(await textOf(csv(hostile)), "\uFEFF'=1\r\n")
})

test('a table as JSON Lines: one object a line, in Unicode, null for nothing', async () => {
  const rows: Row[] = [['=Zürich\n\u2028', 1, false, null], ['__proto__']]

  assert.equal(
    await textOf(jsonLines([sheet(rows)])),
    '{"name":"=Zürich\\n\u2028","memory":1,"managed":false,"seenAt":null}\n' +
      '{"name":"__proto__","memory":null,"managed":null,"seenAt":null}\n',
  )
})

test('of several tables each line of JSON Lines names its own', async () => {
  assert.equal(
    await textOf(jsonLines([sheet([['a', 1, null, null]], 'One'), sheet([['b', 2, null, null]], 'Two')])),
    '{"sheet":"One","name":"a","memory":1,"managed":null,"seenAt":null}\n' +
      '{"sheet":"Two","name":"b","memory":2,"managed":null,"seenAt":null}\n',
  )
})

test('a workbook has typed cells, a frozen bold header and a filter over exactly its rows', async () => {
  const rows: Row[] = [
    ['web-1', 4096, true, '2026-01-01T12:00:00.000Z'],
    ['', Number.POSITIVE_INFINITY, false, null],
    ['007', -1.5, null, 'not a time'],
    [null, null, null, '1850-01-01T00:00:00.000Z'],
  ]

  const book = await readWorkbook(xlsx([sheet(rows), sheet([], 'Empty')]))

  assert.deepEqual(book.sheets, [
    {
      name: 'Assets',
      frozen: 'A2',
      filter: 'A1:D5',
      rows: [
        ['text:Name', 'text:Memory (MiB)', 'text:Managed', 'text:Last seen'],
        ['text:web-1', 'number:4096', 'flag:1', 'time:46023.5'],
        ['', '', 'flag:0', ''],
        ['text:007', 'number:-1.5', '', 'text:not a time'],
        ['', '', '', 'text:1850-01-01T00:00:00.000Z'],
      ],
    },
    {
      name: 'Empty',
      frozen: 'A2',
      filter: 'A1:D1',
      rows: [['text:Name', 'text:Memory (MiB)', 'text:Managed', 'text:Last seen']],
    },
  ])
  assert.deepEqual(book.parts.toSorted(), [
    '[Content_Types].xml',
    '_rels/.rels',
    'xl/_rels/workbook.xml.rels',
    'xl/styles.xml',
    'xl/workbook.xml',
    'xl/worksheets/sheet1.xml',
    'xl/worksheets/sheet2.xml',
  ])
})

const texts: readonly [text: string, shown: string][] = [
  ['=cmd|/c calc!A1', '=cmd|/c calc!A1'],
  ['<script>&amp;"\'', '<script>&amp;"\''],
  [']]>', ']]>'],
  ['\0\u0001\u0008\u000b\u000c\u001fx\ufffe\uffff', 'x'],
  ['a\r\nb\tc', 'a\r\nb\tc'],
  ['half \ud83d of a pair', 'half \ufffd of a pair'],
  ['_x0041_ _X000d_ _x41_', '_x005F_x0041_ _x005F_X000d_ _x41_'],
  ['🚀 Zürich 検索', '🚀 Zürich 検索'],
  [' spaces ', ' spaces '],
  [`${'x'.repeat(32_766)}🚀`, `${'x'.repeat(32_766)}\ufffd`],
]
test('a text is a text in a workbook, whatever it says, and the XML stays well-formed', async () => {
  const book = await readWorkbook(xlsx([names(...texts.map(([text]) => text))]))

  assert.deepEqual(
    book.sheets[0]?.rows.slice(1).map(([cell]) => cell),
    texts.map(([, shown]) => `text:${shown}`),
  )
  assert.equal(book.hasFormula, false)
})

const splits: readonly [rows: number, parts: readonly number[]][] = [
  [0, [0]],
  [3, [3]],
  [4, [4]],
  [5, [4, 1]],
  [8, [4, 4]],
  [9, [4, 4, 1]],
]
test('rows beyond what a sheet can have go on in a further one, none twice and none lost', async () => {
  for (const pageSize of [1, 3, 4, 100])
    for (const [count, parts] of splits) {
      const rows = Array.from({ length: count }, (_, n): Row => [`n${n}`, n, null, null])

      const { sheets } = await readWorkbook(xlsx([sheet(rows, 'Assets', pageSize)], { sheetRows: 5 }))

      const what = `${count} rows in pages of ${pageSize}`
      assert.deepEqual(
        sheets.map(({ rows }) => rows.length - 1),
        parts,
        what,
      )
      assert.deepEqual(
        sheets.flatMap(({ rows }) => rows.slice(1).map(([cell]) => cell)),
        rows.map(([name]) => `text:${name}`),
        what,
      )
      assert.deepEqual(
        sheets.map(({ name }) => name),
        ['Assets', 'Assets 2', 'Assets 3'].slice(0, parts.length),
      )
    }
})

const long = 'x'.repeat(40)
const tabs: readonly [name: string, taken: readonly string[], tab: string][] = [
  ['Assets', [], 'Assets'],
  ['Assets', ['assets'], 'Assets 2'],
  ["a[b]:*?/\\'c", [], 'a b c'],
  ["'", [], 'Sheet'],
  ['', [], 'Sheet'],
  ['history', [], 'history 2'],
  [long, [], 'x'.repeat(31)],
  [long, ['x'.repeat(31)], `${'x'.repeat(29)} 2`],
  [long, ['x'.repeat(31), `${'X'.repeat(29)} 2`], `${'x'.repeat(29)} 3`],
  [`${'x'.repeat(30)}🚀`, [], 'x'.repeat(30)],
  ['a\u0000b', [], 'a b'],
]
test('the name of a tab has at most 31 characters, is allowed, and unlike the others', () => {
  for (const [name, taken, tab] of tabs) assert.deepEqual([name, sheetName(name, taken)], [name, tab])
})

async function* breaking(): AsyncGenerator<readonly Row[]> {
  yield [['a', 1, true, null]]
  throw new Error('the source broke')
}

test('a source that breaks breaks the file, in every format', async () => {
  const broken: Sheet = { name: 'Assets', columns, rows: breaking }
  for (const written of [csv(broken), jsonLines([broken]), xlsx([broken])])
    await assert.rejects(textOf(written), /the source broke/)
})

test('whoever stops reading a workbook stops its source', async () => {
  let ended = false
  const endless: Sheet = {
    name: 'Endless',
    columns,
    async *rows() {
      const page = Array.from({ length: 500 }, (): Row => [crypto.randomUUID(), 1, true, null])
      try {
        for (;;) yield page
      } finally {
        ended = true
      }
    },
  }
  let chunks = 0
  for await (const _ of xlsx([endless])) if (++chunks === 3) break

  for (let i = 0; i < 100 && !ended; i++) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(ended, true)
})

test('each cell of a column has the type that it has, not the one that the column says', async () => {
  const odd: Cell[] = ['12', 12, true, '2026-01-01T00:00:00Z']

  const { sheets } = await readWorkbook(xlsx([sheet([odd.toReversed()])]))

  assert.deepEqual(sheets[0]?.rows[1], ['text:2026-01-01T00:00:00Z', 'flag:1', 'number:12', 'text:12'])
})
