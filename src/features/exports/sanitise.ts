import { createHmac, randomBytes } from 'node:crypto'
import type { Cell, Column, Row, Sheet } from './table.ts'

/**
 * The same tables without what names the estate. Only what a column declares harmless passes: words of its list, numbers, times,
 * flags. Names, addresses and serials become pseudonyms, the same for the same value all through one export; free text is left
 * out. The key is made for the export and forgotten with it, so two exports cannot be joined, and no pseudonym can be tried out.
 */
export function sanitised(sheets: readonly Sheet[]): Sheet[] {
  const key = randomBytes(32)
  const digest = (kind: string, value: string) => createHmac('sha256', key).update(`${kind}\0${value}`).digest()
  return sheets.map(({ name, columns, rows }) => {
    const kept = columns.map((column, at) => ({ column, at })).filter(({ column }) => passes(column))
    return {
      name,
      columns: kept.map(({ column }) => column),
      async *rows() {
        for await (const page of rows())
          yield page.map((row): Row => kept.map(({ column, at }) => harmless(row[at] ?? null, column, digest)))
      },
    }
  })
}

type Digest = (kind: string, value: string) => Buffer

function passes(column: Column): boolean {
  return column.type !== 'text' || column.holds !== 'free'
}

/** A cell that is not what its column says is left out: the declaration is all that vouches for it. */
function harmless(cell: Cell, column: Column, digest: Digest): Cell {
  if (column.type !== 'text') return fits[column.type](cell) ? cell : null
  if (typeof cell !== 'string' || cell === '') return null
  if (column.holds === 'label') return column.words.has(cell) ? cell : null
  if (column.holds === 'address') return addresses(cell, digest)
  // One machine is written in many ways: with capitals, and with spaces around it.
  return `${column.holds}-${digest(column.holds, cell.trim().toLowerCase()).toString('hex', 0, 8)}`
}

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/
const fits = {
  number: (cell: Cell) => typeof cell === 'number',
  flag: (cell: Cell) => typeof cell === 'boolean',
  time: (cell: Cell) => typeof cell === 'string' && time.test(cell),
}

/** Each address of a list on its own, without its mask. */
function addresses(list: string, digest: Digest): string {
  const each = list.split(/[\s,]+/).filter((text) => text !== '')
  return each.map((text) => addressOf(text, digest('address', text.replace(/\/\d+$/, '').toLowerCase()))).join(', ')
}

/** An address that is nobody's: of 240.0.0.0/4, reserved (RFC 1112), or 2001:db8::/32, for documents (RFC 3849). */
function addressOf(text: string, digest: Buffer): string {
  if (text.includes(':'))
    return `2001:db8:${[0, 2, 4, 6].map((at) => digest.readUInt16BE(at).toString(16)).join(':')}::1`
  const [a = 0, ...rest] = digest.subarray(0, 4)
  return [240 + (a % 15), ...rest].join('.')
}
