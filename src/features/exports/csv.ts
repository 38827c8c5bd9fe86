import type { Cell, Sheet } from './table.ts'

/**
 * RFC 4180 in UTF-8 with a byte order mark, which spreadsheets need to see the encoding. Text that a spreadsheet would take for
 * a formula gets an apostrophe in front (OWASP, CSV injection): what a system calls a machine must not run on a desk.
 */
export async function* csv({ columns, rows }: Sheet): AsyncGenerator<string> {
  yield `\uFEFF${columns.map(({ title }) => field(title)).join(',')}\r\n`
  for await (const page of rows()) {
    let text = ''
    for (const row of page) text += `${row.map(field).join(',')}\r\n`
    yield text
  }
}

function field(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'string') return quoted(harmless(cell))
  return typeof cell === 'number' && !Number.isFinite(cell) ? '' : String(cell)
}

/**
 * Leading spaces, control characters and invisible ones do not stop a spreadsheet from seeing a formula; and where the list
 * separator is not the comma, it sees a cell begin after each `;`, tab or line break inside the quotes.
 */
function harmless(text: string): string {
  const cells = text.split(/(?<=[;\t\r\n])/).map((cell) => (formula.test(cell) ? `'${cell}` : cell))
  return /^[\t\r\n]/.test(text) ? `'${cells.join('')}` : cells.join('')
}

const formula = /^[\s\p{Cc}\p{Cf}]*[=+\-@|%＝＋－＠]/u

function quoted(text: string): string {
  return /[",\r\n;\t]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text
}
