import type { Cell, Column, Row } from './table.ts'

export const declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
export const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'

const longestText = 32_767
const styles = { header: 1, time: 2 } as const

/** Rows one by one from pages, so that a sheet can end in the middle of one. */
export type Reader = ReturnType<typeof makeReader>
export function makeReader(rows: AsyncIterable<readonly Row[]>) {
  const pages = rows[Symbol.asyncIterator]()
  let waiting: readonly Row[] = []
  return {
    async hasMore(): Promise<boolean> {
      while (waiting.length === 0) {
        const next = await pages.next()
        if (next.done) return false
        waiting = next.value
      }
      return true
    },
    take(most: number): readonly Row[] {
      const taken = waiting.slice(0, most)
      waiting = waiting.slice(most)
      return taken
    },
    async close(): Promise<void> {
      await pages.return?.()
    },
  }
}

/** One sheet, its header frozen. Texts are inline: nothing is collected for a shared table, and no text can be a formula. */
export async function* sheetXml(columns: readonly Column[], reader: Reader, rows: number): AsyncGenerator<string> {
  yield `${declaration}<worksheet xmlns="${main}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>${columns.map(columnXml).join('')}</cols><sheetData>`
  yield `<row>${columns.map(({ title }) => textCell(title, styles.header)).join('')}</row>`
  let used = 1
  while (used < rows && (await reader.hasMore())) {
    const page = reader.take(rows - used)
    used += page.length
    yield page.map((row) => `<row>${row.map((cell, i) => cellXml(cell, columns[i])).join('')}</row>`).join('')
  }
  yield `</sheetData><autoFilter ref="A1:${columnName(columns.length - 1)}${used}"/></worksheet>`
}

function cellXml(cell: Cell, column: Column | undefined): string {
  if (cell === null || cell === '') return '<c/>'
  if (typeof cell === 'number') return Number.isFinite(cell) ? `<c><v>${cell}</v></c>` : '<c/>'
  if (typeof cell === 'boolean') return `<c t="b"><v>${cell ? 1 : 0}</v></c>`
  const days = column?.type === 'time' ? daysOf(cell) : undefined
  return days === undefined ? textCell(cell) : `<c s="${styles.time}"><v>${days}</v></c>`
}

function textCell(text: string, style?: number): string {
  const shown = escaped(text.slice(0, longestText))
  return `<c t="inlineStr"${style ? ` s="${style}"` : ''}><is><t xml:space="preserve">${shown}</t></is></c>`
}

/** Days since 1899-12-30, as spreadsheets count (the 1900 date system); it has no days before March 1900 that all agree on. */
function daysOf(iso: string): number | undefined {
  const days = /^\d{4}-\d\d-\d\dT/.test(iso) ? Date.parse(iso) / 86_400_000 + 25_569 : Number.NaN
  return days >= 61 ? Math.round(days * 1e8) / 1e8 : undefined
}

/**
 * XML 1.0 §2.2 has no form for most control characters. Readers of workbooks turn `_x0041_`
 * into a character (ECMA-376 part 1, §22.9.2.19), so a text that looks like that has its underscore written that way.
 */
export function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML leaves out
      .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '')
      .replaceAll(/_(?=x[0-9a-f]{4}_)/gi, '_x005F_')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll('\r', '&#13;')
  )
}

function columnXml({ type, title }: Column, index: number): string {
  const width = Math.max(type === 'text' ? 24 : 18, title.length + 4)
  return `<col min="${index + 1}" max="${index + 1}" width="${width}" customWidth="1"/>`
}

/** `A` … `Z`, `AA` … */
function columnName(index: number): string {
  return (index >= 26 ? columnName(Math.floor(index / 26) - 1) : '') + String.fromCharCode(65 + (index % 26))
}
