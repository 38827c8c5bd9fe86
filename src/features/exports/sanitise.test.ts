import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sanitised } from './sanitise.ts'
import type { Cell, Column, Row, Sheet } from './table.ts'

const columns: readonly Column[] = [
  { key: 'name', title: 'Name', type: 'text', holds: 'name' },
  { key: 'serial', title: 'Serial', type: 'text', holds: 'serial' },
  { key: 'addresses', title: 'Addresses', type: 'text', holds: 'address' },
  { key: 'status', title: 'Status', type: 'text', holds: 'label', words: new Set(['active']) },
  { key: 'memory', title: 'Memory', type: 'number' },
  { key: 'managed', title: 'Managed', type: 'flag' },
  { key: 'seenAt', title: 'Seen', type: 'time' },
  { key: 'note', title: 'Note', type: 'text', holds: 'free' },
]

async function rowsOf(...sheets: Sheet[]): Promise<Row[][]> {
  const all: Row[][] = []
  for (const { rows } of sanitised(sheets)) all.push((await Array.fromAsync(rows())).flat())
  return all
}

const sheet = (...rows: Row[]): Sheet => ({
  name: 'Assets',
  columns,
  async *rows() {
    yield rows
  },
})

test('a sanitised row has pseudonyms, what is harmless, and no free text', async () => {
  const row = ['web-1', 'S1', '10.0.0.1/24, 2001:db8:1::1', 'active', 8, true, '2026-01-01T00:00:00.000Z', 'note']
  const [shown] = sanitised([sheet()])

  const [[cells = []] = []] = await rowsOf(sheet(row))

  assert.equal(
    shown?.columns.some(({ key }) => key === 'note'),
    false,
  )
  assert.match(String(cells[0]), /^name-[0-9a-f]{16}$/)
  assert.match(String(cells[1]), /^serial-[0-9a-f]{16}$/)
  assert.match(String(cells[2]), /^2[45]\d(\.\d{1,3}){3}, 2001:db8(:[0-9a-f]{1,4}){4}::1$/)
  assert.deepEqual(cells.slice(3), ['active', 8, true, '2026-01-01T00:00:00.000Z'])
})

test('one value has one pseudonym in all tables of an export, however it is written, and another in the next export', async () => {
  const one = ['WEB-1 ', 'S1', '10.0.0.1/24'] as const
  const two = ['web-1', 'S1', '10.0.0.1, 10.0.0.1/32'] as const
  const pad = (row: readonly Cell[]): Row => [...row, null, null, null, null, null]

  const [[first], [second]] = (await rowsOf(sheet(pad(one)), sheet(pad(two)))) as [[Row], [Row]]
  const [[again]] = (await rowsOf(sheet(pad(one)))) as [[Row]]

  assert.deepEqual([first[0], first[1]], [second[0], second[1]])
  assert.equal(second[2], `${first[2]}, ${first[2]}`)
  for (const at of [0, 1, 2]) assert.notEqual(first[at], again[at])
})

test('a name and a serial that are the same text are not shown to be', async () => {
  const [[row]] = (await rowsOf(sheet(['X1', 'X1', 'X1', null, null, null, null, null]))) as [[Row]]

  const [name, serial] = row.map((cell) => String(cell).replace(/^\w+-/, ''))
  assert.notEqual(name, serial)
})

const misfits: readonly [title: string, at: number, cell: Cell][] = [
  ['a text in a column of numbers', 4, 'canary'],
  ['a text in a column of flags', 5, 'canary'],
  ['a text in a column of times', 6, 'canary'],
  ['a time with something behind it', 6, '2026-01-01T00:00:00Z canary'],
  ['a time of another zone', 6, '2026-01-01T00:00:00+01:00'],
  ['a number in a column of times', 6, 12],
  ['a word that is not on the list', 3, 'canary'],
  ['a listed word in capitals', 3, 'ACTIVE'],
  ['a number in a column of labels', 3, 12],
  ['a number in a column of names', 0, 10_000_001],
  ['an empty text', 0, ''],
]
for (const [title, at, cell] of misfits)
  test(`${title} is left out`, async () => {
    const row: Cell[] = columns.map(() => null)
    row[at] = cell

    assert.deepEqual(await rowsOf(sheet(row)), [[columns.slice(0, -1).map(() => null)]])
  })

test('what is in a column of addresses and is none becomes one all the same', async () => {
  const [[row]] = (await rowsOf(
    sheet([null, null, 'canary.example.net 00:50:56:ab:cd:ef', null, null, null, null, null]),
  )) as [[Row]]

  assert.match(String(row[2]), /^2[45]\d(\.\d{1,3}){3}, 2001:db8(:[0-9a-f]{1,4}){4}::1$/)
})
